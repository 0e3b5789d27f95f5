//! Stacks as the sources have them: maps that control brings, and maps that the tool of Sentry's bundler plugins sends.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use telemetry::{ErrorEvent, IssueFilter, Project};

use crate::clients::{runs, script};
use crate::role::{Role, SERVER_KEY};
use crate::sender::{send, thrown, uuid};

const TOOLS: &[&str] = &["@sentry/node@11.12.0", "esbuild@0.28.2"];
const CLI: &[&str] = &["@sentry/cli@3.8.0"];

/// Two places of a line that a minifier made: column 1 is `pay` of src/pay.ts, which column 11 calls.
const MAP: &str = r#"{"version":3,"sources":["../src/pay.ts"],"names":["pay"],"mappings":"AAAA,UACIA"}"#;

/// As a page of a release reports it.
fn of_page(release: &str, file: &str) -> Value {
    let frame = |column: u32| json!({ "abs_path": file, "filename": file, "function": "t", "lineno": 1, "colno": column, "in_app": true });
    json!({
        "event_id": uuid(), "platform": "javascript", "release": release,
        "exception": { "values": [{ "type": "Error", "value": "refused", "stacktrace": { "frames": [frame(11), frame(1)] } }] },
    })
}

fn innermost(event: &ErrorEvent) -> &Value {
    event.sources.as_ref().and_then(|all| all[0].as_array()?.last()).map_or(&Value::Null, |frame| &frame["place"])
}

async fn event(role: &Role, id: &Value) -> ErrorEvent {
    role.client().error_events(&format!("event:{}", id.as_str().unwrap())).await.unwrap().remove(0)
}

#[tokio::test]
async fn a_release_s_maps_name_the_frames_of_its_own_events_alone() {
    let role = Role::start().await;
    let client = role.client();
    client.keep_source_map("web", "r2", "dist/assets/index-Ab12Cd34.js.map", MAP.into()).await.unwrap();
    client.keep_source_map("web", "r3", "dist/assets/index-Zz98Yy76.js.map", MAP.into()).await.unwrap();
    let maps = client.source_maps().await.unwrap();
    assert_eq!(maps.iter().map(|one| one.maps).sum::<i64>(), 2, "{maps:?}");
    let url = |name: &str| format!("https://shop.example/assets/{name}.js");
    let (first, next) = (of_page("r2", &url("index-Ab12Cd34")), of_page("r3", &url("index-Zz98Yy76")));
    let strange = of_page("r1", &url("index-Ab12Cd34"));
    for event in [&first, &next, &strange] {
        role.report(event).await;
    }
    role.digested(3).await;
    let found = event(&role, &first["event_id"]).await;
    let place = json!({ "source": "src/pay.ts", "function": "pay", "line": 1, "column": 1, "in_app": true });
    assert_eq!(innermost(&found), &place);
    // Another build has other names and other files, and the error is the same.
    assert_eq!(event(&role, &next["event_id"]).await.issue, found.issue);
    let strange = event(&role, &strange["event_id"]).await;
    assert_eq!((strange.sources.as_ref(), strange.issue == found.issue), (None, false));
    let issues = client.issues(&IssueFilter::default()).await.unwrap();
    assert!(issues.iter().any(|issue| issue.culprit == "pay in src/pay.ts" && issue.events == 2), "{issues:?}");
    role.stop().await;
}

#[tokio::test]
async fn what_is_no_map_is_refused_and_a_damaged_file_of_maps_costs_no_event() {
    let role = Role::start().await;
    let refused = role.client().keep_source_map("web", "r2", "a.js.map", b"<html>".to_vec()).await.unwrap_err();
    assert!(refused.to_string().contains("cannot keep the source map a.js.map of web"), "{refused}");
    role.client().keep_source_map("web", "r2", "a.js.map", MAP.into()).await.unwrap();
    let role = role
        .restart(|root| {
            let file = root.telemetry().join("errors/maps.db");
            std::fs::write(file, vec![0xAB; 20_000]).unwrap();
        })
        .await;
    role.report(&of_page("r2", "https://shop.example/a.js")).await;
    role.report(&thrown("Error", "x", "f")).await;
    assert_eq!(role.digested(2).await.events, 2);
    role.stop().await;
}

