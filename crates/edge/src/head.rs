//! A second, stricter reader of HTTP/1 requests that sees every byte before the parser does.
//!
//! hyper repairs some requests before we can judge them: of `Content-Length` beside `Transfer-Encoding` it drops the former,
//! equal `Content-Length`s it merges, bare line feeds it takes for line ends. Whoever stands behind us may repair them
//! otherwise, and a request with two meanings is how one request is smuggled inside another. So this reader walks along the
//! wire on its own, leaves one [`Verdict`] for each head it saw, and the pipeline answers a request only if there is one and it
//! is good. Where the two readers disagree about where a request begins, the verdict is missing, and that is a refusal too.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::refusal::Refusal;

/// What the strict reader thinks of one request head.
pub type Verdict = Result<(), Refusal>;

/// Verdicts on their way from the wire to the pipeline, oldest first.
#[derive(Debug, Default)]
pub struct Inspection {
    verdicts: Mutex<VecDeque<Verdict>>,
    ended: AtomicBool,
}

impl Inspection {
    /// The verdict about the next request. None means that the parser saw a request where the strict reader saw none.
    pub fn next(&self) -> Verdict {
        self.verdicts.lock().expect("no holder panics").pop_front().unwrap_or(Err(Refusal::Malformed))
    }

    /// The connection speaks another protocol from here on.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    fn push(&self, verdict: Verdict) {
        self.verdicts.lock().expect("no holder panics").push_back(verdict);
    }
}

/// From here on there are bytes that no strict reader passes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenAt(pub usize);

/// A byte that cannot be where it is.
#[derive(Debug)]
struct OutOfPlace;

/// The reader: fed with what arrives, in whatever pieces.
#[derive(Debug)]
pub struct Inspector {
    state: State,
    head: Vec<u8>,
    limit: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    Body {
        left: u64,
    },
    Chunks(Chunks),
    /// A verdict ended the connection; what follows means nothing.
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunks {
    Size {
        value: u64,
        digits: u8,
    },
    Extension {
        value: u64,
        length: u16,
    },
    SizeLineFeed {
        value: u64,
    },
    Data {
        left: u64,
    },
    DataReturn,
    DataLineFeed,
    /// At the start of a trailer line, or in it (`inside`), or behind its carriage return (`returned`).
    Trailer {
        length: u16,
        inside: bool,
        returned: bool,
    },
}

/// Trailers are few and small; chunk extensions nobody uses.
const TRAILER_LIMIT: u16 = 8 * 1024;
const EXTENSION_LIMIT: u16 = 1024;

impl Inspector {
    /// `limit` is the size of a head that still is read; the parser refuses larger ones itself.
    pub fn new(limit: usize) -> Self {
        Self { state: State::Head, head: Vec::new(), limit }
    }

    /// Whether a head has begun and not ended.
    pub fn is_inside_head(&self) -> bool {
        self.state == State::Head && !self.head.is_empty()
    }

    /// Reads on. An error says how many of these bytes may still reach the parser, and that none may after them.
    pub fn feed(&mut self, all: &[u8], inspection: &Inspection) -> Result<(), BrokenAt> {
        let mut bytes = all;
        while !bytes.is_empty() {
            match self.state {
                State::Head => bytes = self.feed_head(bytes, inspection),
                State::Body { left } => {
                    let step = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    bytes = &bytes[step..];
                    let left = left - step as u64;
                    self.state = if left == 0 { State::Head } else { State::Body { left } };
                }
                State::Chunks(Chunks::Data { left }) => {
                    let step = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    bytes = &bytes[step..];
                    let left = left - step as u64;
                    self.state = State::Chunks(if left == 0 { Chunks::DataReturn } else { Chunks::Data { left } });
                }
                State::Chunks(chunks) => {
                    self.state = chunks.step(bytes[0]).map_err(|OutOfPlace| BrokenAt(all.len() - bytes.len()))?;
                    bytes = &bytes[1..];
                }
                State::Refused => return Ok(()),
            }
        }
        Ok(())
    }

