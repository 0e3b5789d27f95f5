//! OTLP over HTTP: logs, spans and numbers of apps that speak OpenTelemetry, as protobuf or JSON.
//!
//! By the way for apps alone (`telemetry-internal`), never below the path by which browsers report: what a page says is a stranger's
//! word. Which app it is, an app says itself, as it does in its log.

pub(crate) mod wire;

use std::io::Read;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use host::clock::{Clock, Timestamp};
use prost::Message;
use secrets::redact::Needles;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::logs::fields::Fields;
use crate::logs::line::Read as Line;
use crate::logs::record::{Level, Record, Source};
use crate::logs::{Logs, Refused};
use crate::metrics::Metrics;
use crate::redaction::{Redaction, redacted};
use crate::traces::{Span, Traces};
use wire::{LogsRequest, MetricsRequest, Resource, TracesRequest, id_of, json_of};

/// As it comes. Exporters send 512 records at a time.
const MOST_COMPRESSED: usize = 4 * 1024 * 1024;

/// As it is read: a bomb ends here.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// Names and messages are cut at this length, attributes of one span or line at four times as much.
const LONGEST: usize = 8 * 1024;

/// Clocks of apps that are further off count as wrong.
const MOST_OFF: i64 = 24 * 3600 * 1000;

/// Where what comes in goes to.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) apps: Arc<[String]>,
    pub(crate) logs: Arc<Logs>,
    pub(crate) traces: Arc<Traces>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) redaction: Arc<Redaction>,
}

pub(crate) fn routes(door: Door) -> Router {
    Router::new()
        .route("/v1/logs", post(logs))
        .route("/v1/traces", post(traces))
        .route("/v1/metrics", post(metrics))
        .layer(DefaultBodyLimit::max(MOST_COMPRESSED))
        .with_state(door)
}

/// How somebody speaks, and is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Protobuf,
    Json,
}

#[expect(clippy::result_large_err, reason = "a refusal is the answer, and goes out at once")]
fn read<T: Message + Default + DeserializeOwned>(headers: &HeaderMap, body: &Bytes) -> Result<(Form, T), Response> {
    let said = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let refuse = |status: StatusCode, why: &str| (status, why.to_owned()).into_response();
    let form = match said(&CONTENT_TYPE).split(';').next().unwrap_or_default().trim() {
        "application/x-protobuf" => Form::Protobuf,
        "application/json" => Form::Json,
        _ => return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "say application/x-protobuf or application/json")),
    };
    let bytes = match said(&CONTENT_ENCODING) {
        "" | "identity" => body.to_vec(),
        "gzip" => {
            let mut bytes = Vec::new();
            let reader = flate2::read::MultiGzDecoder::new(body.as_ref());
            let read = reader.take(MOST_BYTES + 1).read_to_end(&mut bytes);
            read.map_err(|error| refuse(StatusCode::BAD_REQUEST, &format!("the body is no gzip: {error}")))?;
            bytes
        }
        _ => return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "say gzip, or nothing")),
    };
    if bytes.len() as u64 > MOST_BYTES {
        return Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 16 MiB"));
    }
    let read = match form {
        Form::Protobuf => T::decode(bytes.as_slice()).map_err(|error| error.to_string()),
        Form::Json => serde_json::from_slice(&bytes).map_err(|error| error.to_string()),
    };
    read.map(|read| (form, read)).map_err(|error| refuse(StatusCode::BAD_REQUEST, &error))
}

/// All is on disk, but for so many that are not wanted.
fn taken(form: Form, rejected: u64, of: &str) -> Response {
    match form {
        Form::Json if rejected == 0 => ([(CONTENT_TYPE, "application/json")], "{}").into_response(),
        Form::Json => {
            let body = json!({ "partialSuccess": { format!("rejected{of}"): rejected.to_string() } });
            ([(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
        }
        Form::Protobuf => {
            // One message in field 1, whose field 1 is the count.
            let body = Partial { partial: (rejected > 0).then(|| Rejected { count: rejected.cast_signed() }) };
            ([(CONTENT_TYPE, "application/x-protobuf")], body.encode_to_vec()).into_response()
        }
    }
}

#[derive(Clone, PartialEq, Message)]
struct Partial {
    #[prost(message, optional, tag = "1")]
    partial: Option<Rejected>,
}

#[derive(Clone, PartialEq, Message)]
struct Rejected {
    #[prost(int64, tag = "1")]
    count: i64,
}

/// Exporters try again after these.
fn busy(refused: &Refused) -> Response {
    match refused {
        Refused::Busy => {
            (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, "1")], "too many wait".to_owned()).into_response()
        }
        Refused::Unwritten(why) => (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "5")], why.clone()).into_response(),
    }
}

/// Nobody has told yet what must not be kept. Exporters come again.
fn untold() -> Response {
    busy(&Refused::Unwritten("it is not known yet what must not be kept".into()))
}

impl Door {
    /// The app by the name that it gives itself. Others share one name, so that no stranger's words fill ours.
    fn app(&self, resource: Option<&Resource>) -> Option<String> {
        let name = resource.and_then(|resource| resource.text("service.name"))?;
        self.apps.iter().find(|app| *app == name).cloned()
    }

    /// The time that was said, unless it is that of a clock that is wrong.
    fn time(&self, nanos: &[u64]) -> Timestamp {
        let now = self.clock.now();
        let said = nanos.iter().find(|nanos| **nanos > 0).and_then(|nanos| i64::try_from(nanos / 1_000_000).ok());
        said.filter(|millis| (millis - now.unix_millis()).abs() <= MOST_OFF).map_or(now, Timestamp::from_unix_millis)
    }
}

