//! What apps send over OTLP, and who may not.

use std::io::Write as _;

use host::clock::{Clock, SystemClock};
use reconcile::ports::TELEMETRY_PATH;
use secrets::Secret;
use serde_json::json;
use sha2::{Digest, Sha256};
use telemetry::TelemetryClient;
use telemetry::logs::{Filter, Level};
use telemetry::metrics::Fact;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::place::{Place, Role};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

impl Role {
    /// One request on loopback; status line, headers and body as they come.
    pub(crate) async fn asked(&self, head: &str, body: &[u8]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let text = format!("{head}\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(text.as_bytes()).await.unwrap();
        // Who is refused early does not hear the rest.
        let _ = stream.write_all(body).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn sent(&self, path: &str, body: &serde_json::Value) -> String {
        let head = format!("POST {path} HTTP/1.1\r\ncontent-type: application/json");
        self.asked(&head, body.to_string().as_bytes()).await
    }
}

fn nanos(ago: i64) -> String {
    ((SystemClock.now().unix_millis() - ago) * 1_000_000).to_string()
}

fn resource(name: &str) -> serde_json::Value {
    json!({ "attributes": [{ "key": "service.name", "value": { "stringValue": name } }] })
}

#[tokio::test]
async fn lines_and_spans_of_apps_are_kept_and_joined_by_the_trace() {
    let place = Place::new();
    let role = place.start().await;
    // Until it is known what must not be kept, nothing is taken.
    assert!(role.sent("/v1/logs", &json!({})).await.starts_with("HTTP/1.1 503"));
    let secrets = [("API_KEY@1".to_owned(), Secret::new("correct-horse-battery".to_owned()))];
    role.client.look_for(&secrets).await.unwrap();
    assert_eq!(role.client.secrets_told().await.unwrap(), Some(TelemetryClient::fingerprint(&secrets)));
    let record = json!({ "timeUnixNano": nanos(0), "severityNumber": 17, "body": { "stringValue": "card declined by correct-horse-battery" },
        "attributes": [{ "key": "request_id", "value": { "stringValue": "req-000009" } }], "traceId": TRACE, "spanId": "b7ad6b7169203331" });
    let years_off = json!({ "timeUnixNano": "4102444800000000000", "severityText": "WARN", "body": { "stringValue": "from 2100" } });
    let body = json!({ "resourceLogs": [{ "resource": resource("web"), "scopeLogs": [{ "logRecords": [record, years_off] }] }] });
    let answer = role.sent("/v1/logs", &body).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("{}"), "{answer}");
    // What somebody put into a log file past the keeper.
    place.append("careless", "signing with correct-horse-battery\n");
    let careless = role.lines(Filter { text: Some("signing".into()), ..Filter::default() }, 1).await;
    assert_eq!(careless, ["signing with ‹API_KEY@1›"]);
    // What was answered is there: nothing is waited for.
    let found = role.find(Filter { trace: Some(TRACE.into()), ..Filter::default() }).await.lines;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].level, found[0].request_id.as_deref()), (Some(Level::Error), Some("req-000009")));
    assert_eq!(found[0].source.app.as_deref(), Some("web"));
    assert!(found[0].line.contains("declined by ‹API_KEY@1›"), "{}", found[0].line);
    let found = role.find(Filter { text: Some("from 2100".into()), ..Filter::default() }).await.lines;
    assert!(found[0].time <= SystemClock.now());

    let span = |id: &str, parent: &str, code: i32| {
        json!({ "traceId": TRACE, "spanId": id, "parentSpanId": parent, "name": id, "kind": 2, "startTimeUnixNano": nanos(5),
            "endTimeUnixNano": nanos(0), "status": { "code": code }, "attributes": [{ "key": "n", "value": { "intValue": "7" } }] })
    };
    let spans = [
        span("00000000000000a1", "", 0),
        span("00000000000000a2", "00000000000000a1", 2),
        json!({ "name": "of nobody" }),
    ];
    let body = json!({ "resourceSpans": [{ "resource": resource("web"), "scopeSpans": [{ "spans": spans }] }] });
    for _ in 0..2 {
        let answer = role.sent("/v1/traces", &body).await;
        assert!(answer.contains(r#"{"partialSuccess":{"rejectedSpans":"1"}}"#), "{answer}");
    }
    let spans = role.client.trace(TRACE).await.unwrap();
    assert_eq!(spans.len(), 2, "a span that is sent again is the same: {spans:?}");
    let child = spans.iter().find(|span| span.has_failed).unwrap();
    assert_eq!((child.parent_id.as_deref(), child.micros, child.app.as_str()), (Some("00000000000000a1"), 5000, "web"));
    assert!(role.client.trace("../../health").await.unwrap().is_empty());
    role.stop().await;
}

#[tokio::test]
async fn what_is_no_otlp_or_comes_from_a_page_is_refused() {
    let place = Place::new();
    let role = place.start().await;
    role.client.look_for(&[]).await.unwrap();
    let json = "POST /v1/logs HTTP/1.1\r\ncontent-type: application/json";
    let zipped = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let gzip = format!("{json}\r\ncontent-encoding: gzip");
    let protobuf = "POST /v1/traces HTTP/1.1\r\ncontent-type: application/x-protobuf";
    let page = format!("POST {}v1/logs HTTP/1.1\r\ncontent-type: application/json", TELEMETRY_PATH);
    let bomb = zipped(&vec![b' '; 64 * 1024 * 1024]);
    let (open, close) = ("{\"arrayValue\":{\"values\":[".repeat(2000), "]}}".repeat(2000));
    let deep = format!("{{\"resourceLogs\":[{{\"scopeLogs\":[{{\"logRecords\":[{{\"body\":{open}{close}}}]}}]}}]}}");
    let cases: [(&str, &[u8], &str); 9] = [
        (json, b"{", "400"),
        (json, deep.as_bytes(), "400"),
        (&gzip, &bomb, "413"),
        (&gzip, b"no gzip", "400"),
        (&gzip, &zipped(b"{}"), "200"),
        (protobuf, &[0xff; 100], "400"),
        (protobuf, b"", "200"),
        ("POST /v1/logs HTTP/1.1\r\ncontent-type: text/plain", b"{}", "415"),
        (&page, b"{}", "404"),
    ];
    for (head, body, status) in cases {
        let answer = role.asked(head, body).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{head}: {answer}");
    }
    let answer = role.asked(json, &vec![b' '; 5 * 1024 * 1024]).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert_eq!(role.client.health().await.unwrap().environment, "test");
    role.stop().await;
}

#[tokio::test]
async fn the_page_of_metrics_is_for_who_has_the_token() {
    let mut place = Place::new();
    let digest = Sha256::digest("let-me-read");
    place.settings.metrics_token = Some(digest.iter().map(|byte| format!("{byte:02x}")).collect());
    for (status, ms) in [(200, 3.0), (200, 70.0), (503, 20_000.0)] {
        let line = json!({ "time": SystemClock.now().to_string(), "request_id": "req-000001", "scheme": "https", "status": status,
            "ms": ms, "app": "web", "route": "default" });
        place.append("access", &format!("{line}\n"));
    }
    let role = place.start().await;
    role.until("all are counted", async |client| client.logs_state().await.unwrap().lines == 3).await;
    let labels = [("host".to_owned(), "shop \"one\"\n".to_owned())].into();
    let fact = Fact { name: "roadbed_certificate_days_left".into(), help: "Days.".into(), labels, value: 59.5 };
    role.client.tell(&[fact]).await.unwrap();
    let body = json!({ "resourceMetrics": [{ "resource": resource("web"), "scopeMetrics": [{ "metrics": [
        { "name": "nodejs.eventloop.delay", "gauge": { "dataPoints": [{ "asDouble": 0.25, "attributes": [{ "key": "pool", "value": { "stringValue": "a" } }] }] } },
        { "name": "delta", "sum": { "aggregationTemporality": 1, "dataPoints": [{ "asInt": "1" }] } } ] }] }] });
    let answer = role.sent("/v1/metrics", &body).await;
    assert!(answer.contains(r#""rejectedDataPoints":"1""#), "{answer}");

    let page = role.asked("GET /metrics HTTP/1.1\r\nauthorization: Bearer let-me-read", b"").await;
    for line in [
        r#"roadbed_http_requests_total{app="web",door="https",route="default",answer="2xx"} 2"#,
        r#"roadbed_http_request_duration_seconds_bucket{app="web",door="https",route="default",answer="2xx",le="0.1"} 2"#,
        r#"roadbed_http_request_duration_seconds_bucket{app="web",door="https",route="default",answer="5xx",le="+Inf"} 1"#,
        r#"roadbed_http_request_duration_seconds_sum{app="web",door="https",route="default",answer="5xx"} 20"#,
        r#"roadbed_certificate_days_left{host="shop \"one\"\n"} 59.5"#,
        r#"otlp_nodejs_eventloop_delay{app="web",pool="a"} 0.25"#,
        "roadbed_telemetry_log_lines_total 3",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is missing in {page}");
    }
    for head in ["GET /metrics HTTP/1.1", "GET /metrics HTTP/1.1\r\nauthorization: Bearer let-me-rea"] {
        assert!(role.asked(head, b"").await.starts_with("HTTP/1.1 404"));
    }
    let minutes = role.client.minutes().await.unwrap();
    assert_eq!(
        minutes
            .iter()
            .map(|minute| (minute.requests, minute.failed))
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1)),
        (3, 1)
    );
    role.stop().await;
    // A chart goes on where it was.
    let role = place.start().await;
    assert_eq!(role.client.minutes().await.unwrap(), minutes);
    role.stop().await;
}
