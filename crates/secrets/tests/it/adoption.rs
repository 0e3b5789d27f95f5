//! A root that is adopted with the store in it.

use secrets::{Seat, Store, StoreFault, UserKeys};

use crate::bench::{Bench, name, set, value};

fn adopted(bench: &Bench) -> Seat {
    Seat { install: "adopted".to_owned(), ..bench.seat() }
}

#[test]
fn an_adopted_store_is_the_new_root_s_and_the_old_one_s_no_more() {
    let bench = Bench::new();
    let before = bench.store();
    set(&before, "a", "the first value").unwrap();
    set(&before, "a", "the next value").unwrap();
    let version = before.get(&name("a")).unwrap().unwrap().version;
    let store = Store::new(adopted(&bench));
    assert!(matches!(value(&store, "a"), Err(StoreFault::Foreign { .. })));
    store.take_over().unwrap();
    let found = store.get(&name("a")).unwrap().unwrap();
    assert_eq!((found.secret.expose(), found.version), ("the next value", version));
    assert_eq!(store.held(&name("a")).unwrap().len(), 2);
    assert!(matches!(value(&bench.store(), "a"), Err(StoreFault::Foreign { .. })));
    let findings = store.verify().unwrap().findings;
    assert!(findings.is_empty(), "{findings:?}");
    // Its host has an identity of its own, which is enough.
    let alone = Seat { keys: UserKeys { config: None, ..adopted(&bench).keys }, ..adopted(&bench) };
    assert_eq!(value(&Store::new(alone), "a").unwrap().unwrap(), "the next value");
    store.take_over().unwrap();
}

#[test]
fn a_store_is_adopted_by_whom_it_opens_for_and_by_nobody_else() {
    let bench = Bench::new();
    set(&bench.store(), "a", "the value of a").unwrap();
    let whole = std::fs::read(bench.seat().file).unwrap();
    let elsewhere = Bench::new();
    let strange = Seat { keys: elsewhere.seat().keys, ..adopted(&bench) };
    assert!(matches!(Store::new(strange).take_over(), Err(StoreFault::Locked { .. })));
    assert_eq!(std::fs::read(bench.seat().file).unwrap(), whole);
    // The operator's identity alone does it: on another machine, for instance.
    let config = bench.seat().keys.config;
    let operator = Seat { keys: UserKeys { state: elsewhere.seat().keys.state, config }, ..adopted(&bench) };
    Store::new(operator.clone()).take_over().unwrap();
    assert_eq!(value(&Store::new(operator), "a").unwrap().unwrap(), "the value of a");
}

#[test]
fn an_older_store_is_gone_on_with_by_adopting_it() {
    let bench = Bench::new();
    let store = bench.store();
    set(&store, "a", "the older value").unwrap();
    let older = std::fs::read(bench.seat().file).unwrap();
    set(&store, "a", "the newer value").unwrap();
    std::fs::write(bench.seat().file, older).unwrap();
    assert!(matches!(value(&bench.store(), "a"), Err(StoreFault::RolledBack { .. })));
    let store = Store::new(adopted(&bench));
    store.take_over().unwrap();
    assert_eq!(value(&store, "a").unwrap().unwrap(), "the older value");
}

#[test]
fn what_was_kept_before_is_adopted_too_and_nothing_is_nothing() {
    let bench = Bench::new();
    let store = Store::new(adopted(&bench));
    store.take_over().unwrap();
    assert!(!bench.seat().file.exists());
    let file =
        r#"{"version": 1, "root": "the one before", "values": {"a": {"version": 1, "value": "the value of a"}}}"#;
    std::fs::write(bench.seat().before, file).unwrap();
    assert!(matches!(value(&store, "a"), Err(StoreFault::Foreign { .. })));
    store.take_over().unwrap();
    assert_eq!(value(&store, "a").unwrap().unwrap(), "the value of a");
}
