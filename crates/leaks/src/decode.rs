//! What lies in a text under another form: base64, hex, percent escapes, UTF-16.
//!
//! One level deep, except that what base64 covers may be compressed. Each decoder looks only at runs of its own characters, and
//! gives up on a run whose beginning does not decode to text, so a file full of checksums costs little.

use std::io::Read;
use std::ops::Range;

use flate2::read::{GzDecoder, ZlibDecoder};

/// A form under which something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Coding {
    Base64,
    Hex,
    Percent,
    Utf16,
    /// Compressed, then base64.
    Base64Gzip,
}

impl Coding {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Base64 => "base64",
            Self::Hex => "hex",
            Self::Percent => "percent escapes",
            Self::Utf16 => "UTF-16",
            Self::Base64Gzip => "gzip in base64",
        }
    }
}

/// A piece that decodes to something.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) coding: Coding,
    /// Where it stands in what it was decoded from.
    pub(crate) place: Range<usize>,
    pub(crate) bytes: Vec<u8>,
}

/// Shorter ones hold no credential: the shortest secret of a rule is twelve characters, sixteen in base64.
const LEAST_BASE64: usize = 20;
const LEAST_HEX: usize = 32;

/// All that one content may decode to, as a multiple of its own size: every decoder but the last makes it smaller.
const MOST_INFLATED: usize = 8 << 20;

/// A gzip that grows by more than this is not text but a bomb; text reaches twenty.
pub(crate) const MOST_RATIO: usize = 200;

/// Everything that `content` decodes to.
pub(crate) fn layers(content: &[u8]) -> Vec<Layer> {
    let mut found = Vec::new();
    if let Some(bytes) = utf16(content) {
        found.push(Layer { coding: Coding::Utf16, place: 0..content.len(), bytes });
        return found;
    }
    let mut inflated = 0;
    for run in base64_runs(content) {
        push_run(content, run, &mut inflated, &mut found);
    }
    if memchr::memchr(b'%', content).is_some() {
        percent(content, &mut found);
    }
    found
}

fn push_run(content: &[u8], run: Range<usize>, inflated: &mut usize, found: &mut Vec<Layer>) {
    let text = &content[run.clone()];
    if text.len() >= LEAST_HEX
        && text.iter().all(u8::is_ascii_hexdigit)
        && let Some(bytes) = hex(text)
        && is_text(&bytes)
    {
        found.push(Layer { coding: Coding::Hex, place: run, bytes });
        return;
    }
    // The beginning tells: twelve characters are nine bytes.
    let Some(head) = base64(&text[..12.min(text.len())]) else { return };
    let is_compressed = head.starts_with(&[0x1f, 0x8b]);
    if !is_compressed && !is_text(&head) {
        return;
    }
    let Some(bytes) = base64(text) else { return };
    if is_compressed {
        let left = MOST_INFLATED.saturating_sub(*inflated);
        let (bytes, _) = inflate(&bytes, left);
        *inflated += bytes.len();
        if is_text(&bytes) {
            found.push(Layer { coding: Coding::Base64Gzip, place: run, bytes });
        }
    } else if is_text(&bytes) {
        found.push(Layer { coding: Coding::Base64, place: run, bytes });
    }
}

const IS_BASE64: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        let character = byte as u8;
        table[byte] = character.is_ascii_alphanumeric() || matches!(character, b'+' | b'/' | b'-' | b'_');
        byte += 1;
    }
    table
};

/// Runs of base64, also folded over lines of at least 60 characters as mail and keys do.
fn base64_runs(content: &[u8]) -> Vec<Range<usize>> {
    const FOLDED: usize = 60;
    let mut runs = Vec::new();
    let mut at = 0;
    while at < content.len() {
        if !IS_BASE64[usize::from(content[at])] {
            at += 1;
            continue;
        }
        let start = at;
        let mut line = at;
        loop {
            while at < content.len() && IS_BASE64[usize::from(content[at])] {
                at += 1;
            }
            if at - line < FOLDED {
                break;
            }
            let mut next = at;
            while next < content.len() && matches!(content[next], b'\r' | b'\n' | b' ' | b'\t') && next - at < 40 {
                next += 1;
            }
            if next == at
                || !content[at..next].contains(&b'\n')
                || next >= content.len()
                || !IS_BASE64[usize::from(content[next])]
            {
                break;
            }
            at = next;
            line = next;
        }
        if at - start >= LEAST_BASE64 {
            while content.get(at) == Some(&b'=') {
                at += 1;
            }
            runs.push(start..at);
        }
    }
    runs
}

/// Decodes base64 of either alphabet, padded or not, blanks skipped. `None` if it is none.
pub(crate) fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let (mut buffer, mut bits) = (0u32, 0u32);
    for character in text {
        let six = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => break,
            b'\r' | b'\n' | b' ' | b'\t' => continue,
            _ => return None,
        };
        buffer = (buffer << 6 | u32::from(six)) & 0x00FF_FFFF;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(buffer >> bits & 0xFF).expect("eight bits"));
        }
    }
    Some(bytes)
}

fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// Runs of a URL in which something is escaped.
fn percent(content: &[u8], found: &mut Vec<Layer>) {
    let is_part = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'`' | b'<' | b'>');
    let mut done = 0;
    for sign in memchr::memchr_iter(b'%', content) {
        if sign < done || hex(content.get(sign + 1..sign + 3).unwrap_or_default()).is_none_or(|bytes| bytes.is_empty())
        {
            continue;
        }
        let start = content[done..sign].iter().rposition(|byte| !is_part(*byte)).map_or(done, |at| done + at + 1);
        let end = content[sign..].iter().position(|byte| !is_part(*byte)).map_or(content.len(), |at| sign + at);
        done = end;
        let mut bytes = Vec::with_capacity(end - start);
        let mut at = start;
        while at < end {
            match content.get(at + 1..at + 3).filter(|_| content[at] == b'%').and_then(hex) {
                Some(decoded) if at + 3 <= end => {
                    bytes.extend(decoded);
                    at += 3;
                }
                _ => {
                    bytes.push(content[at]);
                    at += 1;
                }
            }
        }
        if is_text(&bytes) {
            found.push(Layer { coding: Coding::Percent, place: start..end, bytes });
        }
    }
}

/// Text of Windows tools: a byte order mark, then two bytes a character.
fn utf16(content: &[u8]) -> Option<Vec<u8>> {
    let (little, rest) = match content {
        [0xFF, 0xFE, rest @ ..] => (true, rest),
        [0xFE, 0xFF, rest @ ..] => (false, rest),
        _ => return None,
    };
    let units = rest.chunks_exact(2).map(|pair| {
        let pair = [pair[0], pair[1]];
        if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) }
    });
    let text: String = char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    Some(text.into_bytes())
}

/// Nine of ten bytes could have been typed.
fn is_text(bytes: &[u8]) -> bool {
    let typed = bytes.iter().filter(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t')).count();
    !bytes.is_empty() && typed * 10 >= bytes.len() * 9
}

/// How far an inflation came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inflated {
    Whole,
    /// Stopped at a limit, or what follows is damaged.
    Cut,
}

/// Inflates gzip or zlib up to `most` bytes and up to [`MOST_RATIO`] times its size.
pub(crate) fn inflate(bytes: &[u8], most: usize) -> (Vec<u8>, Inflated) {
    let most = most.min(bytes.len().saturating_mul(MOST_RATIO));
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let mut inflated = Vec::new();
    let ended = match bytes {
        [0x1f, 0x8b, ..] => GzDecoder::new(bytes).take(limit).read_to_end(&mut inflated),
        _ => ZlibDecoder::new(bytes).take(limit).read_to_end(&mut inflated),
    };
    let state = if ended.is_err() || inflated.len() > most { Inflated::Cut } else { Inflated::Whole };
    inflated.truncate(most);
    (inflated, state)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn base64_of_both_alphabets_and_without_padding_is_read() {
        assert_eq!(base64(b"aGVsbG8gd29ybGQ=").unwrap(), b"hello world");
        assert_eq!(base64(b"aGVsbG8gd29ybGQ").unwrap(), b"hello world");
        assert_eq!(base64(b"-_-_").unwrap(), base64(b"+/+/").unwrap());
        assert!(base64(b"a*b").is_none());
    }

    #[test]
    fn a_bomb_is_cut_at_its_ratio() {
        let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
        bomb.write_all(&vec![b'a'; 20 << 20]).unwrap();
        let bomb = bomb.finish().unwrap();
        let (bytes, state) = inflate(&bomb, usize::MAX);
        assert_eq!(state, Inflated::Cut);
        assert!(bytes.len() <= bomb.len() * MOST_RATIO);
    }

    #[test]
    fn utf16_with_a_mark_becomes_text() {
        let mut bytes = vec![0xFF, 0xFE];
        bytes.extend("key=1".encode_utf16().flat_map(u16::to_le_bytes));
        assert_eq!(layers(&bytes)[0].bytes, b"key=1");
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_decoder_panic_or_grow(content in proptest::collection::vec(any::<u8>(), 0..4000)) {
            for layer in layers(&content) {
                prop_assert!(layer.place.end <= content.len());
                prop_assert!(layer.bytes.len() <= content.len().saturating_mul(MOST_RATIO));
            }
        }

        #[test]
        fn text_in_base64_is_found_wherever_it_stands(before in "[ -~]{0,20}[ :\"=]", text in "[ -~]{20,200}") {
            let encoded: String = encode(text.as_bytes());
            let content = format!("{before}{encoded}\"");
            let found = layers(content.as_bytes());
            prop_assert!(found.iter().any(|layer| layer.bytes == text.as_bytes()));
        }
    }

    fn encode(bytes: &[u8]) -> String {
        const SET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for chunk in bytes.chunks(3) {
            let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
            for index in 0..=chunk.len() {
                text.push(char::from(SET[usize::try_from(word >> (18 - 6 * index) & 63).unwrap()]));
            }
        }
        text
    }
}
