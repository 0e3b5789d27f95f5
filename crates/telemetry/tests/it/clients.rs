//! Unchanged clients, as anybody installs them: Node, Python, Rust, and React in a real browser.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use telemetry::{ErrorEvent, IssueFilter, Project};

use crate::role::{Role, SERVER_KEY};

const NODE: &[&str] = &["@sentry/node@11.12.0"];
const REACT: &[&str] = &["@sentry/react@11.12.0", "react@19.3.1", "esbuild@0.28.2"];
const PYTHON: &str = "sentry-sdk==2.75.0";

pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients").join(name)
}

impl Role {
    pub(crate) fn dsn(&self, key: &str) -> String {
        format!("http://{key}@127.0.0.1:{}/{}", self.port, Project::id_of("web"))
    }

    pub(crate) async fn event_of(&self, request: &str) -> ErrorEvent {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            if let Some(event) = self.client().error_events(&format!("request:{request}")).await.unwrap().pop() {
                return event;
            }
            assert!(Instant::now() < deadline, "no event of {request}: {:?}", self.client().errors_health().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

pub(crate) async fn runs(mut command: Command) {
    let ended = tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).output().unwrap()).await.unwrap();
    assert!(
        ended.status.success(),
        "{}{}",
        String::from_utf8_lossy(&ended.stdout),
        String::from_utf8_lossy(&ended.stderr)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unchanged_clients_need_no_more_than_an_address() {
    let role = Role::start().await;

    let mut node = Command::new("node");
    node.arg(script("node.cjs")).env("NODE_PATH", testkit::tools::of_npm(NODE).join("node_modules"));
    node.env("SENTRY_DSN", role.dsn(SERVER_KEY));
    runs(node).await;
    let event = role.event_of("req-node").await;
    assert!(["TypeError: no amount for order 4711", "said by node"].contains(&event.title.as_str()), "{event:?}");

    let mut python = Command::new("python3");
    python.arg(script("python.py")).env("PYTHONPATH", testkit::tools::of_python(PYTHON));
    python.env("SENTRY_DSN", role.dsn(SERVER_KEY));
    runs(python).await;
    assert_eq!(role.event_of("req-python").await.title, "ValueError: no address for order 4711");

    let packages = testkit::tools::of_npm(REACT);
    let bundle = role.folder.path().join("page.js");
    let mut esbuild = Command::new(packages.join("node_modules/.bin/esbuild"));
    esbuild.arg(script("page.js")).arg("--bundle").arg(format!("--outfile={}", bundle.display()));
    esbuild.env("NODE_PATH", packages.join("node_modules"));
    runs(esbuild).await;
    let page = role.folder.path().join("page.html");
    let text = format!(
        "<script>window.SENTRY_DSN = {:?}</script><script src=\"page.js\"></script>",
        role.dsn(&Project::page_key(SERVER_KEY))
    );
    std::fs::write(&page, text).unwrap();
    let browsers = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome-headless-shell"];
    let path = std::env::var("PATH").unwrap();
    let browser = browsers.iter().find_map(|name| host::process::find_in_path(name, &path));
    let mut chromium = Command::new(browser.expect("Chromium is in PATH: install it"));
    chromium.args(["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=4000", "--dump-dom"]);
    chromium.arg(format!("--user-data-dir={}", role.folder.path().join("profile").display()));
    chromium.arg(format!("file://{}", page.display()));
    runs(chromium).await;
    let event = role.event_of("req-page").await;
    assert!(event.title.starts_with("TypeError: Cannot read properties of undefined"), "{event:?}");

    let issues = role.client().issues(&IssueFilter::default()).await.unwrap();
    assert!(issues.iter().any(|issue| issue.unhandled && issue.platform == "javascript"), "{issues:?}");
    for event in ["req-node", "req-python", "req-page"] {
        let event = role.event_of(event).await;
        assert_eq!((event.environment.as_str(), event.release.as_deref()), ("test", Some("shop@1.2.3")));
        assert!(event.trace_id.is_some());
    }
    role.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unchanged_client_of_rust_needs_no_more_than_an_address() {
    let role = Role::start().await;
    let mut rust = Command::new(testkit::tools::of_sources(&script("rust"), "shop"));
    rust.env("SENTRY_DSN", role.dsn(SERVER_KEY));
    runs(rust).await;

    let error = role.event_of("req-rust").await;
    assert!(error.title.starts_with("ParseIntError: "), "{error:?}");
    let panic = role.event_of("req-rust-panic").await;
    assert!(panic.title.contains("index out of bounds: the len is 0 but the index is 4711"), "{panic:?}");
    for event in [&error, &panic] {
        assert_eq!((event.environment.as_str(), event.release.as_deref()), ("test", Some("shop@1.2.3")));
        assert!(event.trace_id.is_some(), "{event:?}");
    }
    let issues = role.client().issues(&IssueFilter::default()).await.unwrap();
    assert_eq!(issues.len(), 2, "{issues:?}");
    let fatal = issues.iter().find(|issue| issue.title == panic.title).unwrap();
    assert!(fatal.unhandled && fatal.level == "fatal", "{fatal:?}");
    // A panic shows where it was, with our own function on top and not the machinery that panics.
    let place = role.client().issue(fatal.id).await.unwrap();
    assert!(format!("{place:?}").contains("shop::"), "{place:?}");
    let health = role.client().release_health(None, 0).await.unwrap();
    assert_eq!(health.len(), 1, "{health:?}");
    assert_eq!((health[0].release.as_str(), health[0].sessions), ("shop@1.2.3", 1), "{health:?}");
    role.stop().await;
}
