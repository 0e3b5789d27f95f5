//! Where the environments of these tests run: three at a time. A full one keeps two cores busy while it starts, and waits most of
//! the time after that.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use reconcile::Root;
use roadbed::keeper::client::KeeperClient;
use secrets::Store;
use testkit::{Environment, repository};

const SEATS: usize = 3;

static TAKEN: Mutex<usize> = Mutex::new(0);
static GIVEN_BACK: Condvar = Condvar::new();

/// Held by a test for as long as its environments run.
#[derive(Debug)]
pub(crate) struct Seats(usize);

/// Beside others.
pub(crate) fn enter() -> Seats {
    take(1)
}

/// Beside one other: for tests that run several environments themselves.
pub(crate) fn enter_with_several() -> Seats {
    take(2)
}

/// With nobody else: for tests that are about time.
pub(crate) fn enter_alone() -> Seats {
    take(SEATS)
}

fn take(seats: usize) -> Seats {
    // A test that failed leaves nothing on the stage: its environments are gone.
    let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut taken =
        GIVEN_BACK.wait_while(taken, |taken| *taken + seats > SEATS).unwrap_or_else(PoisonError::into_inner);
    *taken += seats;
    Seats(seats)
}

impl Drop for Seats {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= self.0;
        GIVEN_BACK.notify_all();
    }
}

/// UrbanCart as it is in this checkout, with a root of its own and a payment key that whatever the test does must leave in no
/// byte that is written.
pub(crate) fn urbancart() -> Environment {
    Environment::new(env!("CARGO_BIN_EXE_roadbed"), &repository())
}

/// The secret store of an environment, as control works with it.
pub(crate) fn store_of(environment: &Environment) -> Store {
    let root = Root::new(environment.root().to_owned());
    let identity = roadbed::control::identity::read(&root).unwrap().unwrap();
    let [state, config] = ["XDG_STATE_HOME", "XDG_CONFIG_HOME"]
        .map(|name| Some(PathBuf::from(&environment.variables()[name]).join("roadbed")));
    Store::new(roadbed::seats::of_root(&root, &identity, &roadbed::roots::Roots::new(state, config)))
}

/// What the data services of an environment stand on: for who changes something there behind its back.
pub(crate) fn ground_of(environment: &Environment) -> stores::Ground {
    let root = Root::new(environment.root().to_owned());
    stores::Ground {
        name: "behind its back".to_owned(),
        id: roadbed::control::identity::read(&root).unwrap().unwrap().id,
        root: root.clone(),
        units: Arc::new(KeeperClient::new(root)),
        secrets: Arc::new(store_of(environment)),
        clock: Arc::new(host::clock::SystemClock),
        require: Vec::new(),
    }
}
