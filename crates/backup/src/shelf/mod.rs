//! Where the files of a repository lie. The library that packs and encrypts sees one backend; behind it is a folder of this machine,
//! a server of restic's REST protocol, an object store or a host with SFTP. All have the layout that restic itself expects there.
//!
//! The library's own collection of backends brings an HTTP client and an SSH library beside ours; what is needed of them is a
//! handful of requests, so these are made here, with the TLS that everything else here has, and with the system's `ssh`.

mod backend;
mod destination;
mod folder;
mod http;
mod pace;
mod rest;
mod s3;
mod sftp;

use std::fmt;

use bytes::Bytes;
use rustic_core::{FileType, Id};

pub(crate) use backend::{Backend, is_refusal};
pub(crate) use destination::shelf;
pub use destination::{Destination, Place};
use pace::Pace;

/// Files of a repository. All of it waits, for disks or networks.
pub(crate) trait Shelf: fmt::Debug + Send + Sync {
    /// Where it is, for people.
    fn shown(&self) -> String;
    /// Whether there is a repository. What cannot be looked at is an error, never "none".
    fn has_repository(&self) -> Result<bool, Unmet>;
    /// Makes what a repository needs to be there before its first file.
    fn create(&self) -> Result<(), Unmet>;
    fn list(&self, kind: FileType) -> Result<Vec<(Id, u32)>, Unmet>;
    /// A file, or a part of it by offset and length.
    fn read(&self, kind: FileType, id: &Id, part: Option<(u32, u32)>) -> Result<Bytes, Unmet>;
    /// Whole or not at all.
    fn write(&self, kind: FileType, id: &Id, content: &[u8], pace: &Pace) -> Result<(), Unmet>;
    /// One that is gone already is fine.
    fn remove(&self, kind: FileType, id: &Id) -> Result<(), Unmet>;
}

/// What a shelf did not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unmet {
    pub(crate) why: String,
    pub(crate) because: Because,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Because {
    /// It is not allowed: by who logged in, or by what takes nothing away.
    Refused,
    /// It is not there.
    Absent,
    /// Asked again it may go.
    Passing,
    Else,
}

impl Unmet {
    fn new(why: impl Into<String>, because: Because) -> Self {
        Self { why: why.into(), because }
    }
}

/// Below the place of the repository, as restic has it: packs in folders by how their names begin.
fn path_of(kind: FileType, id: &Id) -> String {
    let name = id.to_hex();
    match kind {
        FileType::Config => "config".to_owned(),
        FileType::Pack => format!("data/{}/{}", &name.as_str()[..2], name.as_str()),
        _ => format!("{}/{}", kind.dirname(), name.as_str()),
    }
}

/// The file that a name is of; what is left over from a crash, or somebody else's, is none of a repository.
fn id_of(name: &str) -> Option<Id> {
    (name.len() == 64).then(|| name.parse().ok()).flatten()
}

fn size(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
