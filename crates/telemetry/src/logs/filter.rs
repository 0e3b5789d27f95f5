//! Which lines are asked for. Everybody who has lines judges them by the same: the days' files, cold or not, and the log files
//! themselves while telemetry is down.

use host::clock::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fields::Fields;
use super::line;
use super::record::{Level, Record};

/// What a line must be. What is left out is no condition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    pub since: Option<Timestamp>,
    /// Not later than.
    pub until: Option<Timestamp>,
    /// This bad, or worse.
    pub level: Option<Level>,
    pub request: Option<String>,
    pub trace: Option<String>,
    /// Words of it as they follow each other, in whatever case; the last may be the beginning of one.
    pub text: Option<String>,
    /// Fields of a JSON line: `order.id` and what it must be.
    pub fields: Vec<(String, String)>,
    /// Apps or units, any of them. `None`: all units, without the access log.
    pub names: Option<Vec<String>>,
}

impl Filter {
    /// Reads a line of a file in `logs/`, if it is one of these. `last` is the time of the line before: a damaged one has none.
    pub fn pick(&self, unit: &str, raw: &str, last: &mut Timestamp) -> Option<Record> {
        let read = line::read(unit, raw, *last);
        *last = read.record.time;
        self.matches(&read.record).then_some(read.record)
    }

    /// Whether the line is asked for.
    pub fn matches(&self, record: &Record) -> bool {
        self.is_cheaply(record) && self.has_text(&record.line) && self.has_fields(&record.line)
    }

    /// All but what the line itself must be read for.
    fn is_cheaply(&self, record: &Record) -> bool {
        self.since.is_none_or(|since| record.time >= since)
            && self.until.is_none_or(|until| record.time <= until)
            && self.level.is_none_or(|least| record.level.is_some_and(|level| level >= least))
            && self.request.as_ref().is_none_or(|id| record.request_id.as_ref() == Some(id))
            && self.trace.as_ref().is_none_or(|id| record.trace_id.as_ref() == Some(id))
            && self.is_of(&record.source.unit, record.source.app.as_deref())
    }

    /// Whether lines of this unit are asked for. An id is looked for in the access log too.
    pub(crate) fn is_of(&self, unit: &str, app: Option<&str>) -> bool {
        match &self.names {
            None => unit != line::ACCESS || self.request.is_some() || self.trace.is_some(),
            Some(names) => {
                names.iter().any(|name| name == unit || (unit != line::ACCESS && Some(name.as_str()) == app))
            }
        }
    }

    fn has_text(&self, line: &str) -> bool {
        let Some(text) = self.text.as_deref().map(str::trim).filter(|text| !text.is_empty()) else { return true };
        let (words, text) = (Fields::of(line).words.to_lowercase(), text.to_lowercase());
        words.match_indices(&text).any(|(at, _)| {
            let before = words[..at].chars().next_back();
            !before.is_some_and(char::is_alphanumeric) || !text.starts_with(char::is_alphanumeric)
        })
    }

    fn has_fields(&self, line: &str) -> bool {
        if self.fields.is_empty() {
            return true;
        }
        let Ok(value) = serde_json::from_str::<Value>(line) else { return false };
        self.fields.iter().all(|(path, wanted)| {
            let found = path.split('.').try_fold(&value, |value, name| value.get(name));
            // A name may have a dot in it.
            match found.or_else(|| value.get(path)) {
                Some(Value::String(text)) => text == wanted,
                Some(other) => {
                    let text = other.to_string();
                    text == *wanted
                }
                None => false,
            }
        })
    }

    /// The question to the index of words: every word of the text, the last as a beginning. `None`: no word in it.
    pub(crate) fn words(&self) -> Option<String> {
        let text = self.text.as_deref()?;
        let mut words: Vec<String> = text
            .split(|letter: char| !letter.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(|word| format!("\"{word}\""))
            .collect();
        if text.ends_with(char::is_alphanumeric)
            && let Some(last) = words.last_mut()
        {
            last.push('*');
        }
        (!words.is_empty()).then(|| words.join(" AND "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAW: &str = r#"{"time":"1970-01-01T00:00:01Z","stream":"out","line":"{\"level\":\"error\",\"msg\":\"Payment timed out\",\"order\":{\"id\":7},\"request_id\":\"id-1234567\"}"}"#;

    fn picks(filter: &Filter) -> bool {
        filter.pick("api-1", RAW, &mut Timestamp::from_unix_millis(0)).is_some()
    }

    #[test]
    fn each_condition_can_fail() {
        let all = Filter::default();
        assert!(picks(&all));
        for (text, found) in
            [("timed OUT", true), ("pay", true), ("ayment", false), ("out timed", false), ("order", false)]
        {
            assert_eq!(picks(&Filter { text: Some(text.into()), ..all.clone() }), found, "{text}");
        }
        for (value, found) in [("7", true), ("8", false)] {
            let fields = vec![("order.id".to_owned(), value.to_owned())];
            assert_eq!(picks(&Filter { fields, ..all.clone() }), found);
        }
        for (level, found) in [(Level::Error, true), (Level::Fatal, false)] {
            assert_eq!(picks(&Filter { level: Some(level), ..all.clone() }), found);
        }
        assert!(picks(&Filter { request: Some("id-1234567".into()), ..all.clone() }));
        assert!(!picks(&Filter { request: Some("id-1234568".into()), ..all.clone() }));
        let at = |millis| Some(Timestamp::from_unix_millis(millis));
        assert!(picks(&Filter { since: at(1000), until: at(1000), ..all.clone() }));
        assert!(!picks(&Filter { since: at(1001), ..all.clone() }));
        assert!(!picks(&Filter { names: Some(vec!["web-1".into()]), ..all }));
    }

    #[test]
    fn words_are_asked_for_without_the_language_of_the_index() {
        let of = |text: &str| Filter { text: Some(text.into()), ..Filter::default() }.words();
        assert_eq!(of("timed out").as_deref(), Some("\"timed\" AND \"out\"*"));
        assert_eq!(of("a\" OR (b").as_deref(), Some("\"a\" AND \"OR\" AND \"b\"*"));
        assert_eq!(of("done.").as_deref(), Some("\"done\""));
        assert_eq!(of("--"), None);
    }
}
