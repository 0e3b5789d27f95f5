//! What is on a spool: an envelope's worth, in lines. The first says whose and when; each further one is a word and JSON.

use serde::{Deserialize, Serialize};

use super::projects::KeyOf;

/// Whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordHead {
    pub(crate) app: String,
    /// Milliseconds since the epoch, by our clock.
    pub(crate) received: i64,
    pub(crate) of: KeyOf,
    /// As the client was told, for an event that does not say it itself.
    pub(crate) event_id: String,
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Event,
    Session,
    Sessions,
}

impl Kind {
    /// Of items that are kept. Everything else is counted.
    pub(crate) fn of(item: &str) -> Option<Self> {
        Some(match item {
            "event" => Self::Event,
            "session" => Self::Session,
            "sessions" => Self::Sessions,
            _ => return None,
        })
    }

    fn word(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Session => "session",
            Self::Sessions => "sessions",
        }
    }
}

/// Lines are made of JSON in one line each.
pub(crate) fn write(head: &RecordHead, lines: &[(Kind, Vec<u8>)]) -> Vec<u8> {
    let mut record = serde_json::to_vec(head).expect("a head is plain data");
    for (kind, json) in lines {
        record.push(b'\n');
        record.extend_from_slice(kind.word().as_bytes());
        record.push(b' ');
        record.extend_from_slice(json);
    }
    record
}

/// What an item is, and its JSON.
pub(crate) type Line<'r> = (Kind, &'r [u8]);

/// Nothing where it is not one of ours.
pub(crate) fn read(record: &[u8]) -> Option<(RecordHead, Vec<Line<'_>>)> {
    let mut lines = record.split(|byte| *byte == b'\n');
    let head = serde_json::from_slice(lines.next()?).ok()?;
    let lines = lines.map(|line| {
        let space = memchr::memchr(b' ', line)?;
        Some((Kind::of(std::str::from_utf8(&line[..space]).ok()?)?, &line[space + 1..]))
    });
    Some((head, lines.collect::<Option<Vec<_>>>()?))
}
