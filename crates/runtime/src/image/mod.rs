//! Images, assembled by ourselves: no builder, no registry, no recipe that could say something else tomorrow.
//!
//! ```text
//!   tree      files, folders and links by their path in the image, in order
//!     ├─ of a folder: an artifact; links that leave it are refused
//!     └─ ground: Node and the libraries that it links (elf, libraries), certificates, one user without rights
//!   layout    blobs by their digest: layers (tar), configuration, manifest
//!   app       an artifact on its ground, as one image
//!   archive   one image of a layout as the stream that engines load
//! ```
//!
//! The same input gives the same digests, on any machine and on any day: entries are in order of name, times are zero, owners are
//! numbers, and nothing is said of whoever assembled it.

pub mod tree;
pub mod elf;
pub mod libraries;
pub mod ground;
pub mod layout;
pub mod archive;
pub mod app;
mod digest;

use std::path::PathBuf;

use host::files::FileFault;

pub use layout::{Configuration, Ground, Layout};
pub use tree::Tree;

/// The user that instances are, by number: engines look no name up. Above what systems give people and services.
pub const USER: u32 = 10_001;

/// Why an image cannot be assembled or read.
#[derive(Debug, thiserror::Error)]
pub enum ImageFault {
    #[error(transparent)]
    File(#[from] FileFault),
    #[error("{} leads out of the folder that becomes the image, to {}", path.display(), target.display())]
    LeadsOut { path: PathBuf, target: PathBuf },
    #[error("the name {} is not text", .0.display())]
    Name(PathBuf),
    #[error("{} is no file, no folder and no link", .0.display())]
    Strange(PathBuf),
    #[error("{0} would be in the image as two things")]
    Twice(String),
    #[error("{} changed while it was read", .0.display())]
    Changed(PathBuf),
    #[error("{} is no program that this machine could run", .0.display())]
    NoProgram(PathBuf),
    #[error("{} needs the library {library}, which is not on this machine", program.display())]
    NoLibrary { program: PathBuf, library: String },
    #[error("the blob {wanted} of {} is damaged: what is there is {found}", layout.display())]
    Damaged { layout: PathBuf, wanted: String, found: String },
    #[error("{blob} of {} is no {what}", layout.display())]
    Form {
        layout: PathBuf,
        blob: String,
        what: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("{0:?} is no digest")]
    NoDigest(String),
    #[error("cannot write the image")]
    Write(#[source] std::io::Error),
}
