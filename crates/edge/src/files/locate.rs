//! From a path in an address to an open file below the site's folder, and never above it.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use host::beneath::open_beneath;
use http::HeaderMap;
use http::header::ACCEPT;
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

use crate::files::encoding::{ALL, Encoding};
use crate::refusal::Refusal;

/// A site's folder.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    /// Sent for addresses that only the app's own router knows.
    spa_fallback: Option<String>,
    tags: Arc<Tags>,
}

impl Folder {
    pub fn new(path: PathBuf, spa_fallback: Option<String>) -> Self {
        Self { path, spa_fallback, tags: Arc::default() }
    }
}

/// What a path leads to.
#[derive(Debug)]
pub enum Place {
    File(Found),
    /// A folder with a page in it, asked for without its final slash.
    Folder,
}

/// A file, open, in the form to be sent.
#[derive(Debug)]
pub struct Found {
    pub file: Arc<File>,
    /// Without the suffix of its encoding.
    pub name: String,
    pub encoding: Encoding,
    /// Whether another visitor may get another form.
    pub has_siblings: bool,
    pub length: u64,
    pub modified: SystemTime,
    pub etag: String,
}

/// A browser that goes to a page, not one that loads a part of it: only then a missing file is the router's business.
pub fn is_navigation(headers: &HeaderMap) -> bool {
    let accepts_html =
        headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(|accept| accept.contains("text/html"));
    let mode = headers.get("sec-fetch-mode");
    accepts_html && mode.is_none_or(|mode| mode == "navigate")
}

/// Looks on a thread that may wait for the disk.
pub async fn find(folder: &Folder, path: &str, is_navigation: bool, wanted: Vec<Encoding>) -> Result<Place, Refusal> {
    let relative = relative_path(path).ok_or(Refusal::NotFound)?;
    let folder = folder.clone();
    let search = move || search(&folder, &relative, is_navigation, &wanted);
    tokio::task::spawn_blocking(search).await.map_err(|_| Refusal::FileUnreadable)?
}

/// The path below the folder; a final slash means `index.html`. None for what no file is called.
pub fn relative_path(path: &str) -> Option<PathBuf> {
    let mut relative = PathBuf::new();
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        // Decoded once, after the split: an encoded slash is part of a name, and no name has one.
        let name = percent_decode_str(segment).decode_utf8().ok()?;
        let is_plain = !name.contains(['/', '\\', '\0']) && name != "." && name != "..";
        // Hidden files are not for visitors, but for one folder that is made for them.
        let is_hidden = name.starts_with('.') && name != ".well-known";
        if !is_plain || is_hidden {
            return None;
        }
        relative.push(name.as_ref());
    }
    if path.ends_with('/') {
        relative.push("index.html");
    }
    Some(relative)
}

fn search(folder: &Folder, relative: &Path, is_navigation: bool, wanted: &[Encoding]) -> Result<Place, Refusal> {
    if let Some(found) = open_form(folder, relative, wanted)? {
        return Ok(Place::File(found));
    }
    if open_regular(folder, &relative.join("index.html"))?.is_some() {
        return Ok(Place::Folder);
    }
    let looks_like_file = relative.file_name().is_some_and(|name| {
        let name = name.to_string_lossy();
        name.contains('.') && name != "index.html"
    });
    match &folder.spa_fallback {
        Some(fallback) if is_navigation && !looks_like_file => {
            open_form(folder, Path::new(fallback), wanted)?.map(Place::File).ok_or(Refusal::NotFound)
        }
        _ => Err(Refusal::NotFound),
    }
}

