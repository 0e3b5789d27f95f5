//! Contents, each a file that is named by its digest.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest;
use host::files::{self, Access, FileFault};
use md5::Md5;
use md5::digest::Digest as _;

use super::group::Dirty;
use super::object::hex;
use super::{Digest, Result};

/// Of each so many bytes there is a digest of their own, so that a part of a content can be verified without the rest. A reader holds
/// one of them in memory.
pub const CHUNK: usize = 256 << 10;

/// Bytes of SHA-256 that are kept of a chunk: what is to be found is rot. Against somebody who writes to the disk is the whole digest.
pub(super) const CHUNK_DIGEST: usize = 16;

/// The folders of a store, and what in them is being read.
#[derive(Debug)]
pub(super) struct Blobs {
    blobs: PathBuf,
    temporary: PathBuf,
    lock: PathBuf,
    pins: Mutex<HashMap<Digest, usize>>,
}

impl Blobs {
    pub(super) fn at(folder: &Path) -> Self {
        Self {
            blobs: folder.join("blobs"),
            temporary: folder.join("temporary"),
            lock: folder.join("sweep.lock"),
            pins: Mutex::default(),
        }
    }

    pub(super) fn are_there(&self) -> bool {
        files::is_dir(&self.blobs)
    }

    pub(super) fn make(&self) -> Result<()> {
        files::create_dir(&self.temporary, Access::Owner)?;
        files::create_dir(&self.blobs, Access::Owner)?;
        Ok(())
    }

    pub(super) fn folder(&self) -> &Path {
        &self.blobs
    }

    pub(super) fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Locked shared by snapshots and alone by the sweep, in this process and in others.
    pub(super) fn lock_file(&self) -> Result<File> {
        let file = files::open_append(&self.lock, Access::Owner)?;
        self.give(&file, &self.lock)?;
        Ok(file)
    }

    /// Makes a file or folder theirs whose the store is: what takes backups and puts them back may be another user, and what it made
    /// could be opened by nobody else.
    fn give(&self, file: &File, path: &Path) -> Result<()> {
        let about = |fault: std::io::Error| FileFault::new("see whose it is", path, fault);
        let (owner, own) = (files::metadata(&self.blobs)?, file.metadata().map_err(about)?);
        if (owner.uid(), owner.gid()) != (own.uid(), own.gid()) {
            std::os::unix::fs::fchown(file, Some(owner.uid()), Some(owner.gid()))
                .map_err(|error| FileFault::new("give away", path, error))?;
        }
        Ok(())
    }

    /// 4,096 folders: few enough to be made once and for all, enough for millions of files.
    pub(super) fn path(&self, digest: &Digest) -> PathBuf {
        let name = digest.hex();
        self.blobs.join(&name[..2]).join(&name[2..3]).join(name)
    }

    pub(super) fn writer(&self) -> Result<Writer> {
        static BEGUN: AtomicU64 = AtomicU64::new(0);
        let mut random = [0; 8];
        // Several processes write here, also some in containers that are all number 1 of their own.
        getrandom::fill(&mut random).expect("the kernel gives random bytes");
        let name = format!("{}-{}", hex(&random), BEGUN.fetch_add(1, Ordering::Relaxed));
        let path = self.temporary.join(name);
        let file = files::create_new(&path, Access::Owner)?;
        self.give(&file, &path)?;
        Ok(Writer {
            file,
            temporary: Temporary(path),
            size: 0,
            whole: digest::Context::new(&digest::SHA256),
            chunk: digest::Context::new(&digest::SHA256),
            chunks: Vec::new(),
            md5: Md5::new(),
        })
    }

    /// Gives a content its name. Where it has been there, the new file takes its place: should the old one have rotted, that is mended.
    /// The name is the disk's when the folders that are noted have been brought down to it.
    pub(super) fn adopt(&self, written: &Written, dirty: &mut Dirty) -> Result<()> {
        let path = self.path(&written.digest);
        let folder = path.parent().expect("a blob lies in a folder");
        if !files::is_dir(folder) {
            files::create_dir(folder, Access::Owner)?;
            let above = folder.parent().expect("of two levels");
            for made in [above, folder] {
                self.give(&files::open(made)?, made)?;
            }
            dirty.insert(above.to_owned());
            dirty.insert(self.blobs.clone());
        }
        files::rename(&written.temporary.0, &path)?;
        dirty.insert(folder.to_owned());
        Ok(())
    }

    pub(super) fn pin(&self, digests: impl Iterator<Item = Digest>) {
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        digests.for_each(|digest| *pins.entry(digest).or_default() += 1);
    }

    pub(super) fn unpin(&self, digests: impl Iterator<Item = Digest>) {
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        for digest in digests {
            if let Some(count) = pins.get_mut(&digest) {
                *count -= 1;
                if *count == 0 {
                    pins.remove(&digest);
                }
            }
        }
    }

    pub(super) fn is_pinned(&self, digest: &Digest) -> bool {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner).contains_key(digest)
    }
}

/// A file that is gone when nobody wants it any more, unless it got another name.
#[derive(Debug)]
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // What stays here the sweep takes.
        let _ = files::remove(&self.0);
    }
}

/// A content that is coming.
pub struct Writer {
    file: File,
    temporary: Temporary,
    size: u64,
    whole: digest::Context,
    chunk: digest::Context,
    chunks: Vec<u8>,
    md5: Md5,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("at", &self.temporary.0).field("size", &self.size).finish_non_exhaustive()
    }
}

impl Writer {
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| FileFault::new("write", &self.temporary.0, error))?;
        self.whole.update(bytes);
        self.md5.update(bytes);
        while !bytes.is_empty() {
            let in_chunk = usize::try_from(self.size % CHUNK as u64).expect("less than a chunk");
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK - in_chunk));
            self.chunk.update(now);
            self.size += now.len() as u64;
            if self.size.is_multiple_of(CHUNK as u64) {
                self.end_chunk();
            }
            bytes = later;
        }
        Ok(())
    }

    fn end_chunk(&mut self) {
        let chunk = std::mem::replace(&mut self.chunk, digest::Context::new(&digest::SHA256));
        self.chunks.extend_from_slice(&chunk.finish().as_ref()[..CHUNK_DIGEST]);
    }

    /// So many bytes came.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Brings all of it down to the disk.
    ///
    /// # Errors
    /// Where that cannot be done.
    pub fn finish(mut self) -> Result<Written> {
        if !self.size.is_multiple_of(CHUNK as u64) {
            self.end_chunk();
        }
        self.file.sync_data().map_err(|error| FileFault::new("sync", &self.temporary.0, error))?;
        let digest = Digest(self.whole.finish().as_ref().try_into().expect("SHA-256 has 32 bytes"));
        let md5 = self.md5.finalize().into();
        Ok(Written { digest, size: self.size, md5, chunks: self.chunks, temporary: self.temporary })
    }
}

/// A content on the disk that nothing refers to yet. Dropped, it is gone.
#[derive(Debug)]
pub struct Written {
    pub digest: Digest,
    pub size: u64,
    pub md5: [u8; 16],
    pub(super) chunks: Vec<u8>,
    temporary: Temporary,
}

impl Written {
    /// The ETag of an object that is this.
    pub fn etag(&self) -> String {
        hex(&self.md5)
    }
}
