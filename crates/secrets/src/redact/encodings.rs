//! The ways in which a value is written when somebody writes it.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use zeroize::Zeroizing;

use crate::Secret;

/// Anything shorter, in bytes, would be found by accident: a secret `docker` makes every log unreadable.
pub const SHORTEST: usize = 8;

/// A line of a longer value is looked for by itself if it is at least this long and looks random: the lines of a key are, and
/// a lone `}` is not.
const SHORTEST_LINE: usize = 16;
const LEAST_ENTROPY: f64 = 3.0;

/// Every needle of one secret, as it is first; none for one that is too short to look for.
pub fn encodings(secret: &Secret) -> Vec<Zeroizing<Vec<u8>>> {
    let text = secret.expose();
    let mut needles = Needles::default();
    needles.add(text.as_bytes());
    if needles.all.is_empty() {
        return Vec::new();
    }
    needles.encoded(text);
    for password in password_of_address(text) {
        needles.add(password.as_bytes());
        needles.encoded(&password);
    }
    if text.contains('\n') {
        let is_telling = |line: &&str| {
            // All keys of a kind have the same frame.
            let is_frame = line.starts_with("-----") && line.ends_with("-----");
            line.len() >= SHORTEST_LINE && !is_frame && entropy(line) >= LEAST_ENTROPY
        };
        for line in text.lines().map(str::trim).filter(is_telling) {
            needles.add(line.as_bytes());
            needles.encoded(line);
        }
    }
    needles.all
}

/// The password in an address, as it is written there and as it is meant: by itself it opens what the address does.
fn password_of_address(text: &str) -> Vec<Zeroizing<String>> {
    let login = text.split_once("://").and_then(|(_, rest)| rest.split_once('@'));
    let password = login.and_then(|(login, _)| login.split_once(':')).map(|(_, password)| password);
    let Some(written) = password.filter(|password| !password.contains(char::is_whitespace)) else { return Vec::new() };
    let meant = percent_decode_str(written).decode_utf8_lossy().into_owned();
    vec![Zeroizing::new(written.to_owned()), Zeroizing::new(meant)]
}

#[derive(Default)]
struct Needles {
    all: Vec<Zeroizing<Vec<u8>>>,
}

impl Needles {
    fn add(&mut self, needle: &[u8]) {
        let needle = Zeroizing::new(needle.to_vec());
        if needle.len() >= SHORTEST && !self.all.contains(&needle) {
            self.all.push(needle);
        }
    }

    fn encoded(&mut self, text: &str) {
        let bytes = text.as_bytes();
        for offset in 0..3 {
            self.add(&base64_at(bytes, offset, |padded| STANDARD_NO_PAD.encode(padded)));
            self.add(&base64_at(bytes, offset, |padded| URL_SAFE_NO_PAD.encode(padded)));
        }
        // Some encoders leave a few signs as they are; whoever encodes everything is the most frequent, and form fields come next.
        let percent = Zeroizing::new(percent_encode(bytes, NON_ALPHANUMERIC).to_string());
        self.add(percent.as_bytes());
        self.add(lower_percent(&percent).as_bytes());
        let component = Zeroizing::new(percent_encode(bytes, COMPONENT).to_string());
        self.add(component.as_bytes());
        self.add(component.replace("%20", "+").as_bytes());
        let unreserved = Zeroizing::new(percent_encode(bytes, UNRESERVED).to_string());
        self.add(unreserved.as_bytes());
        self.add(lower_percent(&unreserved).as_bytes());
        let json = json(text);
        self.add(json.as_bytes());
        self.add(Zeroizing::new(self::json(&json)).as_bytes());
        let mut hex = Zeroizing::new(String::with_capacity(bytes.len() * 2));
        for byte in bytes {
            let _ = write!(hex, "{byte:02x}");
        }
        self.add(hex.as_bytes());
        self.add(Zeroizing::new(hex.to_ascii_uppercase()).as_bytes());
        self.add(html(text).as_bytes());
        self.add(Zeroizing::new(text.replace('\'', r"'\''")).as_bytes());
    }
}

/// What `encodeURIComponent` leaves as it is.
const COMPONENT: &percent_encoding::AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// What RFC 3986 leaves as it is, and with it Python's `quote`, Go's and PHP's encoders.
const UNRESERVED: &percent_encoding::AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The letters of base64 that the value alone determines, where it begins `offset` bytes after a group of three.
fn base64_at(bytes: &[u8], offset: usize, encode: impl Fn(&[u8]) -> String) -> Zeroizing<Vec<u8>> {
    let mut padded = Zeroizing::new(vec![0; offset]);
    padded.extend_from_slice(bytes);
    let text = Zeroizing::new(encode(&padded));
    // A letter holds six bits; the first ones share theirs with the bytes before, the last with the bytes behind.
    let first = (offset * 8).div_ceil(6);
    let end = padded.len() * 8 / 6;
    Zeroizing::new(text.as_bytes().get(first..end).unwrap_or_default().to_vec())
}

