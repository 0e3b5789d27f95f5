//! MongoDB with three members, as production has it: the shop sells on while members are killed and lose what they have.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Environment, processes_of, wait_until};

use crate::stage;

/// An election of two seconds, a driver that notices, and a busy machine.
const SELLS_AGAIN_WITHIN: Duration = Duration::from_secs(40);

#[test]
fn production_sells_on_when_its_primary_is_killed_and_when_a_member_loses_its_data() {
    let _stage = stage::enter();
    let shop = stage::urbancart().with_flags(&["--env", "production"]);
    shop.up_with(&["--no-gate", "--free-ports"]);
    let mut orders = vec![order(&shop, "first")];

    let primary = in_state(&shop, "primary").remove(0);
    assert_eq!(in_state(&shop, "secondary").len(), 2, "{:#}", shop.status());
    let said = shop.roadbed(&["status"]).stdout;
    assert!(said.contains(&format!("mongodb: {primary} is primary; ")), "{said}");
    shop.kill9(&primary);
    orders.push(order(&shop, "after the primary was killed"));

    // The first member is no other than the rest: without its data it is one that joins.
    let first = shop.root().join("data/mongodb");
    let root = shop.root().to_owned();
    shop.down();
    assert_eq!(processes_of(&root), []);
    fs::remove_dir_all(&first).unwrap();
    shop.up_with(&["--no-gate", "--free-ports"]);
    assert!(first.join("WiredTiger").exists());
    assert_eq!(in_state(&shop, "secondary").len(), 2, "{:#}", shop.status());
    orders.push(order(&shop, "after the first member lost its data"));

    for rows in [&["mongodb-guards-its-door"], &["readiness-follows-the-stores"]] {
        let report = shop.ready(rows);
        assert_eq!(report["holds"], json!(true), "{report:#}");
    }
    for id in &orders {
        let found = shop.client().get(&format!("{}/orders/{id}", shop.url("api"))).unwrap();
        assert_eq!(found.status, 200, "order {id}: {}", found.body);
    }

    // More than one that lost its data is no longer something that the others make good.
    shop.down();
    for unit in ["mongodb", "mongodb-2"] {
        fs::rename(shop.root().join("data").join(unit), shop.root().join(unit)).unwrap();
    }
    let refused = shop.roadbed(&["up", "--detach", "--free-ports"]);
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("the data of mongodb is missing"), "{}", refused.stderr);
    for unit in ["mongodb", "mongodb-2"] {
        fs::rename(shop.root().join(unit), shop.root().join("data").join(unit)).unwrap();
    }
    shop.up_with(&["--no-gate", "--free-ports"]);
    for id in &orders {
        let found = shop.client().get(&format!("{}/orders/{id}", shop.url("api"))).unwrap();
        assert_eq!(found.status, 200, "order {id}: {}", found.body);
    }
}

fn in_state(shop: &Environment, state: &str) -> Vec<String> {
    let status: Value = shop.status();
    let members = status["mongodb"].as_array().unwrap_or_else(|| panic!("{status:#}"));
    members
        .iter()
        .filter(|member| member["state"] == state)
        .map(|member| member["unit"].as_str().unwrap().to_owned())
        .collect()
}

/// Orders, as a customer's browser does: again with the same key until there is an answer.
fn order(shop: &Environment, key: &str) -> String {
    let body = r#"{"items":[{"slug":"bicycle-bell","quantity":1}]}"#;
    let headers = [("content-type", "application/json"), ("idempotency-key", &key.replace(' ', "-"))];
    let mut id = String::new();
    wait_until("an order is taken", SELLS_AGAIN_WITHIN, || {
        match shop.client().post(&format!("{}/orders", shop.url("api")), &headers, body) {
            Ok(answer) if answer.status == 201 || answer.status == 200 => {
                id = answer.json()["id"].as_str().unwrap().to_owned();
                Ok(())
            }
            Ok(answer) => Err(format!("{}: {}", answer.status, answer.body)),
            Err(why) => Err(why),
        }
    });
    id
}
