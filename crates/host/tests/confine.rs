//! Children that are kept to their own business. Most of it takes root; without, the fallback is what is seen.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use host::confine::group::{self, Groups};
use host::confine::{Change, Confine, Manner, Show, User, View, ownership, view};
use host::process::{self, Exit, Limits, Process, Spawn, table};

const USER: User = User(1_900_000_017);

fn shell(script: &str, confine: &Confine, limits: Limits, join: Option<&group::Group>) -> (String, Exit) {
    let (mut read, write) = io::pipe().unwrap();
    let env = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
    let spawn = Spawn {
        program: Path::new("/bin/sh"),
        args: &["-c".to_owned(), script.to_owned()],
        cwd: Path::new("/"),
        env: &env,
        stderr: write.try_clone().unwrap().into(),
        stdout: write.into(),
        inherited: &[],
        limits,
        confine: Some(confine),
    };
    let mut join = |process: &Process| join.map_or(Ok(()), |group| group.join(process.pid())).map_err(io::Error::other);
    let process = process::spawn(spawn, &mut join);
    let mut text = String::new();
    read.read_to_string(&mut text).unwrap();
    let process = process.unwrap_or_else(|error| panic!("{error}: {:?} {text}", std::error::Error::source(&error)));
    let exit = loop {
        if let Some(exit) = process.reap().unwrap() {
            break exit;
        }
        std::thread::yield_now();
    };
    (text, exit)
}

/// Without root nothing of this can be had, and whoever tries is told so.
fn without_root() -> bool {
    if host::own::is_root() {
        return false;
    }
    assert!(ownership::give(Path::new("/usr"), USER, ownership::Gift::Whole).is_err());
    true
}

#[test]
fn a_user_of_its_own_has_no_groups_no_capabilities_and_no_way_back() {
    if without_root() {
        return;
    }
    let confine = Confine { user: USER, view: None };
    let script = "id -u; id -g; id -G; umask; ulimit -Hc; grep -E '^(Cap|NoNew)' /proc/self/status; cat /etc/shadow";
    let (said, _) = shell(script, &confine, Limits::default(), None);
    let id = USER.0;
    assert!(said.starts_with(&format!("{id}\n{id}\n{id}\n0077\n0\n")), "{said}");
    for line in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map(|name| format!("{name}:\t0000000000000000\n")) {
        assert!(said.contains(&line), "no {line} in {said}");
    }
    assert!(said.contains("NoNewPrivs:\t1\n") && said.contains("Permission denied"), "{said}");
}

#[test]
fn in_its_view_covered_folders_hold_what_is_shown_and_nothing_else() {
    if without_root() || view::is_possible().is_err() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let private = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    for folder in ["release", "data", "secrets"] {
        fs::create_dir(path(folder)).unwrap();
        fs::write(path(folder).join("file"), folder).unwrap();
        fs::set_permissions(path(folder), fs::Permissions::from_mode(0o777)).unwrap();
    }
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
    ownership::give(&path("data"), USER, ownership::Gift::Whole).unwrap();
    ownership::give(private.path(), USER, ownership::Gift::Whole).unwrap();
    let show = |what: PathBuf, at: &Path, manner| Show { what, at: at.to_owned(), manner };
    let view = View(vec![
        Change::Show(show(private.path().to_owned(), Path::new("/tmp"), Manner::Writable)),
        Change::Cover(PathBuf::from("/var")),
        Change::Show(show(path("data"), &path("data"), Manner::Writable)),
        Change::Show(show(path("release"), &path("release"), Manner::ReadOnly)),
    ]);
    let confine = Confine { user: USER, view: Some(view) };
    let script = format!(
        "cd {}; cat release/file data/file; ls secrets; echo x >release/new; echo x >data/new && echo written; \
         echo x >/tmp/mine; ls -A /var /tmp",
        home.path().display()
    );
    let (said, _) = shell(&script, &confine, Limits::default(), None);
    assert!(said.starts_with("releasedata"), "{said}");
    assert!(said.contains("Read-only file system") && said.contains("written\n"), "{said}");
    assert!(said.contains("/var: Permission denied") || said.contains("cannot open directory '/var'"), "{said}");
    assert!(said.contains("secrets") && said.contains("No such file"), "{said}");
    assert!(private.path().join("mine").exists(), "its /tmp is its own folder");
    assert!(!Path::new("/tmp/mine").exists());
}

#[test]
fn a_group_counts_limits_and_kills_and_its_death_is_known() {
    let name = format!("roadbed-host-test-{}", std::process::id());
    let groups = match Groups::make(&name) {
        Ok(groups) => groups,
        // No root, or no control groups: said so, with a reason.
        Err(why) => return assert!(!why.to_string().is_empty()),
    };
    let limits = group::Limits { memory: Some(48 << 20), processes: Some(8), cpu: Some(500) };
    let group = groups.group("unit", &limits).unwrap();
    assert_eq!(group.used().limits, limits);
    let confine = Confine { user: USER, view: None };
    let own = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 0.2 & done; wait";
    let (said, _) = shell(own, &confine, Limits::default(), Some(&group));
    assert!(said.contains("ork"), "more than 8 processes were refused: {said}");

    let greedy = "exec dd if=/dev/zero of=/dev/null bs=200M count=1";
    let (_, exit) = shell(greedy, &confine, Limits::default(), Some(&group));
    assert_eq!(exit, Exit::Signal(9));
    assert!(group.used().killed_for_memory >= 1);

    // A group of a unit that is gone is swept; one that is kept is not.
    let folders: BTreeSet<PathBuf> = groups.folders().iter().cloned().collect();
    group::sweep(&folders, &group.folders().iter().cloned().collect());
    assert!(group.folders().iter().all(|folder| folder.exists()));
    group::sweep(&folders, &BTreeSet::new());
    assert!(folders.iter().all(|folder| !folder.exists()));
    assert!(table::entry(std::process::id()).is_some());
}
