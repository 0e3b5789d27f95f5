//! An app that is taken away is known to be down within two looks, and whoever is to be told is told.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use reconcile::Root;
use reconcile::ports::Units;
use roadbed::keeper::client::KeeperClient;
use serde_json::Value;
use testkit::{Environment, link_repository, wait_until};

use crate::stage;

const EVERY: Duration = Duration::from_secs(3);

/// A second is waited for others that come at once, and half of one for the next look at what is to be told.
const TELLING: Duration = Duration::from_millis(2_500);

#[test]
fn an_app_that_is_taken_away_is_down_within_two_looks_and_a_receiver_is_told() {
    let _stage = stage::enter();
    let project = tempfile::tempdir().unwrap();
    link_repository(project.path());
    let manifest = project.path().join("roadbed.toml");
    let (port, words) = receiver();
    let text = fs::read_to_string(&manifest).unwrap();
    let text = text
        + &format!(
            "\n[environments.local.monitoring]\nevery = \"{}s\"\n\n[alerts.oncall]\ntype = \"webhook\"\n\
             url = \"http://127.0.0.1:{port}/hook\"\nowners = [\"backend\"]\n\n[monitors.backup]\nheartbeat = \"1h\"\nowner = \"platform\"\n",
            EVERY.as_secs()
        );
    fs::write(&manifest, text).unwrap();
    let shop = Environment::new(env!("CARGO_BIN_EXE_roadbed"), project.path());
    let key = "live-key-of-the-channel-0123456789abcdef";
    shop.set_secret("alerts/oncall", key);
    shop.up_with(&["--no-gate"]);

    for name in [
        "edge",
        "app/storefront",
        "app/api",
        "app/admin",
        "certificate/api",
        "mongodb",
        "redis",
        "redis-cache",
        "objects",
        "media",
    ] {
        until_shown(&shop, name, "up");
    }
    let gate = shop.ready(&["outages-are-noticed"]);
    assert_eq!(gate["holds"], true, "{gate:#}");

    // The test button, and the status page as the public sees it.
    shop.roadbed(&["alerts", "test", "oncall"]).expect(0);
    next(&words, Duration::from_secs(5), |alert| alert["about"] == "test");
    let status = shop.client().get(&format!("{}/.roadbed/status", shop.url("storefront"))).unwrap();
    assert_eq!(status.status, 200);
    assert!(status.body.contains("Everything works"), "{}", status.body);
    assert!(status.headers["content-security-policy"].starts_with("default-src 'none'"), "{:?}", status.headers);

    let keeper = KeeperClient::new(Root::new(shop.root().to_owned()));
    now(keeper.hold("api-1")).unwrap();
    let began = Instant::now();
    let told = next(&words, 2 * EVERY + TELLING + Duration::from_secs(4), |alert| {
        alert["about"] == "opened" && alert["subject"] == "app/api"
    });
    let took = began.elapsed();
    assert_eq!(told["alerts"][0]["owner"], "backend");
    assert_eq!(told["alerts"][0]["contact"], "backend@urbancart.example");
    eprintln!("told {} ms after it was gone", took.as_millis());
    until_shown(&shop, "app/api", "down");
    let id = told["alerts"][0]["id"].as_i64().unwrap().to_string();
    let listed = shop.roadbed(&["alerts", "--json"]).expect(0).json();
    assert!(
        listed["alerts"].as_array().unwrap().iter().any(|alert| alert["id"] == told["alerts"][0]["id"]),
        "{listed}"
    );
    shop.roadbed(&["alerts", "ack", &id]).expect(0);
    let page = shop.client().get(&format!("{}/.roadbed/status", shop.url("storefront"))).unwrap().body;
    assert!(page.contains("does not work"), "{page}");

    // The role dies with the outage open: it is told to nobody a second time, and its end is.
    shop.kill9("telemetry");
    now(keeper.resume("api-1")).unwrap();
    // Promises come and go with it, and are told too.
    loop {
        let over = words.recv_timeout(Duration::from_secs(60)).expect("its end is told");
        let of_the_app = over["alerts"].as_array().unwrap().iter().find(|alert| alert["subject"] == "app/api");
        if let Some(alert) = of_the_app {
            assert_eq!(alert["about"], "resolved");
            break;
        }
    }
    until_shown(&shop, "app/api", "up");
    let shown = shop.roadbed(&["monitors", "show", "backup", "--json"]).expect(0).json();
    assert_eq!(shown["shown"], "unknown", "nobody has said anything yet: {shown:#}");
}

/// The next words that are about this. An app that is slow while everything starts may be told of before, and that it is over.
#[track_caller]
fn next(words: &mpsc::Receiver<Value>, longest: Duration, about: impl Fn(&Value) -> bool) -> Value {
    let until = Instant::now() + longest;
    loop {
        let told = words.recv_timeout(until.saturating_duration_since(Instant::now())).expect("somebody is told");
        if about(&told["alerts"][0]) {
            return told;
        }
    }
}

#[track_caller]
pub(crate) fn until_shown(shop: &Environment, name: &str, shown: &str) {
    wait_until(&format!("{name} is {shown}"), Duration::from_secs(60), || {
        let all = shop.roadbed(&["monitors", "--json"]).expect(0).json();
        let found = all["monitors"].as_array().unwrap().iter().find(|monitor| monitor["name"] == name).cloned();
        let found = found.unwrap_or_else(|| panic!("there is no {name} in {all:#}"));
        if found["shown"] == shown { Ok(()) } else { Err(format!("{found:#}")) }
    });
}

/// Takes alerts as anybody's program would.
fn receiver() -> (u16, mpsc::Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (send, words) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut read = Vec::new();
            let mut buffer = [0; 4096];
            let body = loop {
                let count = stream.read(&mut buffer).unwrap();
                read.extend_from_slice(&buffer[..count]);
                let text = String::from_utf8_lossy(&read).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head
                    .lines()
                    .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
                if body.len() >= length.unwrap() {
                    break body.to_owned();
                }
            };
            stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").unwrap();
            if send.send(serde_json::from_str(&body).unwrap()).is_err() {
                return;
            }
        }
    });
    (port, words)
}

fn now<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}
