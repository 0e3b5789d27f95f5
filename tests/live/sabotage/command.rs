//! `roadbed ready --sabotage` itself: an environment of its own, from the first file to the last.

use std::time::Duration;

use serde_json::Value;
use testkit::Environment;

use crate::stage;

#[test]
fn the_command_breaks_what_it_brought_up_and_leaves_nothing() {
    let _stage = stage::enter_with_several();
    let shop = stage::urbancart();
    let place = tempfile::tempdir().unwrap();
    let shop = shop.with_variable("TMPDIR", &place.path().display().to_string());
    let played = sabotaged(&shop, &["--task", "T3", "--task", "T6"]);
    let counts = (&played["holds"], &played["noticed"], &played["missed"], &played["not_tried"]);
    assert_eq!(counts, (&true.into(), &2.into(), &0.into(), &0.into()), "{played:#}");
    for (nth, (task, row)) in
        [("T3", "mongodb-gives-least-privilege"), ("T6", "http-redirects")].into_iter().enumerate()
    {
        let one = &played["tasks"][nth];
        assert_eq!((&one["task"], &one["outcome"]), (&task.into(), &"noticed".into()), "{played:#}");
        assert_eq!(one["rows"][0]["id"], row, "{played:#}");
        assert_eq!(one["strangers"], Value::Array(Vec::new()), "{played:#}");
    }
    let left: Vec<_> = std::fs::read_dir(place.path()).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!shop.root().exists(), "it touched a root that is not its own");
}

fn sabotaged(shop: &Environment, more: &[&str]) -> Value {
    // Without `--root`, which every other command of the environment is given.
    let args = [&["ready", "--sabotage", "--json"], more].concat();
    let ran = testkit::run(shop.program(), &args, shop.project(), shop.variables(), Duration::from_secs(400));
    ran.expect(0).json()
}
