//! How a variable's value is written, and whether a text is such a value.
//!
//! `roadbed env types` writes the same rules down for the apps (`accessor`), so both must agree on every text.

use std::fmt;

use regex::Regex;
use serde_json::json;
use url::Url;

use crate::record::choice;
use crate::scalars::{Bytes, is_host_name};
use crate::shape::{self, text_shape};

choice! {
    /// How a value is written.
    pub enum ValueType {
        /// Any text.
        String = "string",
        /// A whole number that JavaScript holds exactly.
        Int = "int",
        /// `true` or `false`.
        Bool = "bool",
        /// An absolute URL.
        Url = "url",
        /// A host name or an IP address.
        Host = "host",
        /// A TCP port.
        Port = "port",
        /// One of `choices`.
        Enum = "enum",
        /// A JSON document.
        Json = "json",
        /// A duration: `500ms`, `10s`, `2m`, `1h`.
        Duration = "duration",
        /// A size: `64 KiB`, `256 MiB`.
        Bytes = "bytes",
        /// Keys or certificates in PEM.
        Pem = "pem",
        /// A private key for signatures, Ed25519, as a JSON Web Key with its key id.
        Jwk = "jwk",
        /// An e-mail address.
        Email = "email",
        /// A MongoDB connection string that names a database.
        MongoUrl = "mongo_url",
        /// A Redis connection string.
        RedisUrl = "redis_url",
    }
}

/// Numbers beyond it are rounded by JavaScript.
const LARGEST_EXACT: u64 = (1 << 53) - 1;

/// A regular expression that describes a whole value, in the part of the notation that Rust and JavaScript share.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

impl Pattern {
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

/// A backslash before one of these means the same in both languages; before others it does not, or is an error in one.
const ESCAPED: &str = "^$\\.*+?()[]{}|/nrt";

impl shape::Text for Pattern {
    const WANTS: &'static str = "a regular expression that describes the whole value";
    const EXAMPLES: &'static [&'static str] = &["sk_(test|live)_[A-Za-z0-9]{24,}"];

    fn read(text: &str) -> Result<Self, Option<String>> {
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            let escaped = if letter == '\\' { letters.next() } else { None };
            if let Some(other) = escaped.filter(|escaped| !ESCAPED.contains(*escaped)) {
                return Err(Some(format!(
                    "\"\\{other}\" is not the same in JavaScript, where apps check it too: write a class such as [0-9]"
                )));
            }
        }
        if ["[[", "&&", "~~"].iter().any(|of_sets| text.contains(of_sets)) {
            return Err(Some("classes within classes are not understood by JavaScript".to_owned()));
        }
        if text.replace("(?:", "").contains("(?") {
            return Err(Some("of the groups that begin with \"(?\" only (?:…) is understood".to_owned()));
        }
        let regex = Regex::new(&format!("^(?:{text})$")).map_err(|error| {
            let last = error.to_string();
            Some(last.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned())
        })?;
        Ok(Self { text: text.to_owned(), regex })
    }

    fn stand_in() -> Self {
        Self::read(".*").expect("it is a regular expression")
    }
}
text_shape!(Pattern);

/// What a value must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub value_type: ValueType,
    /// For [`ValueType::Enum`].
    pub choices: Vec<String>,
    pub pattern: Option<Pattern>,
}

impl Rule {
    /// Whether it declares a key for tests: its pattern says `test`, and leaves no room for `live`.
    pub fn is_for_tests(&self) -> bool {
        self.pattern.as_ref().is_some_and(|pattern| pattern.text.contains("test") && !pattern.text.contains("live"))
    }

    /// Whether `text` is such a value. What is told never quotes the text: it may be a secret.
    pub fn check(&self, text: &str) -> Result<(), NotSuchAValue> {
        self.check_type(text)?;
        match &self.pattern {
            Some(pattern) if !pattern.matches(text) => Err(NotSuchAValue { wants: format!("match {pattern}") }),
            _ => Ok(()),
        }
    }

    /// As [`Rule::check`], whatever `match` says: a fake of a secret is told from a real one by not matching.
    pub fn check_type(&self, text: &str) -> Result<(), NotSuchAValue> {
        if self.value_type.admits(text, &self.choices) {
            Ok(())
        } else {
            Err(NotSuchAValue { wants: format!("be {}", self.wants()) })
        }
    }

    /// Completes "must be …".
    pub fn wants(&self) -> String {
        match self.value_type {
            ValueType::Enum => format!("one of {}", self.choices.join(", ")),
            ValueType::String => "a text".to_owned(),
            ValueType::Int => format!("a whole number of at most {LARGEST_EXACT}"),
            ValueType::Bool => "true or false".to_owned(),
            ValueType::Url => "an absolute URL".to_owned(),
            ValueType::Host => "a host name or an IP address".to_owned(),
            ValueType::Port => "a port from 1 to 65535".to_owned(),
            ValueType::Json => "a JSON document".to_owned(),
            ValueType::Duration => "a duration such as 10s".to_owned(),
            ValueType::Bytes => "a size such as 256 MiB".to_owned(),
            ValueType::Pem => "a key or certificate in PEM".to_owned(),
            ValueType::Jwk => "a private Ed25519 key as a JSON Web Key with a kid".to_owned(),
            ValueType::Email => "an e-mail address".to_owned(),
            ValueType::MongoUrl => "a mongodb:// URL that names a database".to_owned(),
            ValueType::RedisUrl => "a redis:// or rediss:// URL".to_owned(),
        }
    }
}

/// A text is not what its variable holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must {wants}")]
pub struct NotSuchAValue {
    wants: String,
}

