//! A rehearsal: the newest backup, restored in scratch servers, compared with what it says of itself, timed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use host::clock::{Clock, Timestamp};
use mongodb::Client;
use mongodb::bson::doc;
use reconcile::Fault;
use serde::{Deserialize, Serialize};

use crate::append_only_log;
use crate::buckets::{self, restore_store};
use crate::contents::{ClusterTime, Contents, OfObjects, OfRedis, OfReleases, OfTelemetry};
use crate::digest::of_bytes;
use crate::dump::{digest_of, list};
use crate::load::{difference, read};
use crate::probe::Probe;
use crate::repository::Repository;
use crate::restore::{Restored, rebuild};
use crate::scratch::{Program, Scratch};
use crate::{releases, telemetry};

/// What the data services of a rehearsal are made of.
#[derive(Clone, Debug, Default)]
pub struct Engines {
    pub mongod: Option<Program>,
    pub redis: Option<Program>,
}

/// What is rehearsed.
#[derive(Clone, Copy, Debug)]
pub struct Drill<'d> {
    pub repository: &'d Repository,
    pub engines: &'d Engines,
    /// Made for it, and gone after it.
    pub folder: &'d Path,
    /// All changes up to then are known to be in the repository, also where none was made.
    pub covered: ClusterTime,
    /// What the restored database is asked.
    pub probes: &'d [Probe],
}

/// What came of a rehearsal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillRecord {
    pub began: Timestamp,
    /// Name of the base; absent where none could be found.
    pub base: Option<String>,
    /// What was seen to be right, each in one line.
    pub good: Vec<String>,
    /// What was not; empty where the backup can be restored.
    pub bad: Vec<String>,
    /// From the beginning until all was there and compared.
    pub took: Duration,
    /// What would have been lost, had the environment been gone when it began: the time since the last change that is saved
    /// for certain.
    pub lost: Option<Duration>,
    /// Of BSON and of what objects hold, restored.
    pub bytes: u64,
}

impl DrillRecord {
    pub fn passed(&self) -> bool {
        self.bad.is_empty()
    }
}

/// Rehearses. What goes wrong is in the record: a backup that cannot be restored is a finding and no error.
pub async fn rehearse(drill: Drill<'_>, clock: &dyn Clock) -> DrillRecord {
    let (began, start) = (clock.now(), clock.instant());
    let mut record = DrillRecord {
        began,
        base: None,
        good: Vec::new(),
        bad: Vec::new(),
        took: Duration::ZERO,
        lost: None,
        bytes: 0,
    };
    if let Err(fault) = restore_all(drill, &mut record).await {
        record.bad.push(fault.causes.iter().fold(fault.message, |text, cause| text + ": " + cause));
    }
    record.took = clock.instant().saturating_duration_since(start);
    record
}

async fn restore_all(drill: Drill<'_>, record: &mut DrillRecord) -> Result<(), Fault> {
    let snapshots = {
        let repository = drill.repository.clone();
        let read = tokio::task::spawn_blocking(move || repository.snapshots()).await;
        read.map_err(|error| Fault::because("cannot read the repository", &error))??
    };
    let base = snapshots.iter().rev().find(|snapshot| snapshot.is_base());
    let base = base.ok_or_else(|| Fault::new("there is no backup"))?;
    record.base = Some(base.name.clone());
    let mut scratch = Scratch::new(drill.folder)?;
    let done = in_scratch(drill, &base.name, &mut scratch, record).await.map_err(|fault| scratch.why(fault));
    let ended = scratch.end().await;
    done.and(ended)
}

