//! Objects on their way into a backup, as they are at one moment, while others go on to put.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use objects::Store;
use objects::store::{Content, Hold, Snapshot, VersionId};
use reconcile::Fault;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::describe::{Line, Row};
use super::names::{path_of, told_apart};
use super::{LIST_BYTES, data_folder, list_path, store_fault};
use crate::contents::{OfBucket, OfObjects};
use crate::course::Course;
use crate::digest::Digest;
use crate::parts::{Sink, Wholeness};

const READING: &str = "cannot read object storage for a backup";

const MEND: &str =
    "`roadbed restore --bucket BUCKET --in-place` mends it from an older backup; or put it anew, or delete it";

/// The moment is fixed; what there is then waits for its turn.
pub(crate) struct Fixed {
    turn: oneshot::Sender<Sink>,
    taking: JoinHandle<Result<(OfObjects, u64), Fault>>,
}

/// Fixes the moment: what is put, overwritten or deleted from now on is not in the backup.
pub(crate) async fn fix(store: Arc<Store>, course: Arc<Course>, wholeness: Arc<Wholeness>) -> Result<Fixed, Fault> {
    let (turn, its_turn) = oneshot::channel();
    let (fixed, is_fixed) = oneshot::channel();
    // Rows and contents are read in a thread of their own, which holds the snapshot.
    let taking = tokio::task::spawn_blocking(move || {
        let snapshot = store.snapshot().map_err(|fault| store_fault(READING, &fault));
        let snapshot = match snapshot {
            Ok(snapshot) => snapshot,
            Err(fault) => {
                let _ = fixed.send(Err(fault.clone()));
                return Err(fault);
            }
        };
        let _ = fixed.send(Ok(()));
        // Nobody waits any more: what comes before could not be read.
        let Ok(sink) = its_turn.blocking_recv() else { return Err(Fault::new(READING)) };
        let mut taking = Taking { sink, course, wholeness };
        let taken = taking.all(snapshot)?;
        Ok((taken, taking.sink.bytes))
    });
    is_fixed.await.unwrap_or_else(|error| Err(Fault::because(READING, &error)))?;
    Ok(Fixed { turn, taking })
}

impl Fixed {
    /// Puts all of it into the sink.
    pub(crate) async fn take(self, sink: &mut Sink) -> Result<OfObjects, Fault> {
        let _ = self.turn.send(sink.another());
        let taken = self.taking.await;
        let (taken, bytes) = taken.unwrap_or_else(|error| Err(Fault::because(READING, &error)))?;
        sink.bytes += bytes;
        Ok(taken)
    }
}

struct Taking {
    sink: Sink,
    course: Arc<Course>,
    wholeness: Arc<Wholeness>,
}

impl Taking {
    fn all(&mut self, mut snapshot: Snapshot<'_>) -> Result<OfObjects, Fault> {
        let cannot = |fault: &objects::store::Fault| store_fault(READING, fault);
        let hold = Arc::new(snapshot.hold().map_err(|fault| cannot(&fault))?);
        let names: Vec<String> = snapshot.buckets().map(str::to_owned).collect();
        // A key is in the order of its bytes, a path in the order of its segments; all of them are held, and nothing else of an object.
        let mut by_bucket: Vec<Vec<(String, VersionId)>> = names.iter().map(|_| Vec::new()).collect();
        let mut at = 0;
        for entry in &mut snapshot {
            let entry = entry.map_err(|fault| cannot(&fault))?;
            // Buckets come in the order of their names.
            while names[at] != entry.bucket {
                at += 1;
            }
            by_bucket[at].push((path_of(&entry.head.key), entry.head.version));
        }
        let mut buckets = Vec::with_capacity(names.len());
        for (name, mut paths) in names.into_iter().zip(by_bucket) {
            told_apart(&mut paths);
            buckets.push(self.bucket(&snapshot, name, &paths, &hold)?);
        }
        Ok(OfObjects { buckets })
    }

    fn bucket(
        &mut self,
        snapshot: &Snapshot<'_>,
        name: String,
        paths: &[(String, VersionId)],
        hold: &Arc<Hold>,
    ) -> Result<OfBucket, Fault> {
        let cannot = |fault: &objects::store::Fault| store_fault(READING, fault);
        let mut bytes = 0;
        for (path, version) in paths {
            let entry = snapshot.entry(&name, *version).map_err(|fault| cannot(&fault))?;
            let content = snapshot.content(&entry).map_err(|fault| cannot(&fault))?;
            if content.left() != entry.head.size {
                return Err(Fault::new(READING).cause(format!("the rows of {:?} in {name} disagree", entry.head.key)));
            }
            bytes += entry.head.size;
            let reading = Reading {
                what: format!("{:?} in {name}", entry.head.key),
                content,
                chunk: Bytes::new(),
                course: self.course.clone(),
                wholeness: self.wholeness.clone(),
                _hold: hold.clone(),
            };
            let place = format!("{}/{path}", data_folder(&name));
            self.sink.put_reading(&place, entry.head.size, Some(entry.head.modified), Box::new(reading))?;
            // What was found to be damaged is found anew each time: after so much of it nobody needs to see the rest.
            if self.wholeness.is_hopeless() {
                return Err(Fault::new(READING));
            }
        }
        let (mut digest, mut lists, mut list) = (Digest::default(), 0, Vec::new());
        for (path, version) in paths {
            let entry = snapshot.entry(&name, *version).map_err(|fault| cannot(&fault))?;
            let row = Row::of(&entry);
            digest.add(&row.bytes());
            let line = Line { path: path.clone(), version: *version, row };
            serde_json::to_writer(&mut list, &line).expect("plain data");
            list.push(b'\n');
            if list.len() >= LIST_BYTES {
                self.sink.put_now(&list_path(&name, lists), std::mem::take(&mut list))?;
                lists += 1;
            }
        }
        if !list.is_empty() {
            self.sink.put_now(&list_path(&name, lists), list)?;
            lists += 1;
        }
        Ok(OfBucket { name, bytes, lists, digest })
    }
}

/// What an object holds, while it is packed. What goes wrong is in `wholeness`: the library that packs logs it and goes on.
struct Reading {
    what: String,
    content: Content,
    chunk: Bytes,
    course: Arc<Course>,
    wholeness: Arc<Wholeness>,
    _hold: Arc<Hold>,
}

impl Read for Reading {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while !self.chunk.has_remaining() {
            match self.content.chunk() {
                Ok(Some(chunk)) => {
                    self.course.went_and_waits(chunk.len() as u64);
                    self.chunk = chunk;
                }
                Ok(None) => return Ok(0),
                Err(fault) => {
                    let told = format!("cannot read {} for a backup", self.what);
                    self.wholeness.lacks(store_fault(told, &fault).hint(MEND));
                    return Err(io::Error::other(fault));
                }
            }
        }
        let length = self.chunk.remaining().min(into.len());
        self.chunk.copy_to_slice(&mut into[..length]);
        Ok(length)
    }
}