/// The file in the form that suits best. The plain file must be there too: it says that this is a file of the site.
fn open_form(folder: &Folder, relative: &Path, wanted: &[Encoding]) -> Result<Option<Found>, Refusal> {
    let Some(plain) = open_regular(folder, relative)? else { return Ok(None) };
    let mut chosen = (plain, Encoding::Identity);
    let mut has_siblings = false;
    let best = wanted.iter().copied().take_while(|&encoding| encoding != Encoding::Identity).collect::<Vec<_>>();
    for encoding in ALL.into_iter().filter(|&encoding| encoding != Encoding::Identity) {
        let rank = |encoding| best.iter().position(|&other| other == encoding);
        let sibling = with_suffix(relative, encoding.suffix());
        let Some(rank_here) = rank(encoding) else {
            // Not for this visitor; that it is there decides what caches are told.
            has_siblings = has_siblings || open_regular(folder, &sibling)?.is_some();
            continue;
        };
        if let Some(file) = open_regular(folder, &sibling)? {
            has_siblings = true;
            let is_better = rank(chosen.1).is_none_or(|rank_chosen| rank_here < rank_chosen);
            if is_better {
                chosen = (file, encoding);
            }
        }
    }
    let ((file, meta), encoding) = chosen;
    let etag = folder.tags.of(&file, &meta).map_err(|error| unreadable(relative, &error))?;
    Ok(Some(Found {
        file: Arc::new(file),
        name: relative.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        encoding,
        has_siblings,
        length: meta.len(),
        modified: meta.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        etag,
    }))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    PathBuf::from(path)
}

type Regular = (File, std::fs::Metadata);

/// None if there is no such file, or it is something else: a folder, a pipe, a link.
fn open_regular(folder: &Folder, relative: &Path) -> Result<Option<Regular>, Refusal> {
    let opened = open_beneath(&folder.path, relative).and_then(|file| {
        let meta = file.metadata()?;
        Ok((file, meta))
    });
    match opened {
        Ok((file, meta)) if meta.is_file() => Ok(Some((file, meta))),
        Ok(_) => Ok(None),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::InvalidFilename => Ok(None),
            _ => Err(unreadable(relative, &error)),
        },
    }
}

fn unreadable(relative: &Path, error: &io::Error) -> Refusal {
    tracing::warn!(file = %relative.display(), %error, "cannot read a file of a site");
    Refusal::FileUnreadable
}

/// Strong entity tags: digests of the content, computed once per file and remembered by what changes when a file does.
#[derive(Debug, Default)]
struct Tags(Mutex<HashMap<Identity, String>>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// More files than builds have; beyond it, remembering starts anew.
const REMEMBERED: usize = 16 * 1024;

impl Tags {
    fn of(&self, file: &File, meta: &std::fs::Metadata) -> io::Result<String> {
        let identity = Identity {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        };
        if let Some(tag) = self.0.lock().expect("no holder panics").get(&identity) {
            return Ok(tag.clone());
        }
        let tag = digest(file)?;
        let mut known = self.0.lock().expect("no holder panics");
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(identity, tag.clone());
        Ok(tag)
    }
}

fn digest(file: &File) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut at = 0;
    loop {
        let n = file.read_at(&mut buffer, at)?;
        if n == 0 {
            break;
        }
        hasher.update(&buffer[..n]);
        at += n as u64;
    }
    // 128 bits: nobody finds two files of a site with the same.
    let hex: String = hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("\"{hex}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out_of_the_folder() {
        for path in [
            "/../x",
            "/%2e%2e/x",
            "/a/%2e%2e%2f%2e%2e/x",
            "/a%2fb",
            "/a%5cb",
            "/a%00b",
            "/.git/config",
            "/.env",
            "/%ff",
            "/a/..%5c",
        ] {
            assert_eq!(relative_path(path), None, "{path}");
        }
        for (path, relative) in [
            ("/", "index.html"),
            ("//a//b", "a/b"),
            ("/a/", "a/index.html"),
            ("/a%20b.js", "a b.js"),
            ("/.well-known/x", ".well-known/x"),
            ("/%252e%252e/x", "%2e%2e/x"),
        ] {
            assert_eq!(relative_path(path).as_deref(), Some(Path::new(relative)), "{path}");
        }
    }

    #[test]
    fn random_paths_stay_below_the_folder() {
        let pieces = ["/", "..", "%2e", "%2E", "%2f", "%5c", "%00", "a", "%25", "\\", ".", "%c0%ae", "%", ""];
        let mut random = 99_u64;
        for _ in 0..50_000 {
            let mut path = String::from("/");
            for _ in 0..10 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                path.push_str(pieces[usize::try_from(random >> 33).unwrap() % pieces.len()]);
            }
            if let Some(relative) = relative_path(&path) {
                let is_plain = |part| matches!(part, std::path::Component::Normal(_));
                assert!(
                    relative.is_relative() && relative.components().all(is_plain),
                    "{path} became {}",
                    relative.display()
                );
            }
        }
    }
}
