//! What is deployed: all that an app needs to run beside Node itself, in one archive that is named by its content.
//!
//! ```text
//!   build output ─┐
//!   lock file ────┼─► content (which files, by which names) ─► archive (tar, zstd) ─► shelf (digest ─► archive, record)
//!   node_modules ─┘        ├─► bill of materials (CycloneDX)
//!                          └─► provenance (SLSA in in-toto), signed (DSSE): whoever takes an artifact holds it against keys
//! ```
//!
//! The same files make the same digest, wherever and whenever they are packed: names in order, no times, no owners. The digest
//! is that of the uncompressed tar, so that another version of the compressor changes nothing.
//!
//! **Invariant:** what is on the shelf was complete and on disk before it had its name.

pub mod archive;
pub mod bill;
pub mod provenance;
pub mod attestation;
pub mod content;
pub mod lock;
pub mod packing;
pub mod shelf;
pub mod unpacking;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// SHA-256 of an artifact's tar, in 64 small hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl Digest {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Enough to tell two artifacts of an app apart.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

/// What is no digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a digest has 64 hexadecimal digits, 0 to 9 and a to f")]
pub struct NoDigest;

impl FromStr for Digest {
    type Err = NoDigest;

    fn from_str(text: &str) -> Result<Self, NoDigest> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == 64 && text.bytes().all(is_digit) { Ok(Self(text.to_owned())) } else { Err(NoDigest) }
    }
}

impl TryFrom<String> for Digest {
    type Error = NoDigest;

    fn try_from(text: String) -> Result<Self, NoDigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
