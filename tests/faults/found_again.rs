//! Whoever has the number of a request finds what the edge and the app wrote about it, whatever dies meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::stage::Stage;

/// Writes a line for each request, as UrbanCart's API does, and says what it was told of the trace.
const WRITES: &str = r#"
const server = require("node:http").createServer((request, answer) => {
  // Whoever asks for its health comes past the edge.
  if (!request.headers.traceparent) return answer.end("ok");
  const trace = request.headers.traceparent.split("-");
  const line = { time: new Date().toISOString(), level: request.url === "/bad" ? "error" : "info", msg: "order taken",
    request_id: request.headers["x-request-id"], trace_id: trace[1], path: request.url, order: { id: 4711 } };
  console.log(JSON.stringify(line));
  answer.setHeader("sentry-trace-was", request.headers["sentry-trace"]);
  answer.end(trace.join("-"));
});
server.listen(Number(process.env.PORT), "127.0.0.1");
process.on("SIGTERM", () => { server.close(() => process.exit(0)); server.closeIdleConnections(); });
"#;

impl Stage {
    /// What `logs --json` prints with these conditions.
    fn searched(&self, conditions: &str) -> Vec<Value> {
        let answer = self.roadbed(&format!("logs --json {conditions}")).exits(0);
        answer.out.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
    }

    fn lines_of(&self, request: &str) -> Vec<Value> {
        self.searched(&format!("--request {request}"))
    }
}

#[test]
fn a_request_is_found_again_in_both_logs_by_its_number_and_by_its_trace() {
    let stage = Stage::new();
    stage.server(WRITES);
    stage.up();
    let (client, url) = (stage.client(), stage.url());
    let theirs = "0af7651916cd43dd8448eb211c80319c";
    let sent = format!("00-{theirs}-b7ad6b7169203331-01");
    let answer =
        client.request("GET", &format!("{}/bad", url.trim_end_matches('/')), &[("traceparent", &sent)], "").unwrap();
    let asked = Instant::now();
    let id = answer.headers["x-request-id"].clone();
    assert!(answer.body.starts_with(&format!("00-{theirs}-")) && answer.body != sent, "{}", answer.body);
    assert!(answer.headers["sentry-trace-was"].starts_with(&format!("{theirs}-")));
    stage.until("both lines are found", || stage.lines_of(&id).len() == 2);
    assert!(asked.elapsed() < Duration::from_secs(5), "it took {:?}", asked.elapsed());
    let lines = stage.lines_of(&id);
    let own = lines.iter().find(|line| line["unit"] == "web-1").unwrap();
    assert_eq!((own["app"].as_str(), own["level"].as_str()), (Some("web"), Some("error")), "{own}");
    assert!(lines.iter().all(|line| line["trace_id"] == theirs), "{lines:?}");

    stage.roadbed(&format!("explain {id}")).exits(0).says(&["was answered 200, by web-1", "order taken"]);
    stage.roadbed(&format!("trace {id}")).exits(0).says(&[theirs, "edge GET web/bad 200", "order taken"]);
    for (conditions, count) in [
        ("web --grep taken --level error", 1),
        (&format!("web --request {id} --field order.id=4711 --since 1h"), 1),
        ("web --field order.id=4712", 0),
        ("web --until 2020-01-01", 0),
        ("web --level fatal", 0),
    ] {
        assert_eq!(stage.searched(conditions).len(), count, "{conditions}");
    }
    stage.roadbed("logs web --level loud").exits(2);

    // A span that the app sends stands below the edge's.
    let settings: Value = serde_json::from_slice(&fs::read(stage.root.join("conf/telemetry.json")).unwrap()).unwrap();
    let parent = answer.body.split('-').nth(2).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let span = json!({ "traceId": theirs, "spanId": "00000000000000a1", "parentSpanId": parent, "name": "charge the card",
        "startTimeUnixNano": now.to_string(), "endTimeUnixNano": (now + 2_000_000).to_string() });
    let resource = json!({ "attributes": [{ "key": "service.name", "value": { "stringValue": "web" } }] });
    let body = json!({ "resourceSpans": [{ "resource": resource, "scopeSpans": [{ "spans": [span] }] }] }).to_string();
    let port = u16::try_from(settings["port"].as_u64().unwrap()).unwrap();
    // As exporters do: until it knows what must not be kept, telemetry has them come again.
    stage.until("the span is taken", || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let head = "POST /v1/traces HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json";
        write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert!(said.starts_with("HTTP/1.1 200") || said.starts_with("HTTP/1.1 503"), "{said}");
        said.starts_with("HTTP/1.1 200")
    });
    stage.roadbed(&format!("trace {theirs}")).exits(0).says(&["  web charge the card"]);

    let report = stage.roadbed("ready --json --only requests-are-found-again");
    let report: Value = serde_json::from_str(&report.out.join("\n")).unwrap();
    assert_eq!(report["checks"][0]["verdict"], "holds", "{report}");

    // Killed again and again while visitors come: each line is there, and there once.
    let mut ids = BTreeSet::new();
    for round in 0..3 {
        for _ in 0..30 {
            ids.insert(client.get(&url).unwrap().headers["x-request-id"].clone());
        }
        stage.kill("telemetry");
        if round == 1 {
            stage.kill("keeper");
        }
    }
    // By telemetry: while it comes back the log files are read instead, which know the lines before it does.
    let mut found = Vec::new();
    stage.until("all lines are found", || {
        let answer = stage.roadbed("logs --json web --grep taken -n 1000").exits(0);
        if answer.err.iter().any(|line| line.contains("telemetry does not answer")) {
            return false;
        }
        let lines = answer.out.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
        found = lines.filter_map(|line| Some(line["request_id"].as_str()?.to_owned())).collect();
        ids.iter().all(|id| found.contains(id))
    });
    for id in &ids {
        assert_eq!(found.iter().filter(|found| *found == id).count(), 1, "{id}");
    }

    // Without telemetry the log files are read themselves.
    stage.roadbed("down").exits(0);
    let answer = stage.roadbed(&format!("logs --request {id}")).exits(0);
    assert!(answer.out.len() == 2 && answer.err.join("\n").contains("telemetry does not answer"), "{answer:?}");
}
