//! Where the environments of these tests run: three at a time. A full one keeps two cores busy while it starts, and waits most of
//! the time after that.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use reconcile::Root;
use roadbed::keeper::client::KeeperClient;
use secrets::Store;
use testkit::{Environment, repository};

const SEATS: usize = 3;

/// Who comes first goes in first, also who needs more room than there is yet: otherwise it waits to the end, and a thread with it.
#[derive(Debug)]
struct Door {
    taken: usize,
    numbers_given: usize,
    next_in: usize,
}

static DOOR: Mutex<Door> = Mutex::new(Door { taken: 0, numbers_given: 0, next_in: 0 });
static MOVED: Condvar = Condvar::new();

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
    let mut door = DOOR.lock().unwrap_or_else(PoisonError::into_inner);
    let number = door.numbers_given;
    door.numbers_given += 1;
    let mut door = MOVED
        .wait_while(door, |door| door.next_in != number || door.taken + seats > SEATS)
        .unwrap_or_else(PoisonError::into_inner);
    door.next_in += 1;
    door.taken += seats;
    MOVED.notify_all();
    Seats(seats)
}

impl Drop for Seats {
    fn drop(&mut self) {
        DOOR.lock().unwrap_or_else(PoisonError::into_inner).taken -= self.0;
        MOVED.notify_all();
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
