//! What apps reported, in backups: errors, lines, traces and figures, file by file.
//!
//! An environment is worth a backup without them: what cannot be read is left out, by its name.

use std::path::Path;
use std::sync::Arc;

use host::files::{self, Access};
use reconcile::Fault;

use crate::contents::{OfFile, OfTelemetry};
use crate::course::Course;
use crate::large_files::{self, FileSource, put_all};
use crate::parts::{Sink, Wholeness};
use crate::repository::Reader;

/// Where it lies in a snapshot.
const FOLDER: &str = "telemetry";

/// What was reported.
#[derive(Clone, Debug, Default)]
pub struct TelemetrySources {
    /// In any order, by their paths below the folder of telemetry.
    pub files: Vec<FileSource>,
    /// What could not be read, and why.
    pub left_out: Vec<String>,
}

/// Puts all of it into the sink.
pub(crate) async fn take(
    sources: &TelemetrySources,
    sink: &mut Sink,
    course: &Arc<Course>,
    wholeness: &Arc<Wholeness>,
) -> Result<OfTelemetry, Fault> {
    let files = put_all(sources.files.clone(), FOLDER, sink, (course, wholeness)).await?;
    Ok(OfTelemetry { files, left_out: sources.left_out.clone() })
}

/// Writes all of it below a folder where none of it is, seen to be what was saved. Waits for disks.
///
/// # Errors
/// Where a file is damaged, or cannot be written.
pub fn put_telemetry(reader: &Reader, of: &OfTelemetry, folder: &Path) -> Result<(), Fault> {
    let cannot = |fault: &files::FileFault| Fault::because("cannot put telemetry of the backup in place", fault);
    for file in &of.files {
        let to = folder.join(inside(file)?);
        if let Some(parent) = to.parent() {
            files::create_dir(parent, Access::Owner).map_err(|fault| cannot(&fault))?;
        }
        large_files::put_back(reader, FOLDER, file, &to)?;
    }
    Ok(())
}

/// The path, where it leads nowhere else: whoever wrote the backup is not asked where its files are to go.
fn inside(file: &OfFile) -> Result<&Path, Fault> {
    let path = Path::new(&file.path);
    let is_inside = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    if is_inside && path.components().next().is_some() {
        return Ok(path);
    }
    Err(Fault::new("cannot put telemetry of the backup in place").cause(format!("{:?} leads elsewhere", file.path)))
}

/// Reads all of it; what is not as it was saved is told, each in one line.
pub(crate) fn differences(reader: &Reader, of: &OfTelemetry) -> Vec<String> {
    large_files::differences(reader, FOLDER, &of.files)
}
