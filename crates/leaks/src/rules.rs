//! The rules: what a credential looks like, by who issues it.
//!
//! They are data (`rules/rules.toml`), read once, and checked when they are read: a rule without a keyword would run its
//! pattern over every byte, which costs a hundred times as much as asking for the keyword first.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use aho_corasick::{AhoCorasick, MatchKind};
use regex::bytes::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How sure it is that a hit is a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// A random value under a telling name.
    Low,
    /// The form alone is not the issuer's; form and neighbourhood together are.
    Medium,
    /// The form is the issuer's own.
    High,
}

/// One rule, ready to run.
#[derive(Debug)]
pub struct Rule {
    pub id: String,
    pub description: String,
    pub confidence: Confidence,
    /// How a test makes a secret that this rule finds; see `tests/planting/example.rs`.
    pub example: String,
    pub(crate) pattern: Regex,
    pub(crate) allow: Vec<Regex>,
    /// Bits per character.
    pub(crate) entropy: f64,
    /// Bytes after a keyword.
    pub(crate) reach: usize,
}

/// All rules and the search for their keywords.
#[derive(Debug)]
pub struct Rules {
    pub(crate) all: Vec<Rule>,
    pub(crate) keywords: AhoCorasick,
    /// Which rule each keyword belongs to.
    pub(crate) owners: Vec<Vec<usize>>,
    fingerprint: [u8; 32],
}

/// Why rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RulesFault {
    #[error("cannot read the rules")]
    Toml(#[source] toml::de::Error),
    #[error("cannot use the rule {id}: its pattern is wrong")]
    Pattern {
        id: String,
        #[source]
        source: regex::Error,
    },
    #[error("cannot use the rule {id}: {what}")]
    Rule { id: String, what: &'static str },
    #[error("cannot search for so many keywords")]
    Keywords(#[source] aho_corasick::BuildError),
}

const OURS: &str = include_str!("rules/rules.toml");

/// Between a name and its value: the rest of the name, quotes and brackets, and one of the signs of languages and formats.
const ASSIGN: &str = r#"[\w.-]{0,32}["'`]?\]?\s{0,3}(?:=>|:=|=|:|,)\s{0,3}["'`]?"#;

/// After a keyword, where a rule does not say.
const REACH: usize = 1024;

/// A compiled pattern may take this much memory; the widest of ours takes a tenth.
const PATTERN_BYTES: usize = 32 << 20;

#[derive(Deserialize)]
struct File {
    rule: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: String,
    description: String,
    confidence: Confidence,
    keywords: Vec<String>,
    pattern: String,
    #[serde(default)]
    entropy: f64,
    #[serde(default)]
    reach: Option<usize>,
    #[serde(default)]
    allow: Vec<String>,
    example: String,
}

impl Rules {
    /// The rules that come with Roadbed. Compiled, and with what their patterns remember for each thread that searched, they take
    /// tens of MiB, so they are there for as long as somebody searches and not for as long as the process lives.
    pub fn ours() -> Arc<Self> {
        static IN_USE: Mutex<Weak<Rules>> = Mutex::new(Weak::new());
        let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
        in_use.upgrade().unwrap_or_else(|| {
            let rules = Arc::new(Self::parse(OURS).expect("a test reads our own rules"));
            *in_use = Arc::downgrade(&rules);
            rules
        })
    }

    /// Reads rules in the form of `rules/rules.toml`.
    pub fn parse(text: &str) -> Result<Self, RulesFault> {
        let file: File = toml::from_str(text).map_err(RulesFault::Toml)?;
        let mut words: Vec<String> = Vec::new();
        let mut owners: Vec<Vec<usize>> = Vec::new();
        let mut all: Vec<Rule> = Vec::new();
        for (index, written) in file.rule.into_iter().enumerate() {
            let wrong = |what| RulesFault::Rule { id: written.id.clone(), what };
            if all.iter().any(|rule| rule.id == written.id) {
                return Err(wrong("its id is taken"));
            }
            if written.keywords.iter().all(String::is_empty) {
                return Err(wrong("it has no keyword"));
            }
            for word in &written.keywords {
                let word = word.to_ascii_lowercase();
                match words.iter().position(|known| *known == word) {
                    Some(known) => owners[known].push(index),
                    None => {
                        words.push(word);
                        owners.push(vec![index]);
                    }
                }
            }
            all.push(written.ready()?);
        }
        let keywords = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .build(&words)
            .map_err(RulesFault::Keywords)?;
        let fingerprint = Sha256::digest(text.as_bytes()).into();
        Ok(Self { all, keywords, owners, fingerprint })
    }

    /// Changes with every change of any rule.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    pub fn all(&self) -> &[Rule] {
        &self.all
    }
}

impl Written {
    fn ready(self) -> Result<Rule, RulesFault> {
        let compiled = |pattern: &str| {
            RegexBuilder::new(&pattern.replace("@ASSIGN@", ASSIGN))
                .unicode(false)
                .size_limit(PATTERN_BYTES)
                .dfa_size_limit(PATTERN_BYTES)
                .build()
                .map_err(|source| RulesFault::Pattern { id: self.id.clone(), source })
        };
        Ok(Rule {
            pattern: compiled(&self.pattern)?,
            allow: self.allow.iter().map(|pattern| compiled(pattern)).collect::<Result<_, _>>()?,
            entropy: self.entropy,
            reach: self.reach.unwrap_or(REACH),
            confidence: self.confidence,
            example: self.example,
            description: self.description,
            id: self.id,
        })
    }
}
