//! Several threads and processes at one store.

use crate::bench::{Bench, name, set, value};
use crate::child;
use manifest::environment::Class;

#[test]
fn all_threads_that_ask_at_once_get_the_same_value_and_lose_nothing() {
    let bench = Bench::new();
    let shared = bench.store();
    let values: Vec<String> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..8)
            .map(|number| {
                let (bench, shared) = (&bench, &shared);
                scope.spawn(move || {
                    // Half of them have a store of their own.
                    let own = bench.store();
                    let store = if number % 2 == 0 { shared } else { &own };
                    set(store, &format!("w{number}"), &format!("the value of {number}")).unwrap();
                    store.get_or_generate(&name("shared"), Class::Secret).unwrap().secret.expose().to_owned()
                })
            })
            .collect();
        asking.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(values.iter().all(|value| *value == values[0]), "more than one value for one name");
    assert_eq!(bench.store().names().unwrap().len(), 9);
    assert_eq!(bench.store().verify().unwrap().findings, []);
}

#[test]
fn processes_that_write_at_once_lose_nothing_while_keys_are_exchanged() {
    let bench = Bench::new();
    let writers = ["0", "1", "2", "3"];
    let mut children: Vec<_> =
        writers.iter().map(|writer| child::start("writes_ten_values", &bench.path(""), writer)).collect();
    let shared: Vec<String> = children.iter_mut().map(|child| child::said(child).last().unwrap()).collect();
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    assert!(shared.iter().all(|value| *value == shared[0]), "more than one value for one name");
    let store = bench.store();
    for writer in writers {
        for number in 0..10 {
            let expected = format!("value of {writer}, number {number}");
            assert_eq!(value(&store, &format!("{writer}/{number}")).unwrap(), Some(expected));
        }
    }
    assert_eq!(store.verify().unwrap().findings, []);
}
