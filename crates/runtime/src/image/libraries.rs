//! The libraries that a program links, found as the machine's loader would find them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use host::files;

use super::ImageFault;
use super::elf::{self, Wants};

/// All that a program needs beside itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linked {
    /// Where programs ask for their loader, and the file that is it.
    pub loader: Option<(String, PathBuf)>,
    /// By the name that they are asked for by.
    pub libraries: BTreeMap<String, PathBuf>,
}

/// What the C library opens by itself when names are looked up: before 2.34 it is apart.
const OPENED: [&str; 3] = ["libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2"];

/// Follows a program to the libraries that it needs, and those to theirs.
///
/// # Errors
/// It is no program, or a library is not there.
pub fn linked(program: &Path) -> Result<Linked, ImageFault> {
    let usual = usual_folders()?;
    let top = wants(program)?;
    let loader = match &top.loader {
        Some(loader) => Some((loader.clone(), files::canonical(Path::new(loader))?)),
        None => None,
    };
    let machine = top.machine;
    let mut found = Linked { loader, libraries: BTreeMap::new() };
    let mut open = vec![(program.to_owned(), top)];
    while let Some((asking, wants)) = open.pop() {
        let origin = files::canonical(&asking)?.parent().unwrap_or(Path::new("/")).to_string_lossy().into_owned();
        let own = wants.folders.iter();
        let own = own.map(|folder| PathBuf::from(folder.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin)));
        let folders: Vec<PathBuf> = own.chain(usual.iter().cloned()).collect();
        for library in wants.libraries {
            let is_loader = found.loader.as_ref().is_some_and(|(loader, _)| loader.ends_with(&format!("/{library}")));
            if is_loader || found.libraries.contains_key(&library) {
                continue;
            }
            let Some((path, its)) = find(&library, &folders, machine)? else {
                return Err(ImageFault::NoLibrary { program: asking, library });
            };
            found.libraries.insert(library, path.clone());
            open.push((path, its));
        }
    }
    if found.libraries.contains_key("libc.so.6") {
        for library in OPENED {
            if let Some((path, _)) = find(library, &usual, machine)? {
                found.libraries.entry(library.to_owned()).or_insert(path);
            }
        }
    }
    Ok(found)
}

fn wants(program: &Path) -> Result<Wants, ImageFault> {
    elf::read(&files::open(program)?).ok_or_else(|| ImageFault::NoProgram(program.to_owned()))
}

/// The first of that name that is for the same processors: the same name may be there for others too.
fn find(library: &str, folders: &[PathBuf], machine: u16) -> Result<Option<(PathBuf, Wants)>, ImageFault> {
    for path in folders.iter().map(|folder| folder.join(library)) {
        if !files::exists(&path) || files::is_dir(&path) {
            continue;
        }
        let path = files::canonical(&path)?;
        if let Some(wants) = elf::read(&files::open(&path)?).filter(|wants| wants.machine == machine) {
            return Ok(Some((path, wants)));
        }
    }
    Ok(None)
}

/// What the loader's configuration says, and what is in the loader itself.
fn usual_folders() -> Result<Vec<PathBuf>, ImageFault> {
    let mut folders = Vec::new();
    let mut texts = vec![files::read_if_exists(Path::new("/etc/ld.so.conf"))?.unwrap_or_default()];
    // In every distribution the first includes this folder; another pattern would be a library that is not found, and told.
    for path in files::list(Path::new("/etc/ld.so.conf.d"))? {
        texts.push(files::read(&path)?);
    }
    for text in texts {
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
        folders.extend(lines.filter(|line| line.starts_with('/')).map(PathBuf::from));
    }
    folders.extend(["/lib64", "/usr/lib64", "/lib", "/usr/lib"].map(PathBuf::from));
    Ok(folders)
}
