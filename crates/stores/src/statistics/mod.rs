//! Figures of the data services, asked by those of our own users who may see them: sizes and counts, never a document or a key.

mod mongodb;
mod redis;

use serde::{Deserialize, Serialize};

pub use mongodb::of_mongodb;
pub use redis::of_redis;

/// Of one environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mongodb: Option<OfMongoDb>,
    pub redis: Vec<OfRedis>,
}

/// Of the primary, where there are several members: each holds the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OfMongoDb {
    pub unit: String,
    pub version: String,
    pub database: String,
    /// Bytes on disk, indexes among them.
    pub storage_bytes: u64,
    pub collections: Vec<OfCollection>,
    pub connections: u64,
    pub connections_limit: u64,
    pub cache_bytes: u64,
    pub cache_limit_bytes: u64,
    /// From the oldest change that the oplog still has to the newest: a backup must come round within this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oplog_seconds: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OfCollection {
    pub name: String,
    pub documents: u64,
    /// As the documents are, before compression.
    pub bytes: u64,
    pub indexes_bytes: u64,
}

/// Of one Redis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OfRedis {
    pub unit: String,
    pub version: String,
    pub role: String,
    pub memory_bytes: u64,
    pub memory_limit_bytes: u64,
    /// What becomes of more than that.
    pub eviction: String,
    /// Beginning of all keys: no user of an app's may name another.
    pub prefix: String,
    pub keys: u64,
    /// Of these, keys that go by themselves.
    pub keys_that_expire: u64,
    /// Keys that were dropped for want of memory, since it started.
    pub evicted: u64,
    pub clients: u64,
    pub clients_limit: u64,
}
