//! `roadbed ready --sabotage` itself: an environment of its own, from the first file to the last.

use std::time::Duration;

use serde_json::Value;
use testkit::Environment;

use crate::stage;

#[test]
fn the_command_breaks_what_it_brought_up_and_leaves_nothing() {
    let _stage = stage::enter_alone();
    let shop = stage::urbancart();
    let place = tempfile::Builder::new().prefix("rs").tempdir_in("/tmp").unwrap();
    let shop = shop.with_variable("TMPDIR", &place.path().display().to_string());
    let played = sabotaged(&shop, &["--task", "T6"]);
    assert_eq!(
        (&played["holds"], &played["noticed"], &played["missed"]),
        (&true.into(), &1.into(), &0.into()),
        "{played:#}"
    );
    let task = &played["tasks"][0];
    assert_eq!((&task["task"], &task["outcome"]), (&"T6".into(), &"noticed".into()), "{played:#}");
    assert_eq!(task["rows"][0]["id"], "http-redirects", "{played:#}");
    assert_eq!(task["strangers"], Value::Array(Vec::new()), "{played:#}");
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
