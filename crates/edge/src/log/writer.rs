//! The thread that makes lines of records, and files of lines.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use host::clock::Timestamp;
use host::files::{self, Access};
use tokio::sync::mpsc;

use crate::abuse::top::{Seen, Top};
use crate::fault::EdgeFault;
use crate::log::Message;
use crate::log::entry::Record;

pub(super) fn write_all(
    mut receiver: mpsc::Receiver<Message>,
    mut rotating: Rotating,
    dropped: &AtomicU64,
    top: &Mutex<Top>,
) {
    let mut told = 0;
    let mut stamp = Stamp::default();
    let mut lines = Vec::with_capacity(64 * 1024);
    while let Some(first) = receiver.blocking_recv() {
        // One write for all that came meanwhile, but not more than a page of lines at a time.
        let mut next = Some(first);
        let mut is_closing = false;
        while let Some(message) = next {
            match message {
                Message::Line(record, micros) => {
                    let seen = Seen {
                        client: record.client,
                        path: record.path.trim_end_matches("?…"),
                        app: record.app.as_deref(),
                        status: record.status,
                    };
                    top.lock().unwrap_or_else(PoisonError::into_inner).count(&seen, record.time);
                    let lost = dropped.load(Ordering::Relaxed);
                    append(&mut lines, &mut stamp, &record, micros, (lost > told).then_some(lost - told));
                    told = lost;
                }
                Message::Close => is_closing = true,
            }
            next = if lines.len() < 60 * 1024 { receiver.try_recv().ok() } else { None };
        }
        if !rotating.write(&lines) {
            // The next line that can be written says how many are missing.
            let lost = lines.iter().filter(|&&byte| byte == b'\n').count();
            dropped.fetch_add(lost as u64, Ordering::Relaxed);
        }
        lines.clear();
        if is_closing {
            return;
        }
    }
}

/// One line, as it is read by people and programs: `ms` is how long it took, `bytes` what of the body was sent.
///
/// Names are written as they are, and so is what can hold nothing that JSON would write otherwise; a serializer looks at each byte
/// of both, which took a tenth of what a whole request takes.
fn append(lines: &mut Vec<u8>, stamp: &mut Stamp, record: &Record, micros: u64, dropped: Option<u64>) {
    lines.extend_from_slice(b"{\"time\":\"");
    stamp.write(lines, record.time);
    lines.push(b'"');
    quoted(lines, ",\"request_id\":", record.request_id.to_str().unwrap_or("-"));
    if let Some(trace) = &record.trace {
        quoted(lines, ",\"trace_id\":", trace.trace_id.as_str());
        // The parent of what the app did.
        quoted(lines, ",\"span_id\":", trace.span_id.as_str());
        if let Some(parent) = &trace.parent_id {
            quoted(lines, ",\"parent_id\":", parent.as_str());
        }
    }
    // Methods are tokens, in which there are no quotes.
    plain(lines, ",\"method\":", record.method.as_str());
    plain(lines, ",\"scheme\":", record.scheme);
    quoted(lines, ",\"host\":", &record.host);
    quoted(lines, ",\"path\":", &record.path);
    number(lines, ",\"status\":", u64::from(record.status));
    number(lines, ",\"bytes\":", record.bytes);
    number(lines, ",\"ms\":", micros / 1000);
    let _ = write!(lines, ".{:03}", micros % 1000);
    if let Some(app) = &record.app {
        quoted(lines, ",\"app\":", app);
    }
    if let Some(route) = &record.route {
        quoted(lines, ",\"route\":", route);
    }
    if let Some(upstream) = &record.upstream {
        quoted(lines, ",\"upstream\":", upstream);
    }
    if let Some(cache) = record.cache {
        plain(lines, ",\"cache\":", cache);
    }
    if let Some(release) = record.release.as_ref().and_then(|release| release.to_str().ok()) {
        quoted(lines, ",\"release\":", release);
    }
    plain(lines, ",\"protocol\":", record.protocol);
    let _ = write!(lines, ",\"client\":\"{}\"", record.client);
    if let Some(error) = record.error {
        plain(lines, ",\"error\":", error);
    }
    if let Some(user) = &record.user {
        quoted(lines, ",\"user\":", user);
    }
    if let Some(judged) = &record.judged {
        plain(lines, ",\"abuse\":{\"rule\":", judged.rule);
        plain(lines, ",\"outcome\":", judged.outcome);
        if let Some(about) = &judged.about {
            quoted(lines, ",\"about\":", about);
        }
        lines.push(b'}');
    }
    if let Some(fingerprint) = record.fingerprint {
        let _ = write!(lines, ",\"fingerprint\":\"{fingerprint:016x}\"");
    }
    if let Some(limited) = &record.limited {
        quoted(lines, ",\"limit\":{\"class\":", &limited.class);
        plain(lines, ",\"rule\":", limited.rule);
        plain(lines, ",\"outcome\":", limited.outcome);
        lines.push(b'}');
    }
    // Lines lost before this one.
    if let Some(dropped) = dropped {
        number(lines, ",\"dropped\":", dropped);
    }
    lines.extend_from_slice(b"}\n");
}

