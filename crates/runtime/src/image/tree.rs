//! What an image or a layer holds: things by their path, in order, each with its folders before it.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use host::files::{self, FileFault};
use tar::{Builder, EntryType, Header};

use super::ImageFault;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Thing {
    Folder { mode: u32 },
    File { content: Content, executable: bool },
    Link { target: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    OnDisk(PathBuf),
    Bytes(Vec<u8>),
}

/// Things by their path: relative, with `/`, without `.` and `..`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree(BTreeMap<String, Thing>);

const FOLDER: Thing = Thing::Folder { mode: 0o755 };

impl Tree {
    /// Adds one thing and the folders that it is in.
    ///
    /// # Errors
    /// Something else has its place, or the place of one of its folders.
    pub fn add(&mut self, path: &str, thing: Thing) -> Result<(), ImageFault> {
        let path = path.trim_start_matches('/');
        for (end, _) in path.match_indices('/') {
            self.put(&path[..end], FOLDER)?;
        }
        self.put(path, thing)
    }

    fn put(&mut self, path: &str, thing: Thing) -> Result<(), ImageFault> {
        match self.0.get(path) {
            Some(there) if *there == thing => Ok(()),
            // A folder that was made with a mode of its own stays so.
            Some(Thing::Folder { .. }) if thing == FOLDER => Ok(()),
            Some(_) => Err(ImageFault::Twice(path.to_owned())),
            None => {
                self.0.insert(path.to_owned(), thing);
                Ok(())
            }
        }
    }

    /// Adds all that is in a folder of this machine, below `place`. Owners and times are left behind, of rights only whether a file
    /// can be run is kept.
    ///
    /// # Errors
    /// A link leads out of the folder, something is neither file, folder nor link, or cannot be read.
    pub fn add_folder(&mut self, place: &str, folder: &Path) -> Result<(), ImageFault> {
        let root = files::canonical(folder)?;
        self.add(place, FOLDER)?;
        self.add_within(place, &root, &root)
    }

    fn add_within(&mut self, place: &str, folder: &Path, root: &Path) -> Result<(), ImageFault> {
        for path in files::list(folder)? {
            let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| ImageFault::Name(path.clone()))?;
            let place = format!("{place}/{name}");
            if let Some(target) = files::link_target(&path)? {
                self.add(&place, link(&path, &target, root)?)?;
                continue;
            }
            let meta = files::metadata(&path)?;
            if meta.is_dir() {
                self.add(&place, FOLDER)?;
                self.add_within(&place, &path, root)?;
            } else if meta.is_file() {
                let executable = meta.permissions().mode() & 0o100 != 0;
                self.add(&place, Thing::File { content: Content::OnDisk(path), executable })?;
            } else {
                return Err(ImageFault::Strange(path));
            }
        }
        Ok(())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Thing)> {
        self.0.iter().map(|(path, thing)| (path.as_str(), thing))
    }

    /// Writes it as a tar. Files are streamed, never held whole.
    ///
    /// # Errors
    /// A file cannot be read or changed meanwhile; or it cannot be written.
    pub fn write<W: Write>(&self, out: W) -> Result<W, ImageFault> {
        let mut tar = Builder::new(out);
        for (path, thing) in self.iter() {
            let mut header = Header::new_gnu();
            header.set_mtime(0);
            header.set_uid(0);
            header.set_gid(0);
            header.set_size(0);
            match thing {
                Thing::Folder { mode } => {
                    header.set_entry_type(EntryType::Directory);
                    header.set_mode(*mode);
                    tar.append_data(&mut header, format!("{path}/"), io::empty()).map_err(ImageFault::Write)?;
                }
                Thing::Link { target } => {
                    header.set_entry_type(EntryType::Symlink);
                    header.set_mode(0o777);
                    tar.append_link(&mut header, path, target).map_err(ImageFault::Write)?;
                }
                Thing::File { content, executable } => {
                    header.set_mode(if *executable { 0o755 } else { 0o644 });
                    add_content(&mut tar, header, path, content)?;
                }
            }
        }
        tar.into_inner().map_err(ImageFault::Write)
    }
}

fn add_content<W: Write>(
    tar: &mut Builder<W>,
    mut header: Header,
    path: &str,
    content: &Content,
) -> Result<(), ImageFault> {
    match content {
        Content::Bytes(bytes) => {
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, path, bytes.as_slice()).map_err(ImageFault::Write)
        }
        Content::OnDisk(source) => {
            let file = files::open(source)?;
            let size = file.metadata().map_err(|error| FileFault::new("read", source, error))?.len();
            header.set_size(size);
            let mut counted = Counted { inner: file.take(size), bytes: 0 };
            tar.append_data(&mut header, path, &mut counted).map_err(ImageFault::Write)?;
            // The tar would be out of step with its own headers.
            if counted.bytes == size { Ok(()) } else { Err(ImageFault::Changed(source.clone())) }
        }
    }
}

struct Counted<R> {
    inner: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(bytes)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

/// A link as it is, if it stays within the folder: by its words, and in truth if there is something at its end.
fn link(path: &Path, target: &Path, root: &Path) -> Result<Thing, ImageFault> {
    let leads_out = || ImageFault::LeadsOut { path: path.to_owned(), target: target.to_owned() };
    let folder = path.parent().unwrap_or(root);
    let mut depth = folder.strip_prefix(root).unwrap_or(folder).components().count();
    for part in target.components() {
        depth = match part {
            Component::Normal(_) => depth + 1,
            Component::CurDir => depth,
            Component::ParentDir => depth.checked_sub(1).ok_or_else(leads_out)?,
            Component::RootDir | Component::Prefix(_) => return Err(leads_out()),
        };
    }
    match files::canonical(&folder.join(target)) {
        Ok(real) if !real.starts_with(root) => return Err(leads_out()),
        // What leads nowhere leads nowhere in the image too.
        Ok(_) => {}
        Err(fault) if fault.is_not_found() => {}
        Err(fault) => return Err(fault.into()),
    }
    let target = target.to_str().ok_or_else(|| ImageFault::Name(path.to_owned()))?;
    Ok(Thing::Link { target: target.to_owned() })
}
