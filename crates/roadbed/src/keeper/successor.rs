//! How a keeper becomes one of another program: in the same process, so that its children stay its children, with the lock and the
//! listening sockets kept open. Everything else the next one finds again as after a crash.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use host::lock::Held;
use reconcile::Fault;
use reconcile::ports::UnitState;

use super::house::House;

/// What is handed over beside the sockets, by a name that no socket can have.
const LOCK: &str = "keeper.lock";

/// How long units that are just stopping or being replaced are waited for.
const PATIENCE: Duration = Duration::from_secs(15);

/// An answer of some bytes has left by then.
const ANSWERED: Duration = Duration::from_millis(50);

/// Between two looks at them.
const PAUSE: Duration = Duration::from_millis(20);

/// What the keeper before left open for this one.
#[derive(Debug, Default)]
pub(super) struct Inheritance {
    lock: Option<OwnedFd>,
    pub(super) sockets: Vec<(String, OwnedFd)>,
}

impl Inheritance {
    pub(super) fn take() -> Self {
        let (locks, sockets) = host::successor::kept().into_iter().partition::<Vec<_>, _>(|(name, _)| name == LOCK);
        Self { lock: locks.into_iter().next().map(|(_, lock)| lock), sockets }
    }

    pub(super) fn lock(&mut self, path: &Path) -> Option<Held> {
        Held::taken_over(self.lock.take()?, path)
    }
}

/// Waits until nobody is half stopped: the next keeper would take it for running.
pub(super) async fn settled(house: &House) -> Result<(), Fault> {
    let is_settled = async {
        while let Some(unit) = house.units.list().into_iter().find(|unit| unit.state == UnitState::Stopping) {
            tracing::debug!(unit = unit.name, "waited for");
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(PATIENCE, is_settled).await.map_err(|_| {
        Fault::new("the keeper cannot become another program now").cause("a unit is being stopped").retry_safe()
    })
}

/// Becomes the other program. Returns only if that fails.
pub(super) fn become_it(house: &Arc<House>, lock: &Held, program: &Path) -> Fault {
    let args = ["keeper", "--root"].map(str::to_owned).into_iter();
    let args: Vec<String> = args.chain([house.root.path().to_string_lossy().into_owned()]).collect();
    let sockets = house.sockets();
    let mut kept: Vec<(String, BorrowedFd<'_>)> = vec![(LOCK.to_owned(), lock.as_descriptor())];
    kept.extend(sockets.held().map(|(name, socket)| (name.to_owned(), socket.as_fd())));
    tracing::info!(program = %program.display(), "becoming another program");
    let error = host::successor::replace(program, &args, &kept);
    Fault::because(format!("the keeper cannot become {}", program.display()), &error)
}

/// Returns the program that the keeper is to become, once whoever asked for it has the answer.
pub(super) async fn due(next: &mut tokio::sync::watch::Receiver<Option<std::path::PathBuf>>) -> std::path::PathBuf {
    let _ = next.changed().await;
    let program = next.borrow_and_update().clone();
    match program {
        Some(program) => {
            tokio::time::sleep(ANSWERED).await;
            program
        }
        None => std::future::pending().await,
    }
}
