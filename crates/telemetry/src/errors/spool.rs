//! What was taken and is not in the database yet: segments to which records are appended, many with one fsync.
//!
//! ```text
//!   N.spool     length, checksum, bytes │ length, checksum, bytes │ …
//! ```
//!
//! A record is acknowledged when it is down on the disk. How far the database is, is noted in the database itself, in the transaction
//! that holds the events; so no crash loses one, and none is there twice. A torn end was never acknowledged, and is cut off.
//!
//! Others may read behind the database, and hold what they have not read: an export of errors does.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use host::files::{self, Access, FileFault};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

/// A segment that is longer is followed by another; those that are in the database are removed.
const SEGMENT: u64 = 8 << 20;

/// Records that wait for the disk. Whoever comes then waits, too.
const WAITING: usize = 256;

/// Bytes that one fsync is for. More would be a long wait for the first.
const TOGETHER: usize = 2 << 20;

/// Length and checksum.
const HEAD: usize = 8;

/// A record can be no longer; what says so is damage.
const MAX_RECORD: u32 = 16 << 20;

/// A place between two records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Position {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
}

/// Why a record was not kept.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum SpoolFault {
    #[error("the disk does not take it: {0}")]
    Disk(String),
    #[error("telemetry is ending")]
    Ending,
}

struct Append {
    record: Vec<u8>,
    kept: oneshot::Sender<Result<(), SpoolFault>>,
}

/// The end to which records are appended.
#[derive(Clone, Debug)]
pub(crate) struct Spool {
    to: mpsc::Sender<Append>,
    shared: Arc<Shared>,
}

/// What appending and digesting know of each other.
#[derive(Debug, Default)]
struct Shared(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// How much of each segment is on the disk. Behind that there may be parts of records.
    segments: BTreeMap<u64, u64>,
    /// Up to here all is in the database.
    digested: Position,
    /// From there on somebody else reads, by name.
    held: BTreeMap<String, Position>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn durable(&self) -> Position {
        let last = self.state().segments.last_key_value().map(|(segment, length)| (*segment, *length));
        last.map_or_else(Position::default, |(segment, offset)| Position { segment, offset })
    }

    fn is_durable_up_to(&self, position: Position) {
        self.state().segments.insert(position.segment, position.offset);
    }

    /// Bytes behind a position.
    fn behind(&self, from: Position) -> u64 {
        let state = self.state();
        let left = state.segments.range(from.segment..).map(|(segment, length)| {
            if *segment == from.segment { length.saturating_sub(from.offset) } else { *length }
        });
        left.sum()
    }

    /// Removes the segments that nobody reads any more.
    fn release(&self, folder: &Path) -> Result<(), FileFault> {
        let gone: Vec<u64> = {
            let state = self.state();
            let first = state.held.values().fold(state.digested, |first, held| first.min(*held));
            state.segments.range(..first.segment).map(|(segment, _)| *segment).collect()
        };
        for number in gone {
            files::remove(&path(folder, number))?;
            self.state().segments.remove(&number);
        }
        Ok(())
    }
}

