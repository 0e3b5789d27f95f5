//! RESP, version 2: commands written, answers read as they come.

use bytes::{Buf, Bytes, BytesMut};

/// What Redis answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Simple(Bytes),
    Error(Bytes),
    /// In the digits in which it came: no number is too large.
    Integer(Bytes),
    /// `None`: nil.
    Bulk(Option<Bytes>),
    Array(Option<Vec<Value>>),
}

/// Why what came is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("the answer of Redis is no RESP")]
    NotResp,
    #[error("the answer of Redis is longer than {0} bytes")]
    TooLong(usize),
    #[error("the answer of Redis is nested more than {MOST_NESTED} deep")]
    TooDeep,
}

/// Scripts can nest their answers; clients read them by recursion.
const MOST_NESTED: usize = 32;

/// A line is a number or a sentence.
const LONGEST_LINE: usize = 64 * 1024;

/// One command.
pub type Command = Vec<Bytes>;

/// Appends a command to a packet.
pub fn write_command(packet: &mut BytesMut, command: &[Bytes]) {
    header(packet, b'*', command.len());
    for argument in command {
        write_bulk(packet, argument);
    }
}

/// Appends an answer, as Redis would say it.
pub fn write_value(packet: &mut BytesMut, value: &Value) {
    let mut line = |kind: u8, text: &[u8]| {
        packet.extend_from_slice(&[kind]);
        packet.extend_from_slice(text);
        packet.extend_from_slice(b"\r\n");
    };
    match value {
        Value::Simple(text) => line(b'+', text),
        Value::Error(text) => line(b'-', text),
        Value::Integer(digits) => line(b':', digits),
        Value::Bulk(None) => line(b'$', b"-1"),
        Value::Array(None) => line(b'*', b"-1"),
        Value::Bulk(Some(bytes)) => write_bulk(packet, bytes),
        Value::Array(Some(values)) => {
            header(packet, b'*', values.len());
            for value in values {
                write_value(packet, value);
            }
        }
    }
}

fn header(packet: &mut BytesMut, kind: u8, length: usize) {
    packet.extend_from_slice(&[kind]);
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = length;
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).expect("a digit");
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    packet.extend_from_slice(&digits[at..]);
    packet.extend_from_slice(b"\r\n");
}

fn write_bulk(packet: &mut BytesMut, bytes: &[u8]) {
    header(packet, b'$', bytes.len());
    packet.extend_from_slice(bytes);
    packet.extend_from_slice(b"\r\n");
}

/// Reads answers from bytes that come in pieces. What was read of an array is kept, so no byte is looked at twice.
#[derive(Debug)]
pub struct Reader {
    /// Arrays that are not whole yet, the outermost first.
    open: Vec<(usize, Vec<Value>)>,
    /// Of a bulk whose header was read.
    bulk: Option<usize>,
    taken: usize,
    longest: usize,
}

impl Reader {
    /// `longest`: of one answer, in bytes.
    pub fn new(longest: usize) -> Self {
        Self { open: Vec::new(), bulk: None, taken: 0, longest }
    }