fn lower_percent(text: &str) -> Zeroizing<String> {
    let mut lower = Zeroizing::new(String::with_capacity(text.len()));
    let mut rest = 0_u8;
    for letter in text.chars() {
        if letter == '%' {
            rest = 3;
        }
        lower.push(if rest > 0 { letter.to_ascii_lowercase() } else { letter });
        rest = rest.saturating_sub(1);
    }
    lower
}

/// As it stands between the quotes of a JSON text.
fn json(text: &str) -> String {
    let quoted = Zeroizing::new(serde_json::to_string(text).expect("a text is JSON"));
    quoted[1..quoted.len() - 1].to_owned()
}

fn html(text: &str) -> Zeroizing<String> {
    let mut escaped = Zeroizing::new(String::with_capacity(text.len()));
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Shannon's, in bits for each byte.
fn entropy(text: &str) -> f64 {
    let mut counts = [0_u32; 256];
    text.bytes().for_each(|byte| counts[usize::from(byte)] += 1);
    let length = f64::from(u32::try_from(text.len()).unwrap_or(u32::MAX));
    let share = |count: &u32| f64::from(*count) / length;
    counts.iter().filter(|count| **count > 0).map(share).map(|share| -share * share.log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<String> {
        let all = encodings(&Secret::new(text.to_owned()));
        all.iter().map(|needle| String::from_utf8(needle.to_vec()).unwrap()).collect()
    }

    #[test]
    fn a_password_in_an_address_is_looked_for_by_itself() {
        let needles = of("mongodb://admin:open%2Fsesame-1@db.example/");
        assert!(needles.iter().any(|needle| needle == "open%2Fsesame-1"), "{needles:?}");
        assert!(needles.iter().any(|needle| needle == "open/sesame-1"), "{needles:?}");
    }

    #[test]
    fn base64_of_whatever_holds_the_value_holds_a_needle() {
        let value = "pa55-w0rd/of+the shop";
        let needles = of(value);
        for before in 0..7 {
            for behind in 0..7 {
                let text = format!("{}{value}{}", "x".repeat(before), "y".repeat(behind));
                for encoded in [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
                    assert!(
                        needles.iter().any(|needle| encoded.contains(needle.as_str())),
                        "{before} {behind}: {encoded}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_usual_ways_to_write_a_value_are_known() {
        let needles = of("a\"b'c<d> &é/\\2");
        for written in [
            "a\"b'c<d> &é/\\2",
            "a\\\"b'c<d> &é/\\\\2",
            "a\\\\\\\"b'c<d> &é/\\\\\\\\2",
            "a%22b%27c%3Cd%3E%20%26%C3%A9%2F%5C2",
            "a%22b%27c%3cd%3e%20%26%c3%a9%2f%5c2",
            "a%22b'c%3Cd%3E%20%26%C3%A9%2F%5C2",
            "a%22b'c%3Cd%3E+%26%C3%A9%2F%5C2",
            "a&quot;b&#39;c&lt;d&gt; &amp;é/\\2",
            "a\"b'\\''c<d> &é/\\2",
            "61226227633c643e2026c3a92f5c32",
            "61226227633C643E2026C3A92F5C32",
        ] {
            assert!(needles.iter().any(|needle| needle == written), "{written}: {needles:#?}");
        }
    }

    #[test]
    fn signs_that_encoders_leave_alone_are_known_left_alone() {
        let needles = of("hunter-22_'x.y~z!");
        for written in ["hunter-22_'x.y~z!", "hunter-22_%27x.y~z%21", "hunter%2D22%5F%27x%2Ey%7Ez%21"] {
            assert!(needles.iter().any(|needle| needle == written), "{written}: {needles:#?}");
        }
    }

    #[test]
    fn lines_of_a_key_are_looked_for_and_brackets_are_not() {
        let key = "{\n  -----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIGq0v8Zt1x\naaaaaaaaaaaaaaaaaaaaaaaaaa\n}";
        let needles = of(key);
        assert!(needles.iter().any(|needle| needle == "MC4CAQAwBQYDK2VwBCIEIGq0v8Zt1x"));
        assert!(!needles.iter().any(|needle| needle.trim() == "}" || needle == "aaaaaaaaaaaaaaaaaaaaaaaaaa"));
        let frame = "-----BEGIN PRIVATE KEY-----";
        assert!(!of(&format!("{frame}\nMC4CAQAwBQYDK2VwBCIEIGq0v8Zt1x\n")).contains(&frame.to_owned()));
    }

    #[test]
    fn what_is_too_short_is_not_looked_for() {
        assert_eq!(of("docker"), Vec::<String>::new());
        assert_eq!(of("\n\n"), Vec::<String>::new());
    }
}
