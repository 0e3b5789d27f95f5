//! The file of 0600 that was there before the sealed store.

use crate::bench::{Bench, name, set, value};
use secrets::{StoreFault, VersionState};

const FILE: &str = r#"{"version": 1, "values": {
    "mongodb/admin": {"version": 3, "value": "the third password", "previous": {"version": 2, "value": "the second password"}},
    "var/TOKEN": {"version": 1, "value": "short", "pending": {"version": 2, "value": "the token that follows"}}
}}"#;

fn with_file(bench: &Bench, text: &str) {
    std::fs::write(bench.seat().before, text).unwrap();
}

fn is_taken_in(bench: &Bench) {
    let store = bench.store();
    assert_eq!(value(&store, "mongodb/admin").unwrap().unwrap(), "the third password");
    let states = |of: &str| -> Vec<(u32, VersionState)> {
        store.accepted(&name(of)).unwrap().into_iter().map(|found| (found.version, found.state)).collect()
    };
    assert_eq!(states("mongodb/admin"), [(3, VersionState::Current), (2, VersionState::Previous)]);
    assert_eq!(states("var/TOKEN"), [(1, VersionState::Current), (2, VersionState::Pending)]);
    let left: Vec<_> = std::fs::read_dir(bench.path("root")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("json") && name != "audit-head.json"), "{left:?}");
    assert_eq!(store.verify().unwrap().findings, []);
}

#[test]
fn what_was_kept_before_is_sealed_and_the_file_is_wiped() {
    let bench = Bench::new();
    with_file(&bench, FILE);
    assert_eq!(bench.store().names().unwrap(), [name("mongodb/admin"), name("var/TOKEN")]);
    is_taken_in(&bench);
}

#[test]
fn a_taking_in_that_was_cut_off_is_gone_on_with() {
    // After the values were sealed, before the file was renamed.
    let bench = Bench::new();
    with_file(&bench, FILE);
    is_taken_in(&bench);
    with_file(&bench, FILE);
    is_taken_in(&bench);
    // In the midst of writing zeros over it.
    let wiping = bench.seat().before.with_extension("json.wiping");
    std::fs::write(&wiping, [vec![0; 100], FILE.as_bytes()[100..].to_vec()].concat()).unwrap();
    value(&bench.store(), "mongodb/admin").unwrap();
    assert!(!wiping.exists());
    is_taken_in(&bench);
}

#[test]
fn a_file_with_other_values_than_the_store_is_touched_by_nobody() {
    let bench = Bench::new();
    set(&bench.store(), "mongodb/admin", "a password of its own").unwrap();
    with_file(&bench, FILE);
    assert!(matches!(value(&bench.store(), "mongodb/admin"), Err(StoreFault::TwoStores { .. })));
    assert_eq!(std::fs::read_to_string(bench.seat().before).unwrap(), FILE);
}

#[test]
fn a_file_that_is_damaged_newer_or_another_root_s_is_refused_and_stays() {
    let bench = Bench::new();
    let strange = FILE.replacen("\"version\": 1,", "\"version\": 1, \"root\": \"another\",", 1);
    let newer = FILE.replacen("\"version\": 1,", "\"version\": 2,", 1);
    for text in ["", "{", &FILE[..FILE.len() / 2], &strange, &newer] {
        with_file(&bench, text);
        let fault = value(&bench.store(), "mongodb/admin").unwrap_err();
        let shown = format!("{fault} {fault:?}");
        assert!(!shown.contains("password"), "{shown}");
        match fault {
            StoreFault::Foreign { .. } => assert_eq!(text, strange),
            StoreFault::Newer { .. } => assert_eq!(text, newer),
            StoreFault::Damaged { .. } => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(std::fs::read_to_string(bench.seat().before).unwrap(), text);
    }
    with_file(&bench, FILE);
    is_taken_in(&bench);
}
