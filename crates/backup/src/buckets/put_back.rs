//! Some objects of a bucket, put back where others live.

use std::collections::BTreeSet;
use std::sync::Arc;

use host::clock::Timestamp;
use objects::Store;
use objects::store::{Expect, Fault as StoreFault, Head, List, Listed, Returning, check_key};
use reconcile::Fault;
use serde::{Deserialize, Serialize};

use super::arriving::{Batch, fetch};
use super::describe::Row;
use super::read::{each_object, lines};
use super::store_fault;
use crate::contents::{OfBucket, OfObjects};
use crate::course;
use crate::repository::Reader;

/// Keys that are looked up at once.
const PAGE: usize = 1000;

/// Which objects of a bucket are put back, and how they are called then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectsWanted {
    pub bucket: String,
    /// Beginning of their keys; empty for all of them.
    pub prefix: String,
    pub put: Put,
    /// When they are put.
    pub now: Timestamp,
}

/// Where they come to lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// Beside the living ones: with this before their keys.
    Beside { before: String },
    /// In place of the living ones. What came later is deleted, and kept as long as the bucket's undo says.
    InPlace,
    /// In place of those alone that are as they were saved but cannot be read any more: nothing is lost by it.
    Mend,
}

/// What became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectsRestored {
    pub bucket: String,
    /// Beginning of the keys, as the backup has them.
    pub from: String,
    /// And as they are called now.
    pub to: String,
    /// How many were put.
    pub objects: u64,
    pub bytes: u64,
    /// How many were there already as they were saved, and can be read.
    pub untouched: u64,
    /// How many came later and were deleted; only in place.
    pub taken_away: u64,
}

/// Puts objects of one bucket back where others live. What they hold is all read and compared before the first of them gets its
/// name. Begun again it comes to the same.
///
/// # Errors
/// Where something of the backup is damaged or not what was saved: then nothing was changed. Where the bucket would hold more than it
/// may or the disk is full: then some may be back.
pub async fn restore_objects(
    reader: &Arc<Reader>,
    of: &OfObjects,
    store: &Arc<Store>,
    wanted: ObjectsWanted,
) -> Result<ObjectsRestored, Fault> {
    let bucket = of.bucket(&wanted.bucket).cloned().ok_or_else(|| {
        let names: Vec<&str> = of.buckets.iter().map(|bucket| bucket.name.as_str()).collect();
        Fault::new(format!("the backup has no bucket {}", wanted.bucket)).hint(match names.as_slice() {
            [] => "it has none at all".to_owned(),
            names => format!("it has {}", names.join(", ")),
        })
    })?;
    let (reader, store) = (reader.clone(), store.clone());
    let restoring =
        tokio::task::spawn_blocking(course::in_thread(move || restore_some(&reader, &bucket, &store, &wanted)));
    restoring.await.unwrap_or_else(|error| Err(Fault::because("cannot restore objects", &error)))
}

