//! Changes of several who come at once, brought down to the disk once.
//!
//! A disk that is asked to keep something takes milliseconds for it, whether it is one object or twenty. Whoever comes while another's
//! change is on its way is taken along by the next one: each is done or refused on its own, and all of them are acknowledged together.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use host::files::{self, FileFault};
use rusqlite::{Connection, TransactionBehavior};

use super::{Fault, Result, Store};

/// Folders in which files got names that the disk must have before a row speaks of them.
pub(super) type Dirty = BTreeSet<PathBuf>;

/// Changes of one transaction. More would make the first of them wait for the last.
const AT_ONCE: usize = 64;

type Run = Box<dyn FnOnce(&Connection, &mut Dirty) -> bool + Send>;

type Settle = Box<dyn FnOnce(Option<&Fault>) + Send>;

/// A change that waits for its turn.
pub(super) struct Job {
    /// Says whether it was done; what it gave or why not is in its slot.
    run: Run,
    /// Hears that all is over: well, or with what went wrong for everybody.
    settle: Settle,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Job")
    }
}

pub(super) type Queue = Mutex<VecDeque<Job>>;

struct Slot<T> {
    outcome: Option<Result<T>>,
    is_settled: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// Does `change` wholly or not at all, with those of others who come at once.
    pub(super) fn together<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection, &mut Dirty) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let slot = Arc::new(Mutex::new(Slot { outcome: None, is_settled: false }));
        let (of_run, of_settle) = (slot.clone(), slot.clone());
        lock(&self.queue).push_back(Job {
            run: Box::new(move |rows, dirty| {
                let outcome = change(rows, dirty);
                let is_done = outcome.is_ok();
                lock(&of_run).outcome = Some(outcome);
                is_done
            }),
            settle: Box::new(move |fault| {
                let mut slot = lock(&of_settle);
                // What was refused on its own stays refused for its own reason.
                if let (Some(fault), Some(Ok(_)) | None) = (fault, &slot.outcome) {
                    slot.outcome = Some(Err(again(fault)));
                }
                slot.is_settled = true;
            }),
        });
        loop {
            let mut connection = self.alone();
            {
                let mut slot = lock(&slot);
                if slot.is_settled {
                    return slot.outcome.take().expect("it is settled once, and taken once");
                }
            }
            let jobs: Vec<Job> = {
                let mut queue = lock(&self.queue);
                let count = queue.len().min(AT_ONCE);
                queue.drain(..count).collect()
            };
            if jobs.is_empty() {
                // Whoever took it along panicked in the midst of it, and nothing was done.
                return Err(Fault::Row("a change was lost with others"));
            }
            lead(&mut connection, jobs);
        }
    }
}

fn lead(connection: &mut Connection, jobs: Vec<Job>) {
    let mut settles = Vec::new();
    let outcome = run_all(connection, jobs, &mut settles);
    let fault = outcome.err();
    for settle in settles {
        settle(fault.as_ref());
    }
}

fn run_all(connection: &mut Connection, jobs: Vec<Job>, settles: &mut Vec<Settle>) -> Result<()> {
    let mut dirty = Dirty::new();
    let (runs, all): (Vec<_>, Vec<_>) = jobs.into_iter().map(|job| (job.run, job.settle)).unzip();
    *settles = all;
    let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for run in runs {
        let mut savepoint = transaction.savepoint()?;
        if !run(&savepoint, &mut dirty) {
            savepoint.rollback()?;
        }
        savepoint.commit()?;
    }
    for folder in &dirty {
        files::sync_dir(folder)?;
    }
    transaction.commit()?;
    Ok(())
}

/// The same fault for another of those whom it befell.
fn again(fault: &Fault) -> Fault {
    match fault {
        Fault::Rows(rusqlite::Error::SqliteFailure(error, text)) => {
            Fault::Rows(rusqlite::Error::SqliteFailure(*error, text.clone()))
        }
        Fault::File(fault) => {
            let source = fault.source.raw_os_error().map_or(fault.source.kind().into(), io::Error::from_raw_os_error);
            Fault::File(FileFault::new(fault.action, &fault.path, source))
        }
        _ => Fault::Row("a change was lost with others"),
    }
}
