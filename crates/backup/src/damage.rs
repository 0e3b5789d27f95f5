//! What a damaged repository still has: each backup is read, file by file, as a restore would.

use crate::contents::{collection_folder, metadata_path, part_path};
use crate::repository::{Reader, Repository};
use crate::verification::Verification;
use crate::{buckets, oplog, releases, telemetry};
use reconcile::Fault;

/// Tells backups that can be read from those that cannot.
pub(crate) fn survey(repository: &Repository, found: &mut Verification) {
    let snapshots = match repository.snapshots() {
        Ok(snapshots) => snapshots,
        Err(fault) => {
            found.lost.push(("all of them".to_owned(), why(fault)));
            return;
        }
    };
    for snapshot in snapshots {
        let read = repository.reader(&snapshot.name).and_then(|reader| {
            if snapshot.is_base() { whole_base(&reader) } else { oplog::entries(&reader).map(drop) }
        });
        match read {
            Ok(()) => found.readable.push(snapshot.name),
            Err(fault) => found.lost.push((snapshot.name, why(fault))),
        }
    }
}

fn why(fault: Fault) -> String {
    fault.causes.into_iter().fold(fault.message, |text, cause| text + ": " + &cause)
}

/// Reads all that a base says that it holds.
fn whole_base(reader: &Reader) -> Result<(), Fault> {
    let contents = reader.contents()?;
    for file in &contents.files {
        reader.read(&format!("files/{}", file.path))?;
    }
    if let Some(mongodb) = &contents.mongodb {
        for collection in &mongodb.collections {
            let folder = collection_folder(&mongodb.database, &collection.name);
            reader.read(&metadata_path(&folder))?;
            for number in 0..collection.parts {
                reader.read(&part_path(&folder, number))?;
            }
        }
    }
    for bucket in contents.objects.iter().flat_map(|objects| &objects.buckets) {
        buckets::read_all(reader, bucket)?;
    }
    if let Some(bad) = contents.releases.iter().flat_map(|of| releases::differences(reader, of)).next() {
        return Err(Fault::new(bad));
    }
    if let Some(bad) = contents.telemetry.iter().flat_map(|of| telemetry::differences(reader, of)).next() {
        return Err(Fault::new(bad));
    }
    for redis in &contents.redis {
        for file in &redis.files {
            reader.read(&crate::append_only_log::place(&redis.unit, &file.path))?;
        }
    }
    Ok(())
}
