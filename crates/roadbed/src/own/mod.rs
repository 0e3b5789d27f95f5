//! The program that runs here, for starting its other roles, and what tells one program from another: its content.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use host::files::{self, Stamp};
use reconcile::{Fault, Root};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::programs;

mod recalled;

/// What this program calls itself.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// So many hexadecimal digits of a digest tell programs of one machine apart.
const DIGITS: usize = 16;

/// A program, by what it calls itself and by its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    pub version: String,
    pub digest: String,
}

/// Its path. What the root keeps of this very program comes first: a checkout may be built anew or removed at any time.
pub fn program_of(root: &Root) -> Result<PathBuf, Fault> {
    let path = host::own::program().map_err(|fault| cannot_find(&fault))?;
    if path.starts_with(root.programs()) {
        return Ok(path);
    }
    let kept = programs::place(root, &digest_of(&path)?);
    Ok(if files::exists(&kept) { kept } else { path })
}

/// Tells one build of Roadbed from another: roles of another program are replaced while apps and stores go on. Of the file that
/// the next role would be started from.
pub fn revision() -> Result<String, Fault> {
    digest_of(&host::own::program().map_err(|fault| cannot_find(&fault))?)
}

/// The program that this process runs, whatever has become of its file.
pub fn running() -> Result<Program, Fault> {
    Ok(Program { version: VERSION.to_owned(), digest: digest_of(Path::new(IMAGE))? })
}

/// Tells quickly whether two processes run the same file.
pub fn stamp() -> Option<Stamp> {
    files::stamp(Path::new(IMAGE)).ok().flatten()
}

const IMAGE: &str = "/proc/self/exe";

/// As [`running`], for a process of one thread that has others to serve meanwhile.
pub async fn running_meanwhile() -> Result<Program, Fault> {
    let path = Path::new(IMAGE);
    let mut reading = match known(path)? {
        Known::Digest(digest) => return Ok(Program { version: VERSION.to_owned(), digest }),
        Known::Not(reading) => reading,
    };
    while reading.goes_on()? {
        tokio::task::yield_now().await;
    }
    Ok(Program { version: VERSION.to_owned(), digest: reading.digest() })
}

/// The digest of a program. A file that did not change since is not read again.
pub fn digest_of(path: &Path) -> Result<String, Fault> {
    match known(path)? {
        Known::Digest(digest) => Ok(digest),
        Known::Not(mut reading) => {
            while reading.goes_on()? {}
            Ok(reading.digest())
        }
    }
}

/// The last file that was read, as it was then.
static LAST: Mutex<Option<(Stamp, String)>> = Mutex::new(None);

enum Known {
    Digest(String),
    Not(Box<Reading>),
}

fn known(path: &Path) -> Result<Known, Fault> {
    let stamp = files::stamp(path).map_err(|fault| cannot_read(path, &fault))?;
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let (Some(stamp), Some((known, digest))) = (stamp, last.as_ref())
        && stamp == *known
    {
        return Ok(Known::Digest(digest.clone()));
    }
    let recalled = recalled::Place::of(path);
    if let Some(digest) = recalled.as_ref().and_then(recalled::Place::digest) {
        *last = stamp.map(|stamp| (stamp, digest.clone()));
        return Ok(Known::Digest(digest));
    }
    let file = files::open(path).map_err(|fault| cannot_read(path, &fault))?;
    let (hasher, buffer) = (Sha256::new(), vec![0; 256 * 1024]);
    Ok(Known::Not(Box::new(Reading { path: path.to_owned(), stamp, recalled, file, hasher, buffer })))
}

/// A program that is being read.
struct Reading {
    path: PathBuf,
    stamp: Option<Stamp>,
    recalled: Option<recalled::Place>,
    file: std::fs::File,
    hasher: Sha256,
    buffer: Vec<u8>,
}

impl Reading {
    /// Reads some more; `false` at the end.
    fn goes_on(&mut self) -> Result<bool, Fault> {
        let count = self.file.read(&mut self.buffer).map_err(|error| cannot_read(&self.path, &error))?;
        self.hasher.update(&self.buffer[..count]);
        Ok(count > 0)
    }

    fn digest(self) -> String {
        let mut digest: String = self.hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        digest.truncate(DIGITS);
        if let Some(place) = &self.recalled {
            place.keep(&digest);
        }
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        *last = self.stamp.map(|stamp| (stamp, digest.clone()));
        digest
    }
}

/// Copies the program that this process runs, for a process as in [`running_meanwhile`].
pub async fn copy_meanwhile(to: &Path) -> Result<(), Fault> {
    let cannot = |error: &(dyn std::error::Error + 'static)| {
        Fault::because(format!("cannot copy the program that is running to {}", to.display()), error)
            .hint("see whether the disk is full")
    };
    files::remove(to).map_err(|fault| cannot(&fault))?;
    let mut from = files::open(Path::new(IMAGE)).map_err(|fault| cannot(&fault))?;
    let mut file = files::create_new(to, files::Access::Owner).map_err(|fault| cannot(&fault))?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = from.read(&mut buffer).map_err(|error| cannot(&error))?;
        if count == 0 {
            return Ok(());
        }
        file.write_all(&buffer[..count]).map_err(|error| cannot(&error))?;
        tokio::task::yield_now().await;
    }
}

fn cannot_read(path: &Path, error: &(dyn std::error::Error + 'static)) -> Fault {
    Fault::because(format!("cannot read the program {}", path.display()), error)
}

fn cannot_find(error: &(dyn std::error::Error + 'static)) -> Fault {
    Fault::because("cannot find the program that is running", error)
}
