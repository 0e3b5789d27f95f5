//! The user's cache of engines: one folder per source, complete or not there.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use host::files::{self, Access, FileFault};
use serde::{Deserialize, Serialize};

use super::checksum;
use super::sources::{EngineKind, Source};
use super::version::Version;

/// The folder for things that can be fetched again, shared by all environments of a user: `~/.cache/roadbed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheDir(PathBuf);

impl CacheDir {
    pub fn new(path: PathBuf) -> Self {
        assert!(path.is_absolute(), "programs that run in other folders are given paths below it");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn engines(&self) -> PathBuf {
        self.0.join("engines")
    }

    /// Where a source is installed.
    pub(crate) fn folder_of(&self, source: &Source) -> PathBuf {
        self.engines().join(source.folder_name())
    }

    /// Work in progress of one engine; only the holder of the engine's lock looks at it.
    pub(crate) fn workshop(&self, engine: EngineKind) -> PathBuf {
        self.engines().join(format!(".{engine}"))
    }

    pub(crate) fn lock_of(&self, engine: EngineKind) -> PathBuf {
        self.engines().join(format!(".{engine}.lock"))
    }
}

/// An engine that is ready to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    pub program: PathBuf,
    /// What the program needs in its environment to start: `LD_LIBRARY_PATH`, or nothing.
    pub env: BTreeMap<String, String>,
    pub version: Version,
    pub origin: Origin,
}

impl Located {
    /// All that it takes to run: the program, and the libraries that were fetched with it.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let libraries = self.env.get("LD_LIBRARY_PATH").map_or("", String::as_str);
        let folders = libraries.split(':').filter(|folder| !folder.is_empty()).map(PathBuf::from);
        std::iter::once(self.program.clone()).chain(folders).collect()
    }
}

/// How an engine was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Manifest,
    Path,
    /// Fetched by Roadbed; the text says what from, and how it was checked.
    Cache(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest => f.write_str("named in the manifest"),
            Self::Path => f.write_str("found in PATH"),
            Self::Cache(from) => f.write_str(from),
        }
    }
}

/// What an installed folder says about itself; written last, before the folder gets its name.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Label {
    pub(crate) format: u32,
    pub(crate) version: Version,
    /// Relative to the folder.
    pub(crate) program: String,
    pub(crate) program_size: u64,
    /// Of the program as it was installed. Labels of older versions have neither.
    #[serde(default)]
    pub(crate) program_sha256: Option<String>,
    /// Nanoseconds since 1970.
    #[serde(default)]
    pub(crate) program_modified: Option<u64>,
    /// Folders with shared libraries, relative to the folder.
    pub(crate) libraries: Vec<String>,
    pub(crate) origin: String,
}

const FORMAT: u32 = 1;
const LABEL: &str = "engine.json";

impl Label {
    pub(crate) fn new(
        folder: &Path,
        version: Version,
        program: String,
        libraries: Vec<String>,
        origin: String,
    ) -> Result<Self, FileFault> {
        let path = folder.join(&program);
        Ok(Self {
            format: FORMAT,
            version,
            program,
            program_size: files::metadata(&path)?.len(),
            program_sha256: Some(checksum::of_file(&path)?),
            program_modified: modified(&path),
            libraries,
            origin,
        })
    }

    /// Whether the program is the one that was installed. To hash a mongod takes half a second, too much for every start; so it
    /// is hashed if it was touched since. What damages a file without touching it, as a failing disk does, is not seen here.
    fn holds(&self, folder: &Path) -> bool {
        let path = folder.join(&self.program);
        if !files::metadata(&path).is_ok_and(|program| program.len() == self.program_size) {
            return false;
        }
        let Some(sha256) = &self.program_sha256 else { return true };
        let untouched = self.program_modified.is_some() && self.program_modified == modified(&path);
        untouched || checksum::of_file(&path).is_ok_and(|found| &found == sha256)
    }

    pub(crate) fn write(&self, folder: &Path) -> Result<(), FileFault> {
        let text = serde_json::to_vec_pretty(self).expect("a label is plain data");
        files::write_durable(&folder.join(LABEL), &text, Access::Everyone)
    }

    pub(crate) fn located(&self, folder: &Path) -> Located {
        Located {
            program: folder.join(&self.program),
            env: library_env(folder, &self.libraries),
            version: self.version,
            origin: Origin::Cache(self.origin.clone()),
        }
    }
}

/// What makes the dynamic linker find libraries that lie in the cache.
pub(crate) fn library_env(folder: &Path, libraries: &[String]) -> BTreeMap<String, String> {
    if libraries.is_empty() {
        return BTreeMap::new();
    }
    let paths: Vec<String> =
        libraries.iter().map(|library| folder.join(library).to_string_lossy().into_owned()).collect();
    BTreeMap::from([("LD_LIBRARY_PATH".to_owned(), paths.join(":"))])
}

/// The engine in an installed folder. A folder that somebody has damaged counts as absent: it is fetched again.
pub(crate) fn installed(folder: &Path) -> Result<Option<Located>, FileFault> {
    let Some(bytes) = files::read_if_exists(&folder.join(LABEL))? else { return Ok(None) };
    let Ok(label) = serde_json::from_slice::<Label>(&bytes) else { return Ok(None) };
    let whole = label.format == FORMAT && label.holds(folder);
    Ok(whole.then(|| label.located(folder)))
}

fn modified(path: &Path) -> Option<u64> {
    let since_1970 = files::metadata(path).ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since_1970.as_nanos()).ok()
}
