//! The thread that makes lines of records, and files of lines.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use host::files::{self, Access};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::fault::EdgeFault;
use crate::log::Message;
use crate::log::entry::Record;

/// A line as it is read by people and programs. Times in milliseconds.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    /// The parent of what the app did.
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<&'a str>,
    method: &'a str,
    scheme: &'a str,
    host: &'a str,
    path: &'a str,
    status: u16,
    bytes: u64,
    ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<&'a str>,
    protocol: &'a str,
    client: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<Limit<'a>>,
    /// Lines lost before this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<u64>,
}

/// What a limit had to do with it.
#[derive(Serialize)]
struct Limit<'a> {
    class: &'a str,
    rule: &'a str,
    outcome: &'a str,
}

pub(super) fn write_all(mut receiver: mpsc::Receiver<Message>, mut rotating: Rotating, dropped: &AtomicU64) {
    let mut told = 0;
    let mut lines = Vec::with_capacity(64 * 1024);
    while let Some(first) = receiver.blocking_recv() {
        // One write for all that came meanwhile, but not more than a page of lines at a time.
        let mut next = Some(first);
        let mut is_closing = false;
        while let Some(message) = next {
            match message {
                Message::Line(record, micros) => {
                    let lost = dropped.load(Ordering::Relaxed);
                    append(&mut lines, &record, micros, (lost > told).then_some(lost - told));
                    told = lost;
                }
                Message::Close => is_closing = true,
            }
            next = if lines.len() < 60 * 1024 { receiver.try_recv().ok() } else { None };
        }
        rotating.write(&lines);
        lines.clear();
        if is_closing {
            return;
        }
    }
}

fn append(lines: &mut Vec<u8>, record: &Record, micros: u64, dropped: Option<u64>) {
    #[expect(clippy::cast_precision_loss, reason = "microseconds below 2^53 are exact")]
    let ms = micros as f64 / 1000.0;
    let line = Line {
        time: record.time.to_string(),
        request_id: record.request_id.to_str().unwrap_or("-"),
        trace_id: record.trace.as_ref().map(|trace| trace.trace_id.as_str()),
        span_id: record.trace.as_ref().map(|trace| trace.span_id.as_str()),
        parent_id: record.trace.as_ref().and_then(|trace| trace.parent_id.as_deref()),
        method: record.method.as_str(),
        scheme: record.scheme,
        host: &record.host,
        path: &record.path,
        status: record.status,
        bytes: record.bytes,
        ms,
        app: record.app.as_deref(),
        route: record.route.as_deref(),
        upstream: record.upstream.as_deref(),
        release: record.release.as_ref().and_then(|release| release.to_str().ok()),
        protocol: record.protocol,
        client: record.client.to_string(),
        error: record.error,
        limit: record.limited.as_ref().map(|limited| Limit {
            class: &limited.class,
            rule: limited.rule,
            outcome: limited.outcome,
        }),
        dropped,
    };
    // Strings and numbers always encode.
    if serde_json::to_writer(&mut *lines, &line).is_ok() {
        lines.push(b'\n');
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
}

impl Rotating {
    pub(super) fn open(path: PathBuf, longest: u64) -> Result<Self, EdgeFault> {
        let file = files::open_append(&path, Access::Owner)?;
        let size = files::metadata(&path)?.len();
        Ok(Self { path, file, size, longest })
    }

    fn write(&mut self, lines: &[u8]) {
        if self.size > 0 && self.size + lines.len() as u64 > self.longest {
            self.rotate();
        }
        // A full disk must not stop visitors; the operator hears of it.
        match self.file.write_all(lines) {
            Ok(()) => self.size += lines.len() as u64,
            Err(error) => tracing::error!(%error, path = %self.path.display(), "cannot write the access log"),
        }
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
    use super::*;

    #[test]
    fn a_full_log_moves_aside_and_three_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let mut log = Rotating::open(path.clone(), 10).unwrap();
        for line in ["one-----\n", "two-----\n", "three---\n", "four----\n", "five----\n"] {
            log.write(line.as_bytes());
        }
        let read = |path: &Path| files::read_string(path).unwrap();
        assert_eq!(read(&path), "five----\n");
        assert_eq!(read(&numbered(&path, 1)), "four----\n");
        assert_eq!(read(&numbered(&path, 3)), "two-----\n");
        assert!(!files::exists(&numbered(&path, 4)));
    }
}
