//! Versions of engines: compared by their numbers, read from what the programs say about themselves.

use std::fmt;

use serde::{Deserialize, Serialize};

/// `major.minor.patch`; missing parts are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
}

/// Why a text is not a version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a version like 7.0 or 6.0.5")]
pub struct NotAVersion(String);

impl Version {
    /// Reads `7`, `7.0` and `7.0.15`. What follows the numbers (`-rc1`, `+ds`) does not count.
    pub fn parse(text: &str) -> Result<Self, NotAVersion> {
        let numbers = text.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default();
        let mut parts = numbers.split('.').map(str::parse::<u32>);
        let mut next = || parts.next().transpose().map(Option::unwrap_or_default);
        match (numbers.is_empty(), next(), next(), next()) {
            (false, Ok(major), Ok(minor), Ok(patch)) => Ok(Self { major, minor, patch }),
            _ => Err(NotAVersion(text.to_owned())),
        }
    }

    /// Finds the version in the output of `--version`: `db version v6.0.5`, `Redis server v=7.0.15 sha=…`.
    pub fn in_output(lines: &[String]) -> Option<Self> {
        lines
            .iter()
            .flat_map(|line| line.split_whitespace())
            .filter_map(|word| word.strip_prefix('v'))
            .map(|word| word.strip_prefix('=').unwrap_or(word))
            .filter(|word| word.starts_with(|c: char| c.is_ascii_digit()))
            .find_map(|word| Self::parse(word).ok())
    }

    /// Whether this is the version that an entry of `engines.toml` promises: equal in the parts that the entry names.
    pub fn is_as_promised(&self, promise: &str) -> bool {
        let own = [self.major, self.minor, self.patch];
        promise.split('.').zip(own).all(|(want, have)| want.parse() == Ok(have))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl TryFrom<String> for Version {
    type Error = NotAVersion;
    fn try_from(text: String) -> Result<Self, NotAVersion> {
        Self::parse(&text)
    }
}

impl From<Version> for String {
    fn from(version: Version) -> String {
        version.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(line: &str) -> Option<String> {
        Version::in_output(&[line.to_owned()]).map(|version| version.to_string())
    }

    #[test]
    fn both_engines_version_lines_are_read() {
        assert_eq!(output("db version v6.0.5").as_deref(), Some("6.0.5"));
        assert_eq!(
            output("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64").as_deref(),
            Some("7.0.15")
        );
        assert_eq!(output("Valkey server v=8.1.0-rc1 sha=1").as_deref(), Some("8.1.0"));
        assert_eq!(output("error while loading shared libraries: libvx.so"), None);
    }

    #[test]
    fn versions_compare_by_number_and_not_by_text() {
        assert!(Version::parse("7.10").unwrap() > Version::parse("7.9.3").unwrap());
        assert_eq!(Version::parse("7").unwrap(), Version::parse("7.0.0").unwrap());
        assert!(Version::parse("seven").is_err());
        assert!(Version::parse("").is_err());
    }

    #[test]
    fn a_promise_binds_the_parts_it_names() {
        let version = Version::parse("7.0.15").unwrap();
        assert!(version.is_as_promised("7.0"));
        assert!(version.is_as_promised("7.0.15"));
        assert!(!version.is_as_promised("7.2"));
        assert!(!version.is_as_promised("7.0.14"));
    }
}
