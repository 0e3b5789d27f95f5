//! A release in a folder: archives, bills of materials and provenance of all apps, to be deployed from another machine.

use std::path::{Path, PathBuf};

use delivery::release::Origin;
use engine::artifact::Digest;
use engine::artifact::shelf::{Record, Shelf};
use host::files::{self, Access};
use reconcile::Fault;
use serde::{Deserialize, Serialize};

use crate::cli::failure::Failure;

/// What is in it.
const INDEX: &str = "release.json";

/// Of the index. Another one is not understood.
const VERSION: u32 = 1;

/// A release in a folder; what its index says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ReleaseFolder {
    version: u32,
    #[serde(default)]
    pub(super) commit: Option<String>,
    #[serde(default)]
    pub(super) branch: Option<String>,
    #[serde(default)]
    pub(super) author: Option<String>,
    pub(super) artifacts: Vec<Record>,
    #[serde(skip)]
    folder: PathBuf,
}

impl ReleaseFolder {
    /// Copies what is on the shelf. The index comes last: a folder without one is not whole.
    pub(super) fn fill(
        folder: &Path,
        shelf: &Shelf,
        artifacts: Vec<Record>,
        origin: Origin,
        author: Option<String>,
    ) -> Result<(), Failure> {
        files::create_dir(folder, Access::Everyone)?;
        files::remove(&folder.join(INDEX))?;
        for record in &artifacts {
            let digest = &record.digest;
            files::copy(&shelf.archive(digest), &archive(folder, digest))?;
            files::copy(&shelf.bill(digest), &folder.join(format!("{}-{digest}.cdx.json", record.app)))?;
            files::copy(&shelf.attestation(digest), &folder.join(format!("{}-{digest}.intoto.jsonl", record.app)))?;
        }
        // What was changed and not committed is of no commit.
        let commit = origin.commit.filter(|_| !origin.changed);
        let index =
            Self { version: VERSION, commit, branch: origin.branch, author, artifacts, folder: folder.to_owned() };
        let text = serde_json::to_string_pretty(&index).expect("an index is plain data");
        files::write_durable(&folder.join(INDEX), (text + "\n").as_bytes(), Access::Everyone)?;
        Ok(())
    }

    pub(super) fn read(folder: &Path) -> Result<Self, Failure> {
        let cannot = |why: String| {
            Failure::Usage(
                Fault::new(format!("{} holds no release", folder.display()))
                    .cause(why)
                    .hint("`roadbed build --out DIR` makes one"),
            )
        };
        let text = files::read_if_exists(&folder.join(INDEX))?;
        let text = text.ok_or_else(|| cannot(format!("there is no {INDEX} in it")))?;
        let index: Self = serde_json::from_slice(&text).map_err(|error| cannot(format!("{INDEX}: {error}")))?;
        if index.version != VERSION {
            return Err(cannot(format!("{INDEX} is of version {}, and this is {VERSION}", index.version)));
        }
        Ok(Self { folder: folder.to_owned(), ..index })
    }

    pub(super) fn archive(&self, record: &Record) -> PathBuf {
        archive(&self.folder, &record.digest)
    }
}

fn archive(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join(format!("{digest}.tar.zst"))
}