async fn logs(State(door): State<Door>, headers: HeaderMap, body: Bytes) -> Response {
    let (form, request) = match read::<LogsRequest>(&headers, &body) {
        Ok(read) => read,
        Err(refusal) => return refusal,
    };
    let Some(needles) = door.redaction.needles() else { return untold() };
    let mut lines = Vec::new();
    for of in &request.resource_logs {
        let app = door.app(of.resource.as_ref());
        for record in of.scope_logs.iter().flat_map(|scope| &scope.log_records) {
            lines.push(line(&door, &needles, (of.resource.as_ref(), app.clone()), record));
        }
    }
    match door.logs.store(lines).await {
        Ok(()) => taken(form, 0, "LogRecords"),
        Err(refused) => busy(&refused),
    }
}

fn line(
    door: &Door,
    needles: &Needles,
    (resource, app): (Option<&Resource>, Option<String>),
    record: &wire::LogRecord,
) -> Line {
    let time = door.time(&[record.time_unix_nano, record.observed_time_unix_nano]);
    let level = Level::from_severity(record.severity_number).or_else(|| Level::from_word(&record.severity_text));
    let mut fields = Map::new();
    fields.insert("msg".into(), record.body.as_ref().map_or(Value::Null, wire::AnyValue::json));
    for (name, value) in json_of(&record.attributes) {
        fields.entry(name).or_insert(value);
    }
    for name in ["service.name", "service.version", "service.instance.id"] {
        if let Some(text) = resource.and_then(|resource| resource.text(name)) {
            fields.entry(name).or_insert_with(|| text.into());
        }
    }
    let line = cut(redacted(needles, Value::from(fields).to_string()), LONGEST * 4);
    let found = Fields::of(&line);
    let unit = app.clone().unwrap_or_else(|| "otlp".to_owned());
    let record = Record {
        time,
        source: Source { unit, app, release: None, stream: "otlp".to_owned() },
        level: level.or(found.level),
        request_id: found.request_id,
        trace_id: id_of(&record.trace_id, 16).or(found.trace_id),
        span_id: id_of(&record.span_id, 8).or(found.span_id),
        line,
    };
    Line { record, words: found.words, access: None }
}

fn cut(mut text: String, longest: usize) -> String {
    if text.len() > longest {
        text.truncate(text.floor_char_boundary(longest));
        text.push_str(host::process::line::CUT_MARK);
    }
    text
}

async fn traces(State(door): State<Door>, headers: HeaderMap, body: Bytes) -> Response {
    let (form, request) = match read::<TracesRequest>(&headers, &body) {
        Ok(read) => read,
        Err(refusal) => return refusal,
    };
    let Some(needles) = door.redaction.needles() else { return untold() };
    let (mut spans, mut rejected) = (Vec::new(), 0);
    for of in &request.resource_spans {
        let app = door.app(of.resource.as_ref());
        for span in of.scope_spans.iter().flat_map(|scope| &scope.spans) {
            match self::span(&door, &needles, app.as_deref(), span) {
                Some(span) => spans.push(span),
                None => rejected += 1,
            }
        }
    }
    let (traces, now) = (Arc::clone(&door.traces), door.clock.now());
    match tokio::task::spawn_blocking(move || traces.store(&spans, now)).await {
        Ok(Ok(())) => taken(form, rejected, "Spans"),
        Ok(Err(why)) => busy(&Refused::Unwritten(why)),
        Err(_) => busy(&Refused::Busy),
    }
}

/// `None`: it has no id by which it could be found.
fn span(door: &Door, needles: &Needles, app: Option<&str>, span: &wire::Span) -> Option<Span> {
    let attributes = redacted(needles, Value::from(json_of(&span.attributes)).to_string());
    Some(Span {
        trace_id: id_of(&span.trace_id, 16)?,
        span_id: id_of(&span.span_id, 8)?,
        parent_id: id_of(&span.parent_span_id, 8),
        app: app.unwrap_or("otlp").to_owned(),
        name: cut(redacted(needles, span.name.clone()), LONGEST),
        start: door.time(&[span.start_time_unix_nano]),
        micros: span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano) / 1000,
        has_failed: span.status.as_ref().is_some_and(|status| status.code == 2),
        // What is cut is no JSON any more, and is left out whole.
        attributes: Some(attributes)
            .filter(|text| text.len() <= LONGEST * 4)
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default(),
    })
}

async fn metrics(State(door): State<Door>, headers: HeaderMap, body: Bytes) -> Response {
    let (form, request) = match read::<MetricsRequest>(&headers, &body) {
        Ok(read) => read,
        Err(refusal) => return refusal,
    };
    let mut rejected = 0;
    for of in &request.resource_metrics {
        let app = door.app(of.resource.as_ref()).unwrap_or_else(|| "otlp".to_owned());
        for metric in of.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
            let points = metric.gauge.as_ref().or(metric.sum.as_ref().filter(|sum| sum.aggregation_temporality == 2));
            let Some(points) = points else {
                rejected += 1;
                continue;
            };
            for point in &points.data_points {
                #[expect(clippy::cast_precision_loss, reason = "a sample of Prometheus is a double")]
                let value = point.as_double.or(point.as_int.map(|number| number as f64));
                let labels = json_of(&point.attributes);
                let is_kept = value.is_some_and(|value| door.metrics.told(&app, &metric.name, labels, value));
                rejected += u64::from(!is_kept);
            }
        }
    }
    taken(form, rejected, "DataPoints")
}
