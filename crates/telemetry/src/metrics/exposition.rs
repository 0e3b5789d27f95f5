//! The text format of Prometheus, version 0.0.4: thirty lines here, eighteen crates elsewhere.

use std::fmt::Write;

/// What a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Unknown,
}

impl Kind {
    /// As names end.
    pub(super) fn of(name: &str) -> Self {
        if name.ends_with("_total") { Self::Counter } else { Self::Gauge }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Unknown => "untyped",
        }
    }
}

/// A number, as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: f64,
}

#[derive(Debug)]
enum Entry {
    Family { name: String, help: String, kind: Kind },
    Sample(Sample),
}

/// A page of families.
#[derive(Debug, Default)]
pub(super) struct Page {
    entries: Vec<Entry>,
}

/// One family, whose samples stand together.
#[derive(Debug)]
pub(super) struct Family<'p> {
    page: &'p mut Page,
    name: String,
}

impl Page {
    pub(super) fn family(&mut self, name: &str, help: &str, kind: Kind) -> Family<'_> {
        let name = self::name(name);
        self.entries.push(Entry::Family { name: name.clone(), help: help.to_owned(), kind });
        Family { page: self, name }
    }

    /// Another sample of the last family.
    pub(super) fn more(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels = labels.iter().map(|(name, value)| (self::name(name), (*value).to_owned())).collect();
        self.entries.push(Entry::Sample(Sample { name: name.to_owned(), labels, value }));
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for entry in &self.entries {
            match entry {
                Entry::Family { name, help, kind } => {
                    let help = help.replace('\\', "\\\\").replace('\n', "\\n");
                    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {}", kind.as_str());
                }
                Entry::Sample(sample) => sample.write(&mut text),
            }
        }
        text
    }

    pub(super) fn samples(self) -> Vec<Sample> {
        let sample = |entry| match entry {
            Entry::Sample(sample) => Some(sample),
            Entry::Family { .. } => None,
        };
        self.entries.into_iter().filter_map(sample).collect()
    }
}

impl Sample {
    fn write(&self, text: &mut String) {
        let Self { name, labels, value } = self;
        text.push_str(name);
        for (at, (name, value)) in labels.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(text, "{}{name}=\"{value}\"", if at == 0 { '{' } else { ',' });
        }
        if !labels.is_empty() {
            text.push('}');
        }
        let _ = if value.is_finite() {
            writeln!(text, " {value}")
        } else if value.is_nan() {
            writeln!(text, " NaN")
        } else {
            writeln!(text, " {}", if *value > 0.0 { "+Inf" } else { "-Inf" })
        };
    }
}

impl Family<'_> {
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        self.page.more(&self.name, labels, value);
    }

    /// A sample of a part of the family: `_bucket`, `_sum`, `_count`.
    pub(super) fn part(&mut self, end: &str, labels: &[(&str, &str)], value: f64) {
        self.page.more(&format!("{}{end}", self.name), labels, value);
    }
}

/// A name as Prometheus has them: letters, digits and underscores, no digit in front.
pub(crate) fn name(text: &str) -> String {
    let mut name: String =
        text.chars().map(|letter| if letter.is_ascii_alphanumeric() || letter == '_' { letter } else { '_' }).collect();
    if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_a_label_or_a_name() {
        let mut page = Page::default();
        page.family("a.b", "two\nlines", Kind::Gauge).sample(&[("x-y", "q\"\\\nend")], f64::INFINITY);
        assert_eq!(page.text(), "# HELP a_b two\\nlines\n# TYPE a_b gauge\na_b{x_y=\"q\\\"\\\\\\nend\"} +Inf\n");
        assert_eq!(name("9 lives"), "_9_lives");
    }
}
