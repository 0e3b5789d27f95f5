//! What an answer is kept under.

use serde::{Deserialize, Serialize};

/// Which address of which release. Answers to it may still differ by the fields that they name in `Vary`.
///
/// The release is part of it, so that what one release said is never said by the next one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    release: Box<str>,
    origin: Box<str>,
    target: Box<str>,
}

impl Key {
    /// `origin` is scheme, host and port as the app is told them (`https://shop.example`); `target` path and query, as they are
    /// forwarded.
    pub fn new(release: &str, origin: &str, target: &str) -> Self {
        Self { release: release.into(), origin: origin.to_ascii_lowercase().into(), target: target.into() }
    }

    /// The same place with another path and query, if a reference leads to one of the same origin (RFC 9111, section 4.4).
    pub fn at(&self, reference: &str) -> Option<Self> {
        let here = url::Url::parse(&format!("{}{}", self.origin, self.target)).ok()?;
        let there = here.join(reference).ok()?;
        let target = match there.query() {
            Some(query) => format!("{}?{query}", there.path()),
            None => there.path().to_owned(),
        };
        (there.origin() == here.origin()).then(|| Self { target: target.into(), ..self.clone() })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.release.len() + self.origin.len() + self.target.len()
    }
}

/// Which answers are taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Selector {
    All,
    /// An address, `https://shop.example/page?x=1`, with all answers that differ by `Vary`, of any release.
    Url(String),
    /// What an address begins with.
    Prefix(String),
}

impl Selector {
    pub fn selects(&self, key: &Key) -> bool {
        match self {
            Self::All => true,
            Self::Url(url) => after_origin(url, key).is_some_and(|rest| rest == &*key.target),
            Self::Prefix(prefix) => {
                after_origin(prefix, key).is_some_and(|rest| key.target.starts_with(rest)) || {
                    // It may end within the host.
                    key.origin.starts_with(prefix.to_ascii_lowercase().as_str())
                }
            }
        }
    }
}

/// What follows the origin in an address, if it is this one.
fn after_origin<'a>(url: &'a str, key: &Key) -> Option<&'a str> {
    let (origin, rest) = url.split_at_checked(key.origin.len())?;
    (origin.eq_ignore_ascii_case(&key.origin) && (rest.is_empty() || rest.starts_with('/'))).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_takes_what_it_names_and_nothing_beside() {
        let key = Key::new("r1", "https://Shop.example:8443", "/a/b?x=1");
        let takes = |selector: Selector| selector.selects(&key);
        let url = |text: &str| Selector::Url(text.to_owned());
        let prefix = |text: &str| Selector::Prefix(text.to_owned());
        assert!(takes(Selector::All) && takes(url("https://shop.example:8443/a/b?x=1")));
        assert!(takes(prefix("https://SHOP.example:8443/a/")) && takes(prefix("https://shop")));
        for no in ["https://shop.example:8443/a/b", "https://shop.example/a/b?x=1", "/a/b?x=1", ""] {
            assert!(!takes(url(no)), "{no}");
        }
        for no in ["https://shop.example:8443/b", "https://shop.example:84430", "https://shop.example:8443/A", "\u{e9}"]
        {
            assert!(!takes(prefix(no)), "{no}");
        }
    }

    #[test]
    fn a_reference_to_another_origin_leads_nowhere() {
        let key = Key::new("r1", "https://shop.example", "/a/b?x=1");
        let at = |reference: &str| key.at(reference);
        assert_eq!(at("c"), Some(Key::new("r1", "https://shop.example", "/a/c")));
        assert_eq!(at("/c?y"), Some(Key::new("r1", "https://shop.example", "/c?y")));
        assert_eq!(at("https://SHOP.example:443/"), Some(Key::new("r1", "https://shop.example", "/")));
        for other in ["http://shop.example/a", "//evil.example/a", "https://shop.example:444/", "https://[", "mailto:x"]
        {
            assert_eq!(at(other), None, "{other}");
        }
    }
}
