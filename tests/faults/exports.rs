//! What an environment keeps reaches services elsewhere, and the addresses by which errors come in change without losing one.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};

use crate::stage::Stage;

/// Fails on demand: says so on a line, and reports it with the key that it has. Pages get the key that everybody knows.
const FAILS: &str = r#"
const { createHash } = require("node:crypto");
const dsn = new URL(process.env.SENTRY_DSN);
async function report(request) {
  const event = { platform: "node", level: "error", release: "tiny@1", tags: { request_id: request },
    exception: { values: [{ type: "Error", value: "no stock of 4711" }] } };
  const answer = await fetch(`${dsn.origin}/api${dsn.pathname}/envelope/`, { method: "POST",
    headers: { "x-sentry-auth": `Sentry sentry_version=7, sentry_key=${dsn.username}` },
    body: `{}\n{"type":"event"}\n${JSON.stringify(event)}\n` });
  return answer.status;
}
const server = require("node:http").createServer(async (request, answer) => {
  if (request.url === "/page") return answer.end(process.env.PUBLIC_SENTRY_DSN);
  if (request.url === "/key") return answer.end(createHash("sha256").update(dsn.username).digest("hex"));
  if (request.url !== "/fail") return answer.end("tiny");
  console.log(JSON.stringify({ level: "error", msg: "no stock of 4711", request_id: request.headers["x-request-id"] }));
  answer.statusCode = await report(request.headers["x-request-id"]);
  answer.end();
});
server.listen(Number(process.env.PORT), "127.0.0.1");
process.on("SIGTERM", () => { server.close(() => process.exit(0)); server.closeIdleConnections(); });
"#;

const ADDRESSES: &str = r#"
[variables.SENTRY_DSN]
description = "Where errors are reported"
apps = ["web"]
class = "secret"
owner = "team"
value = "${errors.dsn}"
rotate = { overlap = "8s" }
example = "http://example@127.0.0.1:4318/1"

[variables.PUBLIC_SENTRY_DSN]
description = "Where pages report errors"
apps = ["web"]
class = "public"
owner = "team"
value = "${errors.public_dsn}"
example = "https://example@www.tiny.example/.roadbed/telemetry/1"
"#;

/// A request as it came: its head in lower case, its body unpacked where it can be.
#[derive(Clone, Debug)]
struct Got {
    head: String,
    body: Vec<u8>,
}

impl Got {
    fn has(&self, text: &str) -> bool {
        self.body.windows(text.len()).any(|window| window == text.as_bytes())
    }
}

/// Somebody elsewhere who takes everything.
struct Receiver {
    port: u16,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, got) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
        let kept = Arc::clone(&got);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // Who hangs up has said nothing.
                if let Ok(said) = take(stream.unwrap()) {
                    kept.lock().unwrap().push(said);
                }
            }
        });
        Self { port, got }
    }

    /// What came to an address.
    fn at(&self, path: &str) -> Vec<Got> {
        let all = self.got.lock().unwrap();
        all.iter().filter(|got| got.head.starts_with(&format!("post {path} "))).cloned().collect()
    }
}

fn take(stream: TcpStream) -> std::io::Result<Got> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head)? > 0 {}
    let head = head.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    if head.contains("content-encoding: gzip") {
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(body.as_slice()).read_to_end(&mut unpacked)?;
        body = unpacked;
    }
    reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
    Ok(Got { head, body })
}

/// A page of the app reports by the address that it was given.
fn report_of_a_page(stage: &Stage, dsn: &str) -> u16 {
    let (scheme, rest) = dsn.split_once("://").unwrap();
    let (key, place) = rest.split_once('@').unwrap();
    let (place, project) = place.rsplit_once('/').unwrap();
    let event = r#"{"platform":"javascript","exception":{"values":[{"type":"Error","value":"of a page"}]}}"#;
    let url = format!("{scheme}://{place}/api/{project}/envelope/?sentry_key={key}");
    let body = format!("{{}}\n{{\"type\":\"event\"}}\n{event}\n");
    stage.client().post(&url, &[], &body).unwrap().status
}

