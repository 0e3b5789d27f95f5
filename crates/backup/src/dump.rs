//! A database of MongoDB as it was at one moment, read by who may only read.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};
use mongodb::{Client, ClientSession, Database};
use reconcile::Fault;

use crate::contents::{ClusterTime, OfCollection, OfMongo, collection_folder, escaped, metadata_path, part_path};
use crate::course::Throttle;
use crate::digest::Digest;
use crate::mongo_fault;
use crate::parts::{PART_BYTES, Sink};

/// The catalogue changed while it was read, or the moment is too long ago: both pass when it is begun anew.
const SNAPSHOT_UNAVAILABLE: i32 = 246;
const SNAPSHOT_TOO_OLD: i32 = 239;
const NAMESPACE_NOT_FOUND: i32 = 26;

/// So often is a catalogue read that changes meanwhile.
const ATTEMPTS: usize = 20;

const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// A collection as `listCollections` tells it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) options: Document,
    uuid: Option<Bson>,
    pub(crate) indexes: Vec<Document>,
}

/// What is restored before its documents: options and indexes.
pub(crate) fn metadata(listed: &Listed) -> Document {
    doc! { "options": listed.options.clone(), "indexes": listed.indexes.clone(), "type": &listed.kind }
}

fn reading(error: &mongodb::error::Error) -> Fault {
    mongo_fault("cannot read MongoDB for a backup", error).hint("`roadbed logs mongodb` shows what it says")
}

/// Collections and views of a database, in the order of their places in a snapshot. Never what is the server's own.
pub(crate) async fn list(database: &Database) -> Result<Vec<Listed>, mongodb::error::Error> {
    let mut found = database.run_cursor_command(doc! { "listCollections": 1 }).await?;
    let mut all = BTreeMap::new();
    while let Some(entry) = found.try_next().await? {
        let name = entry.get_str("name").unwrap_or_default().to_owned();
        if name.starts_with("system.") {
            continue;
        }
        let kind = entry.get_str("type").unwrap_or("collection").to_owned();
        let mut indexes: Vec<Document> = Vec::new();
        if kind != "view" {
            let mut listed = database.run_cursor_command(doc! { "listIndexes": &name }).await?;
            while let Some(index) = listed.try_next().await? {
                indexes.push(index);
            }
        }
        let uuid = entry.get_document("info").ok().and_then(|info| info.get("uuid").cloned());
        let options = entry.get_document("options").cloned().unwrap_or_default();
        all.insert(escaped(&name), Listed { name, kind, options, uuid, indexes });
    }
    Ok(all.into_values().collect())
}

/// A session that sees one moment, and what there is at that moment.
pub(crate) struct Moment {
    database: Database,
    session: ClientSession,
    listed: Vec<Listed>,
    version: String,
    at: ClusterTime,
}

impl Moment {
    pub(crate) fn at(&self) -> ClusterTime {
        self.at
    }

