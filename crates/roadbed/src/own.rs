//! The program that runs here, for starting its other roles, and what tells one program from another: its content.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use host::files::{self, Stamp};
use reconcile::{Fault, Root};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::programs;

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

/// The digest of a program. A file that did not change since is not read again.
pub fn digest_of(path: &Path) -> Result<String, Fault> {
    static LAST: Mutex<Option<(Stamp, String)>> = Mutex::new(None);
    let cannot = |error: &(dyn std::error::Error + 'static)| {
        Fault::because(format!("cannot read the program {}", path.display()), error)
    };
    let stamp = files::stamp(path).map_err(|fault| cannot(&fault))?;
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let (Some(stamp), Some((known, digest))) = (stamp, last.as_ref())
        && stamp == *known
    {
        return Ok(digest.clone());
    }
    let mut file = files::open(path).map_err(|fault| cannot(&fault))?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 256 * 1024]);
    loop {
        match file.read(&mut buffer).map_err(|error| cannot(&error))? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    let mut digest: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    digest.truncate(DIGITS);
    *last = stamp.map(|stamp| (stamp, digest.clone()));
    Ok(digest)
}

fn cannot_find(error: &(dyn std::error::Error + 'static)) -> Fault {
    Fault::because("cannot find the program that is running", error)
}
