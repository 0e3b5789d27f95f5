//! A machine that lets root be another user and mount nothing, as a plain container does.

#![allow(clippy::disallowed_methods, reason = "a test looks from outside")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A root with data, secrets and a release beside it, and a keeper's means without mounts and groups.
fn machine() -> (tempfile::TempDir, Root, Means, Confinement) {
    let folder = tempfile::tempdir().unwrap();
    set_mode(folder.path(), 0o755);
    let root = Root::new(folder.path().join("root"));
    let release = folder.path().join("release");
    for path in [root.data("redis"), root.secrets(), root.run()] {
        files::create_dir(&path, Access::Owner).unwrap();
    }
    files::create_dir(&release, Access::Everyone).unwrap();
    files::write(&root.secret_store(), b"the secrets", Access::Owner).unwrap();
    let means = Means {
        users: Users::open_in(&root, &folder.path().join("claims")),
        views: Err("no mounts here".to_owned()),
        groups: Err("no groups here".to_owned()),
        ceiling: std::sync::Mutex::default(),
    };
    let wanted = Confinement { release: vec![release], data: vec![root.data("redis")], ..Confinement::default() };
    (folder, root, means, wanted)
}

fn decide(root: &Root, means: &Means, wanted: &Confinement) -> Result<Decided, Fault> {
    let subject = Subject {
        name: "redis",
        program: Path::new("/bin/sh"),
        cwd: &wanted.data[0],
        limits: Limits::default(),
        confinement: Some(wanted),
    };
    means.decide(root, &subject)
}

#[test]
fn without_mounts_the_ways_to_what_a_unit_needs_are_opened_and_nothing_else() {
    if !host::own::is_root() {
        return;
    }
    let (_folder, root, means, wanted) = machine();
    let decided = decide(&root, &means, &wanted).unwrap();
    let user = decided.confine.as_ref().unwrap().user;
    assert!(decided.confine.unwrap().view.is_none());
    assert_eq!(decided.missing.keys().copied().collect::<Vec<_>>(), [Safeguard::Cgroup, Safeguard::PrivateTmp]);
    for way in [root.path(), root.data("redis").parent().unwrap(), root.tmp_of("redis").parent().unwrap()] {
        assert_eq!(mode(way), 0o711, "{}", way.display());
    }
    for own in [root.data("redis"), root.tmp_of("redis")] {
        assert_eq!((mode(&own), fs::metadata(&own).unwrap().uid()), (0o700, user.0), "{}", own.display());
    }
    for closed in [root.secrets(), root.run(), root.state()] {
        assert_eq!(mode(&closed), 0o700, "{}", closed.display());
    }
    assert_eq!(mode(&root.secret_store()), 0o600);
    let tmp = root.tmp_of("redis").display().to_string();
    assert_eq!(decided.env, [("TMPDIR", tmp.clone()), ("HOME", tmp)]);
}

#[test]
fn a_folder_that_is_in_the_way_is_named_and_what_requires_a_user_does_not_start() {
    if !host::own::is_root() {
        return;
    }
    let (folder, root, means, mut wanted) = machine();
    set_mode(folder.path(), 0o700);
    let decided = decide(&root, &means, &wanted).unwrap();
    assert!(decided.confine.is_none());
    let why = &decided.missing[&Safeguard::OwnUser];
    assert!(why.starts_with("other users cannot get to"), "{why}");
    wanted.require = vec![Safeguard::OwnUser];
    let fault = decide(&root, &means, &wanted).unwrap_err();
    assert!(fault.causes[0].contains("own-user") && fault.hint.unwrap().contains("require"));
}
