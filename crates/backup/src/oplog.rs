//! What changes between two bases: the oplog, in slices of which each begins where the one before ended.

use std::time::Duration;

use host::clock::Timestamp;
use mongodb::bson::{Bson, Document, RawDocument, RawDocumentBuf, doc};
use mongodb::options::{ReadConcern, ReadPreference, SelectionCriteria};
use mongodb::{Client, Collection};
use reconcile::Fault;

use crate::base::name_of;
use crate::contents::{self, ClusterTime, FORMAT};
use crate::digest::Digest;
use crate::dump::error_code;
use crate::mongo_fault;
use crate::parts::PART_BYTES;
use crate::repository::{Kind, Reader, Repository, Snapshot, channel};

/// So much is in one slice at most; the next one goes on.
const SLICE_BYTES: usize = 4 * PART_BYTES;

/// A transaction's parts are in the oplog shortly before its end; a chain begins so long before its first base.
const OVERLAP: Duration = Duration::from_secs(10);

/// Changes of one database, read and not yet saved.
#[derive(Clone, Debug, Default)]
pub struct Slice {
    /// Entries as MongoDB has them, one after the other.
    entries: Vec<Vec<u8>>,
    pub from: ClusterTime,
    pub to: ClusterTime,
    digest: Digest,
}

impl Slice {
    pub fn is_empty(&self) -> bool {
        self.digest.documents == 0
    }
}

/// What became of the chain.
#[derive(Clone, Debug)]
pub enum SliceTaken {
    /// Everything up to `to` is in the repository; `saved` is absent where nothing changed.
    Through { to: ClusterTime, saved: Option<Snapshot> },
    /// The oplog does not reach back to where the last slice ended: only a new base helps.
    Gap { oldest: ClusterTime },
}

fn oplog(client: &Client) -> Collection<RawDocumentBuf> {
    client.database("local").collection("oplog.rs")
}

fn reading(error: &mongodb::error::Error) -> Fault {
    mongo_fault("cannot read MongoDB's oplog", error).hint("`roadbed logs mongodb` shows what it says")
}

fn time_of(entry: &RawDocument) -> Option<ClusterTime> {
    Some(entry.get_timestamp("ts").ok()?.into())
}

/// How far back the oplog reaches.
///
/// # Errors
/// Where it cannot be read.
pub async fn oldest(client: &Client) -> Result<ClusterTime, Fault> {
    let first = oplog(client).find_one(doc! {}).sort(doc! { "$natural": 1 }).await.map_err(|error| reading(&error))?;
    first.as_deref().and_then(time_of).ok_or_else(|| Fault::new("MongoDB's oplog is empty"))
}

/// Where the chain of a base begins.
pub(crate) fn beginning(base: ClusterTime) -> ClusterTime {
    let overlap = u32::try_from(OVERLAP.as_secs()).unwrap_or(0);
    ClusterTime { seconds: base.seconds.saturating_sub(overlap), increment: 0 }
}

/// The oplog was cut where it was being read.
const CAPPED_POSITION_LOST: i32 = 136;

/// Reads what changed in a database after `from`; `None` where the oplog does not reach back so far.
async fn read(client: &Client, database: &str, from: ClusterTime) -> Result<Option<Slice>, Fault> {
    let oplog = oplog(client);
    let found = oplog
        .find(doc! { "ts": { "$gt": from.bson() } })
        .read_concern(ReadConcern::majority())
        .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
        .await;
    let mut found = match found {
        Ok(found) => found,
        Err(error) if error_code(&error) == Some(CAPPED_POSITION_LOST) => return Ok(None),
        Err(error) => return Err(reading(&error)),
    };
    let mut slice = Slice { from, to: from, ..Slice::default() };
    let mut part = Vec::new();
    let mut size = 0;
    loop {
        match found.advance().await {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) if error_code(&error) == Some(CAPPED_POSITION_LOST) => return Ok(None),
            Err(error) => return Err(reading(&error)),
        }
        let entry = found.current();
        let Some(time) = time_of(entry) else { continue };
        slice.to = time;
        if !concerns(entry, database) {
            continue;
        }
        slice.digest.add(entry.as_bytes());
        part.extend_from_slice(entry.as_bytes());
        size += entry.as_bytes().len();
        if part.len() >= PART_BYTES {
            slice.entries.push(std::mem::take(&mut part));
        }
        if size >= SLICE_BYTES {
            break;
        }
    }
    if !part.is_empty() {
        slice.entries.push(part);
    }
    // Asked last: it may have rolled over while it was read.
    Ok(reaches_back(client, from).await?.then_some(slice))
}

/// Whether nothing after `from` was forgotten. An oplog that has its very first entry has forgotten nothing at all.
async fn reaches_back(client: &Client, from: ClusterTime) -> Result<bool, Fault> {
    let first = oplog(client).find_one(doc! {}).sort(doc! { "$natural": 1 }).await.map_err(|error| reading(&error))?;
    let Some(first) = first else { return Ok(false) };
    let is_very_first =
        first.get_document("o").is_ok_and(|what| what.get_str("msg").unwrap_or_default() == "initiating set");
    Ok(is_very_first || time_of(&first).is_some_and(|oldest| oldest <= from))
}

