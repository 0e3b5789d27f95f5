//! Where a fault is, and how it is told.

use std::fmt;

use serde::Serialize;

/// A manifest's text and the name it is known by.
#[derive(Clone, Debug)]
pub struct Source {
    /// As the user would type it: `roadbed.toml`.
    pub file: String,
    pub text: String,
}

impl Source {
    pub fn new(file: impl Into<String>, text: impl Into<String>) -> Self {
        Self { file: file.into(), text: text.into() }
    }
}

/// A range of bytes of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    /// Belongs to something that stands in for what could not be read: the fault was told already, nothing may be told of it again.
    pub(crate) const NOWHERE: Self = Self { start: usize::MAX, end: usize::MAX };
}

impl From<std::ops::Range<usize>> for Span {
    fn from(range: std::ops::Range<usize>) -> Self {
        Self { start: range.start, end: range.end }
    }
}

/// A thing of the manifest and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At<T> {
    pub value: T,
    pub span: Span,
}

impl<T> std::ops::Deref for At<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The manifest means nothing until this is mended.
    Error,
    /// It means something, though hardly what was wanted.
    Warning,
}

/// One fault, for people and for scripts: these keys are a contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    pub severity: Severity,
    /// What is wrong, a sentence without full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    #[serde(skip)]
    pub span: Span,
}

impl Diagnostic {
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The fault with its line of the manifest and a mark below the place.
    pub fn render(&self, source: &Source) -> String {
        let Some(text) = source.text.lines().nth(self.line.saturating_sub(1)) else { return self.to_string() };
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        let before: String = text.chars().take(self.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let rest_of_line = text.chars().skip(self.column - 1).count();
        let marked = source.text.get(self.span.start..self.span.end).map_or(1, |marked| marked.chars().count());
        let mark = "^".repeat(marked.clamp(1, rest_of_line.max(1)));
        let mut out = format!("{}: {}\n", severity_word(self.severity), self.message);
        out += &format!("{gutter}--> {}:{}:{}\n", self.file, self.line, self.column);
        out += &format!("{gutter} |\n{number} | {text}\n{gutter} | {before}{mark}\n");
        if let Some(hint) = &self.hint {
            out += &format!("{gutter} = hint: {hint}\n");
        }
        out
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, severity, message, hint, .. } = self;
        write!(f, "{file}:{line}:{column}: {}: {message}", severity_word(*severity))?;
        if let Some(hint) = hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// Byte offsets to lines and columns.
pub(crate) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let after_breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(after_breaks).collect() }
    }

    /// Line and column, both from 1; offsets beyond the end are taken for the end.
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let offset = offset.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts[line - 1];
        // A span may end inside a character when the text is damaged.
        let column = self.text[start..].char_indices().take_while(|(at, _)| start + at < offset).count();
        (line, column + 1)
    }
}
