//! The files of a repository in a folder of this machine: written beside, synced, renamed, for nobody else to read.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use host::files::{self, Access, FileFault};
use rustic_core::{BytesList, ErrorKind, FileType, Id, ReadBackend, RusticError, RusticResult, WriteBackend};

/// A folder with a repository.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    /// Whether a snapshot may be written. The library saves one also where its source broke off; here it cannot.
    is_whole: Arc<AtomicBool>,
}

/// The library's own errors: of files.
fn failed(fault: &FileFault) -> Box<RusticError> {
    RusticError::new(ErrorKind::Backend, format!("{fault}: {}", fault.source))
}

impl Folder {
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), is_whole: Arc::new(AtomicBool::new(true)) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same folder, which takes a snapshot only once `is_whole` says so.
    pub(crate) fn until(&self, is_whole: Arc<AtomicBool>) -> Self {
        Self { path: self.path.clone(), is_whole }
    }

    pub(crate) fn has_repository(&self) -> bool {
        files::exists(&self.path.join("config"))
    }

    fn file(&self, kind: FileType, id: &Id) -> PathBuf {
        let name = id.to_hex();
        match kind {
            FileType::Config => self.path.join("config"),
            // As restic does: no folder has more files than a listing bears.
            FileType::Pack => self.path.join("data").join(&name.as_str()[..2]).join(name.as_str()),
            _ => self.path.join(kind.dirname()).join(name.as_str()),
        }
    }

    fn folders_of(&self, kind: FileType) -> files::Result<Vec<PathBuf>> {
        let folder = self.path.join(kind.dirname());
        match kind {
            FileType::Config => Ok(Vec::new()),
            FileType::Pack => files::list(&folder),
            _ => Ok(vec![folder]),
        }
    }

    fn sizes(&self, kind: FileType) -> files::Result<Vec<(Id, u32)>> {
        let mut found = Vec::new();
        if kind == FileType::Config {
            if self.has_repository() {
                let size = files::metadata(&self.path.join("config"))?.len();
                found.push((Id::default(), u32::try_from(size).unwrap_or(u32::MAX)));
            }
            return Ok(found);
        }
        for folder in self.folders_of(kind)? {
            for file in files::list(&folder)? {
                let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                // What a crash left beside is no file of the repository.
                let Ok(id) = name.parse::<Id>() else { continue };
                if name.len() != 64 {
                    continue;
                }
                let size = match files::metadata(&file) {
                    Ok(metadata) => metadata.len(),
                    // Somebody prunes.
                    Err(fault) if fault.is_not_found() => continue,
                    Err(fault) => return Err(fault),
                };
                found.push((id, u32::try_from(size).unwrap_or(u32::MAX)));
            }
        }
        Ok(found)
    }
}

impl ReadBackend for Folder {
    fn location(&self) -> String {
        format!("local:{}", self.path.display())
    }

    fn list_with_size(&self, kind: FileType) -> RusticResult<Vec<(Id, u32)>> {
        self.sizes(kind).map_err(|fault| failed(&fault))
    }

    fn read_full(&self, kind: FileType, id: &Id) -> RusticResult<Bytes> {
        files::read(&self.file(kind, id)).map(Bytes::from).map_err(|fault| failed(&fault))
    }

    fn read_partial(&self, kind: FileType, id: &Id, _: bool, offset: u32, length: u32) -> RusticResult<Bytes> {
        let path = self.file(kind, id);
        let file = files::open(&path).map_err(|fault| failed(&fault))?;
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, u64::from(offset))
            .map_err(|error| failed(&FileFault::new("read", path, error)))?;
        Ok(bytes.into())
    }

    fn warmup_path(&self, kind: FileType, id: &Id) -> String {
        self.file(kind, id).to_string_lossy().into_owned()
    }
}

impl WriteBackend for Folder {
    fn create(&self) -> RusticResult<()> {
        for name in ["data", "index", "keys", "locks", "snapshots"] {
            files::create_dir(&self.path.join(name), Access::Owner).map_err(|fault| failed(&fault))?;
        }
        Ok(())
    }

    fn write_bytes(&self, kind: FileType, id: &Id, _: bool, content: BytesList) -> RusticResult<()> {
        if kind == FileType::Snapshot && !self.is_whole.load(Ordering::Acquire) {
            return Err(RusticError::new(ErrorKind::InputOutput, "what was to be saved could not be read whole"));
        }
        let path = self.file(kind, id);
        if let Some(folder) = path.parent() {
            files::create_dir(folder, Access::Owner).map_err(|fault| failed(&fault))?;
        }
        let content: Vec<u8> = content.into_vec().concat();
        files::write_durable(&path, &content, Access::Owner).map_err(|fault| failed(&fault))
    }

    fn remove(&self, kind: FileType, id: &Id, _: bool) -> RusticResult<()> {
        files::remove(&self.file(kind, id)).map_err(|fault| failed(&fault))
    }
}
