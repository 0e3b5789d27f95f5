//! Files, with errors that name what was attempted and on which path, and writes that survive a power cut.

mod stamp;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

pub use stamp::{Stamp, lasting_stamp, stamp};

/// A file operation that failed. `Display` names action and path; the source says why.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct FileFault {
    pub action: &'static str,
    pub path: PathBuf,
    #[source]
    pub source: io::Error,
}

impl FileFault {
    pub fn new(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self { action, path: path.into(), source }
    }

    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

pub type Result<T> = std::result::Result<T, FileFault>;

trait Named<T> {
    fn named(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> Named<T> for io::Result<T> {
    fn named(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| FileFault::new(action, path, source))
    }
}

/// Who may read a file that Roadbed writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// 0600 (folders 0700): secrets, state, sockets.
    Owner,
    /// 0644 (folders 0755): generated documents, certificates, public assets.
    Everyone,
    /// 0400: a key file that its reader insists must not be writable (mongod's keyFile).
    OwnerReadOnly,
}

impl Access {
    fn file_mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Everyone => 0o644,
            Self::OwnerReadOnly => 0o400,
        }
    }

    fn dir_mode(self) -> u32 {
        match self {
            Self::Owner | Self::OwnerReadOnly => 0o700,
            Self::Everyone => 0o755,
        }
    }
}

pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).named("read", path)
}

pub fn read_string(path: &Path) -> Result<String> {
    fs::read_to_string(path).named("read", path)
}

/// Reads a file that may be absent. Any other failure stays an error: unreadable never counts as absent.
pub fn read_if_exists(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileFault::new("read", path, error)),
    }
}

/// The first bytes of a file that may be absent, at most `length`.
pub fn read_prefix(path: &Path, length: usize) -> Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileFault::new("read", path, error)),
    };
    let mut head = Vec::with_capacity(length);
    file.take(length as u64).read_to_end(&mut head).named("read", path)?;
    Ok(Some(head))
}

pub fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

pub fn is_dir(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_dir())
}

pub fn metadata(path: &Path) -> Result<fs::Metadata> {
    fs::metadata(path).named("look at", path)
}

/// Replaces `path` so that a reader, or the next boot after a power cut, sees the old content or the new, never a part:
/// temporary file in the same folder, fsync, rename, fsync of the folder. What root replaces stays whose it was: a server that
/// runs as a user of its own goes on to be able to read what is written for it.
pub fn write_durable(path: &Path, content: &[u8], access: Access) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = temporary(folder, &name);
    // A leftover of our own crash may be there, read-only even: make way for the new one.
    let _ = fs::remove_file(&temporary);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(access.file_mode())
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(content)?;
            keep_owner(path, &file)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        let _ = fs::remove_file(&temporary);
        return Err(FileFault::new("write", path, error));
    }
    sync_dir(folder)
}

/// A name beside the file that no other writer has: threads of one process write the same file too.
fn temporary(folder: &Path, name: &str) -> PathBuf {
    static WRITTEN: AtomicU32 = AtomicU32::new(0);
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    folder.join(format!(".{name}.{}-{number}.tmp", std::process::id()))
}

fn keep_owner(path: &Path, file: &File) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let owner = |meta: &fs::Metadata| (meta.uid(), meta.gid());
    match fs::symlink_metadata(path) {
        Ok(before) if before.is_file() && owner(&before) != owner(&file.metadata()?) && crate::own::is_root() => {
            std::os::unix::fs::fchown(file, Some(before.uid()), Some(before.gid()))
        }
        _ => Ok(()),
    }
}

/// Writes a file that can be made again, without the cost of durability.
pub fn write(path: &Path, content: &[u8], access: Access) -> Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(access.file_mode())
        .open(path)
        .and_then(|mut file| file.write_all(content))
        .named("write", path)
}

/// Writes a file that is not there yet, whole or not at all, whatever becomes of the power: of several who try, one makes it.
pub fn write_new(path: &Path, content: &[u8], access: Access) -> Result<Created> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = temporary(folder, &name);
    write(&temporary, content, access)?;
    sync_file(&temporary)?;
    let created = rename_new(&temporary, path)?;
    sync_dir(folder)?;
    Ok(created)
}

/// Gives a file another name unless that name is taken. The old name is gone either way.
pub fn rename_new(from: &Path, to: &Path) -> Result<Created> {
    let linked = fs::hard_link(from, to);
    remove(from)?;
    match linked {
        Ok(()) => Ok(Created::New),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Created::WasThere),
        Err(error) => Err(FileFault::new("write", to, error)),
    }
}

/// Replaces `path` so that a reader sees the old content or the new. A power cut may leave either, or an empty file: for what is
/// told from other places again.
pub fn replace(path: &Path, content: &[u8], access: Access) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = temporary(folder, &name);
    write(&temporary, content, access)?;
    rename(&temporary, path)
}

