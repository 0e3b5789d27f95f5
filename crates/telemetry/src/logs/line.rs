//! A line of a file in `logs/`, in whichever of the three forms it is there.
//!
//! ```text
//!   {"time":"…","stream":"out","line":"…"}     what the keeper captured; secrets are taken out of it already
//!   {"time":"…","request_id":"…","status":…}   the edge's access log
//!   2026-01-01T00:00:00Z  INFO started         what the keeper says of itself
//! ```

use std::borrow::Cow;

use host::clock::Timestamp;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::fields::Fields;
use super::record::{Level, Record, Source};

/// Name of the edge's access log among the units.
pub const ACCESS: &str = "access";

/// A request as the edge tells it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Access {
    pub(crate) status: u16,
    pub(crate) ms: f64,
    #[serde(default)]
    pub(crate) app: Option<String>,
    #[serde(default)]
    pub(crate) scheme: Option<String>,
    #[serde(default)]
    pub(crate) route: Option<String>,
    #[serde(default)]
    release: Option<String>,
    #[serde(default)]
    pub(crate) dropped: Option<u64>,
}

/// A line, read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Read {
    pub(crate) record: Record,
    pub(crate) words: String,
    pub(crate) access: Option<Access>,
}

#[derive(Deserialize)]
struct Kept<'a> {
    time: &'a str,
    stream: &'a str,
    #[serde(borrow)]
    line: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Dated<'a> {
    time: &'a str,
}

/// Reads one. `before` is the time of the line before it, for one that is damaged.
pub(crate) fn read(unit: &str, raw: &str, before: Timestamp) -> Read {
    if unit == ACCESS {
        return access(raw, before);
    }
    let (time, stream, line) = if let Ok(kept) = serde_json::from_str::<Kept<'_>>(raw) {
        (at(kept.time), kept.stream.to_owned(), kept.line.into_owned())
    } else {
        let own = raw.split_once(' ').and_then(|(time, rest)| Some((at(time)?, rest.trim_start())));
        own.map_or_else(
            || (None, "out".to_owned(), raw.to_owned()),
            |(time, rest)| (Some(time), "out".into(), rest.into()),
        )
    };
    let Fields { level, request_id, trace_id, span_id, words } = Fields::of(&line);
    let source = Source { unit: unit.to_owned(), app: None, release: None, stream };
    let record = Record { time: time.unwrap_or(before), source, level, request_id, trace_id, span_id, line };
    Read { record, words, access: None }
}

fn access(raw: &str, before: Timestamp) -> Read {
    let time = serde_json::from_str::<Dated<'_>>(raw).ok().and_then(|dated| at(dated.time));
    let access = serde_json::from_str::<Access>(raw).ok();
    let Fields { request_id, trace_id, span_id, words, .. } = Fields::of(raw);
    let source = Source {
        unit: ACCESS.to_owned(),
        app: access.as_ref().and_then(|access| access.app.clone()),
        release: access.as_ref().and_then(|access| access.release.clone()),
        stream: ACCESS.to_owned(),
    };
    let level = access.as_ref().map(|access| if access.status >= 500 { Level::Error } else { Level::Info });
    // What the parser refused has no id of its own.
    let request_id = request_id.filter(|id| id != "-");
    let record =
        Record { time: time.unwrap_or(before), source, level, request_id, trace_id, span_id, line: raw.to_owned() };
    Read { record, words, access }
}

pub(crate) fn at(text: &str) -> Option<Timestamp> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(moment.unix_timestamp_nanos() / 1_000_000).ok().map(Timestamp::from_unix_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEN: Timestamp = Timestamp::from_unix_millis(5);

    #[test]
    fn what_the_keeper_captured_is_unwrapped() {
        let raw = r#"{"time":"1970-01-01T00:00:01.5Z","stream":"err","line":"{\"level\":\"warn\",\"msg\":\"hm\"}"}"#;
        let read = read("api-1", raw, THEN);
        assert_eq!(read.record.time.unix_millis(), 1500);
        assert_eq!((read.record.source.stream.as_str(), read.record.level), ("err", Some(Level::Warn)));
        assert_eq!((read.record.line.as_str(), read.words.as_str()), (r#"{"level":"warn","msg":"hm"}"#, "hm"));
    }

    #[test]
    fn a_request_is_read_with_its_app_and_release() {
        let raw = r#"{"time":"1970-01-01T00:00:01Z","request_id":"id-1234567","method":"GET","path":"/x","status":502,"ms":1.5,"app":"api","release":"r1"}"#;
        let read = read(ACCESS, raw, THEN);
        assert_eq!(read.record.level, Some(Level::Error));
        assert_eq!(read.record.source.app.as_deref(), Some("api"));
        assert_eq!(read.record.source.release.as_deref(), Some("r1"));
        assert_eq!(read.record.request_id.as_deref(), Some("id-1234567"));
        assert_eq!(read.access.unwrap().status, 502);
    }

    #[test]
    fn what_the_keeper_says_and_what_is_damaged_are_kept() {
        assert_eq!(read("keeper", "1970-01-01T00:00:02Z  INFO up", THEN).record.time.unix_millis(), 2000);
        let damaged = read("api-1", "{\"time\":\"19", THEN);
        assert_eq!((damaged.record.time, damaged.record.line.as_str()), (THEN, "{\"time\":\"19"));
    }
}
