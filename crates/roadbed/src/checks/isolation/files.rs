//! Files, sockets and processes of another environment, tried as whoever our apps run as.
//!
//! Where apps have Unix users of their own, each of them tries. Where everything of this user's runs as one user, the system
//! draws no line between two environments, and that is said; what can be tried then is that the line around each root holds
//! against everybody else.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use host::files;
use host::intruder::{Door, NOBODY, Tried, User, may_become_others, own_user, try_all_as};
use host::process::table;
use manifest::environment::Safeguard;
use reconcile::Root;

use super::neighbour::Neighbour;
use super::{Cells, Ours};

/// Our own root is closed to other users of the machine.
pub(super) fn closed_to_strangers(ours: &Ours<'_>, cells: &mut Cells) {
    cells.about("anybody else → ours".to_owned());
    try_as_stranger(ours.root, &ours.apps, cells);
    cells.about.clear();
}

/// The other's root is closed to our apps, as far as they are somebody else.
pub(super) fn try_doors(ours: &Ours<'_>, other: &Neighbour, cells: &mut Cells) {
    let owner = match files::metadata(other.root.path()) {
        Ok(meta) => meta.uid(),
        Err(fault) => return cells.untried(format!("its files: {fault}")),
    };
    let processes = other.up.as_ref().map(|up| super::neighbour::apps(&up.units)).unwrap_or_default();
    let mut users: BTreeMap<User, Vec<&str>> = BTreeMap::new();
    for (app, pid) in &ours.apps {
        if let Some(user) = table::user(*pid) {
            users.entry(user).or_default().push(app);
        }
    }
    for (user, apps) in users {
        let apps = apps.join(", ");
        if user.uid == owner && ours.environment.require.contains(&Safeguard::OwnUser) {
            cells.bad(format!(
                "our {apps} run as the user {owner}, who owns its files too, though own users are required"
            ));
        } else if user.uid == owner {
            cells.good(format!(
                "our {apps} run as the user {owner}, who owns its files too: against these the system draws no line \
                 between the two, and nothing here asks it to"
            ));
            try_as_stranger(&other.root, &processes, cells);
        } else if may_become_others() {
            try_as(user, &format!("as our {apps} (user {})", user.uid), &other.root, &processes, cells);
        } else {
            cells.untried(format!("as our {apps} (user {}): only root can", user.uid));
        }
    }
}

/// As a user who owns nothing; without the right to be somebody else for a moment, by looking at the mode.
fn try_as_stranger(root: &Root, processes: &[(String, u32)], cells: &mut Cells) {
    if may_become_others() {
        return try_as(NOBODY, &format!("as the user {}, who owns nothing", NOBODY.uid), root, processes, cells);
    }
    match files::metadata(root.path()).map(|meta| meta.mode() & 0o777) {
        Ok(mode) if mode & 0o077 == 0 => cells.good(format!(
            "the root is closed to others by its mode {mode:03o} (looked at: only root can try as another user than {})",
            own_user().uid
        )),
        Ok(mode) => cells.bad(format!("{} is open to others by its mode {mode:03o}", root.path().display())),
        Err(fault) => cells.untried(format!("the root's mode: {fault}")),
    }
}

fn try_as(user: User, who: &str, root: &Root, processes: &[(String, u32)], cells: &mut Cells) {
    let named = doors(root, processes);
    let doors: Vec<Door> = named.iter().map(|(_, door)| door.clone()).collect();
    let tried = match try_all_as(user, &doors) {
        Ok(tried) => tried,
        Err(error) => return cells.untried(format!("{who}: {error}")),
    };
    let mut refused = Vec::new();
    for ((name, _), tried) in named.iter().zip(tried) {
        match tried {
            Tried::Refused => refused.push(name.as_str()),
            // Removed since we listed it.
            Tried::Absent => {}
            Tried::Opened => cells.bad(format!("{who}, {name}: opened")),
            Tried::Otherwise(how) => cells.bad(format!("{who}, {name}: not refused ({how})")),
        }
    }
    if !refused.is_empty() {
        cells.good(format!("{who}, each refused: {}", refused.join(", ")));
    }
}

/// What of a root is worth trying, as far as it is there.
fn doors(root: &Root, processes: &[(String, u32)]) -> Vec<(String, Door)> {
    let read = [
        root.identity(),
        root.secret_store(),
        root.tls().join("ca.json"),
        root.tls().join("leaf.json"),
        root.state().join("journal.db"),
        root.state().join("evidence.db"),
        root.state().join("wanted.json"),
        root.conf().join("mongodb/keyfile"),
        root.conf().join("redis/users.acl"),
        root.conf().join("redis/certificate.pem"),
        root.conf().join("redis-cache/users.acl"),
        root.conf().join("redis-cache/certificate.pem"),
        root.access_log(),
    ];
    let write = [root.secret_store(), root.state().join("journal.db"), root.routes().join("routes.json")];
    let list = [root.path().to_owned(), root.data("mongodb"), root.data("redis"), root.logs()];
    let connect = [root.keeper_socket(), root.control_socket(), root.lifeline_socket(), root.edge_socket()];
    let mut doors = Vec::new();
    let mut add = |verb: &str, paths: &[PathBuf], door: fn(PathBuf) -> Door| {
        for path in paths.iter().filter(|path| files::exists(path)) {
            doors.push((format!("{verb} {}", shown(root, path)), door(path.clone())));
        }
    };
    add("list", &list, Door::List);
    add("read", &read, Door::Read);
    add("write", &write, Door::Write);
    add("connect to", &connect, Door::Connect);
    for (app, pid) in processes {
        doors.push((format!("signal {app}"), Door::Signal(*pid)));
        doors.push((format!("read the variables of {app}"), Door::Read(format!("/proc/{pid}/environ").into())));
    }
    doors
}

fn shown(root: &Root, path: &Path) -> String {
    match path.strip_prefix(root.path()) {
        Ok(inner) if !inner.as_os_str().is_empty() => inner.display().to_string(),
        _ => "the root".to_owned(),
    }
}