#[tokio::test]
async fn builds_show_the_server_s_key_of_their_app() {
    let role = Role::start().await;
    let path = "/api/0/organizations/roadbed/chunk-upload/";
    let page = format!("Bearer {}", Project::page_key(SERVER_KEY));
    for headers in [vec![], vec![("authorization", page.as_str())], vec![("authorization", "Bearer x")]] {
        assert_eq!(send(role.port, "GET", path, &headers, b"").await.status, 401, "{headers:?}");
    }
    let own = format!("Bearer {SERVER_KEY}");
    let own = [("authorization", own.as_str())];
    assert_eq!(send(role.port, "GET", path, &own, b"").await.status, 200);
    // Nothing for builds is where pages report.
    let public = format!("/.roadbed/telemetry{path}");
    assert_eq!(send(role.port, "GET", &public, &own, b"").await.status, 404);
    let assemble = "/api/0/organizations/roadbed/artifactbundle/assemble/";
    for (body, status) in [
        (json!({ "checksum": "0".repeat(40), "chunks": ["0".repeat(40)], "projects": ["web"] }), 200),
        (json!({ "checksum": "0".repeat(40), "chunks": ["0".repeat(40)], "projects": ["api"] }), 403),
        (json!({ "checksum": "../../errors.db", "chunks": ["../../errors.db"], "projects": ["web"] }), 400),
    ] {
        let answer = send(role.port, "POST", assemble, &own, body.to_string().as_bytes()).await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
    }
    role.stop().await;
}

/// Made small by esbuild, in a folder of the role.
async fn bundle(role: &Role) -> PathBuf {
    let folder = role.folder.path().join("dist");
    let packages = testkit::tools::of_npm(TOOLS);
    let mut esbuild = Command::new(packages.join("node_modules/.bin/esbuild"));
    esbuild.arg(script("shop.ts")).args([
        "--bundle",
        "--minify",
        "--platform=node",
        "--external:@sentry/node",
        "--sourcemap",
    ]);
    esbuild.arg(format!("--outfile={}", folder.join("shop.js").display()));
    runs(esbuild).await;
    folder
}

async fn sells(role: &Role, folder: &Path, release: &str, request: &str) -> ErrorEvent {
    let mut node = Command::new("node");
    node.arg(folder.join("shop.js")).env("NODE_PATH", testkit::tools::of_npm(TOOLS).join("node_modules"));
    node.env("SENTRY_DSN", role.dsn(SERVER_KEY)).env("SHOP_RELEASE", release).env("SHOP_REQUEST", request);
    runs(node).await;
    role.event_of(request).await
}

fn names_the_source(event: &ErrorEvent) {
    let place = innermost(event);
    assert!(place["source"].as_str().is_some_and(|source| source.ends_with("clients/shop.ts")), "{event:#?}");
    assert_eq!((&place["function"], &place["line"]), (&json!("chargeTheCart"), &json!(6)), "{event:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tool_of_the_bundler_plugins_sends_maps_and_real_stacks_are_read_with_them() {
    let role = Role::start().await;
    let folder = bundle(&role).await;
    assert_eq!(sells(&role, &folder, "shop@1", "req-before").await.sources, None);

    role.client()
        .keep_source_map("web", "shop@2", "dist/shop.js.map", std::fs::read(folder.join("shop.js.map")).unwrap())
        .await
        .unwrap();
    names_the_source(&sells(&role, &folder, "shop@2", "req-by-release").await);

    let cli = testkit::tools::of_npm(CLI).join("node_modules/.bin/sentry-cli");
    for arguments in
        [vec!["sourcemaps", "inject"], vec!["sourcemaps", "upload", "--org", "roadbed", "--project", "web"]]
    {
        let mut command = Command::new(&cli);
        command.args(arguments).arg(&folder).env("SENTRY_URL", format!("http://127.0.0.1:{}/", role.port));
        command.env("SENTRY_AUTH_TOKEN", SERVER_KEY).env("SENTRY_LOG_LEVEL", "debug");
        runs(command).await;
    }
    let maps = role.client().source_maps().await.unwrap();
    assert_eq!(maps.iter().filter(|one| one.release.is_empty()).count(), 1, "{maps:?}");
    // Of a release that nobody brought a map of: code and map have the same id.
    names_the_source(&sells(&role, &folder, "shop@3", "req-by-id").await);
    role.stop().await;
}
