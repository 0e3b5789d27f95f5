//! Errors and sessions, to another place that speaks Sentry's protocol, as they were taken: after the scrubber, marked with our
//! environment.
//!
//! They are read from the spool on which they came in, whose segments stay for as long as somebody holds them. There is no second copy,
//! and the writer of errors does not know of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use secrets::Secret;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use super::cursor::CursorFile;
use super::{Export, ExportKind, Parcel, Source};
use crate::errors::Errors;
use crate::errors::record::{self, Kind, RecordHead};
use crate::errors::spool::{Next, Position, SpoolHold, SpoolReader};

/// Records that are sent between two notes of the cursor: each note is an fsync.
pub(super) const UNKEPT: u32 = 50;

/// Bytes that may wait. What is older goes, a segment at a time.
const BOUND: u64 = 64 << 20;

/// How far the exports of errors are, which their spool has to know before anything is removed from it. One that was never there
/// begins with what comes from now on.
pub(crate) fn cursors(all: &[Export], folder: &Path) -> Vec<(String, Option<Position>)> {
    let of_errors = all.iter().filter(|export| export.kind == ExportKind::Sentry);
    of_errors
        .map(|export| (export.name.clone(), CursorFile::new(&folder.join(&export.name)).read::<Position>()))
        .collect()
}

/// An export of errors.
pub(super) struct Forwarded {
    export: Export,
    environment: String,
    reader: SpoolReader,
    hold: SpoolHold,
    cursor: CursorFile,
    /// As the disk has it.
    kept: Position,
    unkept: u32,
    /// What of the record at the reader's place is to be sent.
    envelopes: Vec<Bytes>,
    /// Behind that record.
    behind: Position,
}

impl Forwarded {
    pub(super) fn new(
        export: &Export,
        environment: &str,
        folder: PathBuf,
        errors: &Arc<Errors>,
    ) -> Result<Self, String> {
        let (reader, hold) = errors.held(&export.name).ok_or("telemetry is ending")?;
        let (kept, cursor) = (reader.position(), CursorFile::new(&folder));
        // From here on a crash goes on.
        cursor.write(&kept)?;
        let (export, environment) = (export.clone(), environment.to_owned());
        Ok(Self { export, environment, reader, hold, cursor, kept, unkept: 0, envelopes: Vec::new(), behind: kept })
    }

    fn keep(&mut self) -> Result<(), String> {
        let at = self.reader.position();
        if at != self.kept {
            self.cursor.write(&at)?;
            self.hold.moves(at).map_err(|fault| fault.to_string())?;
            (self.kept, self.unkept) = (at, 0);
        }
        Ok(())
    }

    /// Reads on to a record of which there is something to send.
    fn look(&mut self) -> Result<bool, String> {
        while self.envelopes.is_empty() {
            let begun = self.reader.position();
            match self.reader.next().map_err(|fault| fault.to_string())? {
                Next::Record(record) => {
                    self.envelopes = self.envelopes_of(&record);
                    if self.envelopes.is_empty() {
                        self.unkept += 1;
                    } else {
                        self.behind = self.reader.position();
                        self.reader.seek(begun);
                    }
                }
                // Whoever writes the database has said so.
                Next::Damaged { .. } => {}
                Next::End => return Ok(false),
            }
            if self.unkept >= UNKEPT {
                self.keep()?;
            }
        }
        Ok(true)
    }

    fn envelopes_of(&self, record: &[u8]) -> Vec<Bytes> {
        match record::read(record) {
            Some((head, lines)) if self.export.takes(Some(&head.app)) => envelopes(&self.environment, &head, &lines),
            _ => Vec::new(),
        }
    }
}

impl Source for Forwarded {
    fn next(&mut self, secret: Option<&Secret>) -> Result<Option<Parcel>, String> {
        if !self.look()? {
            self.keep()?;
            return Ok(None);
        }
        let missing = || format!("the secret exports/{} is not set", self.export.name);
        let dsn = Dsn::read(secret.ok_or_else(missing)?.expose()).ok_or("its DSN cannot be read")?;
        let body = self.envelopes.first().cloned().unwrap_or_default();
        Ok(Some(Parcel { url: dsn.url, headers: dsn.headers, body, items: 1 }))
    }

