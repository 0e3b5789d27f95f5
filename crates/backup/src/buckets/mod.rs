//! Objects of buckets in a backup.
//!
//! ```text
//!   objects/BUCKET/data/products/shoe.jpg     what an object holds, under its key as a path
//!   objects/BUCKET/lists/objects-000000.jsonl a line for each: key, path, size, ETag, metadata, digests
//! ```
//!
//! Whoever has restic alone gets a folder to look at; what is read here goes by the lists, whose digest the contents of the backup
//! have. What an object holds is read while it is saved, and compared with its digests by the store.

mod names;
mod describe;
mod take;
mod read;
mod arriving;
mod whole;
mod put_back;

pub use put_back::{ObjectsRestored, ObjectsWanted, Put, restore_objects};
pub(crate) use read::read_all;
pub(crate) use take::{Fixed, fix};
pub(crate) use whole::differences;
pub use whole::restore_store;

use crate::contents::escaped;

/// Bytes of a list; the rest is in the next one.
const LIST_BYTES: usize = 4 << 20;

fn data_folder(bucket: &str) -> String {
    format!("objects/{}/data", escaped(bucket))
}

fn list_path(bucket: &str, number: u32) -> String {
    format!("objects/{}/lists/objects-{number:06}.jsonl", escaped(bucket))
}

/// A fault of the store of objects.
fn store_fault(what: impl Into<String>, fault: &objects::store::Fault) -> reconcile::Fault {
    reconcile::Fault::because(what, fault)
}
