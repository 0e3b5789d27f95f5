//! What a store costs. `cargo test -p roadbed-secrets --test it figures -- --ignored --nocapture` shows it.

use std::time::{Duration, Instant};

use manifest::environment::Class;
use secrets::store::Setting;
use secrets::{Secret, Store};

use crate::bench::{Bench, name, service, set, value};

/// So many values that the work on them outweighs everything else.
const MANY: usize = 10_000;

fn each(times: u32, mut work: impl FnMut()) -> Duration {
    let began = Instant::now();
    (0..times).for_each(|_| work());
    began.elapsed() / times
}

#[test]
#[ignore = "it shows figures and asserts next to nothing"]
fn what_opening_reading_writing_and_exchanging_keys_costs() {
    let bench = Bench::new();
    let store = bench.store();
    println!(
        "the first value of a new store: {:?}",
        each(1, || assert_eq!(set(&store, "a", "the value of a").unwrap(), 1))
    );
    println!("open, unwrap the key and read: {:?}", each(20, || drop(value(&bench.store(), "a").unwrap())));
    let control = Store::new(service(bench.seat()));
    value(&control, "a").unwrap();
    println!("read what this process has noted: {:?}", each(200, || drop(value(&control, "a").unwrap())));
    println!("read and note: {:?}", each(50, || drop(value(&store, "a").unwrap())));
    let mut number = 0;
    let mut next = || {
        number += 1;
        set(&store, "b", &format!("value number {number}")).unwrap();
    };
    println!("set: {:?}", each(50, &mut next));
    let many: Vec<Setting<'_>> = (0..MANY)
        .map(|number| Setting {
            name: name(&format!("n{number}")),
            writing: Class::Secret.into(),
            secret: Secret::new(format!("value number {number}")),
        })
        .collect();
    println!("set {MANY} values at once: {:?}", each(1, || drop(store.set_all(&many).unwrap())));
    println!("another key for them: {:?}", each(1, || assert!(store.rekey().unwrap() > MANY)));
    println!("open, with {MANY} values: {:?}", each(10, || drop(value(&bench.store(), "a").unwrap())));
    println!("verify: {:?}", each(1, || assert!(store.verify().unwrap().findings.is_empty())));
}