fn restore_some(
    reader: &Reader,
    of: &OfBucket,
    store: &Store,
    wanted: &ObjectsWanted,
) -> Result<ObjectsRestored, Fault> {
    let ObjectsWanted { bucket, prefix, put, now } = wanted;
    let to = match put {
        Put::Beside { before } => format!("{before}{prefix}"),
        Put::InPlace | Put::Mend => prefix.clone(),
    };
    let mut done = ObjectsRestored { bucket: bucket.clone(), from: prefix.clone(), to, ..ObjectsRestored::default() };
    let renamed = |key: &str| match put {
        Put::Beside { before } => format!("{before}{key}"),
        Put::InPlace | Put::Mend => key.to_owned(),
    };
    // Whether all of it can be done, before any of it is.
    let mut keys = BTreeSet::new();
    lines(reader, of, |line| {
        if line.row.key.starts_with(prefix.as_str()) {
            let key = renamed(&line.row.key);
            check_key(&key).map_err(|fault| {
                Fault::because(format!("cannot put {:?} back beside the living ones", line.row.key), &fault)
                    .hint("put it in place: --in-place")
            })?;
            keys.insert(key);
        }
        Ok(())
    })?;
    if keys.is_empty() && !prefix.is_empty() {
        return Err(Fault::new(format!("the backup has no object in {bucket} whose key begins with {prefix:?}"))
            .hint("`roadbed backup show` lists what a backup has"));
    }
    let mut staged = Vec::new();
    each_object(reader, of, |line, node| {
        if !line.row.key.starts_with(prefix.as_str()) {
            return Ok(());
        }
        let key = renamed(&line.row.key);
        match living(store, bucket, &key, &line.row)? {
            Living::AsSaved => {
                done.untouched += 1;
                return Ok(());
            }
            Living::Other if *put == Put::Mend => return Ok(()),
            Living::Other | Living::Rotten => {}
        }
        let pieces = fetch(reader, store, (line, node), bucket)?;
        let head = Head { key, ..line.row.head(line.version)? };
        done.objects += 1;
        done.bytes += head.size;
        staged.push(Returning { bucket: bucket.clone(), head, pieces, modified: *now });
        Ok(())
    })?;
    let mut batch = Batch::new(store);
    staged.into_iter().try_for_each(|one| batch.add(one))?;
    batch.put()?;
    if *put == Put::InPlace {
        done.taken_away = take_away(store, bucket, prefix, &keys)?;
    }
    Ok(done)
}

/// What is there of an object that was saved.
enum Living {
    /// Another one, or none.
    Other,
    AsSaved,
    /// The same, but what it holds cannot be read any more.
    Rotten,
}

fn living(store: &Store, bucket: &str, key: &str, row: &Row) -> Result<Living, Fault> {
    let failed = |fault: &StoreFault| store_fault(format!("cannot look at {key:?} in {bucket}"), fault);
    let mut object = match store.get(bucket, key) {
        Ok(object) => object,
        Err(StoreFault::NoObject { .. }) => return Ok(Living::Other),
        Err(fault @ StoreFault::NoBucket(_)) => {
            return Err(failed(&fault).hint("objects come back into a bucket that the manifest declares: `roadbed up`"));
        }
        Err(fault) => return Err(failed(&fault)),
    };
    let head = &object.head;
    let is_same = (head.digest.hex(), &head.etag, head.parts, &head.metadata)
        == (row.sha256.clone(), &row.etag, row.parts, &row.metadata);
    if !is_same {
        return Ok(Living::Other);
    }
    loop {
        match object.content.chunk() {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(Living::AsSaved),
            Err(StoreFault::Damaged { .. }) => return Ok(Living::Rotten),
            Err(fault) => return Err(failed(&fault)),
        }
    }
}

/// Deletes what the backup does not have.
fn take_away(store: &Store, bucket: &str, prefix: &str, keys: &BTreeSet<String>) -> Result<u64, Fault> {
    let failed = |fault: &StoreFault| store_fault(format!("cannot delete what came later in {bucket}"), fault);
    let (mut after, mut gone): (Option<String>, u64) = (None, 0);
    loop {
        let list = List { prefix, after: after.as_deref(), limit: PAGE, ..List::default() };
        let page = store.list(bucket, &list).map_err(|fault| failed(&fault))?;
        after = page.lines.last().map(|line| line.name().to_owned());
        let expect = Expect::Anything;
        let later: Vec<_> = page
            .lines
            .iter()
            .filter_map(|line| match line {
                Listed::Object(head) if !keys.contains(&head.key) => Some((head.key.as_str(), &expect)),
                _ => None,
            })
            .collect();
        for deleted in store.delete_many(bucket, &later).map_err(|fault| failed(&fault))? {
            gone += u64::from(deleted.map_err(|fault| failed(&fault))?);
        }
        if !page.is_more {
            return Ok(gone);
        }
    }
}
