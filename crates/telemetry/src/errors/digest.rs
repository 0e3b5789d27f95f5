//! The one writer: takes what is on the spool into the database, many envelopes with one transaction.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use host::clock::Clock;
use host::database::{self, DatabaseFault, Presence};
use host::files::{self, Access};
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::oneshot;

use super::batch::{self, Batch};
use super::counts::Counts;
use super::issues::{self, Change};
use super::maps::Maps;
use super::projects::ErrorLimits;
use super::record::{self, Kind};
use super::retention;
use super::schema::SCHEMA;
use super::spool::{self, Next, Position, Spool, SpoolReader};
use super::symbols::Symbols;
use super::words;

/// zstd's fastest that still finds what events repeat.
const LEVEL: i32 = 1;

/// Envelopes of one transaction.
const TOGETHER: usize = 1_000;

/// Events gather for so long once one has come: a person sees no difference, and a flood is written with a few fsyncs a second.
const GATHER: Duration = Duration::from_millis(100);

/// Records that are kept beside the database since they cannot be written into it.
const MOST_ASIDE: usize = 100;

/// After a disk that was full, or a database that was busy.
const AGAIN: Duration = Duration::from_secs(1);

/// What is too old is taken away so often.
const TIDY: Duration = Duration::from_secs(3600);

/// What the writer is asked.
#[derive(Debug)]
pub(crate) enum Order {
    /// There is more on the spool.
    Grown,
    Change {
        issue: i64,
        change: Change,
        done: oneshot::Sender<Result<bool, String>>,
    },
    /// Write what there is and end.
    Stop,
}

/// What the writer works on.
#[derive(Debug)]
pub(crate) struct Digester {
    pub(crate) path: PathBuf,
    pub(crate) spool_folder: PathBuf,
    pub(crate) spool: Spool,
    pub(crate) limits: ErrorLimits,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) maps: Arc<Maps>,
    pub(crate) orders: Receiver<Order>,
    /// Whether [`Order::Grown`] is on its way.
    pub(crate) announced: Arc<AtomicBool>,
}

/// An open database and where it stands.
struct Open {
    connection: Connection,
    reader: SpoolReader,
    symbols: Symbols,
    compressor: zstd::bulk::Compressor<'static>,
    /// So many records are taken one by one: one of them cannot be written, and must not hold up the others.
    one_by_one: usize,
}

