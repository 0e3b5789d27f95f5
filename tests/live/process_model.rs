//! UrbanCart's own processes may come and go: a cart that was begun at one instance is there at the other.

use serde_json::Value;

use crate::stage;

#[test]
fn the_shop_keeps_nothing_in_its_processes_and_they_go_in_order() {
    let _stage = stage::enter();
    let shop = stage::urbancart();
    shop.up_with(&["--no-gate"]);
    let put = "PUT /cart/items/enamel-mug {\"quantity\": 2}";
    let ran = shop.roadbed(&["check", "process-model", "api", "--json", "--visit", put, "--visit", "/cart"]);
    let report: Value = serde_json::from_str(ran.stdout.trim()).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    assert_eq!((ran.code, &report["holds"]), (0, &Value::Bool(true)), "{report:#}");
    let observed = report["checks"].to_string();
    for seen in
        ["gave the cookies __Host-session", "GET /cart: both say the same", "PUT /cart/items/enamel-mug is under way"]
    {
        assert!(observed.contains(seen), "{seen:?} is missing in {report:#}");
    }
    // It has no page that reads a body, so what it does with a request under way cannot be tried; the rest holds.
    let ran = shop.roadbed(&["check", "process-model", "storefront", "--json"]);
    let report: Value = serde_json::from_str(ran.stdout.trim()).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    let fails: Vec<&Value> =
        report["checks"].as_array().unwrap().iter().filter(|check| check["verdict"] == "fails").collect();
    assert!(fails.is_empty(), "{report:#}");
    assert!(!shop.units().iter().any(|unit| unit.name.contains("trial")), "something is left");
}
