//! `roadbed ready --sabotage` itself: an environment of its own, from the first file to the last.

use std::time::Duration;

use serde_json::Value;
use testkit::Environment;

use crate::stage;

#[test]
fn all_fifteen_promises_are_broken_each_is_noticed_by_its_own_rows_and_nothing_is_left() {
    let _stage = stage::enter_with_several();
    let shop = stage::urbancart();
    let place = tempfile::tempdir().unwrap();
    let shop = shop.with_variable("TMPDIR", &place.path().display().to_string());
    let played = sabotaged(&shop);
    let counts = (&played["holds"], &played["noticed"], &played["missed"], &played["not_tried"]);
    assert_eq!(counts, (&true.into(), &15.into(), &0.into(), &0.into()), "{played:#}");
    let tasks = played["tasks"].as_array().unwrap();
    for (nth, one) in tasks.iter().enumerate() {
        assert_eq!((&one["task"], &one["outcome"]), (&format!("T{}", nth + 1).into(), &"noticed".into()), "{one:#}");
        assert!(!one["rows"].as_array().unwrap().is_empty(), "{one:#}");
        for nobody in ["blind", "strangers"] {
            assert_eq!(one[nobody], Value::Array(Vec::new()), "{one:#}");
        }
    }
    let left: Vec<_> = std::fs::read_dir(place.path()).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!shop.root().exists(), "it touched a root that is not its own");
}

fn sabotaged(shop: &Environment) -> Value {
    // Without `--root`, which every other command of the environment is given.
    let args = ["ready", "--sabotage", "--json"];
    let ran = testkit::run(shop.program(), &args, shop.project(), shop.variables(), Duration::from_secs(1200));
    ran.expect(0).json()
}
