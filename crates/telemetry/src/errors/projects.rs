//! Who may report: apps, each with a number and two keys, as control writes them into the settings.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What the role is told about errors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorSettings {
    pub projects: Vec<Project>,
    #[serde(default)]
    pub limits: ErrorLimits,
}

/// One app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    pub app: String,
    /// In the address that clients send to: Sentry's clients take numbers alone.
    pub id: u32,
    pub keys: Vec<ProjectKey>,
}

/// What opens the door for reports of an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectKey {
    pub of: KeyOf,
    /// SHA-256 of the key, in hex.
    pub digest: String,
}

/// Who has a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyOf {
    /// The app's own processes.
    Server,
    /// Every visitor's browser.
    Page,
}

/// How much is taken and kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorLimits {
    /// Events that one key may send at once, and how many more each minute.
    pub burst: u32,
    pub per_minute: u32,
    /// Events kept of one issue: the first and the latest.
    pub events_per_issue: u32,
    /// Issues of one app; what comes above is kept together as one.
    pub issues_per_app: u32,
    /// Days after which an event goes.
    pub days: u32,
    /// Below so much room on the disk nothing is taken.
    pub free_bytes: u64,
}

impl Default for ErrorLimits {
    fn default() -> Self {
        Self {
            // A deployment that fails for everybody, for a few minutes.
            burst: 10_000,
            per_minute: 3_000,
            events_per_issue: 500,
            issues_per_app: 10_000,
            days: 90,
            free_bytes: 256 << 20,
        }
    }
}

impl Project {
    /// The number of an app: the same in all environments, whatever other apps there are.
    pub fn id_of(app: &str) -> u32 {
        let digest = Sha256::digest(app.as_bytes());
        u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]).max(1)
    }

    /// As settings keep a key.
    pub fn digest_of(key: &str) -> String {
        Sha256::digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The page's key of an app: known to every visitor, and says nothing about the other one.
    pub fn page_key(server_key: &str) -> String {
        let mut digest = Self::digest_of(&format!("page {server_key}"));
        digest.truncate(32);
        digest
    }

    /// Whose key it is.
    pub(crate) fn holder(&self, key: &str) -> Option<KeyOf> {
        let digest = Self::digest_of(key);
        let same = |known: &&ProjectKey| bool::from(known.digest.as_bytes().ct_eq(digest.as_bytes()));
        self.keys.iter().find(same).map(|key| key.of)
    }
}
