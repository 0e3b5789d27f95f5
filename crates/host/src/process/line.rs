//! Bytes of a stream, cut into lines.

use std::borrow::Cow;

/// Longer lines are cut here. It bounds the memory that a process which never ends its line can take from us.
pub const LONGEST_LINE: usize = 64 * 1024;

/// Put at the end of a line that was cut.
pub const CUT_MARK: &str = " …[cut]";

/// Collects bytes until a line is complete.
#[derive(Debug, Default)]
pub struct LineSplitter {
    partial: Vec<u8>,
    /// The rest of the present line is thrown away, its beginning was handed out.
    skipping: bool,
}

impl LineSplitter {
    /// Takes bytes as they come; `sink` gets every line that they complete, without its end.
    pub fn push(&mut self, mut bytes: &[u8], sink: &mut dyn FnMut(&str)) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.append(&bytes[..end], sink);
            self.end_line(sink);
            bytes = &bytes[end + 1..];
        }
        self.append(bytes, sink);
    }

    /// The stream ended: what is left is a line too.
    pub fn finish(&mut self, sink: &mut dyn FnMut(&str)) {
        if !self.partial.is_empty() {
            self.end_line(sink);
        }
        self.skipping = false;
    }

    fn append(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&str)) {
        if self.skipping {
            return;
        }
        let room = LONGEST_LINE - self.partial.len();
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if bytes.len() > room {
            let mut line = String::from_utf8_lossy(&self.partial).into_owned();
            line.push_str(CUT_MARK);
            sink(&line);
            self.partial.clear();
            self.skipping = true;
        }
    }

    fn end_line(&mut self, sink: &mut dyn FnMut(&str)) {
        if self.skipping {
            self.skipping = false;
            return;
        }
        let line: Cow<'_, str> = String::from_utf8_lossy(self.partial.strip_suffix(b"\r").unwrap_or(&self.partial));
        sink(&line);
        drop(line);
        self.partial.clear();
        // One long line should not hold its memory for ever.
        self.partial.shrink_to(4096);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let mut splitter = LineSplitter::default();
        let mut seen = Vec::new();
        for chunk in chunks {
            splitter.push(chunk, &mut |line| seen.push(line.to_owned()));
        }
        splitter.finish(&mut |line| seen.push(line.to_owned()));
        seen
    }

    #[test]
    fn lines_are_put_together_from_pieces() {
        assert_eq!(lines(&[b"on", b"e\ntw", b"o\r\n\nlast"]), ["one", "two", "", "last"]);
    }

    #[test]
    fn bytes_that_are_no_text_do_not_stop_the_stream() {
        assert_eq!(lines(&[b"\xff\n", b"ok\n"]), ["\u{fffd}", "ok"]);
    }

    #[test]
    fn a_line_that_never_ends_is_cut_once_and_the_next_one_is_whole() {
        let long = vec![b'x'; LONGEST_LINE * 3];
        let seen = lines(&[&long, b"still the same\nnext\n"]);
        assert_eq!(seen.len(), 2);
        assert!(seen[0].ends_with(CUT_MARK) && seen[0].len() == LONGEST_LINE + CUT_MARK.len());
        assert_eq!(seen[1], "next");
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_whole() {
        let mut line = vec![b'x'; LONGEST_LINE];
        line.push(b'\n');
        assert_eq!(lines(&[&line])[0].len(), LONGEST_LINE);
    }
}