/// Why a transaction was not written.
#[derive(Debug, thiserror::Error)]
enum DigestFault {
    #[error(transparent)]
    Database(#[from] DatabaseFault),
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    File(#[from] files::FileFault),
    #[error("cannot compress")]
    Compress(#[source] std::io::Error),
    #[error("what a client sent made the writer panic")]
    Panicked,
}

impl DigestFault {
    /// The file itself is not what it should be, and will not be later.
    fn is_damage(&self) -> bool {
        match self {
            Self::Database(DatabaseFault::Damaged { .. } | DatabaseFault::Foreign { .. }) => true,
            Self::Database(DatabaseFault::Sqlite { source, .. }) | Self::Sqlite(source) => {
                matches!(source.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
            }
            _ => false,
        }
    }

    /// It is the record's: it would be so with the next try, too.
    fn is_of_record(&self) -> bool {
        let code = match self {
            Self::Panicked => return true,
            Self::Sqlite(source) => source.sqlite_error_code(),
            _ => return false,
        };
        // Without a code it is a value that does not fit.
        matches!(code, None | Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig))
    }
}

impl Digester {
    /// Until [`Order::Stop`].
    pub(crate) fn run(self) {
        let mut open: Option<Open> = None;
        let mut tidied: Option<Instant> = None;
        let mut wait = Duration::ZERO;
        loop {
            let order = self.orders.recv_timeout(wait);
            if let Ok(Order::Grown) = order {
                self.gather();
            }
            let stop = matches!(order, Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected));
            let outcome = self.work(&mut open, &mut tidied);
            if let Ok(Order::Change { issue, change, done }) = order {
                let _ = done.send(self.change(open.as_mut(), issue, &change));
            }
            wait = TIDY;
            if let Err(fault) = outcome {
                open = None;
                wait = AGAIN;
                if fault.is_damage() {
                    self.move_aside(&fault);
                    wait = Duration::ZERO;
                } else {
                    let why = reconcile::Fault::because("errors wait on the spool", &fault);
                    tracing::error!(%why, waiting = self.spool.waiting(), "errors cannot be written");
                }
            }
            if stop {
                return;
            }
        }
    }

    /// Lets more come.
    fn gather(&self) {
        std::thread::sleep(GATHER);
        self.announced.store(false, Ordering::Release);
    }

    fn work(&self, open: &mut Option<Open>, tidied: &mut Option<Instant>) -> Result<(), DigestFault> {
        if open.is_none() {
            *open = Some(self.open()?);
        }
        let opened = open.as_mut().expect("it was opened above");
        while self.digest(opened)? {}
        let now = self.clock.instant();
        if tidied.is_none_or(|at| now.saturating_duration_since(at) >= TIDY) {
            *tidied = Some(now);
            let transaction = opened.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            retention::expire(&transaction, &self.limits, self.clock.now().unix_millis())?;
            transaction.commit()?;
        }
        Ok(())
    }

    fn open(&self) -> Result<Open, DigestFault> {
        let mut connection = database::open(&self.path, SCHEMA, Presence::MayBeNew)?;
        words::index(&mut connection)?;
        connection.set_prepared_statement_cache_capacity(64);
        let at = "SELECT segment, offset FROM position";
        let at = connection.query_row(at, [], |row| Ok(Position { segment: row.get(0)?, offset: row.get(1)? }));
        let at = match at {
            Err(rusqlite::Error::QueryReturnedNoRows) => Position::default(),
            read => self.spool.place_of(read?),
        };
        let mut compressor = zstd::bulk::Compressor::new(LEVEL).map_err(DigestFault::Compress)?;
        compressor.include_checksum(false).map_err(DigestFault::Compress)?;
        let reader = SpoolReader::new(&self.spool_folder, &self.spool, at);
        self.spool.digested(at, &self.spool_folder)?;
        Ok(Open { connection, reader, symbols: Symbols::new(Arc::clone(&self.maps)), compressor, one_by_one: 0 })
    }

    /// One transaction. Whether there may be more.
    fn digest(&self, open: &mut Open) -> Result<bool, DigestFault> {
        let Open { connection, reader, symbols, compressor, one_by_one } = open;
        let together = if *one_by_one > 0 { 1 } else { TOGETHER };
        let begun = reader.position();
        let mut records = Vec::new();
        let mut bytes = 0_u64;
        let mut lost = 0;
        while records.len() < together && bytes < 4 << 20 {
            match reader.next()? {
                Next::Record(record) => {
                    bytes += record.len() as u64 + 8;
                    records.push(record);
                }
                Next::Damaged { bytes: gone } => {
                    bytes += gone;
                    lost += gone;
                    tracing::error!(bytes = gone, "a part of the spool of errors is damaged: what was in it is lost");
                }
                Next::End => break,
            }
        }
        let counted = self.counts.take();
        if records.is_empty() && lost == 0 && counted.is_empty() {
            return Ok(false);
        }
        let ended = reader.position();
        let mut write = |is_aside: bool| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let now = self.clock.now().unix_millis();
            if !is_aside {
                // What panicked leaves nothing behind: the transaction ends with it, and what was remembered is read again.
                let taken = AssertUnwindSafe(|| {
                    let mut batch = Batch::new(&transaction, &self.limits, symbols, compressor);
                    for record in &records {
                        take(&mut batch, record)?;
                    }
                    batch.finish()
                });
                std::panic::catch_unwind(taken).map_err(|_| DigestFault::Panicked)??;
            }
            for ((app, what), count) in &counted {
                batch::count(&transaction, app, what, now, *count)?;
            }
            let Position { segment, offset } = ended;
            let sql = "INSERT OR REPLACE INTO position (only, segment, offset) VALUES (1, ?1, ?2)";
            transaction.prepare_cached(sql)?.execute([segment, offset])?;
            transaction.commit()?;
            Ok::<_, DigestFault>(())
        };
        let mut written = write(false);
        if written.as_ref().is_err_and(DigestFault::is_of_record) && records.len() == 1 {
            let fault = written.expect_err("it was looked at above");
            // Where even that cannot be done, the record waits on the spool.
            self.set_aside(&records[0], &fault).inspect_err(|_| reader.seek(begun))?;
            written = write(true);
        }
        if let Err(fault) = written {
            reader.seek(begun);
            self.counts.give_back(counted);
            if matches!(fault, DigestFault::Panicked) {
                *symbols = Symbols::new(Arc::clone(&self.maps));
            }
            if fault.is_of_record() && records.len() > 1 {
                *one_by_one = records.len();
                return Ok(true);
            }
            return Err(fault);
        }
        *one_by_one = one_by_one.saturating_sub(records.len());
        self.spool.digested(reader.position(), &self.spool_folder)?;
        Ok(!records.is_empty())
    }

    /// Keeps what cannot be written where a person can look at it, so that it is not tried for ever.
    fn set_aside(&self, record: &[u8], fault: &DigestFault) -> Result<(), files::FileFault> {
        let folder = self.path.with_file_name("set-aside");
        files::create_dir(&folder, Access::Owner)?;
        let name = format!("{}-{:08x}.record", self.clock.now().unix_millis(), spool::checksum(record));
        let why = reconcile::Fault::because("what was reported cannot be kept", fault);
        // A client that sends a thousand of them fills no disk.
        if files::list(&folder)?.len() < MOST_ASIDE {
            files::write_durable(&folder.join(&name), record, Access::Owner)?;
        }
        tracing::error!(%why, causes = ?why.causes, folder = %folder.display(), name, "it is set aside");
        let app = record::read(record).map(|(head, _)| head.app).unwrap_or_default();
        self.counts.add(&app, "set-aside", 1);
        Ok(())
    }

    fn change(&self, open: Option<&mut Open>, issue: i64, change: &Change) -> Result<bool, String> {
        let Some(open) = open else { return Err("the database of errors cannot be written".to_owned()) };
        issues::change(&mut open.connection, issue, change, self.clock.now().unix_millis())
            .map_err(|fault| fault.to_string())
    }

    /// Another database takes its place. What is still on the spool comes into it.
    fn move_aside(&self, fault: &DigestFault) {
        let name = |ending: &str| {
            let mut name = self.path.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        };
        let aside = name(&format!(".damaged-{}", self.clock.now().unix_millis()));
        let why = reconcile::Fault::because("the database of errors is damaged", fault);
        match files::rename(&self.path, &aside) {
            Ok(()) => tracing::error!(%why, aside = %aside.display(), "it is moved aside, and another one begun"),
            Err(fault) => tracing::error!(%why, %fault, "it cannot be moved aside"),
        }
        for beside in ["-wal", "-shm"] {
            remove(&name(beside));
        }
        self.counts.add("", "database-moved-aside", 1);
    }
}

fn remove(path: &Path) {
    if let Err(fault) = files::remove(path) {
        tracing::warn!(%fault, "what belonged to a damaged database stays");
    }
}

fn take(batch: &mut Batch<'_>, record: &[u8]) -> rusqlite::Result<()> {
    let Some((head, lines)) = record::read(record) else {
        tracing::error!("a record of the spool is none of ours");
        return Ok(());
    };
    for (kind, json) in lines {
        match kind {
            Kind::Event => batch.event(&head, json)?,
            Kind::Session => batch.session(&head, json)?,
            Kind::Sessions => batch.sessions(&head, json)?,
        }
    }
    Ok(())
}
