//! All environments of the shop at once on this machine: each whole, and none of them a way into another.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use testkit::{Environment, processes_of};

use crate::stage;

const OTHERS: [&str; 3] = ["staging", "production", "preview/pr-42"];

#[test]
fn all_four_environments_are_up_at_once_and_none_gets_into_another() {
    let _stage = stage::enter_with_several();
    let local = stage::urbancart();
    let [staging, production, preview] =
        OTHERS.map(|name| stage::urbancart().neighbour_of(&local).with_flags(&["--env", name]));
    // Each is asked for all that it promises below.
    local.up_with(&["--no-gate"]);
    for shop in [&staging, &production, &preview] {
        shop.up_with(&["--no-gate", "--free-ports"]);
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
    for (name, shop) in all {
        let others: Vec<&str> = all.iter().map(|(other, _)| *other).filter(|other| *other != name).collect();
        every_credential_is_tried(name, &others, &shop.ready(&["credentials-open-their-own-data-only"]));
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
    let _stage = stage::enter_with_several();
    let staging = stage::urbancart().unmarked().with_flags(&["--env", "staging"]);
    let refused = staging.roadbed_within(std::time::Duration::from_secs(600), &["up", "--detach", "--free-ports"]);
    let refused = refused.expect(1);
    for words in ["PAYMENT_SECRET_KEY", "owner: payments", "roadbed secrets set --env staging NAME"] {
        assert!(refused.stderr.contains(words), "no {words:?} in\n{}", refused.stderr);
    }
    // Made up here: what stands in this file is in the project's history, and the gate would say so.
    let random = secrets::generate::credential().unwrap();
    staging.set_secret("PAYMENT_SECRET_KEY", &format!("sk_test_{}", &random.expose()[..24]));
    staging.up_with(&["--no-gate", "--free-ports"]);
}

/// Each kind of credential at the environment's own stores, and at each other environment's, with each operation.
fn every_credential_is_tried(name: &str, others: &[&str], report: &Value) {
    assert_eq!(report["holds"], json!(true), "{report:#}");
    let observed: Vec<&str> =
        report["checks"][0]["observed"].as_array().unwrap().iter().map(|told| told.as_str().unwrap()).collect();
    let is_seen = |beginning: &str, middle: &str, words: &str| {
        let is_it = |told: &&str| told.starts_with(beginning) && told.contains(middle) && told.contains(words);
        assert!(observed.iter().any(is_it), "no {beginning:?} {middle:?} {words:?} in {observed:#?}");
    };
    let in_mongodb = [
        "with the password of app-api",
        "as a lent user with an app's rights",
        "as a lent user that reads",
        "with the certificate of administrator",
        "with the certificate of collections",
        "with the certificate of backup",
        "with the certificate of pitr",
        "with the certificate of rotator",
        "with the certificate of monitor",
        "with the certificate of restore",
        "with the members' key",
    ];
    let in_redis = [
        "with redis's password of app-api",
        "with redis-cache's password of app-api",
        "with redis's password of our own",
        "with redis-cache's password of our own",
        "as a lent user with an app's rights",
        "as a lent user that reads",
    ];
    for who in in_mongodb {
        is_seen(&format!("{name}: mongodb {who}"), "log in", "done");
        for other in others {
            is_seen(&format!("{name} → {other}: mongodb on port"), who, "log in: refused");
        }
    }
    for other in others {
        let nobody = "without a login: list collections, insert, read, update, remove, follow changes";
        is_seen(&format!("{name} → {other}: mongodb on port"), nobody, "refused (Unauthorized)");
    }
    for (who, unit) in in_redis.into_iter().flat_map(|who| ["redis", "redis-cache"].map(|unit| (who, unit))) {
        is_seen(&format!("{name}: {unit} {who}"), "write", "refused");
        for other in others {
            is_seen(&format!("{name} → {other}: {unit} on port"), who, "write, read, remove");
        }
    }
    if name == "production" {
        is_seen("production: redis-sentinel-2 with the members' password", "log in", "done");
        is_seen("production: redis-2 with the members' password", "copy it as a replica", "done");
        is_seen("production → staging: redis on port", "with the members' password", "refused (NOAUTH)");
    } else if others.contains(&"production") {
        is_seen(
            &format!("{name} → production: mongodb-3 on port"),
            "with the certificate of backup",
            "log in: refused",
        );
        is_seen(&format!("{name} → production: redis-sentinel-1 on port"), "without a login", "refused (NOAUTH)");
    }
}

fn place_order(shop: &Environment) -> String {
    let body = r#"{"items":[{"slug":"bicycle-bell","quantity":1}]}"#;
    let headers = [("content-type", "application/json"), ("idempotency-key", "environments")];
    let placed = shop.client().post(&format!("{}/orders", shop.url("api")), &headers, body).unwrap();
    assert_eq!(placed.status, 201, "{}", placed.body);
    placed.json()["id"].as_str().unwrap().to_owned()
}
