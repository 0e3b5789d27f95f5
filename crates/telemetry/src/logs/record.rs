//! One line, as it is kept and as it is told.

use host::clock::Timestamp;
use serde::{Deserialize, Serialize};

/// How bad something is, in the words that most log libraries share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
}

impl Level {
    pub const ALL: [Self; 6] = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Fatal];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }

    /// As programs write it: `WARN`, `warning`, `E` of mongod, `crit` of syslog.
    pub fn from_word(word: &str) -> Option<Self> {
        // Longer than the longest known word: not copied to be compared.
        if word.len() > 13 {
            return None;
        }
        Some(match word.to_ascii_lowercase().as_str() {
            "trace" | "t" | "d2" | "d3" | "d4" | "d5" => Self::Trace,
            "debug" | "d" | "d1" | "verbose" => Self::Debug,
            "info" | "i" | "information" | "informational" | "notice" | "log" => Self::Info,
            "warn" | "w" | "warning" => Self::Warn,
            "error" | "e" | "err" => Self::Error,
            "fatal" | "f" | "critical" | "crit" | "alert" | "emerg" | "emergency" | "panic" => Self::Fatal,
            _ => return None,
        })
    }

    /// The numbers of pino and bunyan: 10 to 60.
    pub fn from_number(number: i64) -> Option<Self> {
        let at = usize::try_from(number / 10).ok()?.checked_sub(1)?;
        Self::ALL.get(at).copied()
    }

    /// The numbers of OpenTelemetry: 1 to 24, four to each word.
    pub fn from_severity(number: i32) -> Option<Self> {
        let at = usize::try_from(number.checked_sub(1)?).ok()? / 4;
        Self::ALL.get(at).copied()
    }

    pub(crate) fn as_number(self) -> i64 {
        // Six words.
        self as i64
    }

    pub(crate) fn from_kept(number: i64) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }
}

/// Where a line came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Source {
    /// `api-1`, `mongodb`, `access` for the edge's access log; what came over OTLP has the instance that it names, or the app.
    pub unit: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// `out`, `err`, `access`, `otlp`.
    pub stream: String,
}

/// One line that somebody wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub time: Timestamp,
    #[serde(flatten)]
    pub source: Source,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    /// As it was written, secrets taken out.
    pub line: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_in_the_words_and_numbers_of_many() {
        assert_eq!(Level::from_word("WARNING"), Some(Level::Warn));
        assert_eq!(Level::from_word("E"), Some(Level::Error));
        assert_eq!(Level::from_word("whatever"), None);
        assert_eq!(Level::from_number(50), Some(Level::Error));
        assert_eq!(Level::from_number(0), None);
        assert_eq!(Level::from_severity(17), Some(Level::Error));
        assert_eq!(Level::from_severity(i32::MIN), None);
        assert_eq!(Level::from_kept(Level::Fatal.as_number()), Some(Level::Fatal));
    }
}