impl ValueType {
    fn admits(self, text: &str, choices: &[String]) -> bool {
        match self {
            Self::String => true,
            Self::Int => is_exact_integer(text),
            Self::Bool => matches!(text, "true" | "false"),
            Self::Url => Url::parse(text).is_ok_and(|url| url.has_host()),
            Self::Host => is_host_name(text) || text.parse::<std::net::IpAddr>().is_ok(),
            Self::Port => is_exact_integer(text) && text.parse::<u16>().is_ok_and(|port| port > 0),
            // Where nothing is named, that is the fault to tell.
            Self::Enum => choices.is_empty() || choices.iter().any(|choice| choice == text),
            Self::Json => serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok(),
            Self::Duration => <std::time::Duration as shape::Text>::read(text).is_ok(),
            Self::Bytes => <Bytes as shape::Text>::read(text).is_ok(),
            Self::Pem => is_pem(text),
            Self::Jwk => is_signing_key(text),
            Self::Email => is_email(text),
            Self::MongoUrl => names_a_database(text),
            Self::RedisUrl => {
                Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "redis" | "rediss") && url.has_host())
            }
        }
    }
}

/// As both languages write it: no sign but `-`, no leading zero.
fn is_exact_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_canonical = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) && text != "-0";
    is_canonical
        && (digits == "0" || !digits.starts_with('0'))
        && digits.parse::<u64>().is_ok_and(|n| n <= LARGEST_EXACT)
}

fn is_pem(text: &str) -> bool {
    use rustls_pki_types::pem::{PemObject, SectionKind};
    let mut sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(text.as_bytes()).peekable();
    sections.peek().is_some() && sections.all(|section| section.is_ok())
}

/// RFC 8037: a curve, two times 32 bytes, and here a name by which verifiers find the public half.
fn is_signing_key(text: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Key {
        kty: String,
        crv: String,
        kid: String,
        x: String,
        d: String,
    }
    let is_point = |text: &str| {
        text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    serde_json::from_str::<Key>(text).is_ok_and(|key| {
        key.kty == "OKP" && key.crv == "Ed25519" && !key.kid.is_empty() && is_point(&key.x) && is_point(&key.d)
    })
}

/// One `@`, something before it, a host name behind it. Whether anybody reads mail there only a mail can tell.
fn is_email(text: &str) -> bool {
    let Some((mailbox, host)) = text.rsplit_once('@') else { return false };
    let is_plain = |c: char| c.is_ascii_graphic() && !"@<>()[],;:\\\"".contains(c);
    (1..=64).contains(&mailbox.len()) && mailbox.chars().all(is_plain) && host.contains('.') && is_host_name(host)
}

/// Not by `Url`: a replica set has several hosts. The driver reads the string itself before it is used.
fn names_a_database(text: &str) -> bool {
    let rest = text.strip_prefix("mongodb://").or_else(|| text.strip_prefix("mongodb+srv://"));
    let Some((hosts, path)) = rest.and_then(|rest| rest.split_once('/')) else { return false };
    let database = path.split('?').next().unwrap_or_default();
    // Without a database in the path drivers silently pick "test".
    !hosts.is_empty() && !database.is_empty() && !text.contains(char::is_whitespace)
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Where more is written about something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link(pub(crate) String);

impl shape::Text for Link {
    const WANTS: &'static str = "an address that begins with https:// or http://";
    const EXAMPLES: &'static [&'static str] = &["https://docs.example/keys"];

    fn read(text: &str) -> Result<Self, Option<String>> {
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "https" | "http") => Ok(Self(text.to_owned())),
            _ => Err(Some("write the whole address of a page".to_owned())),
        }
    }

    fn stand_in() -> Self {
        Self("unreadable".to_owned())
    }

    fn text_schema() -> serde_json::Value {
        json!({ "type": "string", "format": "uri" })
    }
}
text_shape!(Link);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The generated accessors are held to the same table (`tests/live/accessor.rs`).
    #[test]
    fn types_admit_what_they_name_and_nothing_else() {
        let table: BTreeMap<String, BTreeMap<String, Vec<String>>> =
            serde_json::from_str(include_str!("../tests/values.json")).unwrap();
        for value_type in ValueType::ALL.iter().copied() {
            let cases = &table[value_type.as_str()];
            let rule = Rule { value_type, choices: vec!["debug".to_owned(), "info".to_owned()], pattern: None };
            for text in &cases["good"] {
                assert_eq!(rule.check(text), Ok(()), "{value_type} {text:?}");
            }
            for text in &cases["bad"] {
                assert!(rule.check(text).is_err(), "{value_type} {text:?}");
            }
        }
    }

    #[test]
    fn a_pattern_describes_the_whole_value_and_the_value_is_never_quoted() {
        let pattern = <Pattern as shape::Text>::read("sk_test_[a-z]+|none").unwrap();
        let rule = Rule { value_type: ValueType::String, choices: Vec::new(), pattern: Some(pattern) };
        assert_eq!(rule.check("sk_test_abc"), Ok(()));
        assert_eq!(rule.check("none"), Ok(()));
        for text in ["x sk_test_abc", "sk_test_abc\n", "none of it", "hunter2"] {
            let told = rule.check(text).unwrap_err().to_string();
            assert_eq!(told, "must match sk_test_[a-z]+|none");
        }
    }

    #[test]
    fn only_the_shared_notation_is_a_pattern() {
        let read = |text: &str| <Pattern as shape::Text>::read(text).map(|_| ()).map_err(Option::unwrap_or_default);
        assert_eq!(read("[a-z]{3}(?:x|y)"), Ok(()));
        assert!(read(r"\d+").unwrap_err().contains("[0-9]"));
        assert!(read("(?i)x").is_err());
        assert!(read("(").unwrap_err().contains("unclosed"));
    }
}
