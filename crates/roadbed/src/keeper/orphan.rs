//! Processes that carry our mark and belong to no unit we keep.
//!
//! A process is ours by its environment, or, since some programs write over theirs, by an output pipe of this root that it
//! holds as stdout or stderr. Our own roles keep both to themselves: they are known by their command line, which everybody may
//! see.

use std::path::Path;
use std::time::Duration;

use host::confine::group::Group;
use host::files;
use host::process::{Process, Signal, table};
use reconcile::Root;

use super::record::is_unit_name;
use super::{SPAWN_MARK, UNIT_MARK, fifo_folder};

/// A database closes its files within this; whoever needs longer recovers from its journal.
const GRACE: Duration = Duration::from_secs(5);

/// A process of an adopted unit: its own, and what it started.
#[derive(Clone, Debug)]
pub(super) struct Adopted {
    pub(super) pid: u32,
    pub(super) spawn: String,
}

/// The value of [`UNIT_MARK`] for a unit of this root.
pub(super) fn mark(root: &Root, unit: &str) -> String {
    format!("{}/{unit}", root.path().display())
}

/// Whether a process carries the mark of another root: then a record that names it was copied here.
pub(super) fn is_of_another(root: &Root, pid: u32) -> bool {
    match table::environment(pid).get(UNIT_MARK) {
        Some(mark) => unit_of_mark(root, mark).is_none(),
        None => role(&table::command_line(pid)).is_some_and(|(_, of)| !is_root(of, root)),
    }
}

/// Ends everything that carries this root's mark and belongs to none of the adopted units. Returns what was ended.
pub(super) async fn stop_strangers(root: &Root, adopted: &[Adopted]) -> Vec<String> {
    let strangers = strangers(root, adopted);
    for stranger in &strangers {
        tracing::warn!(pid = stranger.process.pid(), unit = stranger.unit, "stopping a process that no record names");
        let _ = stranger.process.signal(Signal::TERM);
    }
    let all_ended = async {
        for stranger in &strangers {
            let _ = stranger.process.ended().await;
        }
    };
    if tokio::time::timeout(GRACE, all_ended).await.is_err() {
        for stranger in &strangers {
            let _ = stranger.process.signal(Signal::KILL);
        }
        for stranger in &strangers {
            let _ = tokio::time::timeout(GRACE, stranger.process.ended()).await;
        }
    }
    strangers.into_iter().map(|stranger| stranger.unit).collect()
}

struct Stranger {
    process: Process,
    unit: String,
}

fn strangers(root: &Root, adopted: &[Adopted]) -> Vec<Stranger> {
    let own = host::own::pid();
    let fifos = fifo_folder(root);
    table::entries()
        .into_iter()
        .filter(|entry| entry.pid != own && !entry.is_dead())
        .filter_map(|entry| {
            // Opened before it is looked at: if the number changes hands in between, the signal goes to nobody.
            let process = Process::open(entry.pid).ok()?;
            let environment = table::environment(entry.pid);
            let unit = environment
                .get(UNIT_MARK)
                .and_then(|mark| unit_of_mark(root, mark))
                .or_else(|| unit_of_output(&fifos, entry.pid))
                .or_else(|| unit_of_role(root, entry.pid))?;
            let belongs = adopted.iter().any(|unit| match environment.get(SPAWN_MARK) {
                Some(spawn) => *spawn == unit.spawn,
                None => entry.session == unit.pid || entry.group == unit.pid,
            });
            (!belongs && process.is_alive()).then_some(Stranger { process, unit })
        })
        .collect()
}

fn unit_of_mark(root: &Root, mark: &str) -> Option<String> {
    let unit = mark.strip_prefix(root.path().to_str()?)?.strip_prefix('/')?;
    is_unit_name(unit).then(|| unit.to_owned())
}

fn unit_of_role(root: &Root, pid: u32) -> Option<String> {
    let line = table::command_line(pid);
    let (unit, of) = role(&line)?;
    let is_our_user = table::user(pid)?.uid == table::user(host::own::pid())?.uid;
    (is_our_user && is_root(of, root)).then(|| unit.to_owned())
}

