//! Who may do what: keys, each limited to buckets, prefixes and verbs.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::Deserialize;
use sigv4::Secret;

/// What a rule lets somebody do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    Read,
    Write,
    Delete,
    List,
}

/// One thing that a key may do: these verbs with keys of objects that begin so, in this bucket.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub bucket: String,
    /// Empty for all of the bucket.
    #[serde(default)]
    pub prefix: String,
    pub verbs: Vec<Verb>,
}

/// A key and what it may do.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    pub access_key_id: String,
    #[serde(deserialize_with = "secret")]
    pub secret: Secret,
    pub rules: Vec<Rule>,
}

fn secret<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    String::deserialize(deserializer).map(Secret::new)
}

impl Grant {
    /// Whether this key may do this with this object. For lists, `key` is the prefix that is asked for.
    pub fn permits(&self, verb: Verb, bucket: &str, key: &str) -> bool {
        self.rules
            .iter()
            .any(|rule| rule.bucket == bucket && rule.verbs.contains(&verb) && key.starts_with(rule.prefix.as_str()))
    }

    /// Whether anything at all in this bucket is open to this key, so that it may know of it.
    pub fn knows(&self, bucket: &str) -> bool {
        self.rules.iter().any(|rule| rule.bucket == bucket && !rule.verbs.is_empty())
    }
}

/// Why a document of grants is not taken. It holds nothing of the document, which has secrets.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadGrants {
    #[error("the document of grants is no JSON of grants (line {line}, column {column})")]
    Malformed { line: usize, column: usize },
    #[error("the key id `{0}` is granted twice, or is empty")]
    Ambiguous(String),
}

/// All keys, as they are now. Readers never wait.
#[derive(Debug, Default)]
pub struct Grants(ArcSwap<HashMap<String, Arc<Grant>>>);

impl Grants {
    /// # Errors
    /// Where two grants have one id.
    pub fn new(grants: Vec<Grant>) -> Result<Self, BadGrants> {
        Ok(Self(ArcSwap::from_pointee(by_id(grants)?)))
    }

    /// Reads a list of grants: `[{"access_key_id": …, "secret": …, "rules": [{"bucket": …, "prefix": …, "verbs": ["read"]}]}]`.
    ///
    /// # Errors
    /// Where it is none.
    pub fn read(document: &[u8]) -> Result<Vec<Grant>, BadGrants> {
        serde_json::from_slice(document)
            .map_err(|error| BadGrants::Malformed { line: error.line(), column: error.column() })
    }

    /// From now on it is these and no others. What was begun under the ones before goes on.
    ///
    /// # Errors
    /// Where two grants have one id; the ones before stay.
    pub fn replace(&self, grants: Vec<Grant>) -> Result<(), BadGrants> {
        self.0.store(Arc::new(by_id(grants)?));
        Ok(())
    }

    pub(crate) fn of(&self, access_key_id: &str) -> Option<Arc<Grant>> {
        self.0.load().get(access_key_id).cloned()
    }
}

fn by_id(grants: Vec<Grant>) -> Result<HashMap<String, Arc<Grant>>, BadGrants> {
    let mut all = HashMap::with_capacity(grants.len());
    for grant in grants {
        let id = grant.access_key_id.clone();
        if id.is_empty() || all.insert(id.clone(), Arc::new(grant)).is_some() {
            return Err(BadGrants::Ambiguous(id));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(rules: &str) -> Grant {
        let document = format!(r#"[{{"access_key_id":"a","secret":"s","rules":{rules}}}]"#);
        Grants::read(document.as_bytes()).unwrap().remove(0)
    }

    #[test]
    fn a_rule_opens_its_bucket_prefix_and_verbs_and_nothing_else() {
        let grant = grant(r#"[{"bucket":"media","prefix":"in/","verbs":["read","list"]}]"#);
        assert!(grant.permits(Verb::Read, "media", "in/a"));
        assert!(grant.permits(Verb::List, "media", "in/"));
        assert!(!grant.permits(Verb::List, "media", ""), "a list of all would show more than the prefix");
        assert!(!grant.permits(Verb::Read, "media", "in"));
        assert!(!grant.permits(Verb::Write, "media", "in/a"));
        assert!(!grant.permits(Verb::Read, "other", "in/a"));
    }

    #[test]
    fn what_is_wrong_with_a_document_is_said_without_its_secrets() {
        let fault = Grants::read(br#"[{"access_key_id":"a","secret":"hush","rules":7}]"#).unwrap_err();
        assert!(!fault.to_string().contains("hush"), "{fault}");
        let twice = || vec![grant("[]"), grant("[]")];
        assert_eq!(Grants::new(twice()).unwrap_err(), BadGrants::Ambiguous("a".into()));
        assert!(!format!("{:?}", grant("[]")).contains("\"s\""), "a secret is not shown");
    }
}