async fn in_scratch(
    drill: Drill<'_>,
    base: &str,
    scratch: &mut Scratch,
    record: &mut DrillRecord,
) -> Result<(), Fault> {
    let reader = {
        let (repository, name) = (drill.repository.clone(), base.to_owned());
        let read = tokio::task::spawn_blocking(move || repository.reader(&name)).await;
        Arc::new(read.map_err(|error| Fault::because("cannot read the backup", &error))??)
    };
    let contents: Contents = {
        let reader = reader.clone();
        let read = tokio::task::spawn_blocking(move || reader.contents()).await;
        read.map_err(|error| Fault::because("cannot read the backup", &error))??
    };
    for file in &contents.files {
        let content = read(&reader, format!("files/{}", file.path)).await?;
        if of_bytes(&content) != file.sha256 {
            record.bad.push(format!("{} is not what was saved", file.path));
        }
    }
    record.good.push(format!("{} files are as they were saved", contents.files.len()));
    if let Some(of) = &contents.mongodb {
        let program = drill.engines.mongod.as_ref().ok_or_else(|| Fault::new("there is no mongod to restore into"))?;
        let client = scratch.mongod(program).await?;
        // Alone first: changes since make something else of it.
        let (_, restored) = rebuild(drill.repository, Some(of.at), drill.covered.max(of.at), &client).await?;
        compare(&client, &contents, record).await?;
        if restored.base != base {
            record.bad.push(format!("{} was restored instead of {base}", restored.base));
        }
        client
            .database(&of.database)
            .drop()
            .await
            .map_err(|error| crate::mongo_fault("cannot empty the scratch server", &error))?;
        let (_, latest) = rebuild(drill.repository, None, drill.covered, &client).await?;
        record.good.push(told(&latest));
        for probe in drill.probes {
            let saved = of.collections.iter().find(|one| one.name == probe.collection);
            let saved = saved.map_or(0, |one| one.digest.documents);
            match probe.ask(&client.database(&of.database), saved).await {
                Ok(answer) => record.good.push(answer),
                Err(fault) => {
                    record.bad.push(fault.causes.iter().fold(fault.message, |text, cause| text + ": " + cause));
                }
            }
        }
        let certain = latest.at.max(drill.covered).max(of.at).time();
        record.lost = Some(record.began.since(certain));
        record.bytes = of.collections.iter().map(|of| of.digest.bytes).sum();
    }
    if let Some(of) = &contents.objects {
        objects_of(&reader, of, scratch, record).await?;
    }
    if let Some(of) = &contents.releases {
        releases_of(&reader, of, record).await?;
    }
    if let Some(of) = &contents.telemetry {
        telemetry_of(&reader, of, record).await?;
    }
    for of in &contents.redis {
        let program =
            drill.engines.redis.as_ref().ok_or_else(|| Fault::new("there is no redis-server to restore into"))?;
        redis_of(&reader, of, program, scratch, record).await?;
    }
    Ok(())
}

fn told(latest: &Restored) -> String {
    format!("{} changes after the backup were made again, the last of {}", latest.changes, latest.at)
}

/// Each collection against what the backup says of it.
async fn compare(client: &Client, contents: &Contents, record: &mut DrillRecord) -> Result<(), Fault> {
    let Some(of) = &contents.mongodb else { return Ok(()) };
    let database = client.database(&of.database);
    let failed = |error: &mongodb::error::Error| crate::mongo_fault("cannot look at what was restored", error);
    let there = list(&database).await.map_err(|error| failed(&error))?;
    let mut documents = 0;
    for saved in &of.collections {
        let Some(listed) = there.iter().find(|listed| listed.name == saved.name) else {
            record.bad.push(format!("{} was not restored", saved.name));
            continue;
        };
        if listed.indexes.len() as u64 != saved.indexes {
            let (found, name) = (listed.indexes.len(), &saved.name);
            record.bad.push(format!("{name} has {found} indexes, and {} were saved", saved.indexes));
        }
        if saved.kind == "view" {
            continue;
        }
        let found = digest_of(&database, &saved.name).await.map_err(|error| failed(&error))?;
        if found != saved.digest {
            record.bad.push(format!("{}: {}", saved.name, difference(&saved.digest, &found)));
        }
        documents += found.documents;
        if saved.kind == "collection" {
            let verdict =
                database.run_command(doc! { "validate": &saved.name }).await.map_err(|error| failed(&error))?;
            if !verdict.get_bool("valid").unwrap_or(false) {
                record.bad.push(format!("{}: its own server finds it damaged", saved.name));
            }
        }
    }
    let of_at = of.at;
    record.good.push(format!(
        "{} collections with {documents} documents, their indexes too, are as they were at {of_at}, by count and digest",
        of.collections.len()
    ));
    Ok(())
}