/// Writing to memory does not fail.
fn quoted(lines: &mut Vec<u8>, name: &str, value: &str) {
    lines.extend_from_slice(name.as_bytes());
    let _ = serde_json::to_writer(lines, value);
}

fn plain(lines: &mut Vec<u8>, name: &str, value: &str) {
    lines.extend_from_slice(name.as_bytes());
    lines.push(b'"');
    lines.extend_from_slice(value.as_bytes());
    lines.push(b'"');
}

fn number(lines: &mut Vec<u8>, name: &str, value: u64) {
    lines.extend_from_slice(name.as_bytes());
    let _ = write!(lines, "{value}");
}

/// A time as RFC 3339 has it, whose second is worked out once for all lines of it.
#[derive(Debug, Default)]
struct Stamp {
    second: Option<i64>,
    /// `2026-11-26T12:00:00`.
    text: String,
}

impl Stamp {
    fn write(&mut self, lines: &mut Vec<u8>, time: Timestamp) {
        let millis = time.unix_millis();
        let second = millis.div_euclid(1000);
        if self.second != Some(second) {
            let whole = Timestamp::from_unix_millis(second * 1000).to_string();
            self.text = whole.trim_end_matches('Z').to_owned();
            self.second = Some(second);
        }
        lines.extend_from_slice(self.text.as_bytes());
        let _ = write!(lines, ".{:03}Z", millis.rem_euclid(1000));
    }
}

/// So many full logs are kept beside the current one.
pub(super) const KEPT: u8 = 3;

/// A file that is moved aside when it is full.
#[derive(Debug)]
pub(super) struct Rotating {
    path: PathBuf,
    file: File,
    size: u64,
    longest: u64,
    /// Whether the operator has heard that lines are lost.
    is_failing: bool,
}

impl Rotating {
    pub(super) fn open(path: PathBuf, longest: u64) -> Result<Self, EdgeFault> {
        let file = files::open_append(&path, Access::Owner)?;
        let size = files::metadata(&path)?.len();
        Ok(Self { path, file, size, longest, is_failing: false })
    }

    /// Whether all of it is written. Otherwise nothing is: half a line would damage the next.
    fn write(&mut self, lines: &[u8]) -> bool {
        if self.size > 0 && self.size + lines.len() as u64 > self.longest {
            self.rotate();
        }
        // A full disk must not stop visitors; the operator hears of it, once.
        let written = self.file.write_all(lines);
        match &written {
            Ok(()) => {
                self.size += lines.len() as u64;
                if self.is_failing {
                    tracing::info!(path = %self.path.display(), "the access log is written again");
                }
            }
            Err(error) => {
                let _ = self.file.set_len(self.size);
                if !self.is_failing {
                    let path = self.path.display();
                    tracing::error!(%error, %path, "cannot write the access log; requests are served, their lines are lost");
                }
            }
        }
        self.is_failing = written.is_err();
        written.is_ok()
    }