    /// Fixes a moment of a database.
    pub(crate) async fn fix(client: &Client, name: &str) -> Result<Self, Fault> {
        let database = client.database(name);
        let about = database.run_command(doc! { "buildInfo": 1 }).await.map_err(|error| reading(&error))?;
        let version = about.get_str("version").unwrap_or_default().to_owned();
        for _ in 0..ATTEMPTS {
            let before = match list(&database).await {
                Ok(listed) => listed,
                // A collection went between the two questions.
                Err(error) if error_code(&error) == Some(NAMESPACE_NOT_FOUND) => continue,
                Err(error) => return Err(reading(&error)),
            };
            let mut session = client.start_session().snapshot(true).await.map_err(|error| reading(&error))?;
            // The first read fixes the moment. It must be of something that is there, and that remembers its past.
            let remembers =
                |listed: &&Listed| listed.kind != "view" && !listed.options.get_bool("capped").unwrap_or(false);
            let at = match before.iter().find(remembers) {
                Some(some) => {
                    let some = database.collection::<RawDocumentBuf>(&some.name);
                    match some.find_one(doc! {}).session(&mut session).await {
                        Ok(_) => session.snapshot_time(),
                        Err(error) if error_code(&error) == Some(SNAPSHOT_UNAVAILABLE) => None,
                        Err(error) => return Err(reading(&error)),
                    }
                }
                // Nothing has a past: any moment is as good.
                None => {
                    let said = database.run_command(doc! { "ping": 1 }).await.map_err(|error| reading(&error))?;
                    said.get_timestamp("operationTime").ok()
                }
            };
            let Some(at) = at else {
                // A server that was just started has no moment that a majority has.
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            // What was there before and after was there at the moment.
            if list(&database).await.is_ok_and(|after| after == before) {
                return Ok(Self { database, session, listed: before, version, at: at.into() });
            }
        }
        Err(Fault::new("cannot read MongoDB for a backup")
            .cause("collections come and go faster than they can be listed")
            .hint("take the backup when no migration runs")
            .retry_safe())
    }

    /// Puts all documents into the sink.
    pub(crate) async fn dump(mut self, sink: &mut Sink, throttle: &mut Throttle<'_>) -> Result<OfMongo, Fault> {
        let mut collections = Vec::new();
        for listed in &self.listed {
            collections.push(collection(&self.database, listed, &mut self.session, sink, throttle).await?);
        }
        Ok(OfMongo { database: self.database.name().to_owned(), version: self.version, at: self.at, collections })
    }
}

pub(crate) fn error_code(error: &mongodb::error::Error) -> Option<i32> {
    match error.kind.as_ref() {
        mongodb::error::ErrorKind::Command(command) => Some(command.code),
        _ => None,
    }
}

async fn collection(
    database: &Database,
    listed: &Listed,
    session: &mut ClientSession,
    sink: &mut Sink,
    throttle: &mut Throttle<'_>,
) -> Result<OfCollection, Fault> {
    let folder = collection_folder(database.name(), &listed.name);
    let mut written =
        Written { folder: &folder, sink, throttle, parts: 0, digest: Digest::default(), pending: Vec::new() };
    let is_capped = listed.options.get_bool("capped").unwrap_or(false);
    let cannot = |error: &mongodb::error::Error| {
        let fault = mongo_fault(format!("cannot read {} for a backup", listed.name), error);
        match error_code(error) {
            Some(SNAPSHOT_TOO_OLD) => fault.hint("reading took longer than MongoDB remembers its past; begin it anew"),
            _ => fault.hint("`roadbed logs mongodb` shows what it says"),
        }
        .retry_safe()
    };
    if listed.kind != "view" {
        let documents = database.collection::<RawDocumentBuf>(&listed.name);
        let all = doc! {};
        // In the order of the disk: what did not change lies where it lay, and is found again as the same.
        if is_capped {
            let mut found = documents.find(all).await.map_err(|error| cannot(&error))?;
            while found.advance().await.map_err(|error| cannot(&error))? {
                written.add(found.current().as_bytes()).await?;
            }
        } else {
            let mut found = documents.find(all).session(&mut *session).await.map_err(|error| cannot(&error))?;
            while found.advance(session).await.map_err(|error| cannot(&error))? {
                written.add(found.current().as_bytes()).await?;
            }
        }
    }
    let (parts, digest) = written.end().await?;
    let metadata =
        metadata(listed).to_vec().map_err(|error| Fault::because("cannot write down a collection", &error))?;
    sink.put(&metadata_path(&folder), metadata).await?;
    Ok(OfCollection {
        name: listed.name.clone(),
        kind: listed.kind.clone(),
        indexes: listed.indexes.len() as u64,
        parts,
        at_moment: !is_capped,
        digest,
    })
}

/// Documents on their way, cut into parts at their borders.
struct Written<'w, 't> {
    folder: &'w str,
    sink: &'w mut Sink,
    throttle: &'w mut Throttle<'t>,
    parts: u32,
    digest: Digest,
    pending: Vec<u8>,
}

impl Written<'_, '_> {
    async fn add(&mut self, document: &[u8]) -> Result<(), Fault> {
        self.digest.add(document);
        self.pending.extend_from_slice(document);
        if self.pending.len() >= PART_BYTES { self.cut().await } else { Ok(()) }
    }

    async fn cut(&mut self) -> Result<(), Fault> {
        let part = std::mem::take(&mut self.pending);
        self.throttle.wait().await;
        self.throttle.went(part.len() as u64);
        self.sink.put(&part_path(self.folder, self.parts), part).await?;
        self.parts += 1;
        Ok(())
    }

    async fn end(mut self) -> Result<(u32, Digest), Fault> {
        if !self.pending.is_empty() {
            self.cut().await?;
        }
        Ok((self.parts, self.digest))
    }
}

/// The digest of a collection as it is now.
pub(crate) async fn digest_of(database: &Database, name: &str) -> Result<Digest, mongodb::error::Error> {
    let mut found = database.collection::<RawDocumentBuf>(name).find(doc! {}).await?;
    let mut digest = Digest::default();
    while found.advance().await? {
        digest.add(found.current().as_bytes());
    }
    Ok(digest)
}