/// Objects, in a store of their own, against what the backup says of them.
async fn objects_of(
    reader: &Arc<crate::repository::Reader>,
    of: &OfObjects,
    scratch: &Scratch,
    record: &mut DrillRecord,
) -> Result<(), Fault> {
    let folder = scratch.folder().join("objects");
    restore_store(reader, of, &folder).await?;
    let bad = {
        let (of, folder) = (of.clone(), folder.clone());
        let compared = tokio::task::spawn_blocking(move || buckets::differences(&folder, &of)).await;
        compared.map_err(|error| Fault::because("cannot look at the objects that were restored", &error))??
    };
    if bad.is_empty() {
        let (count, objects, bytes) = (of.buckets.len(), of.objects(), of.bytes());
        record.good.push(format!(
            "{count} buckets with {objects} objects of {bytes} bytes are as they were saved, by count and digest"
        ));
    }
    record.bad.extend(bad);
    record.bytes += of.bytes();
    Ok(())
}

/// What releases are run from, and whether the live one can be.
async fn releases_of(
    reader: &Arc<crate::repository::Reader>,
    of: &OfReleases,
    record: &mut DrillRecord,
) -> Result<(), Fault> {
    let bad = {
        let (reader, of) = (reader.clone(), of.clone());
        let compared = tokio::task::spawn_blocking(move || releases::differences(&reader, &of)).await;
        compared.map_err(|error| Fault::because("cannot read the releases of the backup", &error))?
    };
    let whole = of.releases.iter().filter(|release| release.lacking.is_empty()).count();
    if bad.is_empty() {
        let bytes: u64 = of.files.iter().map(|file| file.bytes).sum();
        record.good.push(format!("{whole} releases can be run, from {bytes} bytes that are as they were saved"));
    }
    record.bad.extend(bad);
    // One that could be gone back to is told by who takes the backup; without the live one the environment is not as it was.
    for release in of.releases.iter().filter(|release| release.is_live) {
        record.bad.extend(release.lacking.iter().map(|why| format!("{} cannot be run: {why}", release.name)));
    }
    Ok(())
}

/// What apps reported, file by file.
async fn telemetry_of(
    reader: &Arc<crate::repository::Reader>,
    of: &OfTelemetry,
    record: &mut DrillRecord,
) -> Result<(), Fault> {
    let (reader, what) = (reader.clone(), of.clone());
    let compared = tokio::task::spawn_blocking(move || telemetry::differences(&reader, &what)).await;
    let bad = compared.map_err(|error| Fault::because("cannot read the telemetry of the backup", &error))?;
    if bad.is_empty() {
        record.good.push(format!("{} files of telemetry are as they were saved", of.files.len()));
    }
    record.bad.extend(bad);
    Ok(())
}

async fn redis_of(
    reader: &Arc<crate::repository::Reader>,
    of: &OfRedis,
    program: &Program,
    scratch: &mut Scratch,
    record: &mut DrillRecord,
) -> Result<(), Fault> {
    let mut connection = append_only_log::start(reader, of, program, scratch).await?;
    let keys: u64 = redis::cmd("DBSIZE")
        .query_async(&mut connection)
        .await
        .map_err(|error| Fault::because(format!("cannot look at what was restored of {}", of.unit), &error))?;
    let (before, after) = of.keys;
    if keys == 0 && before > 0 && after > 0 {
        record.bad.push(format!("{} is empty, and had {before} keys that stay", of.unit));
    } else {
        record.good.push(format!("{} has {keys} keys, of which {before} stay by what it said", of.unit));
    }
    Ok(())
}
