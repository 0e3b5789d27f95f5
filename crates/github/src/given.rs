//! Values of secrets that somebody gives, and what is remembered of those that were written.

use std::collections::{BTreeMap, BTreeSet};

use secrets::Secret;

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// `None`: of the repository.
    pub environment: Option<String>,
    pub name: String,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.environment {
            Some(environment) => write!(f, "environment {environment}: secret {}", self.name),
            None => write!(f, "secret {}", self.name),
        }
    }
}

/// A value, and a keyed fingerprint of it, which says nothing to who has not the key.
#[derive(Debug)]
pub struct Value<'s> {
    pub secret: &'s Secret,
    pub print: String,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Fingerprint of the value.
    pub print: String,
    /// When GitHub has it from, in its own words. Where it says another time, somebody else has written.
    pub updated: String,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Given<'s> {
    pub values: BTreeMap<Place, Value<'s>>,
    pub written: BTreeMap<Place, Written>,
    /// Names of those that are written anew whatever is there.
    pub rotate: BTreeSet<String>,
}
