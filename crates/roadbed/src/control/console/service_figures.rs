//! How full the data services are, as figures that people read.

use stores::statistics::{OfMongoDb, OfRedis, Statistics};

use crate::render::span::bytes;

/// Figures by service.
pub(super) type Figures = Vec<(String, Vec<(String, String)>)>;

pub(super) fn figures(all: &Statistics) -> Figures {
    let mongodb = all.mongodb.iter().map(|one| (one.unit.clone(), of_mongodb(one)));
    mongodb.chain(all.redis.iter().map(|one| (one.unit.clone(), of_redis(one)))).collect()
}

fn of_mongodb(one: &OfMongoDb) -> Vec<(String, String)> {
    let documents: u64 = one.collections.iter().map(|collection| collection.documents).sum();
    let mut figures = vec![
        pair("Version", one.version.clone()),
        pair("Database", one.database.clone()),
        pair("On disk", bytes(one.storage_bytes)),
        pair("Documents", format!("{documents} in {} collections", one.collections.len())),
        pair("Cache", format!("{} of {}", bytes(one.cache_bytes), bytes(one.cache_limit_bytes))),
        pair("Connections", format!("{} of {}", one.connections, one.connections_limit)),
    ];
    figures.extend(one.oplog_seconds.map(|seconds| pair("Oplog reaches back", format!("{} h", seconds / 3600))));
    figures
}

fn of_redis(one: &OfRedis) -> Vec<(String, String)> {
    vec![
        pair("Version", one.version.clone()),
        pair("Role", one.role.clone()),
        pair("Memory", format!("{} of {}", bytes(one.memory_bytes), bytes(one.memory_limit_bytes))),
        pair("When full", one.eviction.clone()),
        pair("Keys", format!("{}, of which {} expire", one.keys, one.keys_that_expire)),
        pair("Dropped", one.evicted.to_string()),
        pair("Clients", format!("{} of {}", one.clients, one.clients_limit)),
    ]
}

fn pair(name: &str, value: String) -> (String, String) {
    (name.to_owned(), value)
}