impl Spool {
    /// Opens the folder and appends from a thread of its own, which ends when all ends are gone. `grown` is called when there is
    /// more to digest. Where nothing is there its segments begin after `now`, in milliseconds: no database that was kept while its spool was
    /// lost, as a backup keeps it, has a place in them already.
    ///
    /// # Errors
    /// Where the folder cannot be used.
    pub(crate) fn open(
        folder: &Path,
        now: i64,
        grown: impl Fn() + Send + 'static,
    ) -> Result<(Self, std::thread::JoinHandle<()>), FileFault> {
        files::create_dir(folder, Access::Owner)?;
        let begun = u64::try_from(now).unwrap_or_default().max(1);
        let last = segments(folder)?.last().copied().unwrap_or(begun);
        let mut appender = Appender::open(folder, last)?;
        let shared = Arc::new(Shared::default());
        for number in segments(folder)? {
            shared.is_durable_up_to(Position { segment: number, offset: length(folder, number)? });
        }
        shared.is_durable_up_to(appender.end());
        let (to, mut from) = mpsc::channel::<Append>(WAITING);
        let counted = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("errors spool".into()).spawn(move || {
            while let Some(first) = from.blocking_recv() {
                let mut all = vec![first];
                let mut bytes = all[0].record.len();
                while bytes < TOGETHER {
                    let Ok(next) = from.try_recv() else { break };
                    bytes += next.record.len();
                    all.push(next);
                }
                let outcome = appender.append(all.iter().map(|one| one.record.as_slice()));
                if outcome.is_ok() {
                    counted.is_durable_up_to(appender.end());
                    grown();
                }
                let outcome = outcome.map_err(|fault| SpoolFault::Disk(fault.source.to_string()));
                for one in all {
                    // Whoever asked may be gone; then nobody was told that it is kept.
                    let _ = one.kept.send(outcome.clone());
                }
            }
        });
        let thread = thread.map_err(|source| FileFault::new("start a thread for", folder, source))?;
        Ok((Self { to, shared }, thread))
    }

    /// Returns when the record is on the disk.
    pub(crate) async fn append(&self, record: Vec<u8>) -> Result<(), SpoolFault> {
        let (kept, answer) = oneshot::channel();
        self.to.send(Append { record, kept }).await.map_err(|_| SpoolFault::Ending)?;
        answer.await.map_err(|_| SpoolFault::Ending)?
    }

    /// Bytes that are not in the database yet.
    pub(crate) fn waiting(&self) -> u64 {
        let from = self.shared.state().digested;
        self.shared.behind(from)
    }

    /// All up to here is in the database. Segments before it are removed, but for what somebody holds.
    ///
    /// # Errors
    /// Where one cannot be removed.
    pub(crate) fn digested(&self, to: Position, folder: &Path) -> Result<(), FileFault> {
        self.shared.state().digested = to;
        self.shared.release(folder)
    }

    /// From a position on somebody else reads, too; without one, or with one that is not there yet, from the end. To be said before
    /// the database is opened.
    pub(crate) fn is_held(&self, by: &str, from: Option<Position>) {
        let from = from.map_or_else(|| self.shared.durable(), |from| self.place_of(from));
        self.shared.state().held.insert(by.to_owned(), from);
    }

    /// Where to read on who noted that place. A folder that was begun anew has none that is further on than its end, whatever the clock said
    /// then, and what it has is new.
    pub(crate) fn place_of(&self, noted: Position) -> Position {
        if noted > self.shared.durable() { Position::default() } else { noted }
    }

    /// What [`Self::is_held`] keeps, for whoever reads it.
    pub(crate) fn held(&self, by: &str, folder: &Path) -> Option<(SpoolReader, SpoolHold)> {
        let at = *self.shared.state().held.get(by)?;
        let hold = SpoolHold { folder: folder.to_owned(), by: by.to_owned(), shared: Arc::clone(&self.shared) };
        Some((SpoolReader::new(folder, self, at), hold))
    }
}

/// Keeps segments for a reader beside the database.
#[derive(Debug)]
pub(crate) struct SpoolHold {
    folder: PathBuf,
    by: String,
    shared: Arc<Shared>,
}

impl SpoolHold {
    /// What is before is not needed any more.
    ///
    /// # Errors
    /// Where a segment cannot be removed.
    pub(crate) fn moves(&self, to: Position) -> Result<(), FileFault> {
        self.shared.state().held.insert(self.by.clone(), to);
        self.shared.release(&self.folder)
    }

    /// Bytes behind a position.
    pub(crate) fn behind(&self, from: Position) -> u64 {
        self.shared.behind(from)
    }

    /// Where more than so many bytes are behind a position: the beginning of the first segment from which there are not.
    pub(crate) fn beginning_within(&self, from: Position, most: u64) -> Option<Position> {
        if self.shared.behind(from) <= most {
            return None;
        }
        let last = self.shared.durable();
        let state = self.shared.state();
        let mut later = state.segments.range(from.segment + 1..).map(|(segment, _)| *segment);
        let fits = |segment: &u64| state.segments.range(segment..).map(|(_, length)| *length).sum::<u64>() <= most;
        Some(later.find(fits).map_or(last, |segment| Position { segment, offset: 0 }))
    }
}

