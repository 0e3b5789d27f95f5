//! The files of a repository in a folder of this machine: written beside, synced, renamed, for nobody else to read.

use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use host::files::{self, Access, FileFault};
use rustic_core::{FileType, Id};

use super::{Because, Pace, Shelf, Unmet, id_of, path_of, size};

#[derive(Clone, Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

fn unmet(fault: &FileFault) -> Unmet {
    let because = match fault.source.kind() {
        ErrorKind::NotFound => Because::Absent,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Because::Refused,
        _ => Because::Else,
    };
    Unmet::new(format!("{fault}: {}", fault.source), because)
}

/// Makes a folder and its parents, and has them on the disk: what is in a folder that a cut of the power takes away was written in vain.
fn make(folder: &Path) -> files::Result<()> {
    let absent: Vec<&Path> = folder.ancestors().take_while(|one| !files::exists(one)).collect();
    files::create_dir(folder, Access::Owner)?;
    for parent in absent.into_iter().filter_map(Path::parent) {
        files::sync_dir(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?;
    }
    Ok(())
}

impl Folder {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    fn file(&self, kind: FileType, id: &Id) -> PathBuf {
        self.path.join(path_of(kind, id))
    }

    fn sizes(&self, kind: FileType) -> files::Result<Vec<(Id, u32)>> {
        let mut found = Vec::new();
        let folder = self.path.join(kind.dirname());
        let folders = match kind {
            FileType::Config => {
                if files::exists(&folder) {
                    found.push((Id::default(), size(files::metadata(&folder)?.len())));
                }
                return Ok(found);
            }
            FileType::Pack => files::list(&folder)?,
            _ => vec![folder],
        };
        for folder in folders {
            for file in files::list(&folder)? {
                let Some(id) = file.file_name().and_then(|name| name.to_str()).and_then(id_of) else { continue };
                match files::metadata(&file) {
                    Ok(metadata) => found.push((id, size(metadata.len()))),
                    // Somebody prunes.
                    Err(fault) if fault.is_not_found() => {}
                    Err(fault) => return Err(fault),
                }
            }
        }
        Ok(found)
    }
}

impl Shelf for Folder {
    fn shown(&self) -> String {
        self.path.display().to_string()
    }

    fn has_repository(&self) -> Result<bool, Unmet> {
        Ok(files::exists(&self.path.join("config")))
    }

    fn create(&self) -> Result<(), Unmet> {
        for name in ["data", "index", "keys", "locks", "snapshots"] {
            make(&self.path.join(name)).map_err(|fault| unmet(&fault))?;
        }
        Ok(())
    }

    fn list(&self, kind: FileType) -> Result<Vec<(Id, u32)>, Unmet> {
        self.sizes(kind).map_err(|fault| unmet(&fault))
    }

    fn read(&self, kind: FileType, id: &Id, part: Option<(u32, u32)>) -> Result<Bytes, Unmet> {
        let path = self.file(kind, id);
        let Some((offset, length)) = part else {
            return files::read(&path).map(Bytes::from).map_err(|fault| unmet(&fault));
        };
        let file = files::open(&path).map_err(|fault| unmet(&fault))?;
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, u64::from(offset))
            .map_err(|error| unmet(&FileFault::new("read", path, error)))?;
        Ok(bytes.into())
    }

    fn write(&self, kind: FileType, id: &Id, content: &[u8], pace: &Pace) -> Result<(), Unmet> {
        let path = self.file(kind, id);
        if let Some(folder) = path.parent() {
            make(folder).map_err(|fault| unmet(&fault))?;
        }
        pace.wait(content.len());
        files::write_durable(&path, content, Access::Owner).map_err(|fault| unmet(&fault))
    }

    fn remove(&self, kind: FileType, id: &Id) -> Result<(), Unmet> {
        files::remove(&self.file(kind, id)).map_err(|fault| unmet(&fault))
    }
}