    fn done(&mut self) -> Result<(), String> {
        if !self.envelopes.is_empty() {
            self.envelopes.remove(0);
        }
        if self.envelopes.is_empty() {
            self.reader.seek(self.behind);
            self.unkept += 1;
            if self.unkept >= UNKEPT {
                self.keep()?;
            }
        }
        Ok(())
    }

    fn look_after(&mut self) -> Result<u64, String> {
        let at = self.reader.position();
        let Some(oldest) = self.hold.beginning_within(at, BOUND) else { return Ok(0) };
        // Read and not sent, to be counted.
        let mut dropped = 0;
        self.envelopes.clear();
        while self.reader.position() < oldest {
            match self.reader.next().map_err(|fault| fault.to_string())? {
                Next::Record(record) => dropped += self.envelopes_of(&record).len() as u64,
                Next::Damaged { .. } => {}
                Next::End => break,
            }
        }
        self.keep()?;
        Ok(dropped)
    }

    fn waiting(&self) -> u64 {
        self.hold.behind(self.reader.position())
    }

    fn close(&mut self) -> Result<(), String> {
        self.keep()
    }
}

/// Where a DSN leads, and who shows it.
struct Dsn {
    url: Url,
    headers: HeaderMap,
}

impl Dsn {
    /// `https://KEY@HOST/PATH/PROJECT`. No error says what is in it.
    fn read(dsn: &str) -> Option<Self> {
        let mut url = Url::parse(dsn.trim()).ok()?;
        let key = url.username().to_owned();
        let (path, project) = url.path().trim_end_matches('/').rsplit_once('/')?;
        let path = format!("{path}/api/{project}/envelope/");
        let is_one = matches!(url.scheme(), "http" | "https") && !key.is_empty() && !project.is_empty();
        if !is_one || url.set_username("").is_err() || url.set_password(None).is_err() {
            return None;
        }
        url.set_path(&path);
        url.set_query(None);
        let client = concat!("roadbed/", env!("CARGO_PKG_VERSION"));
        let said = format!("Sentry sentry_version=7, sentry_client={client}, sentry_key={key}");
        let mut said = HeaderValue::try_from(said).ok()?;
        said.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert("x-sentry-auth", said);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-sentry-envelope"));
        Some(Self { url, headers })
    }
}

