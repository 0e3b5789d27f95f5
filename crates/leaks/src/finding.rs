//! What is reported: which secret, where, since when. Never the value.

use serde::Serialize;

use crate::rules::Confidence;
use crate::scan::{Hit, How};

/// Where a content came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A file as it lies there.
    File,
    /// A file as the next commit would have it.
    Staged,
    /// A file of some commit.
    History,
    CommitMessage,
    TagMessage,
    /// What git keeps on this machine alone: its logs of refs, its configuration.
    GitFile,
    /// An object that no ref leads to.
    Unreachable,
    /// Standard input.
    Input,
}

/// One finding. Its JSON is a contract.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The rule's id, or `store-value`.
    pub rule: String,
    /// `NAME@vN`, if it is a value of the store.
    pub store_value: Option<String>,
    pub description: String,
    pub confidence: Confidence,
    pub source: Source,
    /// A path, members of archives behind `!`; the id of a commit or a tag for its message.
    pub file: String,
    pub line: u32,
    pub column: u32,
    /// The form that it was found in, if it is not there as it is: `base64`.
    pub encoded: Option<&'static str>,
    /// The line with every secret masked.
    pub excerpt: String,
    pub blob: Option<String>,
    pub first_commit: Option<String>,
    pub last_commit: Option<String>,
    /// `null` where the question makes no sense.
    pub in_head: Option<bool>,
    /// How many versions of the file have it; blob, line and excerpt are of the last.
    pub versions: Option<usize>,
    /// How an allow-list names the value: a keyed hash.
    pub value: String,
}

/// The rule of exact values.
pub const STORE_VALUE: &str = "store-value";

impl Finding {
    pub(crate) fn new(hit: Hit, source: Source, file: &str, value: String) -> Self {
        let (rule, store_value) = match hit.how {
            How::Exact(label) => (STORE_VALUE.to_owned(), Some(label)),
            How::Rule(id) => (id, None),
        };
        Self {
            rule,
            store_value,
            description: hit.description,
            confidence: hit.confidence,
            source,
            file: file.to_owned(),
            line: hit.line,
            column: hit.column,
            encoded: hit.coding.map(crate::Coding::as_str),
            excerpt: hit.excerpt,
            blob: None,
            first_commit: None,
            last_commit: None,
            in_head: None,
            versions: None,
            value,
        }
    }

    /// Two that a person would fix as one.
    pub(crate) fn is_same_place(&self, other: &Self) -> bool {
        (&self.rule, &self.store_value, &self.file, self.line, self.column, &self.value)
            == (&other.rule, &other.store_value, &other.file, other.line, other.column, &other.value)
    }
}