struct Appender {
    folder: PathBuf,
    number: u64,
    file: File,
    length: u64,
}

impl Appender {
    fn open(folder: &Path, number: u64) -> Result<Self, FileFault> {
        let path = path(folder, number);
        let file = files::open_append(&path, Access::Owner)?;
        files::sync_dir(folder)?;
        let length = whole(&path)?;
        let fault = |source| FileFault::new("cut the torn end of", &path, source);
        file.set_len(length).map_err(fault)?;
        Ok(Self { folder: folder.to_owned(), number, file, length })
    }

    fn end(&self) -> Position {
        Position { segment: self.number, offset: self.length }
    }

    /// All or none.
    fn append<'r>(&mut self, records: impl Iterator<Item = &'r [u8]>) -> Result<(), FileFault> {
        if self.length >= SEGMENT {
            *self = Self::open(&self.folder, self.number + 1)?;
        }
        let mut bytes = Vec::new();
        for record in records {
            let length = u32::try_from(record.len()).expect("a record is smaller than a body");
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(&checksum(record).to_le_bytes());
            bytes.extend_from_slice(record);
        }
        let written = self.file.write_all(&bytes).and_then(|()| self.file.sync_data());
        if let Err(source) = written {
            let number = self.number;
            // What is there in part is no record: the next one begins where this one did, else in a segment of its own.
            if self.file.set_len(self.length).is_err() {
                self.length = self.length.max(SEGMENT);
            }
            return Err(FileFault::new("append to", path(&self.folder, number), source));
        }
        self.length += bytes.len() as u64;
        Ok(())
    }
}

/// Reads what was appended, in order.
#[derive(Debug)]
pub(crate) struct SpoolReader {
    folder: PathBuf,
    shared: Arc<Shared>,
    at: Position,
    open: Option<(u64, File)>,
}

/// What is at a place of the spool.
#[derive(Debug)]
pub(crate) enum Next {
    Record(Vec<u8>),
    /// Nothing more yet.
    End,
    /// Something that is no record, in the midst: the rest of that segment is lost.
    Damaged {
        bytes: u64,
    },
}

impl SpoolReader {
    pub(crate) fn new(folder: &Path, spool: &Spool, at: Position) -> Self {
        Self { folder: folder.to_owned(), shared: Arc::clone(&spool.shared), at, open: None }
    }

    pub(crate) fn position(&self) -> Position {
        self.at
    }

    /// Reads on elsewhere.
    pub(crate) fn seek(&mut self, at: Position) {
        self.at = at;
    }

    pub(crate) fn next(&mut self) -> Result<Next, FileFault> {
        loop {
            let durable = self.shared.durable();
            if self.at >= durable {
                return Ok(Next::End);
            }
            if self.open.as_ref().is_none_or(|(number, _)| *number != self.at.segment) {
                let all = segments(&self.folder)?;
                let Some(number) = all.into_iter().find(|number| *number >= self.at.segment) else {
                    return Ok(Next::End);
                };
                if number != self.at.segment {
                    self.at = Position { segment: number, offset: 0 };
                }
                self.open = Some((number, files::open(&path(&self.folder, number))?));
                continue;
            }
            let Some((number, file)) = &self.open else { return Ok(Next::End) };
            let place = path(&self.folder, *number);
            let fault = |source| FileFault::new("read", &place, source);
            let found = record_at(file, self.at.offset).map_err(fault)?;
            if let Found::Record(record) = found {
                self.at.offset += (HEAD + record.len()) as u64;
                return Ok(Next::Record(record));
            }
            let end =
                if self.at.segment < durable.segment { file.metadata().map_err(fault)?.len() } else { durable.offset };
            let bytes = end.saturating_sub(self.at.offset);
            self.at = if self.at.segment < durable.segment {
                Position { segment: self.at.segment + 1, offset: 0 }
            } else {
                durable
            };
            if bytes > 0 {
                return Ok(Next::Damaged { bytes });
            }
        }
    }
}

