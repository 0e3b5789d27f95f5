//! The suite of the HTTP working group for caches (`http-cache-tests`, of cache-tests.fyi), against the public door: its app stands
//! behind the edge, its visitor before it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use reconcile::ports::{CacheRules, Site};
use serde::Deserialize;

use crate::world::{World, instances, site};

const SUITE: &str = "http-cache-tests@0.4.5";

/// The name that its visitor asks for.
const HOST: &str = "localhost";

/// Tests that we do not pass: `ID WORD`, each word being explained at the top.
const FAILING: &str = include_str!("../http-cache-tests/failing.txt");

#[derive(Debug, Deserialize)]
struct Seen {
    kind: String,
    result: serde_json::Value,
}

impl Seen {
    fn is_passed(&self) -> bool {
        self.result == true
    }
}

fn node(script: &str) -> Command {
    let mut node = Command::new("node");
    node.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http-cache-tests").join(script));
    node.stdin(Stdio::piped()).stdout(Stdio::piped());
    node
}

/// Its app, for as long as its input is open.
struct Origin {
    process: std::process::Child,
    port: u16,
}

impl Origin {
    fn start(suite: &Path) -> Self {
        let mut process = node("server.mjs").arg(suite).spawn().expect("node starts");
        let mut line = String::new();
        let output = process.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).unwrap();
        Self { process, port: line.trim().parse().unwrap() }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_for_caches_finds_nothing_that_we_do_not_know_of() {
    let suite = tokio::task::spawn_blocking(|| testkit::tools::of_npm(&[SUITE])).await.unwrap();
    let suite = suite.join("node_modules/http-cache-tests");
    let origin = Origin::start(&suite);
    let world = World::new().await;
    let cache = Some(CacheRules { bytes: 64 << 20, largest: 1 << 20 });
    world.publish(vec![Site { cache, ..site(&[HOST], instances(&[origin.port])) }]).await;
    let base = format!("https://{HOST}:{}", world.https.port());
    let mut client = node("client.mjs");
    client.args([suite.as_os_str(), base.as_ref()]).env("NODE_EXTRA_CA_CERTS", world.root.ca_certificate());
    let said = tokio::task::spawn_blocking(move || client.output()).await.unwrap().expect("node starts");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let seen: BTreeMap<String, Seen> = serde_json::from_slice(&said.stdout).unwrap();

    let known: BTreeMap<&str, &str> = FAILING
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split_once(' ').expect("each line has a test and a reason"))
        .collect();
    let count = |kind: &str| {
        let of_kind = seen.values().filter(|seen| seen.kind == kind);
        format!("{kind} {}/{}", of_kind.clone().filter(|seen| seen.is_passed()).count(), of_kind.count())
    };
    let counts = ["required", "optimal", "check"].map(count).join(", ");
    println!("passed: {} of {}: {counts}", seen.values().filter(|seen| seen.is_passed()).count(), seen.len());
    let failed = seen.iter().filter(|(_, seen)| !seen.is_passed());
    let unknown: Vec<_> = failed.filter(|(id, _)| !known.contains_key(id.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
    let unexplained: Vec<_> = known.values().filter(|word| !FAILING.contains(&format!("# {word}: "))).collect();
    assert!(unexplained.is_empty(), "{unexplained:?}");
    let is_mended = |id: &&&str| seen.get(**id).is_none_or(Seen::is_passed);
    let mended: Vec<_> = known.keys().filter(is_mended).collect();
    assert!(mended.is_empty(), "these pass by now; strike them from the list: {mended:#?}");
}
