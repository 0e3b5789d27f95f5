//! A stream in pieces that overlap, so that a secret across a border is found, and found once.

use std::collections::HashSet;
use std::io::{self, Read};

use crate::scan::{Hit, How, Scanner};

/// Bytes searched at a time.
const PIECE: usize = 4 << 20;

/// Bytes searched again with the next piece: the longest secret, a private key of 16,384 bits, is 13 KB.
const OVERLAP: usize = 16 << 10;

pub(crate) struct Chunks<R> {
    stream: R,
    buffer: Vec<u8>,
    /// Lines and characters before the buffer.
    lines: u32,
    columns: u32,
    bytes: u64,
    ended: bool,
    told: HashSet<(u32, u32, How)>,
}

impl<R: Read> Chunks<R> {
    pub(crate) fn new(stream: R) -> Self {
        Self { stream, buffer: Vec::new(), lines: 0, columns: 0, bytes: 0, ended: false, told: HashSet::new() }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What the next piece holds that was not told yet; `None` behind the last.
    pub(crate) fn next(&mut self, scanner: &Scanner) -> io::Result<Option<Vec<Hit>>> {
        if self.ended {
            return Ok(None);
        }
        let carried = self.buffer.len();
        let most = u64::try_from(PIECE).expect("a piece fits");
        let read = self.stream.by_ref().take(most).read_to_end(&mut self.buffer)?;
        self.bytes += u64::try_from(read).expect("a length fits");
        self.ended = read < PIECE;
        let end = if self.ended { self.buffer.len() } else { self.last_line_end(carried) };
        let mut hits = scanner.scan(&self.buffer[..end]);
        for hit in &mut hits {
            if hit.line == 1 {
                hit.column = hit.column.saturating_add(self.columns);
            }
            hit.line = hit.line.saturating_add(self.lines);
        }
        hits.retain(|hit| !self.told.contains(&(hit.line, hit.column, hit.how.clone())));
        self.told.retain(|(line, ..)| *line >= self.lines);
        self.told.extend(hits.iter().map(|hit| (hit.line, hit.column, hit.how.clone())));
        self.forget(end.saturating_sub(OVERLAP));
        Ok(Some(hits))
    }

    /// A line that may go on is left for the next piece, unless there is none that ended.
    fn last_line_end(&self, carried: usize) -> usize {
        memchr::memrchr(b'\n', &self.buffer[carried..]).map_or(self.buffer.len(), |at| carried + at + 1)
    }

    fn forget(&mut self, count: usize) {
        let gone = &self.buffer[..count];
        let ends = memchr::memchr_iter(b'\n', gone).count();
        let last = memchr::memrchr(b'\n', gone).map_or(0, |at| at + 1);
        let characters = gone[last..].iter().filter(|byte| **byte & 0xC0 != 0x80).count();
        let characters = u32::try_from(characters).unwrap_or(u32::MAX);
        self.columns = if ends == 0 { self.columns.saturating_add(characters) } else { characters };
        self.lines = self.lines.saturating_add(u32::try_from(ends).unwrap_or(u32::MAX));
        self.buffer.drain(..count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Rules, Values};
    use secrets::Secret;

    #[test]
    fn a_secret_across_a_border_is_found_once_at_its_place() {
        let value = "q8W2zr0PvKd7Tn4LxB5sJ3";
        let values = Values::new(vec![("A@v1".to_owned(), Secret::new(value.to_owned()))]).unwrap();
        let scanner = Scanner::new(Rules::ours(), Some(values));
        for line_end in ["\n", " "] {
            let mut text = format!("0123456{line_end}").repeat(PIECE / 8 - 1).into_bytes();
            text.extend(b"key:");
            text.extend(value.as_bytes());
            text.extend(format!("{line_end}0123456").repeat(PIECE / 8).into_bytes());
            let mut chunks = Chunks::new(text.as_slice());
            let mut all = Vec::new();
            while let Some(hits) = chunks.next(&scanner).unwrap() {
                all.extend(hits);
            }
            assert_eq!(all.len(), 1);
            let place = (all[0].line, all[0].column);
            let expected = if line_end == "\n" {
                (u32::try_from(PIECE / 8).unwrap(), 5)
            } else {
                (1, u32::try_from(PIECE - 8 + 5).unwrap())
            };
            assert_eq!(place, expected);
        }
    }
}
