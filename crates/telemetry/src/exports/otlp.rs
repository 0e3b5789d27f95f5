//! Lines by OTLP over HTTP, as protobuf, with the names of OpenTelemetry's semantic conventions.

use std::collections::BTreeMap;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use prost::Message;
use secrets::Secret;

use super::{Export, Parcel};
use crate::logs::{Level, Record};
use crate::otlp::wire::{AnyValue, KeyValue, Kind, LogRecord, LogsRequest, Resource, ResourceLogs, ScopeLogs};

pub(super) fn parcel(
    export: &Export,
    environment: &str,
    lines: &[Record],
    secret: Option<&Secret>,
) -> Result<Parcel, String> {
    let mut headers = export.headers(secret)?;
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    let body = Bytes::from(request(environment, lines).encode_to_vec());
    Ok(Parcel { url: export.address()?, headers, body, items: lines.len() as u64 })
}

fn request(environment: &str, lines: &[Record]) -> LogsRequest {
    type Origin<'r> = (&'r str, &'r str, Option<&'r str>);
    let mut origins: BTreeMap<Origin<'_>, Vec<LogRecord>> = BTreeMap::new();
    for record in lines {
        let of = &record.source;
        // What is no app's is a service of its own: `mongodb`, `edge`.
        let service = of.app.as_deref().unwrap_or(&of.unit);
        origins.entry((service, &of.unit, of.release.as_deref())).or_default().push(written(record));
    }
    let of_one = |((service, unit, release), log_records): (Origin<'_>, Vec<LogRecord>)| {
        let mut attributes = vec![
            text("service.name", service),
            text("service.instance.id", unit),
            text("deployment.environment.name", environment),
        ];
        attributes.extend(release.map(|release| text("service.version", release)));
        ResourceLogs { resource: Some(Resource { attributes }), scope_logs: vec![ScopeLogs { log_records }] }
    };
    LogsRequest { resource_logs: origins.into_iter().map(of_one).collect() }
}

fn written(record: &Record) -> LogRecord {
    let nanos = u64::try_from(record.time.unix_millis()).unwrap_or(0).saturating_mul(1_000_000);
    let mut attributes = Vec::new();
    match record.source.stream.as_str() {
        "out" => attributes.push(text("log.iostream", "stdout")),
        "err" => attributes.push(text("log.iostream", "stderr")),
        other => attributes.push(text("roadbed.stream", other)),
    }
    attributes.extend(record.request_id.as_deref().map(|id| text("request_id", id)));
    LogRecord {
        time_unix_nano: nanos,
        observed_time_unix_nano: nanos,
        // The first of four numbers that each word has.
        severity_number: record.level.map_or(0, |level| i32::try_from(level.as_number() * 4 + 1).unwrap_or(0)),
        severity_text: record.level.map(|level| Level::as_str(level).to_uppercase()).unwrap_or_default(),
        body: Some(AnyValue { kind: Some(Kind::StringValue(record.line.clone())) }),
        attributes,
        trace_id: record.trace_id.as_deref().and_then(bytes_of).unwrap_or_default(),
        span_id: record.span_id.as_deref().and_then(bytes_of).unwrap_or_default(),
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { kind: Some(Kind::StringValue(value.to_owned())) }) }
}

/// An id in hexadecimal; `None` where it is none.
fn bytes_of(id: &str) -> Option<Vec<u8>> {
    let is_id = matches!(id.len(), 16 | 32) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| (0..id.len() / 2).filter_map(|at| u8::from_str_radix(&id[at * 2..at * 2 + 2], 16).ok()).collect())
}

#[cfg(test)]
mod tests {
    use host::clock::Timestamp;

    use super::*;
    use crate::logs::Source;
    use crate::otlp::wire::id_of;

    #[test]
    fn a_line_keeps_its_level_its_trace_and_whose_it_is() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let record = Record {
            time: Timestamp::from_unix_millis(1_500),
            source: Source {
                unit: "api-1".into(),
                app: Some("api".into()),
                release: Some("r1".into()),
                stream: "err".into(),
            },
            level: Some(Level::Error),
            request_id: Some("req-1".into()),
            trace_id: Some(trace.into()),
            span_id: Some("nonsense".into()),
            line: "no".into(),
        };
        let bytes = request("staging", &[record]).encode_to_vec();
        let read = LogsRequest::decode(bytes.as_slice()).unwrap();
        let resource = read.resource_logs[0].resource.as_ref().unwrap();
        let said = |key| resource.text(key).unwrap_or_default();
        assert_eq!(
            (said("service.name"), said("service.instance.id"), said("service.version")),
            ("api", "api-1", "r1")
        );
        assert_eq!(said("deployment.environment.name"), "staging");
        let line = &read.resource_logs[0].scope_logs[0].log_records[0];
        assert_eq!((line.severity_number, line.severity_text.as_str()), (17, "ERROR"));
        assert_eq!((line.time_unix_nano, line.span_id.len()), (1_500_000_000, 0));
        assert_eq!(id_of(&line.trace_id, 16).as_deref(), Some(trace));
        assert_eq!(line.body.as_ref().unwrap().json(), "no");
    }
}
