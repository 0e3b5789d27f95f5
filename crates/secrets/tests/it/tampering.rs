//! A file that somebody else wrote in.

use rusqlite::Connection;
use secrets::StoreFault;

use crate::bench::{Bench, set, value};

/// Each column that says something about a value, a key or a recipient.
const CHANGES: [&str; 27] = [
    "UPDATE versions SET name = 'z' WHERE name = 'a'; UPDATE sealed_values SET name = 'z' WHERE name = 'a'; UPDATE versions SET name = 'a' WHERE name = 'b'; UPDATE sealed_values SET name = 'a' WHERE name = 'b'",
    "UPDATE versions SET version = 7 WHERE name = 'a'; UPDATE sealed_values SET version = 7 WHERE name = 'a'",
    "UPDATE versions SET class = 'internal' WHERE name = 'a'",
    "UPDATE versions SET created = created + 1 WHERE name = 'a'",
    "UPDATE versions SET changed = changed + 1 WHERE name = 'a'",
    "UPDATE versions SET fingerprint = x'00' WHERE name = 'a'",
    "UPDATE versions SET fingerprint_key = x'00' WHERE name = 'a'",
    "UPDATE versions SET kver = 0 WHERE name = 'a'",
    "UPDATE versions SET kver = 9 WHERE name = 'a'",
    "UPDATE versions SET dek = x'00' WHERE name = 'a'",
    "UPDATE versions SET dek = NULL WHERE name = 'a'",
    "UPDATE versions SET dek = (SELECT dek FROM versions WHERE name = 'b') WHERE name = 'a'",
    "UPDATE versions SET state = 'gone' WHERE name = 'a'",
    "UPDATE versions SET state = 'current' WHERE name = 'c' AND version = 1; UPDATE versions SET state = 'retired' WHERE name = 'c' AND version = 2; UPDATE versions SET name = 'x' WHERE name = 'a'; UPDATE versions SET name = 'a' WHERE name = 'c'",
    "UPDATE sealed_values SET sealed = (SELECT sealed FROM sealed_values WHERE name = 'b') WHERE name = 'a'",
    "UPDATE sealed_values SET sealed = x'' WHERE name = 'a'",
    "DELETE FROM sealed_values WHERE name = 'a'",
    "UPDATE store SET kver = 2",
    "UPDATE store SET signer = x'00'",
    "UPDATE store SET signer_public = x'00'",
    "UPDATE keys SET wrapped = x'00'",
    "UPDATE recipients SET key = (SELECT key FROM recipients WHERE name = 'operator') WHERE name = 'host'",
    "UPDATE recipients SET proved = proved + 1 WHERE name = 'host'",
    "UPDATE recipients SET added = added + 1 WHERE name = 'host'",
    "UPDATE recipients SET kind = 'person' WHERE name = 'host'",
    "UPDATE recipients SET name = 'eve' WHERE name = 'host'",
    "UPDATE recipients SET tag = x'00' WHERE name = 'host'",
];

#[test]
fn a_row_that_somebody_else_wrote_opens_nothing() {
    let bench = Bench::new();
    let store = bench.store();
    for (of, text) in
        [("a", "the value of a"), ("b", "the value of b"), ("c", "the first of c"), ("c", "the next of c")]
    {
        set(&store, of, text).unwrap();
    }
    drop(store);
    let file = bench.seat().file;
    let whole = std::fs::read(&file).unwrap();
    for change in CHANGES {
        std::fs::write(&file, &whole).unwrap();
        Connection::open(&file).unwrap().execute_batch(change).unwrap();
        let opened = value(&bench.store(), "a");
        assert!(opened.is_err(), "{change}\n{opened:?}");
    }
    std::fs::write(&file, &whole).unwrap();
    assert_eq!(value(&bench.store(), "a").unwrap().unwrap(), "the value of a");
}

#[test]
fn a_recipient_that_somebody_wrote_into_the_file_is_given_no_key() {
    let bench = Bench::new();
    set(&bench.store(), "a", "the value of a").unwrap();
    let connection = Connection::open(bench.seat().file).unwrap();
    connection
        .execute_batch(
            "INSERT INTO recipients SELECT 'eve', 'person', key, added, proved, answer, tag FROM recipients WHERE name = 'host'",
        )
        .unwrap();
    let refused = bench.store().rekey();
    assert!(matches!(&refused, Err(StoreFault::Tampered { what }) if what.contains("eve")), "{refused:?}");
}

#[test]
fn a_store_that_is_not_whole_is_not_an_empty_one_and_stays_as_it_is() {
    let bench = Bench::new();
    set(&bench.store(), "a", "the value of a").unwrap();
    let file = bench.seat().file;
    let whole = std::fs::read(&file).unwrap();
    let mut scribbled = whole.clone();
    scribbled[4096..8192].fill(0xab);
    let nothing_like_it = b"{\"version\": 1}".to_vec();
    for damaged in [Vec::new(), whole[..1].to_vec(), whole[..whole.len() / 2].to_vec(), scribbled, nothing_like_it] {
        std::fs::write(&file, &damaged).unwrap();
        for refused in [value(&bench.store(), "a").map(drop), set(&bench.store(), "a", "another value").map(drop)] {
            let fault = refused.unwrap_err();
            assert!(matches!(fault, StoreFault::Damaged { .. }), "{} bytes: {fault:?}", damaged.len());
        }
        assert_eq!(std::fs::read(&file).unwrap(), damaged, "the evidence of the damage stays");
    }
}

#[test]
fn a_store_of_a_newer_roadbed_is_refused() {
    let bench = Bench::new();
    set(&bench.store(), "a", "the value of a").unwrap();
    Connection::open(bench.seat().file).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let fault = value(&bench.store(), "a").unwrap_err();
    assert!(matches!(fault, StoreFault::Newer { .. }), "{fault:?}");
    assert!(fault.hint().contains("the Roadbed that wrote it"));
}

#[test]
fn the_store_of_another_root_or_environment_is_refused() {
    let bench = Bench::new();
    set(&bench.store(), "a", "the value of a").unwrap();
    for seat in [
        secrets::Seat { install: "another".to_owned(), ..bench.seat() },
        secrets::Seat { environment: "staging".to_owned(), ..bench.seat() },
    ] {
        let other = secrets::Store::new(seat);
        assert!(matches!(value(&other, "a"), Err(StoreFault::Foreign { .. })));
        assert!(matches!(other.names(), Err(StoreFault::Foreign { .. })));
        assert!(matches!(set(&other, "a", "another value"), Err(StoreFault::Foreign { .. })));
    }
}