enum Found {
    Record(Vec<u8>),
    /// The file ends here, or what is here is none.
    Nothing,
}

fn record_at(file: &File, offset: u64) -> io::Result<Found> {
    let mut head = [0; HEAD];
    if file.read_at(&mut head, offset)? != HEAD {
        return Ok(Found::Nothing);
    }
    let [a, b, c, d, sum @ ..] = head;
    let length = u32::from_le_bytes([a, b, c, d]);
    if length > MAX_RECORD {
        return Ok(Found::Nothing);
    }
    let mut record = vec![0; usize::try_from(length).unwrap_or(0)];
    match file.read_exact_at(&mut record, offset + HEAD as u64) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Found::Nothing),
        Err(error) => Err(error),
        Ok(()) if checksum(&record) != u32::from_le_bytes(sum) => Ok(Found::Nothing),
        Ok(()) => Ok(Found::Record(record)),
    }
}

/// Up to where a segment has whole records.
fn whole(path: &Path) -> Result<u64, FileFault> {
    let mut file = files::open(path)?;
    let fault = |source| FileFault::new("read", path, source);
    file.seek(SeekFrom::Start(0)).map_err(fault)?;
    let mut offset = 0;
    while let Found::Record(record) = record_at(&file, offset).map_err(fault)? {
        offset += (HEAD + record.len()) as u64;
    }
    Ok(offset)
}

pub(super) fn checksum(bytes: &[u8]) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    sum.sum()
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:016x}.spool"))
}

fn length(folder: &Path, number: u64) -> Result<u64, FileFault> {
    Ok(files::metadata(&path(folder, number))?.len())
}

/// Numbers of the segments that there are, in order.
fn segments(folder: &Path) -> Result<Vec<u64>, FileFault> {
    let number = |path: &PathBuf| u64::from_str_radix(path.file_name()?.to_str()?.strip_suffix(".spool")?, 16).ok();
    let mut all: Vec<u64> = files::list(folder)?.iter().filter_map(number).collect();
    all.sort_unstable();
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_somebody_holds_stays_up_to_a_bound_that_he_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let (spool, thread) = Spool::open(folder, 1, || {}).unwrap();
        spool.is_held("hosted", None);
        // Each is more than a segment.
        for _ in 0..3 {
            spool.append(vec![7; 9 << 20]).await.unwrap();
        }
        let end = spool.shared.durable();
        spool.digested(end, folder).unwrap();
        assert_eq!((spool.waiting(), segments(folder).unwrap()), (0, vec![1, 2, 3]));

        // Of a folder that is gone: as its clock was behind, or ahead.
        assert_eq!(spool.place_of(Position { segment: 2, offset: 7 }), Position { segment: 2, offset: 7 });
        assert_eq!(spool.place_of(end), end);
        let further = [Position { segment: end.segment, offset: end.offset + 1 }, Position { segment: 4, offset: 0 }];
        assert_eq!(further.map(|noted| spool.place_of(noted)), [Position::default(); 2]);

        let (mut reader, hold) = spool.held("hosted", folder).unwrap();
        assert!(matches!(reader.next().unwrap(), Next::Record(record) if record.len() == 9 << 20));
        let at = reader.position();
        assert_eq!(hold.beginning_within(at, 20 << 20), None);
        assert_eq!(hold.beginning_within(at, 10 << 20), Some(Position { segment: 3, offset: 0 }));
        assert_eq!(hold.beginning_within(at, 1 << 20), Some(end));
        hold.moves(Position { segment: 3, offset: 0 }).unwrap();
        assert_eq!(segments(folder).unwrap(), [3]);
        // A place that is not there, as after the folder was begun anew.
        spool.is_held("hosted", Some(Position { segment: 9, offset: 0 }));
        assert!(matches!(spool.held("hosted", folder).unwrap().0.next().unwrap(), Next::Record(_)));
        drop((spool, hold));
        thread.join().unwrap();
    }
}
