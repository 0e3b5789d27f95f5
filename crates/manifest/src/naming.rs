//! What is named after an environment, and how. Nothing else makes such names: what `target` tells and what runs are the same.
//!
//! ```text
//!   product, environment[, pull request | branch]  ──►  slug  ──►  database, keys, buckets, users, scope of secrets
//! ```

use std::fmt;

use sha2::{Digest, Sha256};

use crate::id::{AppName, BucketName, EnvName, ProductName};
use crate::tables::Per;
use crate::target::EnvRef;

/// The names of one environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    product: String,
    /// `staging`, `preview-pr-42`
    slug: String,
    /// Where its secrets are kept: `urbancart/preview/pr-42`.
    pub secret_scope: String,
}

impl Names {
    pub fn of(product: &ProductName, environment: &EnvRef) -> Self {
        Self {
            product: product.to_string(),
            slug: environment.slug(),
            secret_scope: format!("{product}/{environment}"),
        }
    }

    /// MongoDB database. The manifest is refused where it could become longer than MongoDB's 63 bytes. No name has an underscore,
    /// so no two environments meet in one.
    pub fn database(&self) -> String {
        format!("{}_{}", self.product, self.slug).replace('-', "_")
    }

    /// What every key of an app in Redis starts with. No name has a colon.
    pub fn key_prefix(&self) -> String {
        format!("{}:{}:", self.product, self.slug)
    }

    /// What is ordered for it at a provider: `urbancart-staging`, and what follows.
    pub fn at_provider(&self) -> String {
        format!("{}-{}", self.product, self.slug)
    }

    pub fn bucket(&self, bucket: &BucketName) -> String {
        format!("{}-{}-{bucket}", self.product, self.slug)
    }

    /// One instance of an app, as unit and in logs. It is unique within its environment.
    pub fn instance(app: &AppName, number: usize) -> String {
        format!("{app}-{number}")
    }

    /// User of the machine for a unit, where it has one of its own by name: at most 32 bytes, as Linux allows.
    pub fn unix_user(&self, unit: &str) -> String {
        shortened(&format!("{}-{}-{unit}", self.product, self.slug), 32)
    }

    /// Name of all of it among others on one machine: a service, a group of processes.
    pub fn machine_wide(&self) -> String {
        format!("{}-{}", self.product, self.slug)
    }
}

/// The slug of an environment, with a placeholder for what differs between its instances.
pub(crate) fn slug_pattern(name: &EnvName, per: Option<Per>) -> String {
    match per {
        Some(Per::PullRequest) => format!("{name}-{PULL_REQUEST}{}", Per::PullRequest.placeholder()),
        Some(Per::Branch) => format!("{name}-{}", Per::Branch.placeholder()),
        None => name.to_string(),
    }
}

/// A branch's name as part of other names. Git allows nearly every character in it; what is no lower-case letter, digit or `-`, or is
/// too long, is replaced, and what was replaced is told apart by a digest of the whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BranchSlug(String);

/// Instances of pull requests are called so.
const PULL_REQUEST: &str = "pr-";

/// Of the readable part: the slug with its digest stays below the 63 bytes of a label in DNS with room for more.
const READABLE: usize = 20;

/// 40 bits: two of a million branches meet with a chance of one in two.
const DIGEST: usize = 8;

impl BranchSlug {
    pub fn of(branch: &str) -> Self {
        let mut readable = String::new();
        for letter in branch.chars() {
            match letter.to_ascii_lowercase() {
                letter if letter.is_ascii_lowercase() || letter.is_ascii_digit() => readable.push(letter),
                _ if readable.is_empty() || readable.ends_with('-') => {}
                _ => readable.push('-'),
            }
            if readable.len() == READABLE {
                break;
            }
        }
        let readable = readable.trim_end_matches('-');
        let is_free = !ends_with_digest(branch) && !branch.starts_with(PULL_REQUEST);
        // A name that looks as if it had a digest gets one, so that it never meets the name whose digest that is.
        if readable == branch && !branch.is_empty() && is_free {
            return Self(branch.to_owned());
        }
        let readable = match readable {
            "" => "branch",
            _ if readable.starts_with(PULL_REQUEST) => "branch-pr",
            _ => readable,
        };
        Self(format!("{readable}-{}", digest(branch)))
    }

    /// A slug as it is written; `None` for what no branch becomes.
    pub fn read(text: &str) -> Option<Self> {
        let is_plain = |text: &str| Self::of(text).0 == text;
        let is_digested = || text.len() <= READABLE + 1 + DIGEST && ends_with_digest(text) && is_label(text);
        (is_plain(text) || is_digested()).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As long as one gets.
    pub(crate) fn longest() -> Self {
        Self::of(&"x".repeat(READABLE + 1))
    }
}

impl fmt::Display for BranchSlug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.bytes().all(inner) && !text.starts_with('-') && !text.contains("--")
}

fn ends_with_digest(text: &str) -> bool {
    text.rsplit_once('-')
        .is_some_and(|(_, end)| end.len() == DIGEST && end.bytes().all(|byte| ALPHABET.contains(&byte)))
}

/// Without vowels and look-alikes: it spells nothing, and is read out without mistakes.
const ALPHABET: &[u8; 32] = b"0123456789bcdfghjkmnpqrstvwxyzal";

fn digest(text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    let bits = hash.iter().take(5).fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    (0..DIGEST)
        .rev()
        .map(|place| char::from(ALPHABET[usize::try_from(bits >> (5 * place) & 31).unwrap_or(0)]))
        .collect()
}

/// The text, or where it is too long its beginning and a digest of the whole.
fn shortened(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_owned();
    }
    let beginning = text[..longest - DIGEST - 1].trim_end_matches('-');
    format!("{beginning}-{}", digest(text))
}
