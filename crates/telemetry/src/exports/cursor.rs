//! How far an export is, on the disk.

use std::path::PathBuf;

use host::files::{self, Access};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A file that is replaced whole.
#[derive(Debug)]
pub(super) struct CursorFile {
    path: PathBuf,
}

impl CursorFile {
    pub(super) fn new(folder: &std::path::Path) -> Self {
        Self { path: folder.join("cursor.json") }
    }

    /// `None`: it was never written, or is damaged. Then the export begins with what comes from now on, and says so.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Option<T> {
        let bytes = files::read_if_exists(&self.path).ok().flatten()?;
        serde_json::from_slice(&bytes)
            .inspect_err(|error| {
                tracing::error!(cursor = %self.path.display(), %error, "how far an export was cannot be read");
            })
            .ok()
    }

    pub(super) fn write(&self, cursor: &impl Serialize) -> Result<(), String> {
        let folder = self.path.parent().expect("it is in a folder");
        files::create_dir(folder, Access::Owner).map_err(|fault| fault.to_string())?;
        let bytes = serde_json::to_vec(cursor).expect("a cursor is plain data");
        files::write_durable(&self.path, &bytes, Access::Owner).map_err(|fault| fault.to_string())
    }
}