/// Whether an entry changes this database, or may.
fn concerns(entry: &RawDocument, database: &str) -> bool {
    let namespace = entry.get_str("ns").unwrap_or_default();
    let is_ours = |namespace: &str| namespace.strip_prefix(database).is_some_and(|rest| rest.starts_with('.'));
    if is_ours(namespace) {
        return true;
    }
    if namespace != "admin.$cmd" || entry.get_str("op").unwrap_or_default() != "c" {
        return false;
    }
    let Ok(command) = entry.get_document("o") else { return false };
    let Ok(operations) = command.get_array("applyOps") else {
        // How transactions end.
        return command.get("commitTransaction").is_ok_and(|found| found.is_some())
            || command.get("abortTransaction").is_ok_and(|found| found.is_some());
    };
    let mut namespaces =
        operations.into_iter().flatten().filter_map(|operation| operation.as_document()?.get_str("ns").ok());
    namespaces.any(is_ours)
        || command.get_bool("partialTxn").unwrap_or(false)
        || command.get("prevOpTime").is_ok_and(|found| found.is_some())
        || entry.get("txnNumber").is_ok_and(|found| found.is_some())
}

/// Reads what changed after `through`, up to which everything is known to be saved, and saves it as what follows the chain's `end`.
///
/// # Errors
/// Where the oplog cannot be read, or the repository not be written.
pub async fn append(
    repository: &Repository,
    client: &Client,
    database: &str,
    (end, through): (ClusterTime, ClusterTime),
    now: Timestamp,
) -> Result<SliceTaken, Fault> {
    let Some(mut slice) = read(client, database, through.max(end)).await? else {
        return Ok(SliceTaken::Gap { oldest: oldest(client).await? });
    };
    // What nothing happened in is no slice, and no gap either.
    slice.from = end;
    let to = slice.to;
    if slice.is_empty() {
        return Ok(SliceTaken::Through { to, saved: None });
    }
    save(repository, slice, now).await.map(|saved| SliceTaken::Through { to, saved: Some(saved) })
}

/// Where the next slice begins; `None` while there is no base.
pub fn chain_end(snapshots: &[Snapshot]) -> Option<ClusterTime> {
    let base = snapshots.iter().rev().find_map(|snapshot| match snapshot.kind {
        Kind::Base { at } => at,
        Kind::Oplog { .. } => None,
    })?;
    let end = snapshots.iter().filter_map(|snapshot| match snapshot.kind {
        Kind::Oplog { to, .. } => Some(to),
        Kind::Base { .. } => None,
    });
    // A base after a gap begins another chain.
    match end.max() {
        Some(end) if end >= beginning(base) => Some(end),
        _ => Some(beginning(base)),
    }
}

async fn save(repository: &Repository, slice: Slice, now: Timestamp) -> Result<Snapshot, Fault> {
    let kind = Kind::Oplog { from: slice.from, to: slice.to };
    let name = format!("{}-oplog", name_of(now));
    let (mut sink, source, wholeness) = channel(now);
    let saving = {
        let (repository, name) = (repository.clone(), name.clone());
        tokio::task::spawn_blocking(move || repository.save(source, wholeness, kind, &name, now))
    };
    let parts = slice.entries.len();
    let put = async {
        for (number, part) in slice.entries.into_iter().enumerate() {
            sink.put(&part_path(number), part).await?;
        }
        let contents = doc! {
            "format": FORMAT, "parts": u32::try_from(parts).unwrap_or(u32::MAX),
            "documents": i64::try_from(slice.digest.documents).unwrap_or(i64::MAX),
        };
        let json = serde_json::to_vec(&contents).expect("plain data");
        sink.finish(contents::PATH, json).await
    };
    let put = put.await;
    let bytes = sink.bytes;
    drop(sink);
    let saved = saving.await.map_err(|error| Fault::because("cannot save changes in the repository", &error))?;
    let id = saved?;
    put?;
    Ok(Snapshot { name, kind, taken: now, bytes, held: false, id })
}

fn part_path(number: usize) -> String {
    format!("oplog/entries-{number:06}.bson")
}

/// The entries of a saved slice, in their order.
pub(crate) fn entries(reader: &Reader) -> Result<Vec<Document>, Fault> {
    #[derive(serde::Deserialize)]
    struct Said {
        parts: usize,
        documents: u64,
    }
    let said: Said = serde_json::from_slice(&reader.read(contents::PATH)?)
        .map_err(|error| Fault::because("cannot use a slice of the oplog", &error))?;
    let mut all = Vec::new();
    for number in 0..said.parts {
        documents(&reader.read(&part_path(number))?, |document| {
            let entry = Document::try_from(document).map_err(|error| Fault::because("cannot use the oplog", &error))?;
            all.push(entry);
            Ok(())
        })?;
    }
    if all.len() as u64 == said.documents {
        Ok(all)
    } else {
        Err(Fault::new("cannot use a slice of the oplog").cause("it does not have as many entries as were saved"))
    }
}

/// Documents that lie one after the other.
pub(crate) fn documents(bytes: &[u8], mut each: impl FnMut(&RawDocument) -> Result<(), Fault>) -> Result<(), Fault> {
    let broken = || Fault::new("cannot use documents of a backup").cause("they are cut off or damaged");
    let mut rest = bytes;
    while let Some((length, _)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(i32::from_le_bytes(*length)).map_err(|_| broken())?;
        let (document, after) = rest.split_at_checked(length).filter(|_| length >= 5).ok_or_else(broken)?;
        each(RawDocument::from_bytes(document).map_err(|_| broken())?)?;
        rest = after;
    }
    if rest.is_empty() { Ok(()) } else { Err(broken()) }
}

/// The time of an entry.
pub(crate) fn entry_time(entry: &Document) -> ClusterTime {
    match entry.get("ts") {
        Some(Bson::Timestamp(time)) => (*time).into(),
        _ => ClusterTime::default(),
    }
}
