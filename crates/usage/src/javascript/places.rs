//! Offsets as lines and columns.

use memchr::memchr_iter;

use super::Extracted;

/// Fills in where uses and exports are.
pub(super) fn fill(text: &str, extracted: &mut Extracted) {
    let mut counted = Counted::new(text);
    for used in &mut extracted.uses {
        (used.line, used.column) = counted.place(used.start);
    }
    let mut counted = Counted::new(text);
    let mut exports: Vec<_> = extracted.exports.iter_mut().collect();
    exports.sort_by_key(|export| export.start);
    for export in exports {
        (export.line, export.column) = counted.place(export.start);
    }
}

/// Line and column of an offset.
pub(super) fn of(text: &str, offset: u32) -> (u32, u32) {
    Counted::new(text).place(offset)
}

/// A text up to where its lines and columns are counted; offsets must not go back.
struct Counted<'t> {
    text: &'t str,
    offset: usize,
    line: usize,
    column: usize,
}

impl<'t> Counted<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, offset: 0, line: 1, column: 1 }
    }

    fn place(&mut self, offset: u32) -> (u32, u32) {
        let offset = self.text.floor_char_boundary(offset as usize).max(self.offset);
        let part = &self.text[self.offset..offset];
        self.line += memchr_iter(b'\n', part.as_bytes()).count();
        self.column = match part.rfind('\n') {
            Some(end) => part[end + 1..].chars().count() + 1,
            None => self.column + part.chars().count(),
        };
        self.offset = offset;
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        (number(self.line), number(self.column))
    }
}
