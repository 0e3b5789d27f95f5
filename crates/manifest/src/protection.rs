//! Which branches only take what was checked, and who says that it was: held by a hook of a bare repository (`roadbed merge-gate`) and
//! by GitHub (`roadbed github apply`), from the same table.

use std::time::Duration;

use crate::Manifest;
use crate::record::record;
use crate::scalars::{Age, BranchName, SshKey};
use crate::shape::{self, text_shape};
use crate::source::At;

record! {
    /// Branches that only take commits whose required checks passed. They are neither deleted nor rewritten.
    pub(crate) struct ProtectionTable {
        /// The branches. Default: those of `[branches]`.
        branches: Option<Vec<At<BranchName>>>,
        /// The checks that must have passed for exactly the commit.
        checks: Vec<At<CheckName>> = ["required"],
        /// Public keys of OpenSSH, Ed25519 only, by which `roadbed ci run --sign` signs results that the merge gate believes.
        keys: Vec<At<SshKey>> = [],
        /// After this a result says nothing any more.
        max_age: Age = "14d",
    }
}

/// The name of a check, which is part of the name of a ref.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CheckName(pub(crate) String);

/// Whether a text can name a check.
pub fn is_check_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

impl shape::Text for CheckName {
    const WANTS: &'static str = "the name of a check";
    const PATTERN: Option<&'static str> = Some("^[a-z]([a-z0-9-]{0,62}[a-z0-9])?$");
    const EXAMPLES: &'static [&'static str] = &["required", "end-to-end"];

    fn read(text: &str) -> Result<Self, Option<String>> {
        if is_check_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Some("write small letters, digits and \"-\", at most 64".to_owned()))
        }
    }

    fn stand_in() -> Self {
        Self("unreadable".to_owned())
    }
}
text_shape!(CheckName);

/// What the manifest says of protected branches, with every default filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protection {
    pub branches: Vec<String>,
    pub checks: Vec<String>,
    /// Lines of `.pub` files.
    pub keys: Vec<String>,
    pub max_age: Duration,
}

impl Manifest {
    /// Which branches are protected; `None` if none is.
    pub fn protection(&self) -> Option<Protection> {
        let table = &self.document.ci.protection.as_ref()?.value;
        let branches = match &table.branches {
            Some(branches) => branches.iter().map(|branch| branch.value.0.clone()).collect(),
            None => self.branches().into_iter().map(|(branch, _)| branch).collect(),
        };
        Some(Protection {
            branches,
            checks: table.checks.iter().map(|check| check.value.0.clone()).collect(),
            keys: table.keys.iter().map(|key| key.value.0.clone()).collect(),
            max_age: table.max_age.0,
        })
    }

    /// The product's short name.
    pub fn product(&self) -> &str {
        self.document.product.name.as_str()
    }
}
