//! Networks that an operator keeps out, with the smallest product behind a proxy: at once, over restarts, and never the proxy itself.

use std::fs;

use serde_json::Value;
use testkit::Answer;

use crate::stage::Stage;

/// Visitors come by a proxy on this machine, which says where from.
const PROXIED: &str = "\n[environments.local.network]\nproxies = [\"127.0.0.1\", \"::1\"]\n";

const NOISY: &str = "203.0.113.7";
const QUIET: &str = "198.51.100.9";

impl Stage {
    fn asked_from(&self, visitor: &str, path: &str) -> Answer {
        let url = format!("{}{path}", self.url().trim_end_matches('/'));
        self.client().request("GET", &url, &[("x-forwarded-for", visitor)], "").unwrap()
    }

    fn top(&self, by: &str) -> Vec<Value> {
        let rows = self.roadbed(&format!("edge top --by {by} --json")).exits(0).out.join("\n");
        serde_json::from_str(&rows).unwrap()
    }

    fn requests(&self, by: &str, key: &str) -> u64 {
        self.top(by).iter().find(|row| row["key"] == key).map_or(0, |row| row["requests"].as_u64().unwrap())
    }
}

#[test]
fn a_network_is_kept_out_at_once_and_over_restarts_until_it_is_let_in_again() {
    let stage = Stage::new();
    let manifest = fs::read_to_string(stage.project.join("roadbed.toml")).unwrap();
    stage.write("roadbed.toml", &(manifest + PROXIED));
    stage.up();

    for _ in 0..30 {
        assert_eq!(stage.asked_from(NOISY, "/sale").status, 200);
    }
    assert_eq!(stage.asked_from(QUIET, "/").status, 200);
    stage.until("it is seen who asks most", || stage.requests("client", NOISY) >= 30);
    assert!(stage.requests("path", "web /sale") >= 30, "{:?}", stage.top("path"));
    let told = stage.roadbed("edge top").exits(0).out.join("\n");
    assert!(told.find(NOISY) < told.find(QUIET), "who asks most comes first: {told}");

    // First only looked at, then kept out.
    stage.roadbed("edge block 203.0.113.0/24 --shadow").exits(0);
    assert_eq!(stage.asked_from(NOISY, "/").status, 200);
    stage.roadbed("edge block 203.0.113.0/24 --for 2h --reason stuffing").exits(0);
    let refused = stage.asked_from(NOISY, "/");
    assert_eq!(refused.status, 403);
    assert_eq!(stage.asked_from(QUIET, "/").status, 200, "others are none of its business");
    let id = &refused.headers["x-request-id"];
    stage.until("the log has it", || stage.roadbed(&format!("explain {id}")).code == Some(0));
    let why = stage.roadbed(&format!("explain {id}")).out.join("\n");
    assert!(why.contains("203.0.113.0/24"), "{why}");
    let listed = stage.roadbed("edge list").exits(0).out.join("\n");
    assert!(listed.contains("203.0.113.0/24") && listed.contains("stuffing"), "{listed}");

    // Another edge, and another control, know of it.
    for unit in ["edge", "control"] {
        stage.kill(unit);
        stage.until("it is kept out again", || stage.asked_from(NOISY, "/").status == 403);
    }
    stage.until("control answers", || stage.roadbed("edge list").code == Some(0));

    stage.roadbed(&format!("edge allow {NOISY}")).exits(0);
    assert_eq!(stage.asked_from(NOISY, "/").status, 200, "the nearer word counts");
    assert_eq!(stage.asked_from("203.0.113.8", "/").status, 403);
    stage.roadbed("edge unblock 203.0.113.0/24").exits(0);
    assert_eq!(stage.asked_from("203.0.113.8", "/").status, 200);
    stage.roadbed("edge unblock 203.0.113.0/24").refuses(1, &["on no list"]);
}

#[test]
fn nobody_locks_everybody_out() {
    let stage = Stage::new();
    let manifest = fs::read_to_string(stage.project.join("roadbed.toml")).unwrap();
    let office = PROXIED.replace("\"::1\"", "\"192.0.2.0/24\"");
    stage.write("roadbed.toml", &(manifest + &office));
    stage.up();
    for (network, why) in [
        ("127.0.0.0/8", "this machine itself"),
        ("0.0.0.0/0", "this machine itself"),
        ("64.0.0.0/3", "larger part of the internet"),
        ("192.0.2.77", "the proxy"),
        ("nowhere", "neither an address nor a network"),
    ] {
        stage.roadbed(&format!("edge block {network}")).refuses(1, &[why]);
    }
    stage.roadbed("edge block 203.0.113.7 --for ever").refuses(2, &["is no time"]);
    assert_eq!(stage.roadbed("edge list --json").exits(0).out.join(""), "[]");
}