#[test]
fn errors_lines_and_numbers_reach_services_elsewhere_and_a_new_address_loses_no_error() {
    let stage = Stage::new();
    stage.server(FAILS);
    let receiver = Receiver::start();
    let at = |path: &str| format!("http://127.0.0.1:{}{path}", receiver.port);
    let exports = format!(
        "\n[exports.hosted]\ntype = \"sentry\"\n\n[exports.loki]\ntype = \"loki\"\nurl = \"{}\"\nuser = \"tiny\"\n\n\
         [exports.collector]\ntype = \"otlp\"\nurl = \"{}\"\napps = [\"web\"]\n\n\
         [exports.numbers]\ntype = \"remote-write\"\nurl = \"{}\"\nevery = \"1s\"\n",
        at("/loki/api/v1/push"),
        at("/v1/logs"),
        at("/api/v1/write"),
    );
    let manifest = stage.project.join("roadbed.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text + ADDRESSES + &exports).unwrap();
    let key: String =
        Sha256::digest(stage.root.display().to_string()).iter().map(|byte| format!("{byte:02x}")).collect();
    let key = &key[..32];
    let dsn = format!("http://{key}@127.0.0.1:{}/7", receiver.port);
    stage.roadbed_reading("secrets set exports/hosted", &dsn).exits(0);
    stage.roadbed_reading("secrets set exports/loki", key).exits(0);
    stage.up();

    let (client, home) = (stage.client(), stage.url().trim_end_matches('/').to_owned());
    let fails = || {
        let answer = client.get(&format!("{home}/fail")).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.headers["x-request-id"].clone()
    };
    let request = fails();
    let is_told = |path: &str, request: &str| receiver.at(path).into_iter().find(|got| got.has(request));
    stage.until("the error is elsewhere", || is_told("/api/7/envelope/", &request).is_some());
    let event = is_told("/api/7/envelope/", &request).unwrap();
    assert!(event.head.contains(&format!("sentry_key={key}")), "{event:?}");
    assert!(event.has("\"environment\":\"local\"") && event.has("no stock of 4711"), "{event:?}");
    for path in ["/loki/api/v1/push", "/v1/logs"] {
        stage.until("the line is elsewhere", || is_told(path, &request).is_some_and(|got| got.has("no stock of 4711")));
    }
    assert!(is_told("/loki/api/v1/push", &request).unwrap().head.contains("authorization: basic "));
    stage.until("numbers are elsewhere", || !receiver.at("/api/v1/write").is_empty());
    assert!(receiver.at("/api/v1/write")[0].head.contains("content-encoding: snappy"));
    // Of the others the collector wants nothing.
    assert!(receiver.at("/v1/logs").iter().all(|got| !got.has("edge-1") && !got.has("keeper")));
    stage.roadbed("exports").exits(0).says(&["hosted", "loki", "collector", "numbers"]);

    // Another key, while a page is open that has the one before.
    let shown = |path: &str| client.get(&format!("{home}{path}")).map(|answer| answer.body).unwrap_or_default();
    let (page, own) = (shown("/page"), shown("/key"));
    assert_eq!(report_of_a_page(&stage, &page), 200);
    stage.roadbed("secrets rotate SENTRY_DSN").exits(0);
    stage.until("the app has the next key", || !["", own.as_str()].contains(&shown("/key").as_str()));
    assert_eq!(report_of_a_page(&stage, &page), 200, "a page that is open goes on reporting");
    stage.until("pages get the next one", || !["", page.as_str()].contains(&shown("/page").as_str()));
    let next = shown("/page");
    assert_eq!(report_of_a_page(&stage, &next), 200);
    stage.until("the key before opens nothing", || report_of_a_page(&stage, &page) == 403);
    assert_eq!(report_of_a_page(&stage, &next), 200);
    let request = fails();
    stage.until("errors still leave", || is_told("/api/7/envelope/", &request).is_some());
    stage.roadbed("down").exits(0);
}