/// Kinds, and what they are.
type Items = Vec<(&'static str, Value)>;

/// A record as envelopes: each has one event at most, as the protocol wants it, and the first has the sessions.
fn envelopes(environment: &str, head: &RecordHead, lines: &[record::Line<'_>]) -> Vec<Bytes> {
    let mut all: Vec<(Option<String>, Items)> = Vec::new();
    for (at, (kind, json)) in lines.iter().enumerate() {
        let Ok(Value::Object(mut item)) = serde_json::from_slice::<Value>(json) else { continue };
        match kind {
            // The gate's own, which is no trouble of anybody's.
            Kind::Event if item.get("fingerprint") == Some(&json!(["roadbed-gate"])) => {}
            Kind::Event => {
                let id = mark(&mut item, environment, head, at);
                match all.first_mut() {
                    Some((first @ None, items)) => {
                        *first = Some(id);
                        items.push(("event", item.into()));
                    }
                    _ => all.push((Some(id), vec![("event", item.into())])),
                }
            }
            Kind::Session | Kind::Sessions => {
                if let Some(Value::Object(attributes)) = item.get_mut("attrs") {
                    attributes.insert("environment".into(), environment.into());
                }
                let name = if *kind == Kind::Session { "session" } else { "sessions" };
                match all.first_mut() {
                    Some((_, items)) => items.push((name, item.into())),
                    None => all.push((None, vec![(name, item.into())])),
                }
            }
        }
    }
    all.into_iter().map(|(id, items)| written(id, &items)).collect()
}

/// What a receiver cannot know: the environment, when it came, and the app among others of the same DSN. Returns its id.
fn mark(event: &mut Map<String, Value>, environment: &str, head: &RecordHead, at: usize) -> String {
    event.insert("environment".into(), environment.into());
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 have room in a double")]
    event.entry("timestamp").or_insert_with(|| (head.received as f64 / 1000.0).into());
    let tags = event.entry("tags").or_insert_with(|| json!({}));
    match tags {
        Value::Object(tags) => {
            tags.entry("app").or_insert_with(|| head.app.clone().into());
        }
        Value::Array(tags) => tags.push(json!(["app", head.app])),
        _ => {}
    }
    if let Some(Value::String(id)) = event.get("event_id") {
        return id.clone();
    }
    // The same for the same event, so that one that is sent twice is known by it.
    let id = if at == 0 {
        head.event_id.clone()
    } else {
        let digest = Sha256::digest(format!("{} {at}", head.event_id));
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    };
    event.insert("event_id".into(), id.clone().into());
    id
}

fn written(id: Option<String>, items: &[(&str, Value)]) -> Bytes {
    let mut head = Map::new();
    if let Some(id) = id {
        head.insert("event_id".into(), id.into());
    }
    let mut text = Value::from(head).to_string();
    for (kind, item) in items {
        let item = item.to_string();
        text.push_str(&format!("\n{}\n{item}", json!({ "type": kind, "length": item.len() })));
    }
    text.push('\n');
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Envelope;
    use crate::errors::KeyOf;

    #[test]
    fn a_dsn_says_where_and_who_and_is_in_no_address() {
        let dsn = Dsn::read(&format!("https://{}@o1.sentry.example:8443/under/4711", "abc:old")).unwrap();
        assert_eq!(dsn.url.as_str(), "https://o1.sentry.example:8443/under/api/4711/envelope/");
        let said = dsn.headers["x-sentry-auth"].to_str().unwrap();
        assert!(said.ends_with("sentry_key=abc") && said.starts_with("Sentry sentry_version=7"), "{said}");
        for wrong in
            ["", "https://sentry.example/1", "https://abc@sentry.example", "https://abc@sentry.example/", "ftp://a@b/1"]
        {
            assert!(Dsn::read(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn each_event_is_an_envelope_of_its_own_with_our_environment() {
        let id = "0123456789abcdef0123456789abcdef";
        let head = RecordHead { app: "web".into(), received: 1500, of: KeyOf::Page, event_id: id.into() };
        let lines: Vec<record::Line<'_>> = vec![
            (Kind::Session, br#"{"sid":"1","attrs":{"environment":"theirs","release":"r"}}"#),
            (Kind::Event, br#"{"environment":"theirs","tags":[["a","b"]],"timestamp":1}"#),
            (Kind::Event, br#"{"event_id":"11111111111111111111111111111111"}"#),
        ];
        let all = envelopes("preview/pr-7", &head, &lines);
        assert_eq!(all.len(), 2);
        let first = Envelope::read(&all[0]).unwrap();
        let kinds: Vec<&str> = first.items.iter().map(|item| item.kind.as_str()).collect();
        assert_eq!((kinds, first.broken), (vec!["session", "event"], None));
        assert!(first.header.event_id.is_some());
        let session: Value = serde_json::from_slice(first.items[0].payload).unwrap();
        assert_eq!(session["attrs"], json!({ "environment": "preview/pr-7", "release": "r" }));
        let event: Value = serde_json::from_slice(first.items[1].payload).unwrap();
        assert_eq!(event["environment"], "preview/pr-7");
        assert_eq!((&event["tags"], &event["timestamp"]), (&json!([["a", "b"], ["app", "web"]]), &json!(1)));
        let second = Envelope::read(&all[1]).unwrap();
        assert_eq!(second.header.event_id.as_deref(), Some("11111111111111111111111111111111"));
        let event: Value = serde_json::from_slice(second.items[0].payload).unwrap();
        assert_eq!((&event["tags"]["app"], &event["timestamp"]), (&json!("web"), &json!(1.5)));
    }
}
