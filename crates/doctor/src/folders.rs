//! Folders in which Roadbed writes, and the disk below them.

use std::path::{Path, PathBuf};

use host::files::{self, Access};

use crate::{Finding, Machine};

/// Engines, packages, a build and a month of logs of a small product; below that the first `up` may not come to its end.
const LEAST_FREE: u64 = 2 << 30;
const ENOUGH_FREE: u64 = 8 << 30;

pub(crate) fn look(machine: &Machine) -> Vec<Finding> {
    let kept = [
        ("state-folder", "the list of roots and their keys", &machine.state),
        ("config-folder", "the operator's key", &machine.config),
        ("cache-folder", "fetched engines", &machine.cache),
    ];
    let mut all: Vec<Finding> =
        kept.into_iter().map(|(id, what, folder)| of_user(id, what, folder.as_deref())).collect();
    all.push(match writable(&machine.folder) {
        Ok(_) => Finding::good("project-folder", machine.folder.display().to_string()),
        Err(why) => Finding::missing(
            "project-folder",
            why,
            "environments are kept beside the manifest; name another place with --root",
        ),
    });
    all.push(disk(&machine.folder));
    all
}

fn of_user(id: &'static str, what: &str, folder: Option<&Path>) -> Finding {
    let Some(folder) = folder else {
        return Finding::missing(
            id,
            format!("this user has no home: there is no place for {what}"),
            "set HOME to a folder that is kept",
        );
    };
    match writable(folder) {
        Ok(place) if place == folder => Finding::good(id, folder.display().to_string()),
        Ok(place) => Finding::good(id, format!("{} can be made in {}", folder.display(), place.display())),
        Err(why) => Finding::missing(id, why, format!("{what}: see whose it is and whether it is mounted read-only")),
    }
}

/// The folder itself, or the nearest above it that exists, if a file can be made there.
fn writable(folder: &Path) -> Result<PathBuf, String> {
    let place = folder.ancestors().find(|place| files::exists(place)).unwrap_or(folder);
    let trial = place.join(format!(".roadbed-doctor-{}", host::own::pid()));
    let made = files::create_new(&trial, Access::Owner).and_then(|_| files::remove(&trial));
    match made {
        Ok(()) => Ok(place.to_owned()),
        Err(fault) => Err(format!("nothing can be written to {}: {}", place.display(), fault.source)),
    }
}

fn disk(folder: &Path) -> Finding {
    let hint = "make room: `roadbed status` names the roots, and ~/.cache/roadbed can be made again";
    match files::free_bytes(folder) {
        Ok(free) => {
            let seen = format!("{:.1} GiB free for {}", gibibytes(free), folder.display());
            match free {
                _ if free < LEAST_FREE => Finding::missing("disk", seen, hint),
                _ if free < ENOUGH_FREE => Finding::less("disk", seen, hint),
                _ => Finding::good("disk", seen),
            }
        }
        Err(fault) => Finding::missing("disk", format!("{fault}: {}", fault.source), "see whether the folder is there"),
    }
}

#[allow(clippy::cast_precision_loss, reason = "shown with one digit")]
fn gibibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Verdict;

    #[test]
    fn a_folder_that_nobody_can_write_to_is_missing() {
        // Not even root makes files there.
        let machine =
            Machine { state: Some("/proc/roadbed".into()), config: None, folder: "/proc".into(), ..Machine::default() };
        let found = look(&machine);
        for id in ["state-folder", "config-folder", "project-folder"] {
            assert_eq!(found.iter().find(|one| one.id == id).unwrap().verdict, Verdict::Missing, "{found:#?}");
        }
    }

    #[test]
    fn a_folder_that_can_be_made_is_good_and_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let wanted = folder.path().join("state/roadbed");
        let found = of_user("state-folder", "keys", Some(&wanted));
        assert_eq!(found.verdict, Verdict::Good);
        assert!(files::list(folder.path()).unwrap().is_empty(), "something was left behind");
    }
}
