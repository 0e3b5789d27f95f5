//! Environments whose test was killed before it could stop them.

use std::fs;
use std::path::Path;

use host::process::table;

use crate::leftovers;

/// Where folders of environments lie. Sockets are in them, and a socket's path must be short.
pub(crate) const PLACE: &str = "/tmp";

/// How their names begin.
pub(crate) const PREFIX: &str = "roadbed-test-";

/// In each folder: whose it is.
const OWNER: &str = "owner";

/// Notes that the folder is ours for as long as this process lives.
pub(crate) fn claim(folder: &Path) {
    fs::write(folder.join(OWNER), identity(std::process::id()).unwrap()).unwrap();
}

/// Takes that back: nobody sweeps the folder away.
pub(crate) fn keep(folder: &Path) {
    let _ = fs::remove_file(folder.join(OWNER));
}

/// Ends and removes what belongs to processes that are gone.
pub(crate) fn sweep() {
    for folder in fs::read_dir(PLACE).unwrap().flatten().map(|entry| entry.path()) {
        let is_ours = folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        // One that cannot be read is another user's, or half made by a test that is just starting.
        let Some(owner) = is_ours.then(|| fs::read_to_string(folder.join(OWNER)).ok()).flatten() else { continue };
        let pid = owner.split(' ').next().and_then(|pid| pid.parse().ok());
        if pid.and_then(identity).as_ref() != Some(&owner) {
            leftovers::kill_all(&folder.join("root"));
            let _ = fs::remove_dir_all(&folder);
        }
    }
}

/// One process for as long as the machine runs: its number and its start.
fn identity(pid: u32) -> Option<String> {
    let entry = table::entry(pid).filter(|entry| !entry.is_dead())?;
    Some(format!("{pid} {}", entry.start_time))
}
