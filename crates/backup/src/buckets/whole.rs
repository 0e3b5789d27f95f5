//! All objects of a backup, put where none are.

use std::path::Path;
use std::sync::Arc;

use host::files::{self, Access, FileFault};
use objects::store::{Fault as StoreFault, Returning};
use objects::{Bucket, Store};
use reconcile::Fault;

use super::arriving::{Batch, fetch};
use super::describe::Row;
use super::read::{difference, each_object};
use super::store_fault;
use crate::contents::{OfBucket, OfObjects};
use crate::course;
use crate::digest::Digest;
use crate::repository::Reader;

/// Room that a disk needs beside what is restored: rows, folders, and whoever else writes.
const SPARE: u64 = 64 << 20;

/// Puts all objects of a backup where none are: beside the place first, then under its name. Killed in between, it is begun anew
/// and comes to the same.
///
/// # Errors
/// Where something of the backup is damaged or not what was saved, there is no room, or objects are there. Then none come there.
pub async fn restore_store(reader: &Arc<Reader>, of: &OfObjects, folder: &Path) -> Result<(), Fault> {
    let (reader, of, folder) = (reader.clone(), of.clone(), folder.to_owned());
    let restoring = tokio::task::spawn_blocking(course::in_thread(move || restore_all(&reader, &of, &folder)));
    restoring.await.unwrap_or_else(|error| Err(Fault::because("cannot restore objects", &error)))
}

fn restore_all(reader: &Reader, of: &OfObjects, folder: &Path) -> Result<(), Fault> {
    let cannot = |fault: &FileFault| Fault::because(format!("cannot restore objects into {}", folder.display()), fault);
    let is_used = !files::list(folder).map_err(|fault| cannot(&fault))?.is_empty();
    if is_used {
        return Err(Fault::new(format!("cannot restore objects into {}: there are some", folder.display()))
            .hint("`roadbed restore --bucket` puts objects back where others live"));
    }
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(".restoring");
    let beside = folder.with_file_name(name);
    files::remove_dir(&beside).map_err(|fault| cannot(&fault))?;
    files::create_dir(&beside, Access::Owner).map_err(|fault| cannot(&fault))?;
    let (needed, free) = (of.bytes(), files::free_bytes(&beside).map_err(|fault| cannot(&fault))?);
    if free < needed.saturating_add(SPARE) {
        files::remove_dir(&beside).map_err(|fault| cannot(&fault))?;
        return Err(Fault::new(format!("cannot restore objects into {}", folder.display()))
            .cause(format!("they are {} MiB, and the disk has {} MiB left", needed >> 20, free >> 20))
            .hint("make room; then the same command again")
            .retry_safe());
    }
    course::tell(|course| course.expects(of.bytes()));
    fill(reader, of, &beside)?;
    // An empty folder may lie there.
    files::remove_dir(folder).map_err(|fault| cannot(&fault))?;
    files::place_folder(&beside, folder).map_err(|fault| cannot(&fault))
}

fn fill(reader: &Reader, of: &OfObjects, folder: &Path) -> Result<(), Fault> {
    let store = Store::open(folder).map_err(|fault| store_fault("cannot make a store of objects", &fault))?;
    let buckets: Vec<Bucket> = of.buckets.iter().map(|bucket| Bucket::private(&bucket.name)).collect();
    store.settle(&buckets).map_err(|fault| store_fault("cannot make buckets", &fault))?;
    for bucket in &of.buckets {
        let mut batch = Batch::new(&store);
        each_object(reader, bucket, |line, node| {
            let pieces = fetch(reader, &store, (line, node), &bucket.name)?;
            let (head, modified) = (line.row.head(line.version)?, line.row.modified);
            batch.add(Returning { bucket: bucket.name.clone(), head, pieces, modified })
        })?;
        batch.put()?;
    }
    Ok(())
}

/// How a store differs from what a backup says of it, each in one line.
pub(crate) fn differences(folder: &Path, of: &OfObjects) -> Result<Vec<String>, Fault> {
    let failed = |fault: &StoreFault| store_fault("cannot look at the objects that were restored", fault);
    let store = Store::open(folder).map_err(|fault| failed(&fault))?;
    let mut found: Vec<OfBucket> = Vec::new();
    let snapshot = store.snapshot().map_err(|fault| failed(&fault))?;
    for name in snapshot.buckets() {
        found.push(OfBucket { name: name.to_owned(), bytes: 0, lists: 0, digest: Digest::default() });
    }
    for entry in snapshot {
        let entry = entry.map_err(|fault| failed(&fault))?;
        if let Some(bucket) = found.iter_mut().find(|bucket| bucket.name == entry.bucket) {
            bucket.digest.add(&Row::of(&entry).bytes());
            bucket.bytes += entry.head.size;
        }
    }
    let mut bad = Vec::new();
    for saved in &of.buckets {
        match found.iter().find(|bucket| bucket.name == saved.name) {
            None => bad.push(format!("the bucket {} was not restored", saved.name)),
            Some(bucket) if bucket.digest != saved.digest => {
                bad.push(format!("{}: {}", saved.name, difference(&saved.digest, &bucket.digest)));
            }
            Some(bucket) if bucket.bytes != saved.bytes => {
                bad.push(format!("{}: {} bytes were saved, {} are there", saved.name, saved.bytes, bucket.bytes));
            }
            Some(_) => {}
        }
    }
    Ok(bad)
}
