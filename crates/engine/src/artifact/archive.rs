//! From files to an archive and back.

use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use host::files::{self, Access, FileFault};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use super::Digest;
use super::content::{Item, ItemKind};

/// zstd's own default is 3; archives are packed once, kept for months and sent over networks.
const LEVEL: i32 = 9;

/// More than any app of Node's has, and little enough to stop an archive that was made to fill a disk.
const MOST_BYTES: u64 = 8 << 30;
const MOST_ITEMS: usize = 500_000;

/// What was packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    pub digest: Digest,
    /// Of the tar, before compression.
    pub bytes: u64,
}

/// Why an archive cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveFault {
    #[error(transparent)]
    File(#[from] FileFault),
    #[error("the archive has the digest {found}, not {wanted}: it is damaged, or another one")]
    Other { wanted: Digest, found: Digest },
    #[error("the archive holds {0:?}, which would lie outside of its folder")]
    LeadsOut(PathBuf),
    #[error("the archive holds {0:?}, which is no file and no link")]
    Strange(PathBuf),
    #[error("the archive holds more than {MOST_ITEMS} files or {} GiB", MOST_BYTES >> 30)]
    TooMuch,
}

/// Writes what passes through, and keeps the digest of it.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new(), bytes: 0 }
    }

    fn note(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.note(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(bytes)?;
        self.note(&bytes[..read]);
        Ok(read)
    }
}

/// Packs items, which are in order, into a file that did not exist. On disk when this returns.
pub fn pack(items: &[Item], path: &Path) -> Result<Packed, ArchiveFault> {
    let fault = |source| FileFault::new("write", path, source);
    let file = files::create_new(path, Access::Owner)?;
    let encoder = zstd::Encoder::new(&file, LEVEL).map_err(fault)?;
    let mut tar = Builder::new(Hashing::new(encoder));
    for item in items {
        let mut header = Header::new_gnu();
        header.set_mtime(0);
        match &item.kind {
            ItemKind::File { source, executable } => {
                let content = files::open(source)?;
                let size = content.metadata().map_err(|error| FileFault::new("read", source, error))?.len();
                header.set_size(size);
                header.set_mode(if *executable { 0o755 } else { 0o644 });
                // A file that grows meanwhile stays as long as its header says; one that shrinks is an error here.
                tar.append_data(&mut header, &item.name, content.take(size)).map_err(fault)?;
            }
            ItemKind::Link { target } => {
                header.set_entry_type(EntryType::Symlink);
                header.set_size(0);
                header.set_mode(0o777);
                tar.append_link(&mut header, &item.name, target).map_err(fault)?;
            }
        }
    }
    let hashing = tar.into_inner().map_err(fault)?;
    let packed = Packed { digest: Digest::of(&hashing.hash.finalize()), bytes: hashing.bytes };
    hashing.inner.finish().map_err(fault)?;
    file.sync_all().map_err(fault)?;
    Ok(packed)
}

/// Unpacks into a folder that did not exist, and holds the whole against the digest: who calls this gives the folder its name
/// only when it succeeds.
pub fn unpack(path: &Path, digest: &Digest, folder: &Path) -> Result<(), ArchiveFault> {
    let fault = |source| FileFault::new("read", path, source);
    files::create_dir(folder, Access::Everyone)?;
    let decoder = zstd::Decoder::new(files::open(path)?).map_err(fault)?;
    let mut hashing = Hashing::new(decoder.take(MOST_BYTES + 1));
    let mut archive = tar::Archive::new(&mut hashing);
    archive.set_preserve_mtime(false);
    for (count, entry) in archive.entries().map_err(fault)?.enumerate() {
        if count >= MOST_ITEMS {
            return Err(ArchiveFault::TooMuch);
        }
        let mut entry = entry.map_err(fault)?;
        let name = entry.path().map_err(fault)?.into_owned();
        match entry.header().entry_type() {
            EntryType::Regular => {}
            EntryType::Symlink => {
                let target = entry.link_name().map_err(fault)?.map(|target| target.into_owned()).unwrap_or_default();
                if !stays_within(&name, &target) {
                    return Err(ArchiveFault::LeadsOut(name));
                }
            }
            _ => return Err(ArchiveFault::Strange(name)),
        }
        // It refuses `..`, absolute names, and names that lead through a link.
        if !entry.unpack_in(folder).map_err(|source| FileFault::new("unpack", folder.join(&name), source))? {
            return Err(ArchiveFault::LeadsOut(name));
        }
    }
    // What follows the end of the tar is part of what was hashed.
    io::copy(&mut hashing, &mut io::sink()).map_err(fault)?;
    if hashing.bytes > MOST_BYTES {
        return Err(ArchiveFault::TooMuch);
    }
    let found = Digest::of(&hashing.hash.finalize());
    if found != *digest {
        return Err(ArchiveFault::Other { wanted: digest.clone(), found });
    }
    Ok(())
}

/// Holds an archive against its digest, and writes nothing.
pub fn hold(path: &Path, digest: &Digest) -> Result<(), ArchiveFault> {
    let fault = |source| FileFault::new("read", path, source);
    let decoder = zstd::Decoder::new(files::open(path)?).map_err(fault)?;
    let mut hashing = Hashing::new(decoder.take(MOST_BYTES + 1));
    io::copy(&mut hashing, &mut io::sink()).map_err(fault)?;
    let found = Digest::of(&hashing.hash.finalize());
    if found == *digest { Ok(()) } else { Err(ArchiveFault::Other { wanted: digest.clone(), found }) }
}

/// What lies in an archive that came from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// Of the tar, before compression.
    pub bytes: u64,
    pub files: usize,
}

/// As [`hold`], and counts what lies in it; one that was made to fill a disk is not read to its end.
pub fn inspect(path: &Path, digest: &Digest) -> Result<Inspected, ArchiveFault> {
    let fault = |source| FileFault::new("read", path, source);
    let decoder = zstd::Decoder::new(files::open(path)?).map_err(fault)?;
    let mut hashing = Hashing::new(decoder.take(MOST_BYTES + 1));
    let mut archive = tar::Archive::new(&mut hashing);
    let mut files = 0;
    for entry in archive.entries().map_err(fault)? {
        entry.map_err(fault)?;
        files += 1;
        if files > MOST_ITEMS {
            return Err(ArchiveFault::TooMuch);
        }
    }
    io::copy(&mut hashing, &mut io::sink()).map_err(fault)?;
    if hashing.bytes > MOST_BYTES {
        return Err(ArchiveFault::TooMuch);
    }
    let (bytes, found) = (hashing.bytes, Digest::of(&hashing.hash.finalize()));
    if found == *digest {
        Ok(Inspected { bytes, files })
    } else {
        Err(ArchiveFault::Other { wanted: digest.clone(), found })
    }
}

/// Whether a link called `name` with this target lands in the same folder as the archive, seen by names alone.
fn stays_within(name: &Path, target: &Path) -> bool {
    let mut depth = name.components().count().saturating_sub(1);
    for component in target.components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            _ => return false,
        }
    }
    true
}
