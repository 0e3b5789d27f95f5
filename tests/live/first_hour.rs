//! What a new user does in the first hour, and what scripts rely on.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Client, Environment, copy_repository, processes_of};

use crate::stage;

/// Far above what was seen (under 2 s), far below what anybody would wait for.
const DOWN_WITHIN: Duration = Duration::from_secs(10);

const APPS: [&str; 3] = ["admin", "api", "storefront"];

#[test]
fn one_command_gives_three_addresses_and_a_gate_that_holds() {
    let _stage = stage::enter_with_several();
    let shop = stage::urbancart();

    assert_eq!(shop.status()["units"], json!([]), "nothing runs before the first `up`");
    let http_port = host::socket::free_port().unwrap();
    let up = shop.up_with(&["--http-port", &http_port.to_string()]);
    status_keeps_its_contract(&shop);
    for app in APPS {
        assert!(up.stdout.contains(&shop.url(app)), "`up` does not tell the address of {app}:\n{}", up.stdout);
    }
    let client = shop.client();
    every_app_answers(&shop, &client);
    plain_http_leads_to_https(&shop, &client, http_port);
    ready_keeps_its_contract(&shop);
    a_second_up_changes_nothing(&shop);
    let _ = shop.roadbed(&["generate", "--check"]).expect(0);

    let order = place_order(&shop, &client);
    db_stats_tells_how_full_they_are(&shop);
    let before = shop.status()["urls"].clone();
    everything_ends(&shop);

    shop.up_with(&["--no-gate"]);
    assert_eq!(shop.status()["urls"], before, "addresses stay what they were");
    let found = client.get(&format!("{}/orders/{}", shop.url("api"), order["id"].as_str().unwrap())).unwrap();
    assert_eq!((found.status, found.json()), (200, order), "an order survives `down` and `up`");
    everything_ends(&shop);
}

#[test]
fn two_roots_of_one_checkout_run_side_by_side() {
    let _stage = stage::enter_with_several();
    // A checkout in which nothing is built yet, on the file system of the packages, which are linked and not copied.
    let project = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    copy_repository(project.path());
    let [first, second] = [(); 2].map(|()| Environment::new(env!("CARGO_BIN_EXE_roadbed"), project.path()));
    // At once, so that they meet wherever they share something: packages, builds, engines.
    std::thread::scope(|scope| {
        scope.spawn(|| first.up_with(&["--no-gate"]));
        scope.spawn(|| second.up_with(&["--no-gate"]));
    });
    let order = place_order(&first, &first.client());
    let id = order["id"].as_str().unwrap();
    assert_eq!(first.client().get(&format!("{}/orders/{id}", first.url("api"))).unwrap().status, 200);
    assert_eq!(second.client().get(&format!("{}/orders/{id}", second.url("api"))).unwrap().status, 404);
    // Each has an authority of its own.
    let refused = first.client().get(&second.url("api")).unwrap_err();
    assert!(refused.contains("certificate"), "{refused}");

    everything_ends(&first);
    every_app_answers(&second, &second.client());
    assert_eq!(second.ready(&[])["holds"], json!(true));
}

fn status_keeps_its_contract(shop: &Environment) {
    let status = shop.status();
    assert_eq!(keys(&status), ["ca_file", "console", "environment", "network", "programs", "root", "units", "urls"]);
    assert_eq!(status["environment"], "local");
    assert_eq!(status["root"], shop.root().to_str().unwrap());
    assert_eq!(status["ca_file"], shop.root().join("tls/ca.pem").to_str().unwrap());
    assert_eq!(keys(&status["urls"]), APPS);
    for app in APPS {
        let host = if app == "storefront" { "www" } else { app };
        let url = status["urls"][app].as_str().unwrap();
        assert!(url.starts_with(&format!("https://{host}.urbancart.localhost:")), "{url}");
    }
    let mut names = Vec::new();
    for unit in status["units"].as_array().unwrap() {
        assert_eq!(keys(unit), ["confinement", "kind", "loaded", "name", "pid", "restarts", "state"]);
        let confinement = &unit["confinement"];
        let safeguards = ["cgroup", "limits", "no_new_privs", "private_tmp", "read_only_release", "user"];
        assert_eq!(keys(confinement), safeguards);
        for safeguard in safeguards {
            assert!(confinement[safeguard]["in_force"].is_boolean() && confinement[safeguard]["detail"].is_string());
        }
        assert_eq!(confinement["no_new_privs"]["in_force"], true, "on any machine: {confinement}");
        assert_eq!(unit["state"], "running", "{unit}");
        assert!(unit["pid"].is_u64() && unit["restarts"].is_u64(), "{unit}");
        names.push((unit["name"].as_str().unwrap(), unit["kind"].as_str().unwrap()));
    }
    names.sort_unstable();
    let wanted = [
        ("api-1", "app"),
        ("control", "control"),
        ("edge", "edge"),
        ("media", "store"),
        ("mongodb", "store"),
        ("objects", "store"),
        ("redis", "store"),
        ("redis-cache", "store"),
        ("redis-rest", "store"),
        ("storefront-1", "app"),
        ("telemetry", "telemetry"),
    ];
    assert_eq!(names, wanted);
}

