//! A YAML document as its scalars: each with the keys that lead to it and with where it stands.

use saphyr_parser::{Event, Parser, ScalarStyle};

/// A scalar that is the value of a key or an item of a list.
#[derive(Clone, Debug)]
pub(crate) struct Scalar<'t> {
    /// From the top down; items of a list have an empty key.
    pub(crate) path: Vec<String>,
    /// Where the last key stands, in bytes; of an item, where it stands itself.
    pub(crate) key_at: usize,
    pub(crate) value: String,
    /// As it is written, without its quotes and without the head of a block.
    pub(crate) raw: &'t str,
    /// Where that stands, in bytes.
    pub(crate) at: usize,
    /// `key:` without anything.
    pub(crate) is_empty: bool,
}

impl Scalar<'_> {
    /// The key it belongs to; for an item of a list the key of the list.
    pub(crate) fn key(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }

    /// The `n`-th key from below: 0 is its own.
    pub(crate) fn above(&self, n: usize) -> &str {
        self.path.iter().rev().nth(n).map_or("", String::as_str)
    }
}

/// More nesting than any file that people write; beyond it a file is not read.
const DEEPEST: usize = 100;

/// The scalars of a text.
///
/// # Errors
/// The offset in bytes at which it stops to be YAML.
pub(crate) fn scalars(text: &str) -> Result<Vec<Scalar<'_>>, usize> {
    let offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let offset = |index: usize| offsets.get(index).copied().unwrap_or(text.len());
    let mut found = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| offset(error.marker().index()))?;
        match event {
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                if open.len() == DEEPEST {
                    return Err(offset(span.start.index()));
                }
                let key = open.last_mut().and_then(Open::next_key);
                open.push(match event {
                    Event::MappingStart(..) => Open { above: key, kind: Kind::Mapping { key: None } },
                    _ => Open { above: key, kind: Kind::Sequence },
                });
            }
            Event::MappingEnd | Event::SequenceEnd => drop(open.pop()),
            Event::Alias(_) => {
                if let Some(open) = open.last_mut() {
                    open.next_key();
                }
            }
            Event::Scalar(value, style, ..) => {
                let (start, end) = (offset(span.start.index()), offset(span.end.index()));
                let Some(last) = open.last_mut() else { continue };
                if let Kind::Mapping { key: key @ None } = &mut last.kind {
                    *key = Some((value.into_owned(), start));
                    continue;
                }
                let key = last.next_key();
                let (raw, at) = inner(text, start, end, style);
                let mut path: Vec<String> =
                    open.iter().filter_map(|open| open.above.as_ref()).map(|(key, _)| key.clone()).collect();
                let key_at = key.as_ref().map_or(start, |(_, at)| *at);
                path.extend(key.map(|(key, _)| key));
                let is_empty = raw.is_empty() && style == ScalarStyle::Plain;
                found.push(Scalar { path, key_at, value: value.into_owned(), raw, at, is_empty });
            }
            _ => {}
        }
    }
    Ok(found)
}

struct Open {
    /// The key whose value this is.
    above: Option<(String, usize)>,
    kind: Kind,
}

enum Kind {
    Mapping { key: Option<(String, usize)> },
    Sequence,
}

impl Open {
    /// The key of the value that comes now; `None` in a list.
    fn next_key(&mut self) -> Option<(String, usize)> {
        match &mut self.kind {
            Kind::Mapping { key } => key.take(),
            Kind::Sequence => None,
        }
    }
}

/// The text of a scalar and its offset, without what marks its style.
fn inner(text: &str, start: usize, end: usize, style: ScalarStyle) -> (&str, usize) {
    let written = text.get(start..end.max(start)).unwrap_or_default();
    let skipped = match style {
        ScalarStyle::Plain => 0,
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => usize::from(written.starts_with(['"', '\''])),
        ScalarStyle::Literal | ScalarStyle::Folded => {
            if written.starts_with(['|', '>']) {
                written.find('\n').map_or(written.len(), |at| at + 1)
            } else {
                0
            }
        }
    };
    let written = &written[skipped..];
    let written = match style {
        ScalarStyle::SingleQuoted => written.strip_suffix('\'').unwrap_or(written),
        ScalarStyle::DoubleQuoted => written.strip_suffix('"').unwrap_or(written),
        _ => written,
    };
    (written, start + skipped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_know_their_keys_and_where_they_stand() {
        let text = "# ü\na:\n  b: one\n  c: \"two\"\nlist:\n  - x\n  - k: |\n      first\n      second\n  - {d: 'four', e: }\nf:\n";
        let found = scalars(text).unwrap();
        let seen: Vec<(String, &str, &str)> = found
            .iter()
            .map(|scalar| (scalar.path.join("."), scalar.raw, &text[scalar.at..scalar.at + scalar.raw.len()]))
            .collect();
        let expected = [
            ("a.b", "one"),
            ("a.c", "two"),
            ("list", "x"),
            ("list.k", "first\n      second\n"),
            ("list.d", "four"),
            ("list.e", ""),
            ("f", ""),
        ];
        assert_eq!(seen.len(), expected.len(), "{seen:#?}");
        for ((path, raw, standing), (wanted_path, wanted)) in seen.iter().zip(expected) {
            assert_eq!((path.as_str(), raw.trim_end(), *standing), (wanted_path, wanted.trim_end(), *raw));
        }
        assert_eq!(&text[found[0].key_at..][..1], "b");
    }

    #[test]
    fn what_is_no_yaml_says_where() {
        assert!(scalars("a: [1, 2\nb: }").is_err());
        assert!(scalars(&"[".repeat(5_000)).is_err());
    }
}