    /// A head that arrived in one piece, as nearly all do: judged where it lies. `None`: it is to be read byte by byte.
    fn whole_head<'a>(&mut self, bytes: &'a [u8], inspection: &Inspection) -> Option<&'a [u8]> {
        if !self.head.is_empty() || matches!(bytes.first(), Some(b'\r' | b'\n')) {
            return None;
        }
        let mut begin = 0;
        for at in memchr::memchr_iter(b'\n', bytes) {
            // A line feed alone ends a line for some readers, and so does a carriage return.
            if at >= self.limit || at == begin || memchr::memchr(b'\r', &bytes[begin..at]) != Some(at - 1 - begin) {
                return None;
            }
            if at == begin + 1 {
                match judge(&bytes[..=at]) {
                    Ok(framing) => {
                        inspection.push(Ok(()));
                        self.state = framing;
                        return Some(&bytes[at + 1..]);
                    }
                    Err(refusal) => return Some(self.refuse(refusal, inspection)),
                }
            }
            begin = at + 1;
        }
        None
    }

    /// Takes bytes up to the end of the head, and returns the rest.
    fn feed_head<'a>(&mut self, bytes: &'a [u8], inspection: &Inspection) -> &'a [u8] {
        if let Some(rest) = self.whole_head(bytes, inspection) {
            return rest;
        }
        for (at, &byte) in bytes.iter().enumerate() {
            // Empty lines before a request are an old client's habit, and harmless when whole.
            if self.head.is_empty() && byte == b'\r' {
                self.head.push(byte);
                continue;
            }
            let previous = self.head.last().copied();
            self.head.push(byte);
            if byte == b'\n' && previous != Some(b'\r') || previous == Some(b'\r') && byte != b'\n' {
                return self.refuse(Refusal::Malformed, inspection);
            }
            if self.head == b"\r\n" {
                self.head.clear();
                continue;
            }
            if byte == b'\n' && self.head.ends_with(b"\r\n\r\n") {
                match judge(&self.head) {
                    Ok(framing) => {
                        self.head.clear();
                        inspection.push(Ok(()));
                        self.state = framing;
                        return &bytes[at + 1..];
                    }
                    Err(refusal) => return self.refuse(refusal, inspection),
                }
            }
            if self.head.len() > self.limit {
                return self.refuse(Refusal::HeadTooLarge, inspection);
            }
        }
        &[]
    }

    fn refuse<'a>(&mut self, refusal: Refusal, inspection: &Inspection) -> &'a [u8] {
        self.head = Vec::new();
        self.state = State::Refused;
        inspection.push(Err(refusal));
        &[]
    }
}

impl Chunks {
    const START: Self = Self::Size { value: 0, digits: 0 };

    fn step(self, byte: u8) -> Result<State, OutOfPlace> {
        let next = match (self, byte) {
            (Self::Size { value, digits }, _) if byte.is_ascii_hexdigit() && digits < 15 => {
                let digit = (byte as char).to_digit(16).expect("a hexadecimal digit was matched");
                Self::Size { value: value * 16 + u64::from(digit), digits: digits + 1 }
            }
            (Self::Size { value, digits: 1.. }, b'\r') => Self::SizeLineFeed { value },
            (Self::Size { value, digits: 1.. }, b';') => Self::Extension { value, length: 0 },
            (Self::Extension { value, .. }, b'\r') => Self::SizeLineFeed { value },
            (Self::Extension { value, length }, b' '..=0x7e | b'\t') if length < EXTENSION_LIMIT => {
                Self::Extension { value, length: length + 1 }
            }
            (Self::SizeLineFeed { value: 0 }, b'\n') => Self::Trailer { length: 0, inside: false, returned: false },
            (Self::SizeLineFeed { value }, b'\n') => Self::Data { left: value },
            (Self::DataReturn, b'\r') => Self::DataLineFeed,
            (Self::DataLineFeed, b'\n') => Self::START,
            (Self::Trailer { inside: false, returned: true, .. }, b'\n') => return Ok(State::Head),
            (Self::Trailer { length, inside: true, returned: true }, b'\n') => {
                Self::Trailer { length, inside: false, returned: false }
            }
            (Self::Trailer { length, inside, returned: false }, b'\r') => {
                Self::Trailer { length, inside, returned: true }
            }
            // A trailer line starts with a name: a blank would continue the line before, by some.
            (Self::Trailer { inside: false, returned: false, .. }, b' ' | b'\t' | b':') => return Err(OutOfPlace),
            (Self::Trailer { length, returned: false, .. }, b' '..=0x7e | b'\t' | 0x80..) if length < TRAILER_LIMIT => {
                Self::Trailer { length: length + 1, inside: true, returned: false }
            }
            _ => return Err(OutOfPlace),
        };
        Ok(State::Chunks(next))
    }
}

/// Reads a whole head, empty line included, and says how its body is framed.
fn judge(head: &[u8]) -> Result<State, Refusal> {
    let mut lines =
        head[..head.len() - 4].split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let is_http_11 = is_request_line(lines.next().unwrap_or_default())?;
    let mut length: Option<u64> = None;
    let mut is_chunked = false;
    for line in lines {
        // A line that starts with a blank continues the one before, for some readers: its "name" is no token, so it ends here.
        let colon = memchr::memchr(b':', line).ok_or(Refusal::Malformed)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if !is_token(name) || has_control(value) {
            return Err(Refusal::Malformed);
        }
        if memchr::memchr(b'_', name).is_some() {
            return Err(Refusal::UnderscoreInName);
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            if length.is_some() {
                return Err(Refusal::AmbiguousLength);
            }
            length = Some(decimal(value).ok_or(Refusal::AmbiguousLength)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if is_chunked || !is_http_11 {
                return Err(Refusal::AmbiguousLength);
            }
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Refusal::UnknownTransferEncoding);
            }
            is_chunked = true;
        }
    }
    match (length, is_chunked) {
        (Some(_), true) => Err(Refusal::AmbiguousLength),
        (None, true) => Ok(State::Chunks(Chunks::START)),
        (Some(left @ 1..), false) => Ok(State::Body { left }),
        (Some(0) | None, false) => Ok(State::Head),
    }
}

