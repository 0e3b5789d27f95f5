//! Upstash's own clients for Node.js, against the gateway.

use std::path::Path;
use std::process::Command;

use upstash::Limits;

use crate::gateway::{Gateway, token};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clients_of_upstash_find_what_they_expect() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk");
    let folder = tempfile::tempdir().unwrap();
    for file in ["package.json", "package-lock.json", "clients.mjs"] {
        std::fs::copy(sources.join(file), folder.path().join(file)).unwrap();
    }
    let installed =
        Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(folder.path()).output().unwrap();
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    let gateway = Gateway::start(Limits::default()).await;
    let mut clients = Command::new("node");
    clients
        .args(["--test", "clients.mjs"])
        .current_dir(folder.path())
        .env("UPSTASH_REDIS_REST_URL", format!("http://{}", gateway.address))
        .env("UPSTASH_REDIS_REST_TOKEN", token("app", "app-password"))
        .env("READ_ONLY_TOKEN", token("reader", "reader-password"));
    let ran = tokio::task::spawn_blocking(move || clients.output().unwrap()).await.unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
}
