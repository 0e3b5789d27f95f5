//! The page of metrics, read by a real Prometheus: Debian's, fetched once into the user's cache and installed nowhere.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use host::clock::{Clock, SystemClock};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use telemetry::ExportKind;
use tempfile::TempDir;

use crate::exports::export;
use crate::place::Place;

/// As Debian 12 has it.
const PACKAGE: &str = "prometheus=2.42.0+ds-5+deb12u1";

const TOKEN: &str = "a-token-that-is-long-enough";

/// Ended with the test.
struct Server {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_real_prometheus_reads_what_the_edge_counted() {
    let mut place = Place::new();
    let digest = Sha256::digest(TOKEN);
    place.settings.metrics_token = Some(digest.iter().map(|byte| format!("{byte:02x}")).collect());
    for status in [200, 200, 503] {
        let line = json!({ "time": SystemClock.now().to_string(), "request_id": "req-000001", "scheme": "https", "status": status,
            "ms": 7.0, "app": "web", "route": "default" });
        place.append("access", &format!("{line}\n"));
    }
    let role = place.start().await;
    role.until("all are counted", async |client| client.logs_state().await.unwrap().lines == 3).await;
    let page = role.asked(&format!("GET /metrics HTTP/1.1\r\nauthorization: Bearer {TOKEN}"), b"").await;
    let programs = programs();
    check(&programs.join("promtool"), page.split_once("\r\n\r\n").unwrap().1);

    let server = Server::start(&programs.join("prometheus"), role.port);
    let failed =
        "sum(roadbed_http_requests_total{app=\"web\",answer=\"5xx\"})/sum(roadbed_http_requests_total{app=\"web\"})";
    let slow = "histogram_quantile(0.99,sum(roadbed_http_request_duration_seconds_bucket)by(le))";
    role.until("it has read the page", async |_| {
        server.number(failed).is_some_and(|share| (share - 1.0 / 3.0).abs() < 1e-9)
    })
    .await;
    // Between 5 and 10 ms, as far as buckets tell.
    assert!(server.number(slow).is_some_and(|seconds| (0.005..=0.01).contains(&seconds)));
    role.stop().await;
}

#[tokio::test]
async fn a_real_prometheus_is_sent_what_the_edge_counted() {
    let server = Server::start(&programs().join("prometheus"), 1);
    let mut place = Place::new();
    let url = format!("http://127.0.0.1:{}/api/v1/write", server.port);
    place.settings.exports = vec![export("numbers", ExportKind::RemoteWrite, url)];
    let line = json!({ "time": SystemClock.now().to_string(), "request_id": "req-000001", "scheme": "https", "status": 200,
        "ms": 7.0, "app": "web", "route": "default" });
    place.append("access", &format!("{line}\n"));
    let role = place.start().await;
    role.client.tell_exports(&[]).await.unwrap();
    let counted = "roadbed_http_requests_total{environment=\"test\",app=\"web\",answer=\"2xx\"}";
    role.until("it is there", async |_| server.number(counted) == Some(1.0)).await;
    // Our own numbers say how it goes, there too.
    let sent = "roadbed_export_sent_total{environment=\"test\",export=\"numbers\"}";
    role.until("it is told how many were taken", async |_| server.number(sent).is_some_and(|sent| sent > 10.0)).await;
    assert_eq!(role.client.exports().await.unwrap()[0].dropped, std::collections::BTreeMap::new());
    role.stop().await;
}

impl Server {
    fn start(program: &Path, scraped: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let config = format!(
            "global: {{ scrape_interval: 1s }}\nscrape_configs:\n- job_name: roadbed\n  authorization: {{ credentials: {TOKEN} }}\n  \
             static_configs: [{{ targets: ['127.0.0.1:{scraped}'] }}]\n"
        );
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        let child = Command::new(program)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--web.enable-remote-write-receiver")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, port, _folder: folder }
    }

    /// What a query is by now, if it is anything.
    fn number(&self, query: &str) -> Option<f64> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let query: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
        write!(stream, "GET /api/v1/query?query={query} HTTP/1.0\r\nhost: x\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
        body["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }
}

/// The judgement of Prometheus' own linter.
fn check(promtool: &Path, page: &str) {
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}\n{page}");
}

/// Where the programs are; fetched first, if need be.
fn programs() -> PathBuf {
    let home = std::env::var_os("HOME").expect("HOME is set");
    let folder = PathBuf::from(home).join(".cache/roadbed-tests").join(PACKAGE.replace(['=', '+'], "-"));
    let programs = folder.join("usr/bin");
    if programs.join("prometheus").exists() {
        return programs;
    }
    let parent = folder.parent().unwrap();
    std::fs::create_dir_all(parent).unwrap();
    // Whole before it has its name: two runs at once do not see half of it.
    let fresh = tempfile::tempdir_in(parent).unwrap();
    let run = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).current_dir(fresh.path()).output();
        let output =
            output.unwrap_or_else(|error| panic!("cannot run {program}, which Debian and Ubuntu have: {error}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cannot fetch {PACKAGE} (`apt-get update` may help): {said}");
    };
    run("apt-get", &["download", PACKAGE]);
    let package = std::fs::read_dir(fresh.path()).unwrap().next().unwrap().unwrap().path();
    run("dpkg", &["-x", package.to_str().unwrap(), "unpacked"]);
    let _ = std::fs::rename(fresh.path().join("unpacked"), &folder);
    programs
}
