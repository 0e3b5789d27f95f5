//! What is in a line: who it is about, how bad it is, and the words by which it is found.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::record::Level;

/// So much of a line can be searched by words; all of it is kept.
const MOST_WORDS: usize = 4 * 1024;

/// Nothing that is nested deeper says anything to a reader of logs.
const DEEPEST: u8 = 8;

/// What was found in one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) level: Option<Level>,
    pub(crate) request_id: Option<String>,
    pub(crate) trace_id: Option<String>,
    pub(crate) span_id: Option<String>,
    /// Messages and texts, without names, ids and times.
    pub(crate) words: String,
}

impl Fields {
    /// Reads a line of whatever form. What is no JSON object is text.
    pub(crate) fn of(line: &str) -> Self {
        let mut found = Self::default();
        if line.starts_with('{') {
            let mut reader = serde_json::Deserializer::from_str(line);
            let within = Within { found: &mut found, depth: 0 };
            if within.deserialize(&mut reader).is_ok() && reader.end().is_ok() {
                return found;
            }
            found = Self::default();
        }
        found.read_text(line);
        found
    }

    fn read_text(&mut self, line: &str) {
        self.say(line);
        self.level = line.split_whitespace().take(2).find_map(word_of_level);
        for part in line.split_whitespace().filter(|part| part.contains('=')) {
            let Some((name, value)) = part.split_once('=') else { continue };
            let value = value.trim_matches('"');
            match Known::of(name) {
                Some(Known::Level) => self.level = self.level.or_else(|| Level::from_word(value)),
                Some(known) => self.note(known, value),
                None => {}
            }
        }
    }

    fn say(&mut self, text: &str) {
        let room = MOST_WORDS.saturating_sub(self.words.len());
        if room == 0 || text.is_empty() {
            return;
        }
        if !self.words.is_empty() {
            self.words.push(' ');
        }
        let end = text.floor_char_boundary(room);
        self.words.push_str(&text[..end]);
    }

    fn note(&mut self, known: Known, value: &str) {
        match known {
            Known::Level => self.level = self.level.or_else(|| Level::from_word(value)),
            Known::Request if is_id(value) => set(&mut self.request_id, value),
            Known::Trace if is_id(value) => set(&mut self.trace_id, value),
            Known::Span if is_id(value) => set(&mut self.span_id, value),
            Known::Request | Known::Trace | Known::Span | Known::Time => {}
        }
    }
}

fn set(place: &mut Option<String>, value: &str) {
    place.get_or_insert_with(|| value.to_owned());
}

/// What no id is longer than. The edge's are 64 characters at most.
fn is_id(value: &str) -> bool {
    (1..=128).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Words alone, as loggers write them: `INFO`, `[error]`, `warn:`.
fn word_of_level(word: &str) -> Option<Level> {
    let word = word.trim_matches(|letter: char| !letter.is_ascii_alphanumeric());
    // `I`, `E` and `D` are words of a sentence too.
    if word.len() < 3 { None } else { Level::from_word(word).filter(|_| word != "log") }
}

/// Names under which libraries write what we look for.
#[derive(Clone, Copy, Debug)]
enum Known {
    Level,
    Time,
    Request,
    Trace,
    Span,
}

impl Known {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "level" | "severity" | "lvl" | "s" => Self::Level,
            "time" | "timestamp" | "ts" | "t" | "@timestamp" => Self::Time,
            "request_id" | "requestId" | "req_id" | "reqId" | "x-request-id" => Self::Request,
            "trace_id" | "traceId" | "trace.id" => Self::Trace,
            "span_id" | "spanId" | "span.id" => Self::Span,
            _ => return None,
        })
    }
}

/// One value of a line, on the way down.
struct Within<'f> {
    found: &'f mut Fields,
    depth: u8,
}

impl<'de> DeserializeSeed<'de> for Within<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Within<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a line of a log")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = map.next_key()? {
            let known = if self.depth == 0 { Known::of(&name) } else { None };
            match known {
                Some(Known::Time) => drop(map.next_value::<IgnoredAny>()?),
                Some(known) => map.next_value_seed(One { found: self.found, known })?,
                None if self.depth < DEEPEST => {
                    map.next_value_seed(Within { found: self.found, depth: self.depth + 1 })?;
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if self.depth >= DEEPEST {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        while seq.next_element_seed(Within { found: self.found, depth: self.depth + 1 })?.is_some() {}
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.found.say(text);
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// A name of a field, without a copy where it has no escapes.
struct Name<'n>(Cow<'n, str>);

impl<'de: 'n, 'n> serde::Deserialize<'de> for Name<'n> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Cow<'de, str>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }
        deserializer.deserialize_str(Text).map(Name)
    }
}

/// The value of a field that we know. Of another kind than expected it says nothing.
struct One<'f> {
    found: &'f mut Fields,
    known: Known,
}

impl<'de> DeserializeSeed<'de> for One<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for One<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id or a level")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.found.note(self.known, text);
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        if matches!(self.known, Known::Level) {
            self.found.level = i64::try_from(number).ok().and_then(Level::from_number);
        }
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_json_says_whose_it_is_and_its_words_are_its_texts() {
        let line = r#"{"time":"2026-01-01T00:00:00Z","level":50,"msg":"payment failed","request_id":"abc-12345",
            "trace_id":"0af7651916cd43dd8448eb211c80319c","error":{"name":"Timeout","chain":["a \"b\"",7]},"ms":3}"#;
        let found = Fields::of(line);
        assert_eq!(found.level, Some(Level::Error));
        assert_eq!(found.request_id.as_deref(), Some("abc-12345"));
        assert_eq!(found.trace_id.as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
        assert_eq!(found.words, "payment failed Timeout a \"b\"");
    }

    #[test]
    fn a_line_of_text_is_its_own_words() {
        let found = Fields::of("WARN cannot connect request_id=abc-12345 (I try again)");
        assert_eq!((found.level, found.request_id.as_deref()), (Some(Level::Warn), Some("abc-12345")));
        assert_eq!(found.words, "WARN cannot connect request_id=abc-12345 (I try again)");
        assert_eq!(Fields::of("I am an Error of nobody").level, None);
        assert_eq!(Fields::of("{\"half\":").words, "{\"half\":");
    }

    #[test]
    fn mongod_and_deep_lines_are_read() {
        let found = Fields::of(r#"{"t":{"$date":"2026"},"s":"E","c":"NETWORK","msg":"no","level":{"x":[1]}}"#);
        assert_eq!((found.level, found.words.as_str()), (Some(Level::Error), "NETWORK no"));
        let deep = format!("{}\"x\"{}", "{\"a\":".repeat(100), "}".repeat(100));
        assert_eq!(Fields::of(&deep).words, "");
    }
}
