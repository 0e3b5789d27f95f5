//! Proof that what is not public stays out of what browsers load: a build gets a value of its own for each variable that is
//! not public, and none of them may come out at the other end. No real value is needed for it.

use std::io::Read;

use aho_corasick::{AhoCorasick, BuildError};
use manifest::environment::Class;
use manifest::value::ValueType;
use manifest::{Matrix, Row, VarName};

/// A value that is found again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canary {
    pub name: VarName,
    /// What to search for.
    token: String,
    /// The token as a value of the variable's type.
    pub value: String,
}

/// Values for every variable that is not public.
#[derive(Clone, Debug, Default)]
pub struct Planted {
    pub canaries: Vec<Canary>,
    /// Variables whose type has too few values for one that nothing else has.
    pub left_out: Vec<VarName>,
}

/// Makes a canary for each variable that is not public. `random` gives what nothing else has.
pub fn plant(matrix: &Matrix, mut random: impl FnMut() -> [u8; 16]) -> Planted {
    let mut planted = Planted::default();
    for row in matrix.variables.iter().filter(|row| row.class != Class::Public) {
        match canary(row, random()) {
            Some(canary) => planted.canaries.push(canary),
            None => planted.left_out.push(row.name.clone()),
        }
    }
    planted
}

fn canary(row: &Row, random: [u8; 16]) -> Option<Canary> {
    let hex: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    // Letters and digits alone, so that JSON, URLs, HTML and host names leave it as it is.
    let token = match row.value_type {
        // The largest that JavaScript holds exactly have sixteen digits.
        ValueType::Int => format!("{}", 1_000_000_000_000_000 + u128::from_be_bytes(random) % 8_000_000_000_000_000),
        _ => format!("rbcanary{hex}"),
    };
    let value = match row.value_type {
        ValueType::String | ValueType::Int => token.clone(),
        ValueType::Url => format!("https://{token}.example/"),
        ValueType::Host => format!("{token}.example"),
        ValueType::Json => format!("{{\"canary\":\"{token}\"}}"),
        ValueType::Email => format!("{token}@canary.example"),
        ValueType::MongoUrl => format!("mongodb://{token}.example/canary"),
        ValueType::RedisUrl => format!("redis://{token}.example"),
        // A name that no other key has: the only part of it that may be any text.
        ValueType::Jwk => {
            let point = "A".repeat(43);
            format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"{token}","x":"{point}","d":"{point}"}}"#)
        }
        ValueType::Pem => format!("-----BEGIN PRIVATE KEY-----\n{token}\n-----END PRIVATE KEY-----\n"),
        ValueType::Bool | ValueType::Port | ValueType::Enum | ValueType::Duration | ValueType::Bytes => return None,
    };
    Some(Canary { name: row.name.clone(), token, value })
}

/// A canary where it must not be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sighting {
    pub name: VarName,
    /// In bytes, from 0; of what is compressed, in what it holds.
    pub offset: usize,
    /// How it is written there.
    pub form: &'static str,
    /// What it was inside of.
    pub wrapped: Option<&'static str>,
}

/// Finds canaries in bytes, however they are written.
#[derive(Debug)]
pub struct Searcher {
    automaton: AhoCorasick,
    /// Which canary and which form each pattern is.
    patterns: Vec<(VarName, &'static str)>,
}

/// What an archive may hold before it is taken for a bomb.
const MOST_UNPACKED: u64 = 256 << 20;

impl Searcher {
    /// # Errors
    /// Where there are too many canaries for one automaton.
    pub fn new(canaries: &[Canary]) -> Result<Self, BuildError> {
        let mut patterns = Vec::new();
        let mut needles: Vec<Vec<u8>> = Vec::new();
        for canary in canaries {
            for (form, needle) in forms(canary.token.as_bytes()) {
                patterns.push((canary.name.clone(), form));
                needles.push(needle);
            }
        }
        // Host names and hexadecimal digits come in both cases.
        let automaton = AhoCorasick::builder().ascii_case_insensitive(true).build(needles)?;
        Ok(Self { automaton, patterns })
    }

    /// Every sighting in a file, the first of each variable and form. `name` tells what it is packed with.
    pub fn search(&self, name: &str, bytes: &[u8]) -> Vec<Sighting> {
        let mut found = self.search_plain(bytes, None);
        let unpacked = if bytes.starts_with(&[0x1f, 0x8b]) {
            unpacked(flate2::read::MultiGzDecoder::new(bytes)).map(|inner| (inner, "gzip"))
        } else if name.ends_with(".br") {
            unpacked(brotli::Decompressor::new(bytes, 4096)).map(|inner| (inner, "brotli"))
        } else {
            None
        };
        if let Some((inner, how)) = unpacked {
            found.extend(self.search_plain(&inner, Some(how)));
        }
        found
    }

