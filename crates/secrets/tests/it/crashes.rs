//! kill -9 in the midst of writing.

use crate::bench::{Bench, set, value};
use crate::child;

/// Where the child is killed: after so many acknowledged writes, somewhere in the next one.
const ROUNDS: [usize; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 17];

#[test]
fn what_was_acknowledged_before_a_kill_is_there_and_the_log_is_whole() {
    let bench = Bench::new();
    let mut last = 0;
    for acknowledged in ROUNDS {
        let mut process = child::start("writes_without_end", &bench.path(""), "a");
        for version in child::said(&mut process).take(acknowledged) {
            last = version.parse().unwrap();
        }
        process.kill().unwrap();
        process.wait().unwrap();
        let store = bench.store();
        let found = store.get(&secrets::SecretName::new("a")).unwrap();
        match found {
            None => assert_eq!(last, 0),
            Some(found) => {
                // One more may have been written and not acknowledged.
                assert!(found.version >= last, "version {} was acknowledged, {} is there", last, found.version);
                assert!(found.secret.expose().starts_with("value of a, round "));
                last = found.version;
            }
        }
        let verdict = store.verify().unwrap();
        assert_eq!(verdict.findings, [], "after {acknowledged} writes");
    }
    set(&bench.store(), "b", "and it can be written to").unwrap();
    assert_eq!(value(&bench.store(), "b").unwrap().unwrap(), "and it can be written to");
}
