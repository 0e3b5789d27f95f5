//! Errors, by Sentry's protocol: its clients need no more than an address.
//!
//! ```text
//!   POST /api/ID/envelope/ ─► key ─► guards ─► body ─► envelope ─► scrub ─► spool (fsync) ─► 200
//!                                                                             │
//!                                         one writer: group, count, many with one transaction ─► errors.db ─► questions
//! ```
//!
//! What was answered with 200 is on the disk. What is not kept is counted, with the reason.

mod door;
mod answers;
mod security;
mod projects;
mod limits;
mod counts;
mod scrub;
pub(crate) mod record;
pub(crate) mod spool;
mod digest;
mod schema;
mod words;
mod batch;
pub(crate) mod lenient;
mod event;
mod event_id;
mod grouping;
mod normalise;
mod source_map;
mod maps;
mod symbols;
mod uploads;
mod sessions;
mod retention;
mod issues;
mod questions;
mod client;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use host::clock::Clock;
use host::files::{self, Access, FileFault};
use reconcile::Root;

pub(crate) use door::routes;
pub use issues::{Behind, Change, ErrorEvent, Issue, IssueDetails, IssueFilter, IssueRelease, IssueStatus};
pub use maps::MapsOfRelease;
pub use projects::{ErrorLimits, ErrorSettings, KeyOf, Project, ProjectKey};
pub(crate) use questions::routes as questions;
pub use questions::{ErrorsHealth, NotKept};
pub use sessions::ReleaseHealth;
pub(crate) use uploads::{for_our_own as keeping_of_maps, routes as uploads};

use crate::body::BodyReader;
use counts::Counts;
use digest::{Digester, Order};
use limits::SpikeGuard;
use maps::Maps;
use scrub::Scrubber;
use spool::{Position, Spool, SpoolHold, SpoolReader};

/// What the doors share.
#[derive(Debug)]
pub(crate) struct Errors {
    settings: ErrorSettings,
    environment: String,
    clock: Arc<dyn Clock>,
    folder: PathBuf,
    bodies: BodyReader,
    scrubber: Scrubber,
    guard: SpikeGuard,
    counts: Arc<Counts>,
    maps: Arc<Maps>,
    /// Gone when the role ends.
    spool: Mutex<Option<Spool>>,
    orders: Sender<Order>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    room: door::Room,
}

impl Errors {
    /// # Errors
    /// Where the folder cannot be used. A damaged database is moved aside, and one that cannot be written is tried again.
    ///
    /// `held` are those who read the spool beside the database, each with how far it is.
    pub(crate) fn open(
        root: &Root,
        environment: &str,
        settings: &ErrorSettings,
        clock: &Arc<dyn Clock>,
        held: &[(String, Option<Position>)],
    ) -> Result<Arc<Self>, FileFault> {
        let folder = root.telemetry().join("errors");
        files::create_dir(&folder, Access::Owner)?;
        let (orders, received) = mpsc::channel();
        let grown = orders.clone();
        let announced = Arc::new(AtomicBool::new(false));
        let is_announced = Arc::clone(&announced);
        let spool_folder = folder.join("spool");
        let (spool, appending) = Spool::open(&spool_folder, clock.now().unix_millis(), move || {
            // Once is enough until the writer looks.
            if !is_announced.swap(true, Ordering::AcqRel) {
                let _ = grown.send(Order::Grown);
            }
        })?;
        for (by, from) in held {
            spool.is_held(by, *from);
        }
        let counts = Arc::new(Counts::default());
        let maps = Arc::new(Maps::new(folder.join("maps.db")));
        let digester = Digester {
            path: folder.join("errors.db"),
            spool_folder,
            spool: spool.clone(),
            limits: settings.limits.clone(),
            clock: Arc::clone(clock),
            counts: Arc::clone(&counts),
            maps: Arc::clone(&maps),
            orders: received,
            announced,
        };
        let digesting = std::thread::Builder::new().name("errors writer".into()).spawn(move || digester.run());
        let digesting = digesting.map_err(|source| FileFault::new("start a thread for", &folder, source))?;
        Ok(Arc::new(Self {
            settings: settings.clone(),
            environment: environment.to_owned(),
            clock: Arc::clone(clock),
            folder,
            bodies: BodyReader::new(),
            scrubber: Scrubber::new(),
            guard: SpikeGuard::new(&settings.limits),
            counts,
            maps,
            spool: Mutex::new(Some(spool)),
            orders,
            // The writer first: it holds the spool open.
            threads: Mutex::new(vec![digesting, appending]),
            room: door::Room::default(),
        }))
    }

    fn database(&self) -> PathBuf {
        self.folder.join("errors.db")
    }

    fn spool(&self) -> Option<Spool> {
        self.spool.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The spool for one of those who read it beside the database. `None`: nobody of that name does, or telemetry is ending.
    pub(crate) fn held(&self, by: &str) -> Option<(SpoolReader, SpoolHold)> {
        self.spool()?.held(by, &self.folder.join("spool"))
    }

    /// Writes what was taken. Blocks.
    pub(crate) fn close(&self) {
        self.spool.lock().unwrap_or_else(PoisonError::into_inner).take();
        let _ = self.orders.send(Order::Stop);
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // Threads that are not there any more have said why.
            let _ = thread.join();
        }
    }
}
