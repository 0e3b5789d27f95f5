//! What all tasks of one keeper share.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use host::clock::Clock;
use host::process::reaper;
use reconcile::Root;
use tokio::sync::watch;

use super::confinement::Means;
use super::fence::Fence;
use super::life::Moment;
use super::redaction::Redaction;
use super::sockets::Sockets;
use super::units::Units;
use super::wire::Manner;

/// The keeper's common ground.
#[derive(Debug)]
pub(super) struct House {
    pub(super) root: Root,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) boot_id: String,
    pub(super) units: Units,
    pub(super) faults: Vec<String>,
    /// Of which control orders are taken.
    pub(super) fence: Fence,
    /// What keeps units to their own business here.
    pub(super) means: Means,
    /// What must not be in units' logs.
    pub(super) redaction: Redaction,
    /// Processes whose role said hello on the lifeline.
    pub(super) greeted: watch::Sender<HashSet<u32>>,
    /// How many processes were followed by another and are not gone yet.
    pub(super) leaving: watch::Sender<usize>,
    /// What was asked of the keeper as a whole; `None` while it should run.
    pub(super) shutdown: watch::Sender<Option<Manner>>,
    /// The program that the keeper is to become.
    pub(super) next: watch::Sender<Option<PathBuf>>,
    /// Everything is stopped.
    pub(super) stopped: watch::Sender<bool>,
    began: Instant,
    sockets: Mutex<Sockets>,
    /// Children whose exit code somebody waits for.
    children: Mutex<HashSet<u32>>,
    spawns: AtomicU64,
}

impl House {
    pub(super) fn new(
        root: Root,
        clock: Arc<dyn Clock>,
        boot_id: String,
        sockets: Sockets,
        faults: Vec<String>,
        (fence, means): (Fence, Means),
    ) -> Self {
        Self {
            began: clock.instant(),
            root,
            clock,
            boot_id,
            units: Units::default(),
            faults,
            fence,
            means,
            redaction: Redaction::new(),
            greeted: watch::Sender::new(HashSet::new()),
            leaving: watch::Sender::new(0),
            shutdown: watch::Sender::new(None),
            next: watch::Sender::new(None),
            stopped: watch::Sender::new(false),
            sockets: Mutex::new(sockets),
            children: Mutex::default(),
            spawns: AtomicU64::new(0),
        }
    }

    pub(super) fn now(&self) -> Moment {
        self.clock.instant().saturating_duration_since(self.began)
    }

    pub(super) fn instant_of(&self, moment: Moment) -> Instant {
        // Beyond what the clock can say is as good as never.
        self.began.checked_add(moment).unwrap_or_else(|| self.began + Moment::from_secs(u64::from(u32::MAX)))
    }

    pub(super) fn sockets(&self) -> MutexGuard<'_, Sockets> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn children(&self) -> MutexGuard<'_, HashSet<u32>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes away zombies that nobody waits for: descendants that outlived their parent came to us.
    pub(super) fn reap_strangers(&self) {
        let children = self.children();
        reaper::reap_strangers(&|pid| children.contains(&pid));
    }

    /// A new value for [`super::SPAWN_MARK`]: no other start has it, on this machine, ever.
    pub(super) fn spawn_id(&self) -> String {
        let number = self.spawns.fetch_add(1, Ordering::Relaxed);
        format!("{}-{}-{number}", self.clock.now().unix_millis(), host::own::pid())
    }
}
