//! Figures of a MongoDB.

use futures_util::future::try_join_all;
use manifest::environment;
use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};
use reconcile::Fault;

use super::{OfCollection, OfMongoDb};
use crate::Ground;
use crate::mongo::observe::asking;
use crate::mongo::roles::documents;
use crate::mongo::{Members, MongoFault, OwnUser, command};

/// More collections than a database of an app has.
const MANY: i32 = 1_000;

/// Asks the primary.
///
/// # Errors
/// Where there is none, or it does not answer.
pub async fn of_mongodb(
    ground: &Ground,
    settings: &environment::MongoDb,
    members: &Members,
) -> Result<OfMongoDb, Fault> {
    let primary = members.primary(ground).await?;
    let [monitor, backup, reader] =
        [OwnUser::Monitor, OwnUser::Backup, OwnUser::PointInTimeReader].map(|user| user.client(ground, primary));
    let (monitor, backup, reader) = (monitor?, backup?, reader?);
    let asked = async {
        let status = command(&monitor, "admin", doc! { "serverStatus": 1, "metrics": 0, "locks": 0 });
        let size = command(&monitor, &settings.database, doc! { "dbStats": 1 });
        futures_util::try_join!(
            status,
            size,
            collections(&backup, &settings.database),
            oplog_end(&reader, 1),
            oplog_end(&reader, -1)
        )
    };
    let (status, size, collections, oldest, newest) = asked.await.map_err(|fault| asking(&fault))?;
    let of = |section: &str| status.get_document(section).cloned().unwrap_or_default();
    let (connections, cache) = (of("connections"), cache(&status));
    let current = number(&connections, "current");
    Ok(OfMongoDb {
        unit: members.unit_at(primary),
        version: status.get_str("version").unwrap_or_default().to_owned(),
        database: settings.database.clone(),
        storage_bytes: number(&size, "totalSize"),
        collections,
        connections: current,
        connections_limit: current + number(&connections, "available"),
        cache_bytes: number(&cache, "bytes currently in the cache"),
        cache_limit_bytes: number(&cache, "maximum bytes configured"),
        oplog_seconds: oldest.zip(newest).map(|(oldest, newest)| u64::from(newest.saturating_sub(oldest))),
    })
}

fn cache(status: &Document) -> Document {
    let engine = status.get_document("wiredTiger").and_then(|engine| engine.get_document("cache"));
    engine.cloned().unwrap_or_default()
}

async fn collections(backup: &Client, database: &str) -> Result<Vec<OfCollection>, MongoFault> {
    let list = doc! { "listCollections": 1, "nameOnly": true, "filter": { "type": "collection" }, "cursor": { "batchSize": MANY } };
    let listed = command(backup, database, list).await?;
    let cursor = listed.get_document("cursor").cloned().unwrap_or_default();
    let mut names: Vec<String> = documents(&cursor, "firstBatch")
        .filter_map(|item| Some(item.get_str("name").ok()?.to_owned()))
        .filter(|name| !name.starts_with("system."))
        .collect();
    names.sort();
    let sizes = names.into_iter().map(|name| async move {
        let size = command(backup, database, doc! { "collStats": &name }).await?;
        Ok(OfCollection {
            documents: number(&size, "count"),
            bytes: number(&size, "size"),
            indexes_bytes: number(&size, "totalIndexSize"),
            name,
        })
    });
    try_join_all(sizes).await
}

/// When the first change of the oplog was, in seconds since 1970: the oldest in the order of time, the newest against it.
async fn oplog_end(reader: &Client, order: i32) -> Result<Option<u32>, MongoFault> {
    let find = doc! { "find": "oplog.rs", "sort": { "$natural": order }, "limit": 1, "singleBatch": true, "projection": { "ts": 1 } };
    let found = command(reader, "local", find).await?;
    let cursor = found.get_document("cursor").cloned().unwrap_or_default();
    let first = documents(&cursor, "firstBatch").next();
    Ok(first.and_then(|entry| Some(entry.get_timestamp("ts").ok()?.time)))
}

/// The server counts in whatever type the number fits in.
fn number(document: &Document, key: &str) -> u64 {
    let number = match document.get(key) {
        Some(Bson::Int32(number)) => i64::from(*number),
        Some(Bson::Int64(number)) => *number,
        #[expect(clippy::cast_possible_truncation, reason = "bytes and counts are whole, and far below 2^53")]
        Some(Bson::Double(number)) => *number as i64,
        _ => 0,
    };
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_whatever_the_server_made_of_it() {
        let seen = doc! { "small": 7, "large": 7_000_000_000_i64, "whole": 7.0, "text": "7" };
        assert_eq!(
            ["small", "large", "whole", "text", "absent"].map(|key| number(&seen, key)),
            [7, 7_000_000_000, 7, 0, 0]
        );
    }
}
