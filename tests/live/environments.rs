//! All environments of the shop at once on this machine: each whole, and none of them a way into another.

use std::collections::BTreeSet;
use std::fs;

use serde_json::json;
use testkit::{Environment, processes_of};

use crate::stage;

const OTHERS: [&str; 3] = ["staging", "production", "preview/pr-42"];

#[test]
fn all_four_environments_are_up_at_once_and_none_gets_into_another() {
    let _stage = stage::enter();
    let local = stage::urbancart();
    let [staging, production, preview] =
        OTHERS.map(|name| stage::urbancart().neighbour_of(&local).with_flags(&["--env", name]));
    local.up();
    for shop in [&staging, &production, &preview] {
        shop.up_with(&["--free-ports"]);
    }
    let all = [("local", &local), (OTHERS[0], &staging), (OTHERS[1], &production), (OTHERS[2], &preview)];

    for (name, shop) in all {
        let report = shop.ready(&[]);
        assert_eq!((&report["environment"], &report["holds"]), (&json!(name), &json!(true)), "{report:#}");
        let checks = report["checks"].as_array().unwrap();
        let row = checks.iter().find(|check| check["id"] == "environments-are-isolated").unwrap();
        let observed = row["observed"].to_string();
        for (other, _) in all.iter().filter(|(other, _)| *other != name) {
            for cell in [
                "mongodb on port",
                "redis on port",
                "its certificate",
                "at its edge",
                "its folder",
                "each refused by the packet filter",
                "each refused: list the root",
            ] {
                assert!(
                    row["observed"].as_array().unwrap().iter().any(|seen| {
                        seen.as_str().unwrap().starts_with(&format!("{name} → {other}: "))
                            && seen.as_str().unwrap().contains(cell)
                    }),
                    "{name} did not try {cell:?} of {other}: {observed}"
                );
            }
        }
    }
    // What is ordered in one is nowhere else.
    let order = place_order(&production);
    for (name, shop) in all {
        let found = shop.client().get(&format!("{}/orders/{order}", shop.url("api"))).unwrap();
        assert_eq!(found.status, if name == "production" { 200 } else { 404 }, "{name}: {}", found.body);
    }
    let pids: Vec<u32> = all.iter().flat_map(|(_, shop)| shop.units()).filter_map(|unit| unit.pid).collect();
    assert_eq!(pids.iter().collect::<BTreeSet<_>>().len(), pids.len(), "a process in two environments");
    let authorities: BTreeSet<Vec<u8>> =
        all.iter().map(|(_, shop)| fs::read(shop.root().join("tls/ca.pem")).unwrap()).collect();
    assert_eq!(authorities.len(), all.len());

    // One that ends takes no other with it.
    staging.down();
    assert_eq!(processes_of(staging.root()), []);
    let row = production.ready(&["environments-are-isolated"]);
    assert_eq!(row["holds"], json!(true), "{row:#}");
    assert!(row.to_string().contains("production → staging: it is down"), "{row:#}");
    for (_, shop) in all {
        shop.down();
        assert_eq!(processes_of(shop.root()), []);
    }
}

#[test]
fn a_payment_key_that_is_missing_is_named_with_its_owner_and_the_way_to_set_it() {
    let _stage = stage::enter();
    let staging = stage::urbancart().unmarked().with_flags(&["--env", "staging"]);
    let refused = staging.roadbed_within(std::time::Duration::from_secs(600), &["up", "--detach", "--free-ports"]);
    let refused = refused.expect(1);
    for words in ["PAYMENT_SECRET_KEY", "owner: payments", "roadbed secrets set --env staging NAME"] {
        assert!(refused.stderr.contains(words), "no {words:?} in\n{}", refused.stderr);
    }
    // Made up here: what stands in this file is in the project's history, and the gate would say so.
    let random = secrets::generate::credential().unwrap();
    staging.set_secret("PAYMENT_SECRET_KEY", &format!("sk_test_{}", &random.expose()[..24]));
    staging.up_with(&["--free-ports"]);
}

fn place_order(shop: &Environment) -> String {
    let body = r#"{"items":[{"slug":"bicycle-bell","quantity":1}]}"#;
    let headers = [("content-type", "application/json"), ("idempotency-key", "environments")];
    let placed = shop.client().post(&format!("{}/orders", shop.url("api")), &headers, body).unwrap();
    assert_eq!(placed.status, 201, "{}", placed.body);
    placed.json()["id"].as_str().unwrap().to_owned()
}
