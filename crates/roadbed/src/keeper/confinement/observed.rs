//! What is in force for a process, as `/proc` and the control groups show it. What was asked for only explains what is missing.

use std::path::{Path, PathBuf};

use host::confine::group::{Group, Use};
use host::process::table::{self, Credentials};
use reconcile::ports::{Confined, Observed, Safeguard, UnitKind};

use super::Missing;

/// A unit's process and what was decided for it.
#[derive(Clone, Debug)]
pub(in crate::keeper) struct Seen {
    pub(in crate::keeper) pid: u32,
    pub(in crate::keeper) kind: UnitKind,
    pub(in crate::keeper) is_confined: bool,
    pub(in crate::keeper) groups: Vec<PathBuf>,
    pub(in crate::keeper) missing: Missing,
    /// Its folder for temporary files, as we see it.
    pub(in crate::keeper) tmp: PathBuf,
    /// What it must not write; its working folder if nothing is named.
    pub(in crate::keeper) release: Vec<PathBuf>,
}

/// `None` if the process is gone.
pub(in crate::keeper) fn observe(seen: &Seen) -> Option<Confined> {
    let credentials = table::credentials(seen.pid)?;
    let user = credentials.users.first().copied()?;
    Some(Confined {
        user: own_user(seen, &credentials, user),
        no_new_privs: match credentials.no_new_privileges {
            true => yes("no program that it starts gains privileges".to_owned()),
            false => no("the kernel says that it may gain privileges".to_owned()),
        },
        cgroup: cgroup(seen),
        limits: limits(seen.pid),
        private_tmp: match table::sees(seen.pid, Path::new("/tmp"), &seen.tmp) {
            true => yes(format!("its /tmp is {}", seen.tmp.display())),
            false => no(seen.why(Safeguard::PrivateTmp, "it shares /tmp with others")),
        },
        read_only_release: release(seen, user),
    })
}

impl Seen {
    fn why(&self, safeguard: Safeguard, otherwise: &str) -> String {
        if let Some(why) = self.missing.get(&safeguard) {
            return why.clone();
        }
        if self.is_confined {
            return otherwise.to_owned();
        }
        match self.kind {
            UnitKind::Edge | UnitKind::Control => {
                "it brings the keeper back after a crash, so it runs as the keeper does"
            }
            UnitKind::App => "a development server writes where its sources are, so it runs as the keeper does",
            UnitKind::Telemetry => "it reads what all others write, so it runs as the keeper does",
            UnitKind::Store => "it runs as the keeper does",
        }
        .to_owned()
    }
}

fn own_user(seen: &Seen, credentials: &Credentials, user: u32) -> Observed {
    let keeper = table::credentials(host::own::pid()).and_then(|own| own.users.first().copied());
    let is_one = credentials.users.iter().all(|other| *other == user);
    let is_alone = credentials.groups.iter().all(|group| *group == user);
    match (Some(user) != keeper, is_one && is_alone && credentials.capabilities == 0) {
        (true, true) => yes(format!("user {user}, no other group, no capability")),
        (true, false) => no(format!("user {user}, but with other groups or capabilities")),
        (false, _) => no(format!("user {user}, as the keeper: {}", seen.why(Safeguard::OwnUser, "it was not changed"))),
    }
}

fn cgroup(seen: &Seen) -> Observed {
    let group = Group::known(seen.groups.clone());
    if !group.has(seen.pid) {
        return no(seen.why(Safeguard::Cgroup, "it is in no group of its own"));
    }
    let Use { limits, memory, processes, .. } = group.used();
    let of = |limit: Option<u64>, show: fn(u64) -> String| limit.map_or_else(|| "no limit".to_owned(), show);
    yes(format!(
        "memory {} of {}, processes {} of {}, cpu {}",
        memory.map_or_else(|| "?".to_owned(), bytes),
        of(limits.memory, bytes),
        processes.map_or_else(|| "?".to_owned(), |count| count.to_string()),
        of(limits.processes, |count| count.to_string()),
        of(limits.cpu, |thousandths| format!("{}.{:03}", thousandths / 1000, thousandths % 1000)),
    ))
}

pub(in crate::keeper) fn bytes(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    if bytes >= MIB { format!("{} MiB", bytes / MIB) } else { format!("{} KiB", bytes / 1024) }
}

fn limits(pid: u32) -> Observed {
    let shown = [("core file", "Max core file size"), ("open files", "Max open files"), ("processes", "Max processes")]
        .map(|(name, key)| (name, table::limit(pid, key).unwrap_or_else(|| "?".to_owned())));
    // One byte is no image either, see `host::own::leave_no_core_dump`.
    let in_force = matches!(shown[0].1.as_str(), "0" | "1");
    let shown = shown.map(|(name, limit)| match (name, in_force) {
        ("core file", true) => "no core file".to_owned(),
        (name, _) => format!("{name} {limit}"),
    });
    let detail = shown.join(", ");
    if in_force { yes(detail) } else { no(detail) }
}

fn release(seen: &Seen, user: u32) -> Observed {
    let user = host::confine::User(user);
    for path in &seen.release {
        let shown = path.display();
        match table::is_read_only(seen.pid, path) {
            Some(true) => {}
            None => return no(format!("it does not see {shown}")),
            // Root may write whatever is not mounted read-only.
            Some(false) if user.0 == 0 || user.may_write(path) => {
                return no(seen.why(Safeguard::ReadOnlyRelease, &format!("it may write {shown}")));
            }
            Some(false) => return yes(format!("{shown} is another user's")),
        }
    }
    match seen.release.first() {
        Some(path) => yes(format!("{} is mounted read-only for it", path.display())),
        None => no(seen.why(Safeguard::ReadOnlyRelease, "nothing is known of its release")),
    }
}

fn yes(detail: String) -> Observed {
    Observed { in_force: true, detail }
}

fn no(detail: String) -> Observed {
    Observed { in_force: false, detail }
}