/// Writes zeros over a file's content, down to the disk, and removes it. What the file system or the disk kept aside of earlier
/// writes is out of reach.
pub fn wipe(path: &Path) -> Result<()> {
    let mut file = match OpenOptions::new().write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened.named("wipe", path)?,
    };
    let length = file.metadata().named("wipe", path)?.len();
    io::copy(&mut io::repeat(0).take(length), &mut file).and_then(|_| file.sync_all()).named("wipe", path)?;
    remove(path)?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// Makes a file that takes up `size` bytes of the disk in truth, so that removing it makes room.
pub fn occupy(path: &Path, size: u64) -> Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(Access::Owner.file_mode())
        .open(path)
        .named("write", path)?;
    let taken = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, size);
    if let Err(errno) = taken {
        // A part of it would be neither a reserve nor free.
        let _ = fs::remove_file(path);
        return Err(FileFault::new("write", path, errno.into()));
    }
    Ok(())
}

/// What [`write_new`] and [`rename_new`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    New,
    WasThere,
}

/// Writes only if the content differs. Returns whether it wrote.
pub fn write_if_changed(path: &Path, content: &[u8], access: Access) -> Result<Written> {
    if read_if_exists(path)?.as_deref() == Some(content) {
        return Ok(Written::Unchanged);
    }
    write_durable(path, content, access)?;
    Ok(Written::Changed)
}

/// What [`write_if_changed`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    Changed,
    Unchanged,
}

/// Brings a file's content down to the disk.
pub fn sync_file(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).named("sync", path)
}

pub fn sync_dir(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|dir| dir.sync_all()).named("sync", folder)
}

/// Brings a folder down to the disk with all that was written below it, and whatever else lies on its file system: one call, however many
/// files there are.
pub fn sync_tree(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|dir| Ok(rustix::fs::syncfs(dir)?)).named("sync", folder)
}

/// Gives a folder that was filled its name. Whoever finds the name after a power cut finds all that is in it.
pub fn place_folder(filled: &Path, place: &Path) -> Result<()> {
    sync_tree(filled)?;
    rename(filled, place)?;
    sync_dir(place.parent().unwrap_or(Path::new(".")))
}

/// Creates a folder and its parents; what exists stays as it is.
pub fn create_dir(path: &Path, access: Access) -> Result<()> {
    fs::DirBuilder::new().recursive(true).mode(access.dir_mode()).create(path).named("create the folder", path)
}

/// Opens for appending, created if absent. One `write` call per line keeps lines whole between writers.
pub fn open_append(path: &Path, access: Access) -> Result<File> {
    OpenOptions::new().append(true).create(true).mode(access.file_mode()).open(path).named("append to", path)
}

/// Opens a file that is not there yet, for writing.
pub fn create_new(path: &Path, access: Access) -> Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(access.file_mode()).open(path).named("create", path)
}

pub fn open(path: &Path) -> Result<File> {
    File::open(path).named("open", path)
}

pub fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).named("rename", from)
}

pub fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map(|_| ()).named("copy", from)
}

/// A second name for a file where the file system allows it, else a copy. For files that nobody changes in place.
pub fn link_or_copy(from: &Path, to: &Path) -> Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(_) => copy(from, to),
    }
}

/// Where a link leads; `None` if it is no link.
pub fn link_target(path: &Path) -> Result<Option<PathBuf>> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.file_type().is_symlink() => fs::read_link(path).map(Some).named("read the link", path),
        Ok(_) => Ok(None),
        Err(error) => Err(FileFault::new("look at", path, error)),
    }
}

pub fn symlink(target: &Path, link: &Path) -> Result<()> {
    std::os::unix::fs::symlink(target, link).named("link", link)
}

pub fn set_executable(path: &Path) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).named("make executable", path)
}

/// Takes a file from everybody but its owner.
pub fn make_private(path: &Path) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).named("make private", path)
}

pub fn canonical(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).named("resolve", path)
}

/// Names in a folder, sorted. An absent folder is empty.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(FileFault::new("list", folder, error)),
    };
    let mut paths =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>().named("list", folder)?;
    paths.sort();
    Ok(paths)
}

/// Removes a file; absent is fine.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileFault::new("remove", path, error)),
        _ => Ok(()),
    }
}

/// Removes a folder and all in it; absent is fine.
pub fn remove_dir(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileFault::new("remove", path, error)),
        _ => Ok(()),
    }
}

/// Removes a folder that has nothing in it; `false` if it has.
pub fn remove_empty_dir(path: &Path) -> Result<bool> {
    match fs::remove_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(false),
        Err(error) => Err(FileFault::new("remove", path, error)),
    }
}

/// Whether it is a link itself, wherever it leads.
pub fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink())
}

/// Bytes that this user may still write to the file system that holds `folder`.
pub fn free_bytes(folder: &Path) -> Result<u64> {
    let stat = rustix::fs::statvfs(folder).map_err(io::Error::from).named("look at the disk of", folder)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