/// Whoever started the role may have come to the root by a link.
fn is_root(path: &Path, root: &Root) -> bool {
    files::canonical(path).is_ok_and(|path| path == root.path())
}

/// Unit and root of one of our roles that is a unit, by its command line: `PROGRAM control --root ROOT`.
fn role(line: &str) -> Option<(&'static str, &Path)> {
    let (program, root) = line.split_once(" --root ")?;
    let unit = ["control", "edge", "telemetry"].into_iter().find(|unit| program.rsplit(' ').next() == Some(unit))?;
    Some((unit, Path::new(root)))
}

fn unit_of_output(fifos: &Path, pid: u32) -> Option<String> {
    [1, 2].into_iter().find_map(|descriptor| {
        let file = table::open_file(pid, descriptor)?;
        let unit = file.strip_prefix(fifos).ok()?.file_stem()?.to_str()?;
        is_unit_name(unit).then(|| unit.to_owned())
    })
}

/// Waits until nothing of one start of a unit is left. Its group was asked to go already; who left the group is asked here.
pub(super) async fn rest_gone(spawn: &str, group: u32) {
    let mut asked = Vec::new();
    loop {
        let rest = rest_of(spawn);
        if rest.is_empty() {
            return;
        }
        for (entry, process) in &rest {
            // Only once: many programs take a second SIGTERM for impatience.
            if entry.group != group && !asked.contains(&process.identity()) {
                let _ = process.signal(Signal::TERM);
                asked.push(process.identity());
            }
        }
        for (_, process) in &rest {
            let _ = process.ended().await;
        }
    }
}

/// Kills what one start of a unit left behind, wherever it moved to: two instances of a unit must never meet.
pub(super) fn kill_rest(spawn: &str) {
    for (entry, process) in rest_of(spawn) {
        tracing::warn!(pid = entry.pid, "killing a process that its unit left behind");
        let _ = process.signal(Signal::KILL);
    }
}

/// Kills whoever is left in a unit's control group: also who wrote over its environment and left every session.
pub(super) fn kill_group(group: &Group) {
    for process in group.members().into_iter().filter_map(|pid| Process::open(pid).ok()) {
        // Looked at again now that it cannot be mistaken for another.
        if process.is_alive() && group.members().contains(&process.pid()) {
            let _ = process.signal(Signal::KILL);
        }
    }
}

fn rest_of(spawn: &str) -> Vec<(table::Entry, Process)> {
    table::entries()
        .into_iter()
        .filter(|entry| !entry.is_dead())
        .filter_map(|entry| Some((entry, Process::open(entry.pid).ok()?)))
        .filter(|(entry, process)| {
            table::environment(entry.pid).get(SPAWN_MARK).is_some_and(|found| found == spawn) && process.is_alive()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn only_units_of_this_very_root_are_ours() {
        let root = Root::new(PathBuf::from("/srv/shop"));
        assert_eq!(unit_of_mark(&root, &mark(&root, "api-1")).as_deref(), Some("api-1"));
        for other in
            ["/srv/shop2/api-1", "/srv/shop/below/api-1", "/srv/shop", "/srv/shop/", "/srv/other/api-1", "api-1"]
        {
            assert_eq!(unit_of_mark(&root, other), None, "{other}");
        }
    }

    #[test]
    fn a_role_is_known_by_what_everybody_may_see_of_it() {
        assert_eq!(role("/usr/bin/roadbed control --root /srv/my shop"), Some(("control", Path::new("/srv/my shop"))));
        assert_eq!(role("/opt/a b/roadbed edge --root /srv/shop"), Some(("edge", Path::new("/srv/shop"))));
        for other in ["/usr/bin/roadbed keeper --root /srv/shop", "vi control --root", "roadbed status", ""] {
            assert_eq!(role(other), None, "{other}");
        }
    }
}
