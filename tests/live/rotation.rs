//! Values that change while visitors look, fill carts, order and log in: nobody notices, and nothing old opens a door afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use secrets::{SecretName, VersionState};
use tempfile::TempDir;
use testkit::{Client, Crowd, Environment, Kept, SendHomeOnDrop, link_repository, wait_until};

use crate::stage;

const ALL: [&str; 4] = ["JWT_SIGNING_KEY", "MONGODB_URL", "REDIS_URL", "SESSION_SECRET"];

/// Eight visitors with thirty things to do a second.
const VISITORS: usize = 8;
const EACH_PER_SECOND: u32 = 30;

/// UrbanCart with times that a test can wait for.
fn shop(change: impl Fn(String) -> String) -> (TempDir, Environment) {
    let project = tempfile::tempdir().unwrap();
    link_repository(project.path());
    let path = project.path().join("roadbed.toml");
    let text = fs::read_to_string(&path).unwrap();
    let edited = text
        .replace(
            "rotate = { kind = \"jwks\", every = \"30d\", overlap = \"1h\" }",
            "rotate = { kind = \"jwks\", every = \"30d\", overlap = \"30s\", max_age = \"2s\" }",
        )
        .replace(
            "rotate = { kind = \"keyring\", every = \"90d\", overlap = \"24h\" }",
            "rotate = { kind = \"keyring\", every = \"90d\", overlap = \"30s\" }",
        );
    assert!(edited.matches("overlap = \"30s\"").count() == 2, "the manifest rotates in another way");
    fs::write(&path, change(edited)).unwrap();
    let shop = Environment::new(env!("CARGO_BIN_EXE_roadbed"), project.path());
    // In this order: the environment ends before its project is gone.
    (project, shop)
}

/// The versions that are let in, by secret.
fn versions(shop: &Environment) -> BTreeMap<String, Vec<(u32, VersionState)>> {
    let mut all: BTreeMap<String, Vec<_>> = BTreeMap::new();
    let rows = stage::store_of(shop).versions().unwrap();
    for row in rows.into_iter().filter(|row| row.state <= VersionState::Previous) {
        all.entry(row.name).or_default().push((row.version, row.state));
    }
    all
}

const SECRETS: [&str; 4] = ["var/JWT_SIGNING_KEY", "mongodb/app-api", "redis/app-api", "var/SESSION_SECRET"];

/// One version is let in of each, and it is at least this one.
fn is_at_rest(shop: &Environment, secrets: &[&str], version: u32) -> Result<(), String> {
    let all = versions(shop);
    let at_rest = |name: &&str| matches!(all[*name].as_slice(), [(at, VersionState::Current)] if *at >= version);
    if secrets.iter().all(at_rest) { Ok(()) } else { Err(format!("{all:?}")) }
}

/// One who shops: with a cart, a token of a few seconds ago, and orders.
struct Visitor {
    api: String,
    line: Kept,
    round: usize,
    cookie: Option<String>,
    token: Option<(String, String)>,
    number: usize,
}

impl Visitor {
    fn new(api: &str, client: &Client, number: usize) -> Self {
        Self { api: api.to_owned(), line: Kept::new(client.clone()), round: number, cookie: None, token: None, number }
    }

    fn visit(&mut self) -> Result<(), String> {
        self.round += 1;
        // A token and a cookie are as old as thirty rounds, a second and more: older than one instance's life at times.
        match self.round % 30 {
            0 => self.fill_cart(),
            10 => self.take_token(),
            3 | 13 | 23 => self.order(),
            round if round % 3 == 1 => self.look_into_cart(),
            round if round % 3 == 2 => self.show_token(),
            _ => self.ask("GET", "/products", &[], "").map(drop),
        }
    }

    fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<testkit::Answer, String> {
        let url = format!("{}{path}", self.api);
        let answer = self.line.request(method, &url, headers, body).map_err(|why| format!("{method} {path}: {why}"))?;
        if answer.status < 300 {
            return Ok(answer);
        }
        Err(format!("{method} {path} answered {}: {}", answer.status, answer.body))
    }

