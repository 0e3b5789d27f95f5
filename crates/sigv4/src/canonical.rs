//! A request as it is signed, whatever its bytes on the wire.

use aws_lc_rs::digest;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

/// All but these is written as `%XX` in what is signed.
pub const SIGNED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A slash is a key's own.
const SIGNED_PATH: &AsciiSet = &SIGNED.remove(b'/');

/// What of a request is signed.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub method: &'a str,
    /// As on the wire, from its first slash on.
    pub path: &'a str,
    /// As on the wire, without its question mark.
    pub query: &'a str,
    /// Names in lower case. All of them are signed.
    pub headers: &'a [(&'a str, &'a str)],
    /// SHA-256 of the payload in hexadecimal digits, or the word that stands for it.
    pub payload: &'a str,
}

/// A text as a part of a query is signed, and best sent.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, SIGNED).to_string()
}

/// SHA-256 in hexadecimal digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Names and values of a query, decoded. A plus is a space, as forms write it.
pub fn decoded_pairs(query: &str) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = |text: &str| percent_decode(text.replace('+', " ").as_bytes()).collect();
        (decoded(name), decoded(value))
    })
}

fn encoded_bytes(bytes: &[u8], set: &'static AsciiSet) -> String {
    percent_encoding::percent_encode(bytes, set).to_string()
}

/// The canonical request, without one parameter of the query where one is named.
pub(crate) fn canonical(request: &Request<'_>, without: Option<&str>) -> String {
    let path: Vec<u8> = percent_decode(request.path.as_bytes()).collect();
    let path = if path.is_empty() { "/".to_owned() } else { encoded_bytes(&path, SIGNED_PATH) };
    let mut pairs: Vec<(String, String)> = decoded_pairs(request.query)
        .filter(|(name, _)| without.is_none_or(|without| name != without.as_bytes()))
        .map(|(name, value)| (encoded_bytes(&name, SIGNED), encoded_bytes(&value, SIGNED)))
        .collect();
    pairs.sort();
    let query: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut headers: Vec<(&str, String)> = Vec::with_capacity(request.headers.len());
    for (name, value) in request.headers {
        // Runs of spaces are one, and values of one name are one after the other.
        let value = value.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        match headers.iter_mut().find(|(known, _)| known == name) {
            Some((_, values)) => {
                values.push(',');
                values.push_str(&value);
            }
            None => headers.push((name, value)),
        }
    }
    headers.sort();
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let names = signed_names(request.headers);
    format!("{}\n{path}\n{}\n{lines}\n{names}\n{}", request.method, query.join("&"), request.payload)
}

/// Names of headers, in order and each once.
pub(crate) fn signed_names(headers: &[(&str, &str)]) -> String {
    let mut names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    names.join(";")
}