/// `METHOD SP TARGET SP HTTP/1.x`, single spaces, visible ASCII. Returns whether the version is 1.1.
fn is_request_line(line: &[u8]) -> Result<bool, Refusal> {
    let mut parts = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refusal::Malformed);
    };
    // A fragment is never sent, and a parser that cuts it off sees another path than one that does not.
    if !is_token(method) || target.is_empty() || !target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#') {
        return Err(Refusal::Malformed);
    }
    match version {
        b"HTTP/1.1" => Ok(true),
        b"HTTP/1.0" => Ok(false),
        _ => Err(Refusal::Malformed),
    }
}

fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| TOKEN[byte as usize])
}

/// Which bytes a token is of (RFC 9110, section 5.6.2).
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128_u8 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
};

/// Whether a value holds what no value may. All of it is looked at, which is faster than to stop at the first.
pub(crate) fn has_control(value: &[u8]) -> bool {
    value.iter().fold(false, |found, &byte| found | (byte == 0x7f) | (byte < b' ') & (byte != b'\t'))
}

/// Digits only (no sign, no list), and few enough that they fit.
pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 18 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds in pieces of `size` and returns all verdicts, and whether the framing broke.
    fn read(wire: &[u8], size: usize) -> (Vec<Verdict>, bool) {
        let inspection = Inspection::default();
        let mut inspector = Inspector::new(32 * 1024);
        let broken = wire.chunks(size).any(|piece| inspector.feed(piece, &inspection).is_err());
        let verdicts = inspection.verdicts.into_inner().unwrap();
        (verdicts.into(), broken)
    }

    fn check(wire: &str, expected: &[Verdict]) {
        for size in [1, 2, 3, 7, 4096] {
            let (verdicts, broken) = read(wire.as_bytes(), size);
            assert!(!broken, "{wire:?} in pieces of {size} broke");
            assert_eq!(verdicts, expected, "{wire:?} in pieces of {size}");
        }
    }

    #[test]
    fn pipelined_requests_get_a_verdict_each() {
        check(
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\nPOST /x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /y HTTP/1.1\r\n\r\n",
            &[Ok(()), Ok(()), Ok(())],
        );
        check(
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            &[Ok(()), Ok(())],
        );
    }

    #[test]
    fn what_has_two_meanings_is_refused_and_ends_the_reading() {
        use Refusal::{AmbiguousLength, Malformed, UnderscoreInName, UnknownTransferEncoding};
        for (head, refusal) in [
            ("POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", AmbiguousLength),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", AmbiguousLength),
            ("POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", AmbiguousLength),
            ("POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n", AmbiguousLength),
            ("POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n", AmbiguousLength),
            ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", AmbiguousLength),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: identity, chunked\r\n\r\n", UnknownTransferEncoding),
            ("GET / HTTP/1.1\nHost: a\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", Malformed),
            ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Malformed),
            ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", Malformed),
            ("GET / HTTP/1.1\r\nX_Y: a\r\n\r\n", UnderscoreInName),
        ] {
            check(&format!("{head}GET /smuggled HTTP/1.1\r\n\r\n"), &[Err(refusal)]);
        }
    }

    #[test]
    fn chunks_that_bend_the_rules_are_not_passed_on() {
        for body in [
            "x\r\n",
            "5 \r\nabcde\r\n",
            "5\nabcde\r\n",
            "5;a\nabcde\r\n",
            "3\r\nabcde\r\n",
            "0\r\n X: y\r\n\r\n",
            "\r\n",
            "fffffffffffffffff\r\n",
        ] {
            let wire = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
            assert!(read(wire.as_bytes(), 1).1, "{body:?} passed");
            assert!(read(wire.as_bytes(), 4096).1, "{body:?} passed at once");
        }
    }

    #[test]
    fn the_size_of_the_pieces_never_changes_the_verdict() {
        // A fixed seed: bytes of real requests, mutated, must read the same in whatever pieces they come.
        let seeds: [&[u8]; 3] = [
            b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n",
            b"GET /a?b=c HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.0\r\n\r\n",
            b"PUT / HTTP/1.1\r\nContent-Length: 12\r\nHost: a\r\n\r\nhello world!GET / HTTP/1.1\r\nTE: x\r\n\r\n",
        ];
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            usize::try_from(random >> 16).unwrap()
        };
        for round in 0..20_000 {
            let mut wire = seeds[round % 3].to_vec();
            for _ in 0..1 + next() % 4 {
                if wire.len() < 2 {
                    break;
                }
                let at = next() % wire.len();
                match next() % 4 {
                    0 => wire[at] = b"\r\n:, \t;0chunked\x00\x7f\xff"[next() % 17],
                    1 => drop(wire.remove(at)),
                    2 => wire.insert(at, b"\r\n: _15"[next() % 7]),
                    _ => wire.truncate(at.max(1)),
                }
            }
            let whole = read(&wire, wire.len());
            assert_eq!(whole, read(&wire, 1), "round {round}: {:?}", String::from_utf8_lossy(&wire));
            assert_eq!(whole, read(&wire, 5), "round {round}: {:?}", String::from_utf8_lossy(&wire));
        }
    }
}
