//! Figures of the data services as a person reads them.

use stores::statistics::{OfMongoDb, OfRedis, Statistics};

use crate::render::span::{bytes, time};
use crate::render::table::Table;

/// Each service: what it holds of what it may, then what is in it.
pub fn lines(statistics: &Statistics) -> Vec<String> {
    let mut lines = statistics.mongodb.as_ref().map(mongodb).unwrap_or_default();
    if !statistics.redis.is_empty() {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.extend(redis(&statistics.redis));
    }
    lines
}

fn mongodb(of: &OfMongoDb) -> Vec<String> {
    let oplog = of.oplog_seconds.map_or_else(|| "unknown".to_owned(), |seconds| time(seconds.saturating_mul(1000)));
    let mut table = Table::new(["MONGODB", ""]);
    for (what, value) in [
        ("server", format!("{} {}", of.unit, of.version)),
        ("database", format!("{}, {} on disk", of.database, bytes(of.storage_bytes))),
        ("connections", format!("{} of {}", of.connections, of.connections_limit)),
        ("cache", format!("{} of {}", bytes(of.cache_bytes), bytes(of.cache_limit_bytes))),
        ("oplog reaches back", oplog),
    ] {
        table.row(vec![what.to_owned(), value]);
    }
    let mut lines = table.lines();
    let mut table = Table::new(["COLLECTION", "DOCUMENTS", "SIZE", "INDEXES"]);
    for collection in &of.collections {
        table.row(vec![
            collection.name.clone(),
            collection.documents.to_string(),
            bytes(collection.bytes),
            bytes(collection.indexes_bytes),
        ]);
    }
    lines.push(String::new());
    lines.extend(table.lines());
    lines
}

fn redis(all: &[OfRedis]) -> Vec<String> {
    let mut table = Table::new([
        "REDIS",
        "VERSION",
        "ROLE",
        "MEMORY",
        "WHEN FULL",
        "PREFIX",
        "KEYS",
        "EXPIRE",
        "EVICTED",
        "CLIENTS",
    ]);
    for of in all {
        table.row(vec![
            of.unit.clone(),
            of.version.clone(),
            of.role.clone(),
            format!("{} of {}", bytes(of.memory_bytes), bytes(of.memory_limit_bytes)),
            of.eviction.clone(),
            of.prefix.clone(),
            of.keys.to_string(),
            of.keys_that_expire.to_string(),
            of.evicted.to_string(),
            format!("{} of {}", of.clients, of.clients_limit),
        ]);
    }
    table.lines()
}