fn ready_keeps_its_contract(shop: &Environment) {
    let report = shop.ready(&[]);
    assert_eq!(keys(&report), ["checks", "environment", "holds"]);
    assert_eq!((&report["environment"], &report["holds"]), (&json!("local"), &json!(true)));
    let checks = report["checks"].as_array().unwrap();
    let tasks: BTreeSet<_> = checks.iter().map(|check| check["task"].as_str().unwrap()).collect();
    assert_eq!(
        tasks.into_iter().collect::<Vec<_>>(),
        ["T1", "T11", "T12", "T14", "T15", "T2", "T3", "T4", "T5", "T6", "T7", "T8"]
    );
    for check in checks {
        for key in ["task", "id", "claim"] {
            assert!(check[key].as_str().is_some_and(|text| !text.is_empty()), "{key} of {check:#}");
        }
        assert_eq!(check["verdict"], "holds", "{check:#}");
        assert!(check["took_ms"].is_u64(), "{check:#}");
        let observed = check["observed"].as_array().unwrap();
        assert!(!observed.is_empty() && observed.iter().all(Value::is_string), "a verdict without evidence: {check:#}");
    }
}

/// How full the data services are: an order is a document, and a visitor's cart may be a key.
fn db_stats_tells_how_full_they_are(shop: &Environment) {
    let told = shop.roadbed(&["db", "stats", "--json"]).expect(0);
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    let mongodb = &told["mongodb"];
    assert_eq!(mongodb["database"], "urbancart_local");
    let orders = mongodb["collections"].as_array().unwrap().iter().find(|of| of["name"] == "orders").unwrap();
    assert!(orders["documents"].as_u64() > Some(0), "{told:#}");
    for figure in ["storage_bytes", "connections", "connections_limit", "cache_bytes", "cache_limit_bytes"] {
        assert!(mongodb[figure].as_u64() > Some(0), "no {figure} in {told:#}");
    }
    assert!(mongodb["oplog_seconds"].is_u64(), "{told:#}");
    let units: Vec<&str> = told["redis"].as_array().unwrap().iter().map(|of| of["unit"].as_str().unwrap()).collect();
    assert_eq!(units, ["redis", "redis-cache"]);
    for of in told["redis"].as_array().unwrap() {
        assert!(of["memory_bytes"].as_u64() > Some(0) && of["memory_limit_bytes"].as_u64() > Some(0), "{of:#}");
        assert_eq!(of["prefix"], "urbancart:local:");
    }
    let text = shop.roadbed(&["db", "stats"]).expect(0);
    for words in ["oplog reaches back", "COLLECTION", "redis-cache", "noeviction"] {
        assert!(text.stdout.contains(words), "no {words:?} in {}", text.stdout);
    }
}

fn a_second_up_changes_nothing(shop: &Environment) {
    let before = shop.units();
    // The gate restarts some on purpose; what is looked at here is `up`.
    let again = shop.up_with(&["--no-gate"]);
    assert!(again.stderr.contains("nothing to change"), "{}", again.stderr);
    assert_eq!(shop.units(), before, "a second `up` started or stopped something");
    let plan = shop.roadbed(&["plan", "--json"]).expect(0).json();
    let resources = plan["resources"].as_array().unwrap();
    assert!(resources.iter().all(|resource| resource["steps"] == json!([])), "{plan:#}");
    assert_eq!(shop.units(), before, "`plan` started or stopped something");
}

fn every_app_answers(shop: &Environment, client: &Client) {
    for (app, path, words) in [
        ("storefront", "/", "Bicycle Bell"),
        ("api", "/products", "Bicycle Bell"),
        ("admin", "/", "UrbanCart admin"),
        ("admin", "/config.json", &shop.url("api")),
    ] {
        let url = shop.url(app) + path;
        let answer = client.get(&url).unwrap_or_else(|why| panic!("{url}: {why}"));
        assert_eq!(answer.status, 200, "{url}: {}", answer.body);
        assert!(answer.body.contains(words), "{url} does not say {words:?}: {}", answer.body);
        assert!(answer.headers.contains_key("x-request-id"), "{url}: {:?}", answer.headers);
    }
}

fn plain_http_leads_to_https(shop: &Environment, client: &Client, port: u16) {
    for app in APPS {
        let https = shop.url(app);
        let (host, _) = https.trim_start_matches("https://").rsplit_once(':').unwrap();
        let answer = client.get(&format!("http://{host}:{port}/some/page?q=1")).unwrap();
        assert_eq!(answer.status, 308);
        assert_eq!(answer.headers["location"], format!("{https}/some/page?q=1"));
    }
}

fn place_order(shop: &Environment, client: &Client) -> Value {
    let body = r#"{"items":[{"slug":"bicycle-bell","quantity":2}]}"#;
    let headers = [("content-type", "application/json"), ("idempotency-key", "first-hour")];
    let placed = client.post(&format!("{}/orders", shop.url("api")), &headers, body).unwrap();
    assert_eq!(placed.status, 201, "{}", placed.body);
    placed.json()
}

fn everything_ends(shop: &Environment) {
    let down = shop.down();
    assert!(down.took < DOWN_WITHIN, "`down` took {:?}", down.took);
    assert_eq!(processes_of(shop.root()), []);
    assert_eq!(shop.status()["units"], json!([]));
    assert_eq!(
        shop.roadbed(&["ready", "--json"]).expect(1).json()["holds"],
        json!(false),
        "nothing is proven when down"
    );
}

fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> =
        object.as_object().unwrap_or_else(|| panic!("{object}")).keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}
