//! Lines of several units under each other: time, unit in its own colour, text.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::render::paint::{Paint, printable};

/// One line that a unit wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub unit: String,
    /// `None` if the line is damaged.
    pub time: Option<OffsetDateTime>,
    /// Where it belongs among the others.
    pub order: Option<OffsetDateTime>,
    pub stream: Stream,
    pub line: String,
}

/// Where a unit wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    Out,
    Err,
}

/// How the lines of a set of units look.
#[derive(Debug)]
pub struct View {
    paint: Paint,
    width: usize,
    colours: BTreeMap<String, usize>,
}

impl View {
    pub fn new(units: &[String], paint: Paint) -> Self {
        let width = units.iter().map(|unit| unit.chars().count()).max().unwrap_or(0);
        Self { paint, width, colours: units.iter().cloned().enumerate().map(|(index, unit)| (unit, index)).collect() }
    }

    pub fn line(&self, entry: &Entry) -> String {
        let time = entry.time.map_or_else(
            || "--:--:--.---".to_owned(),
            |time| format!("{:02}:{:02}:{:02}.{:03}", time.hour(), time.minute(), time.second(), time.millisecond()),
        );
        let colour = self.colours.get(&entry.unit).copied().unwrap_or(0);
        let width = self.width;
        // What went to stderr is marked by the sign, not by a colour.
        let sign = match entry.stream {
            Stream::Out => "|",
            Stream::Err => "!",
        };
        format!(
            "{} {} {}",
            self.paint.faint(time),
            self.paint.unit(colour, format!("{:<width$} {sign}", entry.unit)),
            printable(&entry.line)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_line_up_and_stderr_is_marked_without_colour() {
        let view = View::new(&["api-1".into(), "mongodb".into()], Paint::Plain);
        let at = OffsetDateTime::from_unix_timestamp_nanos(1_767_225_600_123_000_000).unwrap();
        let entry = |unit: &str, stream, time| {
            let (unit, line) = (unit.to_owned(), "hello".to_owned());
            Entry { unit, time, order: time, stream, line }
        };
        assert_eq!(view.line(&entry("api-1", Stream::Err, Some(at))), "00:00:00.123 api-1   ! hello");
        assert_eq!(view.line(&entry("mongodb", Stream::Out, None)), "--:--:--.--- mongodb | hello");
    }
}