    /// The next answer that is whole, taken from the front; `None` while more must come.
    ///
    /// # Errors
    /// Where what came is no answer. The rest of the connection means nothing then.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Value>, Malformed> {
        loop {
            let Some(value) = self.scalar(buffer)? else { return Ok(None) };
            let Some(value) = self.close(value) else { continue };
            self.taken = 0;
            return Ok(Some(value));
        }
    }

    /// How many bytes are needed at least before there is anything to read.
    pub fn wants(&self) -> usize {
        self.bulk.map_or(1, |length| length + 2)
    }

    /// A value that holds no others, or the beginning of an array.
    fn scalar(&mut self, buffer: &mut BytesMut) -> Result<Option<Part>, Malformed> {
        if let Some(length) = self.bulk {
            return self.rest_of_bulk(buffer, length);
        }
        let Some(end) = buffer.windows(2).take(LONGEST_LINE).position(|pair| pair == b"\r\n") else {
            return if buffer.len() > LONGEST_LINE { Err(Malformed::NotResp) } else { Ok(None) };
        };
        let mut line = buffer.split_to(end + 2).freeze();
        line.truncate(end);
        self.take(end + 2)?;
        if line.is_empty() {
            return Err(Malformed::NotResp);
        }
        let kind = line.get_u8();
        let value = match kind {
            b'+' => Value::Simple(line),
            b'-' => Value::Error(line),
            b':' if is_integer(&line) => Value::Integer(line),
            b'$' => match length(&line)? {
                None => Value::Bulk(None),
                Some(length) => {
                    self.take(length.saturating_add(2))?;
                    self.bulk = Some(length);
                    return self.rest_of_bulk(buffer, length);
                }
            },
            b'*' => match length(&line)? {
                None => Value::Array(None),
                Some(0) => Value::Array(Some(Vec::new())),
                Some(_) if self.open.len() >= MOST_NESTED => return Err(Malformed::TooDeep),
                Some(length) => return Ok(Some(Part::Begins(length))),
            },
            _ => return Err(Malformed::NotResp),
        };
        Ok(Some(Part::Whole(value)))
    }

    fn rest_of_bulk(&mut self, buffer: &mut BytesMut, length: usize) -> Result<Option<Part>, Malformed> {
        if buffer.len() < length + 2 {
            buffer.reserve(length + 2 - buffer.len());
            return Ok(None);
        }
        self.bulk = None;
        let mut bytes = buffer.split_to(length + 2).freeze();
        if !bytes.ends_with(b"\r\n") {
            return Err(Malformed::NotResp);
        }
        bytes.truncate(length);
        Ok(Some(Part::Whole(Value::Bulk(Some(bytes)))))
    }

    /// Puts a part where it belongs; an answer that is whole with it.
    fn close(&mut self, part: Part) -> Option<Value> {
        let mut value = match part {
            // What is said of a length is not believed before it has come.
            Part::Begins(length) => {
                self.open.push((length, Vec::with_capacity(length.min(1024))));
                return None;
            }
            Part::Whole(value) => value,
        };
        while let Some((length, mut values)) = self.open.pop() {
            values.push(value);
            if values.len() < length {
                self.open.push((length, values));
                return None;
            }
            value = Value::Array(Some(values));
        }
        Some(value)
    }

    fn take(&mut self, bytes: usize) -> Result<(), Malformed> {
        self.taken = self.taken.saturating_add(bytes);
        if self.taken > self.longest { Err(Malformed::TooLong(self.longest)) } else { Ok(()) }
    }
}

enum Part {
    Whole(Value),
    Begins(usize),
}

fn is_integer(line: &[u8]) -> bool {
    let digits = line.strip_prefix(b"-").unwrap_or(line);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

/// `None`: nil.
fn length(line: &[u8]) -> Result<Option<usize>, Malformed> {
    if line == b"-1" {
        return Ok(None);
    }
    let digits = std::str::from_utf8(line).ok().filter(|_| line.iter().all(u8::is_ascii_digit));
    digits.and_then(|digits| digits.parse().ok()).map(Some).ok_or(Malformed::NotResp)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from);
        let line = || "[ -~]{0,30}".prop_map(Bytes::from);
        let leaf = prop_oneof![
            line().prop_map(Value::Simple),
            line().prop_map(Value::Error),
            any::<i64>().prop_map(|number| Value::Integer(number.to_string().into())),
            prop::option::of(bytes()).prop_map(Value::Bulk),
            Just(Value::Array(None)),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop::collection::vec(inner, 0..6).prop_map(|values| Value::Array(Some(values)))
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_in_whatever_pieces_it_comes(values in prop::collection::vec(value(), 1..4), piece in 1usize..50) {
            let mut packet = BytesMut::new();
            values.iter().for_each(|value| write_value(&mut packet, value));
            let mut reader = Reader::new(1 << 20);
            let (mut buffer, mut read) = (BytesMut::new(), Vec::new());
            for piece in packet.chunks(piece) {
                buffer.extend_from_slice(piece);
                while let Some(value) = reader.next(&mut buffer).unwrap() {
                    read.push(value);
                }
            }
            prop_assert_eq!(read, values);
            prop_assert!(buffer.is_empty());
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(prop_oneof![Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), Just(b'1'), any::<u8>()], 0..200)) {
            let mut reader = Reader::new(1000);
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = reader.next(&mut buffer) {}
        }
    }

    #[test]
    fn an_answer_that_is_too_long_is_refused_before_it_has_come() {
        let mut reader = Reader::new(100);
        assert_eq!(reader.next(&mut BytesMut::from("$1000\r\n")), Err(Malformed::TooLong(100)));
        let mut reader = Reader::new(10_000);
        assert_eq!(reader.next(&mut BytesMut::from("*1\r\n".repeat(40).as_str())), Err(Malformed::TooDeep));
        assert_eq!(Reader::new(100).next(&mut BytesMut::from(":1x\r\n")), Err(Malformed::NotResp));
    }
}
