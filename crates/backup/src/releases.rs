//! Releases in backups: what the one that is live and those that one can go back to are run from, as it lies on the shelf of artifacts.
//!
//! An archive that did not change since the last backup is cut into the same pieces, so it is read and not written again.

use std::path::Path;
use std::sync::Arc;

use reconcile::Fault;

use crate::contents::{OfFile, OfReleases};
use crate::course::Course;
use crate::large_files::{self, FileSource, put_all};
use crate::parts::{Sink, Wholeness};
use crate::repository::Reader;

/// Where they lie in a snapshot.
const FOLDER: &str = "releases";

/// Releases, and what they are run from.
#[derive(Clone, Debug, Default)]
pub struct ReleaseSources {
    pub releases: Vec<crate::contents::OfRelease>,
    /// In any order; none has a `/` in its name.
    pub files: Vec<FileSource>,
}

/// Puts all of it into the sink.
pub(crate) async fn take(
    sources: &ReleaseSources,
    sink: &mut Sink,
    course: &Arc<Course>,
    wholeness: &Arc<Wholeness>,
) -> Result<OfReleases, Fault> {
    let files = put_all(sources.files.clone(), FOLDER, sink, (course, wholeness)).await?;
    Ok(OfReleases { releases: sources.releases.clone(), files })
}

/// A small file of a release, seen to be what was saved.
///
/// # Errors
/// Where it is damaged.
pub fn read_of_release(reader: &Reader, of: &OfFile) -> Result<Vec<u8>, Fault> {
    let mut content = Vec::new();
    large_files::copy(reader, FOLDER, of, &mut content)?;
    Ok(content)
}

/// Writes a file of a release to a path where nothing is, seen to be what was saved, and on disk. Waits for disks.
///
/// # Errors
/// Where it is damaged, or cannot be written. Then nothing is there.
pub fn put_of_release(reader: &Reader, of: &OfFile, to: &Path) -> Result<(), Fault> {
    large_files::put_back(reader, FOLDER, of, to)
}

/// Reads all of it; what is not as it was saved is told, each in one line.
pub(crate) fn differences(reader: &Reader, of: &OfReleases) -> Vec<String> {
    large_files::differences(reader, FOLDER, &of.files)
}
