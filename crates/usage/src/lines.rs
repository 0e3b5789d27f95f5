//! Offsets in a text as lines and columns.

use crate::Place;

/// Walks through a text once: the offsets that it is asked for must not go back.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    file: &'a str,
    text: &'a str,
    /// How far it has come, in bytes, and which place that is.
    at: usize,
    line: u32,
    column: u32,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, at: 0, line: 1, column: 1 }
    }

    /// The place of an offset in bytes; offsets beyond the end are taken for the end.
    pub(crate) fn place(&mut self, offset: usize) -> Place {
        for c in self.text[self.at..].chars() {
            if self.at >= offset {
                break;
            }
            self.at += c.len_utf8();
            if c == '\n' {
                self.line = self.line.saturating_add(1);
                self.column = 1;
            } else {
                self.column = self.column.saturating_add(1);
            }
        }
        Place { file: self.file.to_owned(), line: self.line, column: self.column }
    }
}