    fn rotate(&mut self) {
        for age in (1..KEPT).rev() {
            let _ = files::rename(&numbered(&self.path, age), &numbered(&self.path, age + 1));
        }
        let moved = files::rename(&self.path, &numbered(&self.path, 1));
        match moved.and_then(|()| files::open_append(&self.path, Access::Owner)) {
            Ok(file) => (self.file, self.size) = (file, 0),
            Err(error) => tracing::error!(%error, "cannot rotate the access log"),
        }
    }
}

pub(super) fn numbered(path: &Path, age: u8) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{age}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use host::clock::{Clock, SystemClock};

    use super::*;

    #[test]
    fn a_line_is_json_whatever_a_visitor_sent() {
        let record = Record {
            time: Timestamp::from_unix_millis(-1),
            started: SystemClock.instant(),
            request_id: http::HeaderValue::from_static("a\"b"),
            method: http::Method::GET,
            scheme: "https",
            host: "\"\\\n\u{7f}\u{fffd}".into(),
            path: "/\"},{\"x\":\"".into(),
            protocol: "HTTP/1.1",
            client: [127, 0, 0, 1].into(),
            app: Some("web".into()),
            release: Some(http::HeaderValue::from_static("r\"1")),
            upstream: None,
            cache: Some("hit"),
            status: 200,
            bytes: u64::MAX,
            error: None,
            limited: None,
            user: Some("o\"h".into()),
            judged: None,
            fingerprint: Some(7),
            route: None,
            trace: None,
        };
        let mut lines = Vec::new();
        let mut stamp = Stamp::default();
        append(&mut lines, &mut stamp, &record, 12_045, Some(3));
        let line: serde_json::Value = serde_json::from_slice(&lines).unwrap();
        assert_eq!(line["time"], "1969-12-31T23:59:59.999Z");
        assert_eq!((&line["host"], &line["path"]), (&record.host.clone().into(), &record.path.clone().into()));
        assert_eq!((&line["request_id"], &line["release"]), (&"a\"b".into(), &"r\"1".into()));
        assert_eq!((&line["user"], &line["fingerprint"]), (&"o\"h".into(), &"0000000000000007".into()));
        assert_eq!((&line["ms"], &line["bytes"], &line["dropped"]), (&12.045.into(), &u64::MAX.into(), &3.into()));
        lines.clear();
        stamp.write(&mut lines, Timestamp::from_unix_millis(7));
        assert_eq!(lines, b"1970-01-01T00:00:00.007Z");
    }

    #[test]
    fn a_full_log_moves_aside_and_three_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let mut log = Rotating::open(path.clone(), 10).unwrap();
        for line in ["one-----\n", "two-----\n", "three---\n", "four----\n", "five----\n"] {
            assert!(log.write(line.as_bytes()));
        }
        let read = |path: &Path| files::read_string(path).unwrap();
        assert_eq!(read(&path), "five----\n");
        assert_eq!(read(&numbered(&path, 1)), "four----\n");
        assert_eq!(read(&numbered(&path, 3)), "two-----\n");
        assert!(!files::exists(&numbered(&path, 4)));
    }

    #[test]
    fn what_a_full_disk_did_not_take_is_counted_and_leaves_no_half_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let mut log = Rotating::open(path.clone(), 1000).unwrap();
        assert!(log.write(b"one\n"));
        let file = std::mem::replace(&mut log.file, files::open_append(Path::new("/dev/full"), Access::Owner).unwrap());
        assert!(!log.write(b"two\n"));
        // As a disk that took the first half.
        log.file = file;
        std::io::Write::write_all(&mut log.file, b"tw").unwrap();
        log.file.set_len(log.size).unwrap();
        assert!(log.write(b"three\n"));
        assert_eq!(files::read_string(&path).unwrap(), "one\nthree\n");
    }
}
