//! The processes of one root, found without asking Roadbed.

use std::path::Path;
use std::time::Duration;

use host::process::{Process, Signal, table};

use crate::wait_until;

/// The variable by which the keeper marks its children: `ROOT/UNIT`.
const MARK: &str = "ROADBED_UNIT";

/// Every living process of `root` with the unit it belongs to: the children by their mark or, where a program wrote over its
/// environment, by their output pipe; the roles by their command line.
pub fn processes_of(root: &Path) -> Vec<(u32, String)> {
    let own = std::process::id();
    table::entries()
        .into_iter()
        .filter(|entry| entry.pid != own && !entry.is_dead())
        .filter_map(|entry| Some((entry.pid, unit_of(root, entry.pid)?)))
        .collect()
}

fn unit_of(root: &Path, pid: u32) -> Option<String> {
    let marked = table::environment(pid)
        .get(MARK)
        .and_then(|mark| Some(Path::new(mark).strip_prefix(root).ok()?.display().to_string()));
    let by_output = || {
        let pipe = [1, 2].into_iter().find_map(|descriptor| table::open_file(pid, descriptor))?;
        let name = pipe.strip_prefix(root.join("run/fifo")).ok()?;
        Some(name.file_stem()?.display().to_string())
    };
    let by_role = || {
        let line = table::command_line(pid);
        let (program, root_given) = line.split_once(" --root ")?;
        let role = program.rsplit(' ').next()?;
        let is_role = ["keeper", "control", "edge"].contains(&role);
        (is_role && Path::new(root_given) == root).then(|| role.to_owned())
    };
    marked.or_else(by_output).or_else(by_role)
}

/// Kills what is left of `root`, until nothing is: a survivor may start others in between.
pub(crate) fn kill_all(root: &Path) {
    wait_until("nothing is left of the root", Duration::from_secs(20), || {
        let left = processes_of(root);
        if left.is_empty() {
            return Ok(());
        }
        for (pid, _) in &left {
            // Opened, then looked at again: if the number changed hands in between, nobody is killed.
            if let Ok(process) = Process::open(*pid)
                && unit_of(root, *pid).is_some()
            {
                let _ = process.signal(Signal::KILL);
            }
        }
        Err(format!("{left:?}"))
    });
}
