//! The user's cache of engines: one folder per source, complete or not there.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use host::files::{self, Access, FileFault};
use serde::{Deserialize, Serialize};

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
        let program_size = files::metadata(&folder.join(&program))?.len();
        Ok(Self { format: FORMAT, version, program, program_size, libraries, origin })
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
    let whole = label.format == FORMAT
        && files::metadata(&folder.join(&label.program)).is_ok_and(|program| program.len() == label.program_size);
    Ok(whole.then(|| label.located(folder)))
}
