//! The values of the store, searched for as they are: the first detector everywhere, for it needs no form to recognise.

use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};
use hmac::{Hmac, KeyInit, Mac};
use secrets::Secret;
use secrets::redact::{SHORTEST, encodings};
use sha2::Sha256;

/// The search for every form of every value.
pub struct Values {
    labels: Vec<String>,
    search: AhoCorasick,
    /// Which label each needle belongs to.
    owners: Vec<usize>,
    /// Told by name: too short to be searched for.
    too_short: Vec<String>,
    secrets: Vec<Secret>,
}

impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Values").field("labels", &self.labels).finish_non_exhaustive()
    }
}

/// Why values cannot be searched for.
#[derive(Debug, thiserror::Error)]
#[error("cannot search for so many values")]
pub struct ValuesFault(#[from] aho_corasick::BuildError);

impl Values {
    /// Labels are what may be shown, for example `PAYMENT_SECRET_KEY@v3`.
    pub fn new(secrets: Vec<(String, Secret)>) -> Result<Self, ValuesFault> {
        let mut labels = Vec::new();
        let mut needles = Vec::new();
        let mut owners = Vec::new();
        let mut too_short = Vec::new();
        let mut kept = Vec::new();
        for (label, secret) in secrets {
            if secret.expose().len() < SHORTEST {
                too_short.push(label);
                continue;
            }
            let forms = encodings(&secret);
            owners.extend(std::iter::repeat_n(labels.len(), forms.len()));
            needles.extend(forms);
            labels.push(label);
            kept.push(secret);
        }
        let search = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .build(needles.iter().map(|needle| needle.as_slice()))?;
        Ok(Self { labels, search, owners, too_short, secrets: kept })
    }

    /// The labels of values that are too short to be told from chance.
    pub fn too_short(&self) -> &[String] {
        &self.too_short
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    pub(crate) fn label(&self, index: usize) -> &str {
        &self.labels[index]
    }

    /// Every place of every value; of several forms at one place the longest.
    pub(crate) fn find(&self, bytes: &[u8]) -> Vec<(usize, Range<usize>)> {
        if self.labels.is_empty() {
            return Vec::new();
        }
        let mut found: Vec<(usize, Range<usize>)> = Vec::new();
        for hit in self.search.find_overlapping_iter(bytes) {
            let (owner, place) = (self.owners[hit.pattern().as_usize()], hit.range());
            match found
                .iter_mut()
                .rev()
                .take(4)
                .find(|(known, at)| *known == owner && at.start < place.end && place.start < at.end)
            {
                Some((_, at)) => *at = at.start.min(place.start)..at.end.max(place.end),
                None => found.push((owner, place)),
            }
        }
        found
    }

    /// Tells this set of values from another. Keyed, and over all values at once: whoever guesses has to guess them all.
    pub(crate) fn fingerprint(&self, key: &[u8]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
        for (label, secret) in self.labels.iter().zip(&self.secrets) {
            for part in [label.as_bytes(), secret.expose().as_bytes()] {
                mac.update(&u64::try_from(part.len()).expect("a length fits").to_be_bytes());
                mac.update(part);
            }
        }
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Values {
        let secrets = [("A@v1", "hunter22-'x\"y&z"), ("B@v2", "hunter22"), ("C@v1", "short")];
        Values::new(secrets.map(|(label, value)| (label.to_owned(), Secret::new(value.to_owned()))).into()).unwrap()
    }

    fn labels(text: &[u8]) -> Vec<String> {
        let values = values();
        let mut labels: Vec<String> =
            values.find(text).iter().map(|(index, _)| values.label(*index).to_owned()).collect();
        labels.sort();
        labels.dedup();
        labels
    }

    #[test]
    fn a_value_that_begins_with_another_is_found_and_so_is_the_other() {
        assert_eq!(labels(b"pw=hunter22-'x\"y&z;"), ["A@v1", "B@v2"]);
        assert_eq!(labels(b"pw=hunter22;"), ["B@v2"]);
        assert!(labels(b"pw=hunter2").is_empty());
    }

    #[test]
    fn each_form_of_a_value_is_found() {
        let forms: [&[u8]; 8] = [
            br#"{"a": "hunter22-'x\"y&z"}"#,
            br#"log {\"a\": \"hunter22-'x\\\"y&z\"}"#,
            b"q=hunter22-%27x%22y%26z",
            b"<p>hunter22-&#39;x&quot;y&amp;z</p>",
            b"'hunter22-'\\''x\"y&z'",
            b"68756e74657232322d277822792679",
            b"68756E74657232322D2778227926 7A",
            b"hunter22-'x\"y&z",
        ];
        for form in forms {
            assert!(
                labels(form).iter().any(|label| label.starts_with(['A', 'B'])),
                "{}",
                String::from_utf8_lossy(form)
            );
        }
    }

    #[test]
    fn what_is_too_short_is_told_and_not_searched_for() {
        assert_eq!(values().too_short(), ["C@v1"]);
        assert!(labels(b"short").is_empty());
    }

    #[test]
    fn the_fingerprint_changes_with_any_value() {
        let one = |value: &str| {
            Values::new(vec![("A@v1".to_owned(), Secret::new(value.to_owned()))]).unwrap().fingerprint(b"key")
        };
        assert_ne!(one("hunter22-a"), one("hunter22-b"));
        assert_eq!(one("hunter22-a"), one("hunter22-a"));
    }
}