    fn search_plain(&self, bytes: &[u8], wrapped: Option<&'static str>) -> Vec<Sighting> {
        let mut found: Vec<Sighting> = Vec::new();
        for hit in self.automaton.find_iter(bytes) {
            let (name, form) = &self.patterns[hit.pattern().as_usize()];
            if !found.iter().any(|seen| seen.name == *name && seen.form == *form) {
                found.push(Sighting { name: name.clone(), offset: hit.start(), form, wrapped });
            }
        }
        found
    }
}

/// What comes out, as far as it does: a damaged end does not hide the beginning.
fn unpacked(packed: impl Read) -> Option<Vec<u8>> {
    let mut inner = Vec::new();
    let mut packed = packed.take(MOST_UNPACKED);
    let mut chunk = [0; 16 * 1024];
    while let Ok(count @ 1..) = packed.read(&mut chunk) {
        inner.extend_from_slice(&chunk[..count]);
    }
    (!inner.is_empty()).then_some(inner)
}

/// The ways in which a token may be written.
fn forms(token: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let each = |before: &str, width: usize| -> Vec<u8> {
        token.iter().flat_map(|byte| format!("{before}{byte:0width$x}").into_bytes()).collect()
    };
    let mut forms = vec![
        ("as it is", token.to_vec()),
        ("in hexadecimal", each("", 2)),
        ("percent-encoded", each("%", 2)),
        ("escaped as \\x", each("\\x", 2)),
        ("escaped as \\u", each("\\u", 4)),
        ("in UTF-16", token.iter().flat_map(|byte| [*byte, 0]).collect()),
        ("backwards", token.iter().rev().copied().collect()),
    ];
    for shift in 0..3 {
        let plain = base64_inside(token, shift);
        let url: Vec<u8> = plain
            .iter()
            .map(|c| match c {
                b'+' => b'-',
                b'/' => b'_',
                c => *c,
            })
            .collect();
        if url != plain {
            forms.push(("in base64", url));
        }
        forms.push(("in base64", plain));
    }
    forms
}

/// The digits of base64 that `token` alone decides when `shift` bytes (modulo three) stand before it and anything behind.
fn base64_inside(token: &[u8], shift: usize) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bit = |at: usize| {
        let byte = token[at / 8 - shift];
        usize::from(byte >> (7 - at % 8) & 1)
    };
    let (start, end) = (shift * 8, (shift + token.len()) * 8);
    let digits = start.div_ceil(6)..end / 6;
    digits.map(|digit| DIGITS[(digit * 6..digit * 6 + 6).fold(0, |value, at| value << 1 | bit(at))]).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn planted() -> Canary {
        let token = format!("rbcanary{}", "0123456789abcdef".repeat(2));
        Canary { name: VarName::new("KEY").unwrap(), value: format!("https://{token}.example/"), token }
    }

    fn seen(name: &str, bytes: &[u8]) -> Vec<(usize, &'static str, Option<&'static str>)> {
        let found = Searcher::new(&[planted()]).unwrap().search(name, bytes);
        found.into_iter().map(|sighting| (sighting.offset, sighting.form, sighting.wrapped)).collect()
    }

    /// As any encoder writes it; only to check [`base64_inside`] against.
    fn base64(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut out = String::new();
        for chunk in bytes.chunks(3) {
            let group = u32::from(chunk[0]) << 16
                | u32::from(*chunk.get(1).unwrap_or(&0)) << 8
                | u32::from(*chunk.get(2).unwrap_or(&0));
            for at in 0..4 {
                let digit = DIGITS[(group >> (18 - 6 * at) & 63) as usize] as char;
                out.push(if at <= chunk.len() { digit } else { '=' });
            }
        }
        out
    }

    #[test]
    fn a_canary_is_found_however_it_is_written() {
        let Canary { token, value, .. } = planted();
        assert_eq!(seen("a.js", format!("x={value:?}").as_bytes()), [(11, "as it is", None)]);
        assert_eq!(seen("a.js", value.to_uppercase().as_bytes()), [(8, "as it is", None)]);
        let escape = |before: &str, width: usize| {
            token.bytes().map(|byte| format!("{before}{byte:0width$X}")).collect::<String>()
        };
        assert_eq!(seen("a.js", escape("%", 2).as_bytes()), [(0, "percent-encoded", None)]);
        assert_eq!(seen("a.js", escape("\\u", 4).as_bytes()), [(0, "escaped as \\u", None)]);
        assert_eq!(seen("a.js", escape("\\x", 2).as_bytes()), [(0, "escaped as \\x", None)]);
        for before in 0..7 {
            for after in 0..4 {
                let text = base64(format!("{}{token}{}", "<".repeat(before), ">".repeat(after)).as_bytes());
                let found = seen("a.map", text.as_bytes());
                assert!(matches!(found.as_slice(), [(_, "in base64", None)]), "{before} {after}: {text} {found:?}");
            }
        }
        assert_eq!(seen("a.js", b"rbcanary0123456789abcdef0123456789abcdee"), []);
    }

    #[test]
    fn what_is_compressed_is_looked_into() {
        let text = format!("{}{}", "x".repeat(1_000), planted().token);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(text.as_bytes()).unwrap();
        assert_eq!(seen("a.js.gz", &gzip.finish().unwrap()), [(1_000, "as it is", Some("gzip"))]);
        let mut packed = Vec::new();
        let mut brotli = brotli::CompressorWriter::new(&mut packed, 4096, 9, 20);
        brotli.write_all(text.as_bytes()).unwrap();
        drop(brotli);
        assert_eq!(seen("a.js.br", &packed), [(1_000, "as it is", Some("brotli"))]);
        // Neither is what it says it is; both are searched as they are.
        assert_eq!(seen("a.gz", b"\x1f\x8bdamaged"), []);
        assert_eq!(seen("a.br", b""), []);
    }
}
