//! What Sentry's clients send, taken apart: lines of JSON headers, each before its item.
//!
//! ```text
//!   {"event_id":"…","dsn":"…"}                 header of the envelope
//!   {"type":"event"}                           header of an item: with `length` so many bytes follow, without one a line
//!   {…}                                        the item
//! ```
//!
//! Own, because the reader that its makers publish refuses a whole envelope for one item of a kind that it does not know, and clients
//! of today send such. What an item says is not looked at here.

use serde::{Deserialize, Deserializer};

use crate::errors::lenient::Text;

/// A header line of more is nobody's: Sentry's own limit.
const MAX_HEADER: usize = 8 * 1024;

/// Items of one envelope. Clients send one to three.
const MAX_ITEMS: usize = 100;

/// An envelope in its parts.
#[derive(Debug, PartialEq, Eq)]
pub struct Envelope<'b> {
    pub header: Header,
    pub items: Vec<Item<'b>>,
    /// Why reading ended before the end, if it did. What came before counts.
    pub broken: Option<Broken>,
}

/// What is said of the envelope as a whole.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Header {
    #[serde(default, deserialize_with = "text")]
    pub event_id: Option<String>,
    /// Where a client can send neither a query nor a header, it says here who it is.
    #[serde(default, deserialize_with = "text")]
    pub dsn: Option<String>,
}

/// Anything else is as if it were not there.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Text::deserialize(deserializer).map(|text| text.get().map(str::to_owned))
}

/// One thing that is reported.
#[derive(Debug, PartialEq, Eq)]
pub struct Item<'b> {
    pub kind: String,
    /// How many things are in it, where it is a container.
    pub count: u32,
    pub payload: &'b [u8],
}

/// What is wrong with an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("the envelope has no header")]
    NoHeader,
    #[error("a header is not JSON")]
    Header,
    #[error("a header has more than {MAX_HEADER} bytes")]
    LongHeader,
    #[error("an item is shorter than its header says")]
    Short,
    #[error("the envelope has more than {MAX_ITEMS} items")]
    ManyItems,
}

#[derive(Deserialize)]
struct ItemHeader {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    length: Option<u64>,
    #[serde(default)]
    item_count: Option<u32>,
}

impl<'b> Envelope<'b> {
    /// # Errors
    /// Where not even the envelope's own header can be read.
    pub fn read(bytes: &'b [u8]) -> Result<Self, Broken> {
        let (first, mut rest) = line(bytes);
        if first.is_empty() {
            return Err(Broken::NoHeader);
        }
        let header = header(first)?;
        let mut envelope = Self { header, items: Vec::new(), broken: None };
        while let Some((item, behind)) = envelope.next(rest) {
            envelope.items.push(item);
            rest = behind;
        }
        Ok(envelope)
    }

    fn next(&mut self, rest: &'b [u8]) -> Option<(Item<'b>, &'b [u8])> {
        // Blank lines between items are allowed, and some clients end with one.
        let start = rest.iter().position(|byte| !matches!(byte, b'\n' | b'\r'))?;
        let outcome = if self.items.len() == MAX_ITEMS { Err(Broken::ManyItems) } else { item(&rest[start..]) };
        outcome.map_err(|broken| self.broken = Some(broken)).ok()
    }
}

fn item(bytes: &[u8]) -> Result<(Item<'_>, &[u8]), Broken> {
    let (first, rest) = line(bytes);
    let ItemHeader { kind, length, item_count } = header(first)?;
    let (payload, rest) = match length {
        None => line(rest),
        Some(length) => {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if rest.len() < length {
                return Err(Broken::Short);
            }
            rest.split_at(length)
        }
    };
    Ok((Item { kind, count: item_count.unwrap_or(1), payload }, rest))
}

fn header<'b, T: Deserialize<'b>>(bytes: &'b [u8]) -> Result<T, Broken> {
    if bytes.len() > MAX_HEADER {
        return Err(Broken::LongHeader);
    }
    serde_json::from_slice(bytes).map_err(|_| Broken::Header)
}

/// Up to the end of the line, and what is behind it.
fn line(bytes: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'\n', bytes) {
        Some(at) => (bytes[..at].strip_suffix(b"\r").unwrap_or(&bytes[..at]), &bytes[at + 1..]),
        None => (bytes, &[]),
    }
}