    fn fill_cart(&mut self) -> Result<(), String> {
        let cookie = self.cookie.clone().unwrap_or_default();
        let headers = [("content-type", "application/json"), ("cookie", cookie.as_str())];
        let answer = self.ask("PUT", "/cart/items/enamel-mug", &headers, r#"{"quantity":2}"#)?;
        let set = answer.headers.get("set-cookie").ok_or("there is no cookie")?;
        let fresh = set.split(';').next().unwrap_or_default().to_owned();
        let session = |cookie: &str| cookie.split('.').next().unwrap_or_default().to_owned();
        match self.cookie.replace(fresh.clone()) {
            Some(before) if session(&before) != session(&fresh) => Err("the session is another one".to_owned()),
            _ => Ok(()),
        }
    }

    fn look_into_cart(&mut self) -> Result<(), String> {
        let Some(cookie) = self.cookie.clone() else { return self.fill_cart() };
        let answer = self.ask("GET", "/cart", &[("cookie", &cookie)], "")?;
        if answer.json()["count"] == 2 { Ok(()) } else { Err(format!("the cart is lost: {}", answer.body)) }
    }

    fn take_token(&mut self) -> Result<(), String> {
        let answer = self.ask("POST", "/auth/token", &[("content-type", "application/json")], "{}")?;
        let token = answer.json()["access_token"].as_str().unwrap_or_default().to_owned();
        let bearer = format!("Bearer {token}");
        let subject = self.ask("GET", "/auth/me", &[("authorization", &bearer)], "")?;
        self.token = Some((bearer, subject.json()["subject"].as_str().unwrap_or_default().to_owned()));
        Ok(())
    }

    fn show_token(&mut self) -> Result<(), String> {
        let Some((bearer, subject)) = self.token.clone() else { return self.take_token() };
        let answer = self.ask("GET", "/auth/me", &[("authorization", &bearer)], "")?;
        if answer.json()["subject"] == subject.as_str() { Ok(()) } else { Err("another subject".to_owned()) }
    }

    fn order(&mut self) -> Result<(), String> {
        let key = format!("rotation-{}-{}", self.number, self.round);
        let headers = [("content-type", "application/json"), ("idempotency-key", key.as_str())];
        self.ask("POST", "/orders", &headers, r#"{"items":[{"slug":"enamel-mug","quantity":1}]}"#).map(drop)
    }
}

#[test]
fn keys_and_passwords_are_rotated_under_visitors_and_no_request_is_lost() {
    let _stage = stage::enter();
    let (_project, shop) = shop(|manifest| manifest);
    shop.up_with(&["--no-gate"]);
    let (api, client, crowd) = (shop.url("api"), shop.client(), Crowd::default());
    let kid = |client: &Client| -> Vec<String> {
        let set = client.get(&format!("{api}/.well-known/jwks.json")).unwrap().json();
        set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    };
    let before = kid(&client);
    let mut took = Duration::ZERO;
    thread::scope(|scope| {
        let _home = SendHomeOnDrop(&crowd);
        for number in 0..VISITORS {
            let mut visitor = Visitor::new(&api, &client, number);
            crowd.let_in(scope, EACH_PER_SECOND, move || visitor.visit());
        }
        wait_until("the visitors are there", Duration::from_secs(10), || {
            if crowd.asked() > 500 { Ok(()) } else { Err(crowd.asked().to_string()) }
        });
        assert_eq!(crowd.failed(), Vec::<String>::new(), "before anything is rotated");

        let start = Instant::now();
        let mut command = vec!["secrets", "rotate"];
        command.extend(ALL);
        let ran = shop.roadbed_within(Duration::from_secs(120), &command);
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        // The old ones of those with an overlap still hold: nobody may make a third.
        let again = shop.roadbed(&["secrets", "rotate", "SESSION_SECRET"]);
        if again.code == 0 {
            // On a machine that was busy for so long that the first one's time had come.
            assert!(versions(&shop)["var/SESSION_SECRET"].iter().all(|(version, _)| *version > 1), "{}", again.stderr);
        } else {
            assert!(again.stderr.contains("holds until"), "{}", again.stderr);
        }
        wait_until("control retires what was replaced", Duration::from_secs(120), || is_at_rest(&shop, &SECRETS, 2));
        took = start.elapsed();
        wait_until("the crowd goes on", Duration::from_secs(10), || {
            let now = crowd.asked();
            thread::sleep(Duration::from_millis(500));
            if crowd.asked() > now { Ok(()) } else { Err("nobody asks".to_owned()) }
        });
        crowd.send_home();
    });
    eprintln!(
        "rotation of {} values in {} ms under {} requests a second: {} requests, {} failed, the longest took {} ms",
        ALL.len(),
        took.as_millis(),
        crowd.per_second(),
        crowd.asked(),
        crowd.failed().len(),
        crowd.longest().as_millis()
    );
    assert_eq!(crowd.failed(), Vec::<String>::new(), "of {} requests", crowd.asked());
    assert!(crowd.asked() > 2_000, "only {} requests in all", crowd.asked());
    let after = kid(&client);
    assert!(after.len() == 1 && after != before, "{before:?} became {after:?}");
    let gate = shop.ready(&["nothing-is-overdue", "mongodb-guards-its-door", "redis-guards-its-door"]);
    assert_eq!(gate["holds"], true, "{gate:#}");
}

#[test]
fn whoever_is_killed_in_a_rotation_it_comes_to_its_end() {
    let _stage = stage::enter();
    let (_project, shop) = shop(|manifest| manifest.replace("overlap = \"30s\"", "overlap = \"1s\""));
    shop.up_with(&["--no-gate"]);
    let ready = format!("{}/ready", shop.url("api"));
    let client = shop.client();
    let mut version = 1;
    // A rotation takes some seconds. Each time somebody else is killed, a while later.
    for (unit, after) in [
        ("control", 50),
        ("control", 400),
        ("control", 1_000),
        ("control", 2_500),
        ("control", 4_000),
        ("keeper", 1_500),
        ("redis", 300),
        ("mongodb", 600),
        ("api-1", 1_200),
    ] {
        version += 1;
        let killed = thread::scope(|scope| {
            let rotating = scope.spawn(|| {
                let mut command = vec!["secrets", "rotate"];
                command.extend(ALL);
                shop.roadbed_within(Duration::from_secs(120), &command)
            });
            thread::sleep(Duration::from_millis(after));
            let killed = shop.kill9(unit);
            let ran = rotating.join().unwrap();
            eprintln!("{unit} killed after {after} ms: the command ended with {}", ran.code);
            killed
        });
        let began = |name: &&str| versions(&shop)[*name].iter().any(|(at, _)| *at >= version);
        // Killed before control had read the request: nothing was begun, and that is an end too.
        let begun: Vec<&str> = SECRETS.into_iter().filter(|name| began(name)).collect();
        wait_until(&format!("{unit}, killed after {after} ms: all is at rest"), Duration::from_secs(90), || {
            shop.runs_anew(unit, killed)?;
            is_at_rest(&shop, &SECRETS, 1)?;
            is_at_rest(&shop, &begun, version)?;
            let answer = client.get(&ready)?;
            if answer.status == 200 { Ok(()) } else { Err(format!("/ready: {}", answer.body)) }
        });
        version = SECRETS.iter().map(|name| versions(&shop)[*name][0].0).max().unwrap();
    }
    assert!(version > 3, "hardly anything was rotated: {:?}", versions(&shop));
    let gate = shop.ready(&["mongodb-guards-its-door", "redis-guards-its-door", "apps-are-reachable"]);
    assert_eq!(gate["holds"], true, "{gate:#}");
}

const AUTHORITY: &str = "services/authority";

#[test]
fn the_data_services_get_another_authority_under_visitors_and_whoever_is_killed() {
    let _stage = stage::enter();
    let (_project, shop) = shop(|manifest| manifest);
    shop.up_with(&["--no-gate"]);
    let (api, client, crowd) = (shop.url("api"), shop.client(), Crowd::default());
    let trusted = || {
        ["mongodb", "redis", "redis-cache"]
            .map(|unit| fs::read_to_string(shop.root().join("conf").join(unit).join("ca.pem")).unwrap())
    };
    let before = trusted();
    let servers = ["mongodb", "redis", "redis-cache"].map(|unit| shop.pid_of(unit));
    thread::scope(|scope| {
        let _home = SendHomeOnDrop(&crowd);
        for number in 0..VISITORS {
            let mut visitor = Visitor::new(&api, &client, number);
            crowd.let_in(scope, EACH_PER_SECOND, move || visitor.visit());
        }
        wait_until("the visitors are there", Duration::from_secs(20), || {
            if crowd.asked() > 200 { Ok(()) } else { Err(crowd.asked().to_string()) }
        });
        let ran = shop.roadbed_within(Duration::from_secs(240), &["secrets", "rotate", AUTHORITY]);
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        is_at_rest(&shop, &[AUTHORITY], 2).unwrap();
        crowd.send_home();
    });
    eprintln!("{} requests, {} failed, the longest took {:?}", crowd.asked(), crowd.failed().len(), crowd.longest());
    assert_eq!(crowd.failed(), Vec::<String>::new(), "of {} requests", crowd.asked());
    let after = trusted();
    for (before, after) in before.iter().zip(&after) {
        assert!(after.matches("BEGIN CERTIFICATE").count() == 1 && before != after, "{after}");
    }
    assert_eq!(
        servers,
        ["mongodb", "redis", "redis-cache"].map(|unit| shop.pid_of(unit)),
        "no server was started again"
    );

    let mut version = 2;
    for (unit, millis) in
        [("control", 300), ("control", 2_000), ("control", 5_000), ("mongodb", 1_000), ("redis", 3_000)]
    {
        version += 1;
        let killed = thread::scope(|scope| {
            let rotate = || shop.roadbed_within(Duration::from_secs(240), &["secrets", "rotate", AUTHORITY]);
            let rotating = scope.spawn(rotate);
            thread::sleep(Duration::from_millis(millis));
            let killed = shop.kill9(unit);
            let ran = rotating.join().unwrap();
            eprintln!("{unit} killed after {millis} ms: the command ended with {}", ran.code);
            killed
        });
        wait_until(&format!("{unit}, killed after {millis} ms: all is at rest"), Duration::from_secs(180), || {
            shop.runs_anew(unit, killed)?;
            is_at_rest(&shop, &[AUTHORITY], 2)?;
            let counts = trusted().map(|text| text.matches("BEGIN CERTIFICATE").count());
            if counts != [1; 3] {
                return Err(format!("the servers trust {counts:?} authorities"));
            }
            let answer = client.get(&format!("{api}/ready"))?;
            if answer.status == 200 { Ok(()) } else { Err(format!("/ready: {}", answer.body)) }
        });
        version = version.min(versions(&shop)[AUTHORITY][0].0);
    }
    assert!(version > 3, "hardly anything was rotated: {:?}", versions(&shop)[AUTHORITY]);
    let gate = shop.ready(&["mongodb-guards-its-door", "redis-guards-its-door", "apps-are-reachable"]);
    assert_eq!(gate["holds"], true, "{gate:#}");
}

#[test]
fn an_instance_that_does_not_take_the_new_value_is_named_and_the_old_one_goes_on_letting_it_in() {
    let _stage = stage::enter();
    let two = |manifest: String| {
        manifest
            .replace(
                "in.production.replicas = 2\n\n[apps.admin]",
                "in.production.replicas = 2\nin.local.replicas = 2\n\n[apps.admin]",
            )
            .replace("start = \"30s\", drain = \"10s\"", "start = \"20s\", drain = \"10s\"")
    };
    let (_project, shop) = shop(two);
    let path = shop.variables()["PATH"].clone();
    let programs = shop.scratch().join("programs");
    fs::create_dir(&programs).unwrap();
    let node = host::process::find_in_path("node", &path).expect("node is in PATH");
    let link = programs.join("node");
    std::os::unix::fs::symlink(&node, &link).unwrap();
    let shop = shop.with_variable("PATH", &format!("{}:{path}", programs.display()));
    shop.up_with(&["--no-gate"]);
    let products = format!("{}/products", shop.url("api"));
    let name = SecretName::new("mongodb/app-api");

    // From now on no process of the app can start.
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("/bin/false", &link).unwrap();
    let ran = shop.roadbed_within(Duration::from_secs(120), &["secrets", "rotate", "MONGODB_URL"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("waits for") && ran.stderr.contains("api-2"), "{}", ran.stderr);
    let accepted = stage::store_of(&shop).accepted(&name).unwrap();
    let states: Vec<_> = accepted.iter().map(|version| version.state).collect();
    assert_eq!(states, [VersionState::Current, VersionState::Previous]);
    assert_eq!(shop.client().get(&products).unwrap().status, 200, "the instance with the old value serves");

    // Once it can, nobody has to ask again.
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&node, &link).unwrap();
    wait_until("control goes on by itself", Duration::from_secs(120), || is_at_rest(&shop, &["mongodb/app-api"], 2));
    assert_eq!(shop.client().get(&products).unwrap().status, 200);
}
