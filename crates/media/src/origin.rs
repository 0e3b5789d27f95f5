//! Where objects are.

mod folder;
mod s3;

use std::fmt;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

pub use folder::Folder;
pub use s3::{S3, Sign, Unsigned};

/// A store that is read from. It lists nothing and writes nothing.
pub trait Origin: Send + Sync + fmt::Debug {
    /// An object, unless it is still the one with the entity tag `known`.
    fn get<'a>(&'a self, bucket: &'a str, key: &'a str, known: Option<&'a str>) -> BoxFuture<'a, Result<Found, Unmet>>;
}

/// What came.
#[derive(Debug)]
pub enum Found {
    Object(Object),
    /// It is still the known one.
    Unchanged,
}

/// An object whose bytes are on their way.
pub struct Object {
    pub facts: Facts,
    /// As far as the store says it.
    pub length: Option<u64>,
    pub body: BoxStream<'static, std::io::Result<Bytes>>,
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object").field("facts", &self.facts).field("length", &self.length).finish_non_exhaustive()
    }
}

/// What a store says of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// As the store writes it, with its quotes.
    pub etag: String,
    pub version: Option<String>,
    pub content_type: Option<String>,
    /// The words of its metadata `tags`, by which it can be purged.
    pub tags: Vec<String>,
}

/// Why there is no object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmet {
    #[error("there is no such object")]
    Absent,
    /// Of ours, not of the client's: the client is not told more than of an absent one.
    #[error("the store refuses to show the object: {0}")]
    Refused(String),
    #[error("cannot read the object from the store: {0}")]
    Away(String),
}

/// The words of a metadata value, which are separated by commas or spaces.
pub(crate) fn tags(value: &str) -> Vec<String> {
    value.split([',', ' ']).filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
}
