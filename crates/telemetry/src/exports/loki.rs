//! Lines as Loki's push API takes them, in JSON. Labels are few and bounded: environment, app, unit, stream and level. Ids of requests
//! and traces are none, as each would be a stream of its own; they are in the lines.

use std::collections::BTreeMap;
use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use secrets::Secret;
use serde_json::{Value, json};

use super::{Export, Parcel};
use crate::logs::{Level, Record};

pub(super) fn parcel(
    export: &Export,
    environment: &str,
    lines: &[Record],
    secret: Option<&Secret>,
) -> Result<Parcel, String> {
    let mut headers = export.headers(secret)?;
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    let body = pushed(environment, lines).to_string();
    let body = packed.write_all(body.as_bytes()).and_then(|()| packed.finish());
    let body = Bytes::from(body.map_err(|error| format!("lines cannot be packed: {error}"))?);
    Ok(Parcel { url: export.address()?, headers, body, items: lines.len() as u64 })
}

fn pushed(environment: &str, lines: &[Record]) -> Value {
    let mut streams: BTreeMap<Vec<(&str, &str)>, Vec<Value>> = BTreeMap::new();
    for record in lines {
        let mut labels =
            vec![("environment", environment), ("unit", &record.source.unit), ("stream", &record.source.stream)];
        labels.extend(record.source.app.as_deref().map(|app| ("app", app)));
        labels.extend(record.level.map(|level| ("level", Level::as_str(level))));
        // Nanoseconds, as text.
        let time = format!("{}000000", record.time.unix_millis());
        streams.entry(labels).or_default().push(json!([time, record.line]));
    }
    let stream = |(labels, values): (Vec<(&str, &str)>, Vec<Value>)| {
        let labels: BTreeMap<&str, &str> = labels.into_iter().collect();
        json!({ "stream": labels, "values": values })
    };
    json!({ "streams": streams.into_iter().map(stream).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use host::clock::Timestamp;

    use super::*;
    use crate::logs::Source;

    #[test]
    fn lines_of_the_same_origin_are_one_stream() {
        let line = |unit: &str, app: Option<&str>, level, millis, line: &str| Record {
            time: Timestamp::from_unix_millis(millis),
            source: Source { unit: unit.into(), app: app.map(Into::into), release: None, stream: "out".into() },
            level,
            request_id: Some("req-1".into()),
            trace_id: None,
            span_id: None,
            line: line.into(),
        };
        let lines = [
            line("api-1", Some("api"), Some(Level::Error), 1_500, "one"),
            line("mongodb", None, None, 1_501, "two"),
            line("api-1", Some("api"), Some(Level::Error), 1_502, "three"),
        ];
        assert_eq!(
            pushed("production", &lines),
            json!({ "streams": [
                { "stream": { "environment": "production", "unit": "api-1", "stream": "out", "app": "api", "level": "error" },
                  "values": [["1500000000", "one"], ["1502000000", "three"]] },
                { "stream": { "environment": "production", "unit": "mongodb", "stream": "out" },
                  "values": [["1501000000", "two"]] },
            ] })
        );
    }
}
