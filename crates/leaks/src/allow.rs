//! Findings that people decided to live with, until a date and for a reason.
//!
//! The list is committed, so it names values by a keyed hash whose key stands in the same file. That hinders a casual look-up in
//! tables of hashes and ties no two repositories together; it does not protect a value that can be guessed.
//!
//! ```toml
//! key = "5f0c…"
//!
//! [[allow]]
//! value = "9a41…"              # as the finding says
//! rule = "secret-assignment"
//! path = "docs/*.md"           # optional
//! reason = "the published key of the test vectors"
//! until = "2027-06-30"
//! ```

use hmac::{Hmac, KeyInit, Mac};
use ignore::overrides::{Override, OverrideBuilder};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::finding::Finding;

/// Why an allow-list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AllowFault {
    #[error("cannot read the allow-list")]
    Toml(#[source] Box<toml::de::Error>),
    #[error("entry {number} of the allow-list is wrong: {what}")]
    Entry { number: usize, what: String },
    #[error("the key of the allow-list is wrong: it is not of at least 16 bytes in hex")]
    Key,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    key: String,
    #[serde(default)]
    allow: Vec<Entry>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    value: String,
    rule: String,
    path: Option<String>,
    reason: String,
    until: String,
}

/// The list, ready to judge.
#[derive(Debug)]
pub struct AllowList {
    key: Vec<u8>,
    entries: Vec<Ready>,
}

#[derive(Debug)]
struct Ready {
    written: Entry,
    path: Option<Override>,
    used: bool,
}

/// An entry that needs a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stale {
    /// From 1, in the order of the file.
    pub entry: usize,
    pub rule: String,
    pub reason: String,
    pub why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// Its date has passed: what it allowed is a finding again.
    Expired,
    /// It allows nothing that is there.
    Unused,
}

impl AllowList {
    /// A list without entries; `key` names values until there is a file.
    pub fn empty(key: [u8; 32]) -> Self {
        Self { key: key.to_vec(), entries: Vec::new() }
    }

    pub fn parse(text: &str) -> Result<Self, AllowFault> {
        let file: File = toml::from_str(text).map_err(|error| AllowFault::Toml(Box::new(error)))?;
        let key = unhex(&file.key).filter(|key| key.len() >= 16).ok_or(AllowFault::Key)?;
        let entries = file.allow.into_iter().zip(1..).map(|(entry, number)| entry.ready(number));
        Ok(Self { key, entries: entries.collect::<Result<_, _>>()? })
    }

    /// How this list names a value.
    pub(crate) fn name(&self, value: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes a key of any length");
        mac.update(value);
        hex(&mac.finalize().into_bytes())
    }

    /// Takes away what is allowed on `today` (`2027-01-31`).
    pub fn judge(&mut self, findings: Vec<Finding>, today: &str) -> Vec<Finding> {
        findings.into_iter().filter(|finding| !self.allows(finding, today)).collect()
    }

    fn allows(&mut self, finding: &Finding, today: &str) -> bool {
        let mut allowed = false;
        for entry in &mut self.entries {
            let written = &entry.written;
            let covers = entry.path.as_ref().is_none_or(|path| path.matched(&finding.file, false).is_whitelist());
            if written.value == finding.value && written.rule == finding.rule && covers {
                entry.used = true;
                allowed |= written.until.as_str() >= today;
            }
        }
        allowed
    }

    /// Entries whose date has passed, and those that allowed nothing. The latter can be told only after a search of everything.
    pub fn stale(&self, today: &str) -> Vec<Stale> {
        let told = |(entry, number): (&Ready, usize)| {
            let why = match entry.used {
                _ if entry.written.until.as_str() < today => Why::Expired,
                false => Why::Unused,
                true => return None,
            };
            Some(Stale { entry: number, rule: entry.written.rule.clone(), reason: entry.written.reason.clone(), why })
        };
        self.entries.iter().zip(1..).filter_map(told).collect()
    }
}

impl Entry {
    fn ready(self, number: usize) -> Result<Ready, AllowFault> {
        let wrong = |what: String| AllowFault::Entry { number, what };
        if self.reason.trim().is_empty() {
            return Err(wrong("it has no reason".to_owned()));
        }
        if !is_date(&self.until) {
            return Err(wrong(format!("`until` is \"{}\" and no date like 2027-01-31", self.until)));
        }
        if unhex(&self.value).is_none_or(|value| value.len() != 32) {
            return Err(wrong("`value` is not what a finding calls its value".to_owned()));
        }
        let path =
            self.path.as_deref().map(|path| OverrideBuilder::new("/").add(path).and_then(|builder| builder.build()));
        let path = path.transpose().map_err(|error| wrong(format!("`path` is no pattern: {error}")))?;
        Ok(Ready { written: self, path, used: false })
    }
}

fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let number = |index: usize, length: usize| {
        parts
            .get(index)
            .filter(|part| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit()))?
            .parse()
            .ok()
    };
    let (month, day): (Option<u8>, Option<u8>) = (number(1, 2), number(2, 2));
    let year: Option<u8> =
        parts.first().filter(|part| part.len() == 4 && part.bytes().all(|byte| byte.is_ascii_digit())).map(|_| 0);
    parts.len() == 3
        && year.is_some()
        && month.is_some_and(|month| (1..=12).contains(&month))
        && day.is_some_and(|day| (1..=31).contains(&day))
}

/// The text of an entry for a finding, to append to the file.
pub fn entry_for(finding: &Finding, reason: &str, until: &str) -> String {
    format!(
        "\n[[allow]]\nvalue = \"{}\"\nrule = \"{}\"\npath = {}\nreason = {}\nuntil = \"{until}\"\n",
        finding.value,
        finding.rule,
        quoted(&literal_glob(&finding.file)),
        quoted(reason)
    )
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut string = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => string.extend(['\\', character]),
            character if character.is_control() => string.push_str(&format!("\\u{:04X}", u32::from(character))),
            character => string.push(character),
        }
    }
    string + "\""
}

/// A pattern that matches one path.
fn literal_glob(path: &str) -> String {
    let mut pattern = String::from("/");
    for character in path.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '{' | '}' | '\\' | '!') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

/// The text of a file without entries.
pub fn new_file(key: [u8; 32]) -> String {
    format!(
        "# Findings of `roadbed secrets scan` that are accepted for now. The key hinders look-ups, it protects nothing.\nkey = \"{}\"\n",
        hex(&key)
    )
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Confidence, How, Rules, Scanner, Source};

    const KEY: [u8; 32] = [7; 32];

    fn finding(file: &str) -> Finding {
        // In two parts, so that a search of this file finds nothing.
        let assigned = ["SESSION_SECRET", "q8W2zr0PvKd7Tn4LxB5sJ3"].join("=");
        let hit = crate::Hit {
            how: How::Rule("stripe-secret-key".to_owned()),
            description: String::new(),
            confidence: Confidence::High,
            line: 1,
            column: 1,
            excerpt: String::new(),
            coding: None,
            value: Scanner::new(Rules::ours(), None).scan(assigned.as_bytes()).remove(0).value,
        };
        let name = AllowList::empty(KEY).name(hit.value.bytes());
        Finding::new(hit, Source::File, file, name)
    }

    fn list(until: &str) -> AllowList {
        let text = new_file(KEY) + &entry_for(&finding("a [x]/b!c.md"), "a \"test\" vector", until);
        AllowList::parse(&text).unwrap()
    }

    #[test]
    fn an_entry_allows_its_value_at_its_path_until_its_date() {
        let mut allow = list("2027-01-31");
        assert!(allow.judge(vec![finding("a [x]/b!c.md")], "2027-01-31").is_empty());
        assert!(allow.stale("2027-01-31").is_empty());
        assert_eq!(allow.judge(vec![finding("elsewhere.md")], "2027-01-31").len(), 1);
    }

    #[test]
    fn an_expired_entry_is_a_finding_again_and_an_unused_one_is_told() {
        let mut allow = list("2027-01-31");
        assert_eq!(allow.judge(vec![finding("a [x]/b!c.md")], "2027-02-01").len(), 1);
        assert_eq!(allow.stale("2027-02-01")[0].why, Why::Expired);
        assert_eq!(list("2027-01-31").stale("2027-01-01")[0].why, Why::Unused);
    }

    #[test]
    fn an_entry_without_reason_date_or_value_is_refused() {
        let with = |value: &str, reason: &str, until: &str| {
            let head = new_file(KEY);
            AllowList::parse(&format!(
                "{head}[[allow]]\nvalue=\"{value}\"\nrule=\"x\"\nreason=\"{reason}\"\nuntil=\"{until}\"\n"
            ))
        };
        let value = "ab".repeat(32);
        assert!(with(&value, "why", "2027-01-31").is_ok());
        assert!(matches!(with(&value, " ", "2027-01-31"), Err(AllowFault::Entry { number: 1, .. })));
        assert!(with(&value, "why", "next year").is_err());
        assert!(with(&value, "why", "2027-13-31").is_err());
        assert!(with("abc", "why", "2027-01-31").is_err());
        assert!(matches!(AllowList::parse("key = \"00\""), Err(AllowFault::Key)));
    }
}
