//! One base: everything of an environment, as it was at one moment.

use std::path::PathBuf;
use std::sync::Arc;

use host::clock::Timestamp;
use mongodb::Client;
use objects::Store;
use reconcile::Fault;

use crate::append_only_log;
use crate::buckets::{Fixed, fix};
use crate::contents::{self, Contents, FORMAT, OfFile, WITHOUT_OBJECTS, WITHOUT_RELEASES, WITHOUT_TELEMETRY};
use crate::course::{Course, Throttle};
use crate::digest::of_bytes;
use crate::dump::Moment;
use crate::parts::{Sink, TOOK_NO_MORE, Wholeness};
use crate::releases::{self, ReleaseSources};
use crate::repository::{Kind, Repository, Snapshot, channel};
use crate::telemetry::{self, TelemetrySources};

/// A MongoDB, by who may read it.
#[derive(Clone, Debug)]
pub struct MongoSource {
    pub client: Client,
    pub database: String,
}

/// A Redis, by its folder.
#[derive(Clone, Debug)]
pub struct RedisSource {
    pub unit: String,
    pub data: PathBuf,
    /// How many keys it has that do not go by themselves, as it says.
    pub keys: u64,
}

/// What a base is made of.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    pub product: String,
    pub environment: String,
    pub mongodb: Option<MongoSource>,
    pub redis: Vec<RedisSource>,
    pub objects: Option<Arc<Store>>,
    /// Absent where nothing was deployed.
    pub releases: Option<ReleaseSources>,
    pub telemetry: Option<TelemetrySources>,
    /// Path and content, in any order.
    pub files: Vec<(String, Vec<u8>)>,
}

/// What was saved.
#[derive(Clone, Debug)]
pub struct Taken {
    pub snapshot: Snapshot,
    pub contents: Contents,
}

/// Name of what is taken now: the time, so that names are in its order.
pub(crate) fn name_of(now: Timestamp) -> String {
    now.to_string().replace(':', "").replace('.', "-")
}

/// Takes a base. Where anything cannot be read, nothing is saved. It waits for nobody.
///
/// # Errors
/// What could not be read, or why the repository took it not.
pub async fn take(repository: &Repository, sources: Sources, now: Timestamp) -> Result<Taken, Fault> {
    take_along(repository, sources, now, &Arc::default()).await
}

/// As [`take`], so that somebody may look on, and with the patience of `course`.
///
/// # Errors
/// As there.
pub async fn take_along(
    repository: &Repository,
    sources: Sources,
    now: Timestamp,
    course: &Arc<Course>,
) -> Result<Taken, Fault> {
    let name = name_of(now);
    let moment = match &sources.mongodb {
        Some(mongodb) => Some(Moment::fix(&mongodb.client, &mongodb.database).await?),
        None => None,
    };
    let kind = Kind::Base { at: moment.as_ref().map(Moment::at) };
    let (mut sink, source, wholeness) = channel(now);
    // After the moment of MongoDB: an object is put before a document speaks of it.
    let objects = match &sources.objects {
        Some(store) => Some(fix(store.clone(), course.clone(), wholeness.clone()).await?),
        None => None,
    };
    let saving = {
        let (repository, name, wholeness) = (repository.clone(), name.clone(), wholeness.clone());
        tokio::task::spawn_blocking(move || repository.save(source, wholeness, kind, &name, now))
    };
    let produced = produce(&sources, (moment, objects), now, &mut sink, (course, &wholeness)).await;
    let bytes = sink.bytes;
    drop(sink);
    let saved = saving.await.map_err(|error| Fault::because("cannot save a snapshot in the repository", &error))?;
    // Found while it was packed: then the repository took no snapshot, and does not know why.
    if let Some(fault) = wholeness.fault() {
        return Err(fault);
    }
    match (produced, saved) {
        (Ok(contents), Ok(id)) => {
            Ok(Taken { snapshot: Snapshot { name, kind, taken: now, bytes, held: false, id }, contents })
        }
        // Where the repository took no more it says why itself.
        (Err(fault), Ok(_)) => Err(fault),
        (Err(fault), Err(_)) if fault.message != TOOK_NO_MORE => Err(fault),
        (_, Err(fault)) => Err(fault),
    }
}

/// Reads what is not of MongoDB at a pace at which that goes on to answer.
async fn beside<T>(throttle: Option<&mut Throttle<'_>>, read: impl Future<Output = T>) -> T {
    match throttle {
        Some(throttle) => throttle.while_others(read).await,
        None => read.await,
    }
}

async fn produce(
    sources: &Sources,
    (moment, objects): (Option<Moment>, Option<Fixed>),
    now: Timestamp,
    sink: &mut Sink,
    (course, wholeness): (&Arc<Course>, &Arc<Wholeness>),
) -> Result<Contents, Fault> {
    // In the order of the paths: files, mongodb, objects, redis, releases, telemetry, and the contents last.
    let mut files = Vec::new();
    let mut sorted: Vec<&(String, Vec<u8>)> = sources.files.iter().collect();
    sorted.sort_by(|one, other| one.0.split('/').cmp(other.0.split('/')));
    for (path, content) in sorted {
        files.push(OfFile { path: path.clone(), bytes: content.len() as u64, sha256: of_bytes(content) });
        sink.put(&format!("files/{path}"), content.clone()).await?;
        course.went(content.len() as u64);
    }
    let mut throttle = match &sources.mongodb {
        Some(mongodb) => Some(Throttle::new(&mongodb.client, course).await),
        None => None,
    };
    let mongodb = match (moment, &mut throttle) {
        (Some(moment), Some(throttle)) => Some(moment.dump(sink, throttle).await?),
        _ => None,
    };
    let objects = match objects {
        Some(fixed) => Some(beside(throttle.as_mut(), fixed.take(sink)).await?),
        None => None,
    };
    let mut redis = Vec::new();
    for source in &sources.redis {
        let keys = (source.keys, source.keys);
        redis.push(append_only_log::take(&source.unit, &source.data, keys, sink).await?);
    }
    let releases = match &sources.releases {
        Some(sources) => Some(beside(throttle.as_mut(), releases::take(sources, sink, course, wholeness)).await?),
        None => None,
    };
    let telemetry = match &sources.telemetry {
        Some(sources) => Some(beside(throttle.as_mut(), telemetry::take(sources, sink, course, wholeness)).await?),
        None => None,
    };
    let contents = Contents {
        format: match (&objects, &releases, &telemetry) {
            (_, _, Some(_)) => FORMAT,
            (_, Some(_), None) => WITHOUT_TELEMETRY,
            (Some(_), None, None) => WITHOUT_RELEASES,
            (None, None, None) => WITHOUT_OBJECTS,
        },
        product: sources.product.clone(),
        environment: sources.environment.clone(),
        taken: now,
        mongodb,
        redis,
        objects,
        releases,
        telemetry,
        files,
    };
    let json = serde_json::to_vec_pretty(&contents).expect("plain data");
    sink.finish(contents::PATH, json).await?;
    Ok(contents)
}
