//! A value that must not leak, and the name that may be shown in its place.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// A secret text. Wiped from memory when dropped.
pub struct Secret(String);

impl Secret {
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// The value itself. Call this only at the border where it leaves Roadbed for the process it belongs to.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A second owner of the same value. Named, so that copies are rare and easy to find.
    pub fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    /// Compares in time that does not depend on where the difference is.
    pub fn matches(&self, candidate: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(candidate).into()
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The name of a secret in one environment, for example `mongodb/api` or `var/SESSION_SECRET`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretName(String);

impl SecretName {
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The secret behind a variable of the manifest.
    pub fn variable(name: &str) -> Self {
        Self(format!("var/{name}"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As people know it: a variable by its own name.
    pub fn shown(&self) -> &str {
        self.0.strip_prefix("var/").unwrap_or(&self.0)
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
