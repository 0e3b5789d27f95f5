//! Where a hit is, and what of its line may be shown.

use std::ops::Range;

/// Lines and columns of one content, asked for from front to back.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    content: &'a [u8],
    at: usize,
    line: u32,
    start: usize,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(content: &'a [u8]) -> Self {
        Self { content, at: 0, line: 1, start: 0 }
    }

    /// Line and column from 1; columns count characters. Offsets must not go back.
    pub(crate) fn place(&mut self, offset: usize) -> (u32, u32) {
        let offset = offset.min(self.content.len());
        for end in memchr::memchr_iter(b'\n', &self.content[self.at..offset.max(self.at)]) {
            self.line = self.line.saturating_add(1);
            self.start = self.at + end + 1;
        }
        self.at = self.at.max(offset);
        // Continuation bytes of UTF-8 begin no character.
        let before = &self.content[self.start.min(offset)..offset];
        let characters = before.iter().filter(|byte| **byte & 0xC0 != 0x80).count();
        (self.line, u32::try_from(characters).unwrap_or(u32::MAX - 1) + 1)
    }
}

/// How much of a line is shown before a secret and behind it.
const BEFORE: usize = 48;
const AFTER: usize = 24;

/// The line around `offset`, with the mark of each secret in its place.
pub(crate) fn excerpt(content: &[u8], offset: usize, marks: &[(Range<usize>, String)]) -> String {
    let line_start = memchr::memrchr(b'\n', &content[..offset]).map_or(0, |at| at + 1);
    let mut at = line_start.max(offset.saturating_sub(BEFORE));
    let mut text = String::new();
    let mut behind = false;
    let mut room = AFTER;
    while at < content.len() {
        // A secret that began before this line or this window is masked all the same.
        if let Some((place, mark)) = marks.iter().find(|(place, _)| place.start <= at && at < place.end) {
            if !text.ends_with(mark.as_str()) {
                text.push_str(mark);
            }
            behind |= place.start <= offset && offset < place.end;
            at = place.end;
            continue;
        }
        if content[at] == b'\n' || (behind && room == 0) {
            break;
        }
        if behind {
            room -= 1;
        }
        let length = 1 + content[at + 1..].iter().take(3).take_while(|byte| **byte & 0xC0 == 0x80).count();
        let shown = std::str::from_utf8(&content[at..at + length]).ok();
        let shown = shown.filter(|shown| !shown.chars().any(char::is_control)).unwrap_or("·");
        text.push_str(shown);
        at += length;
    }
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters() {
        let mut lines = Lines::new("a\nüb=x\n".as_bytes());
        assert_eq!(lines.place(0), (1, 1));
        assert_eq!(lines.place(6), (2, 4));
    }

    #[test]
    fn an_excerpt_shows_no_secret_of_its_line() {
        let content = b"first\nA=topsecret B=another end\nlast";
        let marks = [(8..17, "\u{2039}a\u{203a}".to_owned()), (20..27, "\u{2039}b\u{203a}".to_owned())];
        assert_eq!(excerpt(content, 8, &marks), "A=‹a› B=‹b› end");
        assert_eq!(excerpt(content, 20, &marks), "A=‹a› B=‹b› end");
    }
}
