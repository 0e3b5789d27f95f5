//! What a search for leaked secrets goes by, wherever it is asked for: by `secrets scan` and by the gate.

use std::path::{Path, PathBuf};

use host::clock::Timestamp;
use host::files::{self, FileFault};
use leaks::{AllowList, Clean, Scanner, Values};
use reconcile::Fault;
use secrets::Store;

use crate::control::redacting;

/// More threads wait for the disk and for each other.
const MOST_THREADS: usize = 8;

/// The list of accepted findings that belongs to a project or the top of a repository.
pub(crate) fn list_in(folder: &Path) -> PathBuf {
    folder.join("leaks-allow.toml")
}

/// Reads a list of accepted findings; `None` if there is none. `shown` is its path as people know it.
pub(crate) fn accepted(list: &Path, shown: &str) -> Result<Option<AllowList>, Fault> {
    let read = files::read_if_exists(list).map_err(|fault| Fault::because(format!("cannot read {shown}"), &fault))?;
    let Some(text) = read else { return Ok(None) };
    AllowList::parse(&String::from_utf8_lossy(&text)).map(Some).map_err(|fault| {
        Fault::because(format!("cannot use {shown}"), &fault)
            .hint("each entry has value, rule, reason and until; `--accept` writes one")
    })
}

/// What the store holds and must be nowhere else. What is public or internal is no secret, whoever keeps it.
pub(crate) fn values(store: &Store) -> Result<Values, Fault> {
    let known = redacting::sensitive(store)?;
    Values::new(known).map_err(|fault| Fault::because("cannot search for all of the store", &fault))
}

/// What earlier searches of this user found clean.
pub(crate) fn clean(cache: &Path, scanner: &Scanner) -> Result<Clean, FileFault> {
    Clean::open(&cache.join("leaks"), scanner)
}

pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS)
}

/// The day by which accepted findings expire.
pub(crate) fn day(now: Timestamp) -> String {
    now.calendar().date().to_string()
}
