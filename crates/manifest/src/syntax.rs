//! Text to tables. A slip in one table must not hide what is wrong in the next.
//!
//! The parser recovers from most faults by itself, but a list without its `]` swallows the rest of the document and tells a
//! fault for each line of it. So a text with faults is read table by table, the lines at fault are blanked out (which moves
//! nothing), and what is left is read for its meaning.

use toml::de::DeTable;

use crate::findings::Findings;
use crate::source::{Lines, Span};

/// For a text with faults: tells them, and gives the text without them, of the same length.
pub(crate) fn sound_text(text: &str, findings: &mut Findings) -> String {
    // A text that goes over several lines may hold what looks like the head of a table.
    let parts = if text.contains("\"\"\"") || text.contains("'''") { vec![text] } else { tables(text) };
    let lines = Lines::new(text);
    let mut sound = String::with_capacity(text.len());
    for part in parts {
        let start = sound.len();
        let faults = faults_of(part, start);
        tell(&lines, &faults, findings);
        sound += &if faults.is_empty() { part.to_owned() } else { without_faults(part, start, &faults) };
    }
    // What only shows in the whole: a table or key that is there twice.
    let left = faults_of(&sound, 0);
    tell(&lines, &left, findings);
    sound
}

struct Fault {
    span: Span,
    message: String,
}

fn faults_of(text: &str, offset: usize) -> Vec<Fault> {
    let (_, faults) = DeTable::parse_recoverable(text);
    faults
        .into_iter()
        .map(|fault| {
            let range = fault.span().unwrap_or(text.len()..text.len());
            Fault {
                span: Span { start: offset + range.start, end: offset + range.end },
                message: fault.message().to_owned(),
            }
        })
        .collect()
}

/// The text cut before each head of a table.
fn tables(text: &str) -> Vec<&str> {
    let is_head = |line: &str| {
        let line = line.trim_end();
        let inner = line.strip_prefix('[').map(|rest| rest.split('#').next().unwrap_or(rest).trim_end());
        inner.and_then(|inner| inner.strip_suffix(']')).is_some_and(|name| {
            let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
            !name.is_empty()
                && name
                    .split('.')
                    .all(|key| key.trim().starts_with(|c: char| c.is_ascii_alphabetic() || "_\"'".contains(c)))
        })
    };
    let mut parts = Vec::new();
    let (mut start, mut at) = (0, 0);
    for line in text.split_inclusive('\n') {
        if is_head(line) && at > start {
            parts.push(&text[start..at]);
            start = at;
        }
        at += line.len();
    }
    parts.push(&text[start..]);
    parts
}

/// One fault a line: what follows on the same line mostly follows from it.
fn tell(lines: &Lines<'_>, faults: &[Fault], findings: &mut Findings) {
    let mut faults: Vec<&Fault> = faults.iter().collect();
    faults.sort_by_key(|fault| fault.span.start);
    // Lines inside an unclosed list are no items of it, and no fault of their own.
    let unclosed = faults.iter().position(|fault| fault.message.starts_with("unclosed"));
    let mut last_line = 0;
    for (at, fault) in faults.iter().enumerate() {
        let line = lines.position(fault.span.start).0;
        let follows = unclosed.is_some_and(|unclosed| at > 0 && at < unclosed) || line == last_line;
        last_line = line;
        if !follows {
            let finding = findings.syntax(
                fault.span,
                format!("this is not TOML: {}", fault.message.replace("`\"`", "'\"'").replace('`', "\"")),
            );
            if let Some(hint) = hint(&fault.message) {
                finding.hint(hint);
            }
        }
    }
}

fn hint(message: &str) -> Option<&'static str> {
    let hints = [
        ("duplicate key", "a key is set, and a table opened, only once: remove one of the two"),
        ("string values must be quoted", "put the text in double quotes"),
        ("invalid float", "a text stands in double quotes"),
        ("unclosed array", "the list ends with \"]\""),
        ("unclosed inline table", "the table ends with \"}\""),
        ("invalid basic string", "a text starts and ends with a double quote, on one line"),
        ("unclosed table", "the head of a table ends with \"]\""),
        ("key with no value", "write key = value"),
    ];
    hints.into_iter().find(|(start, _)| message.starts_with(start)).map(|(_, hint)| hint)
}

/// Blanks the lines at fault; if that does not mend it, all but the head.
fn without_faults(part: &str, start: usize, faults: &[Fault]) -> String {
    let lines = Lines::new(part);
    let line_of = |offset: usize| lines.position(offset.saturating_sub(start)).0;
    let at_fault =
        |line: usize| faults.iter().any(|fault| (line_of(fault.span.start)..=line_of(fault.span.end)).contains(&line));
    let mended = blank(part, at_fault);
    if faults_of(&mended, 0).is_empty() {
        return mended;
    }
    let head = blank(part, |line| line > 1);
    if faults_of(&head, 0).is_empty() { head } else { blank(part, |_| true) }
}

fn blank(part: &str, is_blanked: impl Fn(usize) -> bool) -> String {
    let lines = part.split_inclusive('\n').enumerate();
    lines
        .map(|(at, line)| {
            if !is_blanked(at + 1) {
                return line.to_owned();
            }
            let end = if line.ends_with('\n') { "\n" } else { "" };
            " ".repeat(line.len() - end.len()) + end
        })
        .collect()
}
