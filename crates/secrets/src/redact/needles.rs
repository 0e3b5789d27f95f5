//! One automaton for all that must not be seen.

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, BuildError, MatchKind};
use zeroize::Zeroizing;

use super::encodings;
use super::guesses;
use crate::Secret;

/// There are more than the automaton can hold: some hundred thousand values.
#[derive(Debug, thiserror::Error)]
#[error("cannot look for so many secrets at once")]
pub struct TooManyNeedles(#[source] BuildError);

/// What is looked for. Built anew when a value changes; retired versions stay in it for as long as old texts may hold them.
///
/// It holds the values, in memory that is not wiped when it goes: the automaton is a library's.
pub struct Needles {
    automaton: AhoCorasick,
    /// For each needle the secret it is of.
    of: Vec<usize>,
    /// Sorted, for the question whether a text may go on to be one.
    sorted: Vec<Zeroizing<Vec<u8>>>,
    longest: usize,
    secrets: Vec<Name>,
    too_short: Vec<String>,
}

struct Name {
    name: String,
    replacement: String,
    found: AtomicU64,
}

/// A secret that stands in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting<'n> {
    /// As it was given with the secret: `JWT_SECRET@3`.
    pub name: &'n str,
    pub place: std::ops::Range<usize>,
}

/// A part of a text that is to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Index of the secret after which it is named.
    pub(super) secret: usize,
}

impl Needles {
    /// Each secret with what is shown in its place: `JWT_SECRET@3`.
    ///
    /// # Errors
    /// Where there are too many for one automaton.
    pub fn new<'s>(secrets: impl IntoIterator<Item = (String, &'s Secret)>) -> Result<Self, TooManyNeedles> {
        let (mut of, mut needles, mut names, mut too_short) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (name, secret) in secrets {
            let found = encodings(secret);
            if found.is_empty() {
                too_short.push(name);
                continue;
            }
            of.extend(found.iter().map(|_| names.len()));
            needles.extend(found);
            names.push(Name { replacement: format!("‹{name}›"), name, found: AtomicU64::new(0) });
        }
        let mut builder = AhoCorasickBuilder::new();
        // Overlapping matches are wanted, which only this kind gives.
        builder.match_kind(MatchKind::Standard);
        // For few needles the library takes a table of all transitions: a dozen secrets and a key were 10 MB, for good, in a
        // keeper that should weigh no more than that. This one is a fortieth of it.
        builder.kind(Some(AhoCorasickKind::ContiguousNFA));
        let automaton = builder.build(needles.iter().map(|needle| needle.as_slice()));
        let automaton = automaton.map_err(TooManyNeedles)?;
        let longest = needles.iter().map(|needle| needle.len()).max().unwrap_or(0);
        needles.sort_unstable_by(|a, b| a.as_slice().cmp(b));
        needles.dedup();
        Ok(Self { automaton, of, sorted: needles, longest, secrets: names, too_short })
    }

    /// Nothing to look for but what any secret looks like.
    pub fn none() -> Self {
        Self::new([]).expect("no needles are not too many")
    }

    /// Names of secrets that are too short to be looked for.
    pub fn too_short(&self) -> &[String] {
        &self.too_short
    }

    /// How often each secret was taken out of something, by name; those that never were are left out.
    pub fn found(&self) -> impl Iterator<Item = (&str, u64)> {
        let counted = self.secrets.iter().map(|secret| (secret.name.as_str(), secret.found.load(Ordering::Relaxed)));
        counted.filter(|(_, found)| *found > 0)
    }

    /// Every place where a secret stands, in whatever notation: for whoever has to say that there is none.
    pub fn find<'n>(&'n self, bytes: &[u8]) -> Vec<Sighting<'n>> {
        let sighting =
            |range: Range| Sighting { name: &self.secrets[range.secret].name, place: range.start..range.end };
        self.ranges(bytes).into_iter().map(sighting).collect()
    }

    /// A whole text without the secrets that are known, without passwords in addresses, and without what can only be a key.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let ranges = self.ranges(text.as_bytes());
        let known = if ranges.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(self.without(text, &ranges)) };
        match known {
            Cow::Borrowed(text) => guesses::redact(text),
            Cow::Owned(text) => match guesses::redact(&text) {
                Cow::Borrowed(_) => Cow::Owned(text),
                Cow::Owned(text) => Cow::Owned(text),
            },
        }
    }

    /// As [`Needles::redact`], of a text whose end was cut off: what may be the beginning of a secret goes with it.
    pub fn redact_beginning(&self, text: &str) -> String {
        let whole = text.floor_char_boundary(self.pending(text.as_bytes()));
        self.redact(&text[..whole]).into_owned()
    }

    /// Needles begin and end at letters, but one of a text in another alphabet's encoding may not: the rest is made whole.
    fn without(&self, text: &str, ranges: &[Range]) -> String {
        let mut bytes = Vec::with_capacity(text.len());
        let mut from = 0;
        for range in ranges {
            bytes.extend_from_slice(&text.as_bytes()[from..range.start]);
            self.replace(range.secret, &mut bytes);
            from = range.end;
        }
        bytes.extend_from_slice(&text.as_bytes()[from..]);
        String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    pub(super) fn replace(&self, secret: usize, out: &mut Vec<u8>) {
        let secret = &self.secrets[secret];
        secret.found.fetch_add(1, Ordering::Relaxed);
        out.extend_from_slice(secret.replacement.as_bytes());
    }

    /// What is to be replaced, in order; ranges that overlap are one. It is named after the secret that begins first, and of
    /// those after the longest: which that is does not depend on how much of the text is known yet.
    pub(super) fn ranges(&self, text: &[u8]) -> Vec<Range> {
        let mut merged: Vec<Range> = Vec::new();
        if self.of.is_empty() {
            return merged;
        }
        // In the order of their ends; so a later one may reach back over several, and is the longest of those that begin with it.
        for found in self.automaton.find_overlapping_iter(text) {
            let mut range =
                Range { start: found.start(), end: found.end(), secret: self.of[found.pattern().as_usize()] };
            while let Some(before) = merged.pop_if(|before| before.end > range.start) {
                if before.start < range.start {
                    (range.start, range.secret) = (before.start, before.secret);
                }
            }
            merged.push(range);
        }
        merged
    }

    /// Where the longest end of `text` begins that may go on to be a needle; its length where there is none.
    pub(super) fn pending(&self, text: &[u8]) -> usize {
        let from = text.len().saturating_sub(self.longest.saturating_sub(1));
        (from..text.len()).find(|start| self.begins_a_needle(&text[*start..])).unwrap_or(text.len())
    }

    fn begins_a_needle(&self, text: &[u8]) -> bool {
        let at = self.sorted.partition_point(|needle| needle.as_slice() < text);
        let is_longer = |needle: &Zeroizing<Vec<u8>>| needle.len() > text.len() && needle.starts_with(text);
        // The text itself may be a needle, and come before those that it begins.
        self.sorted[at..].iter().take(2).any(is_longer)
    }
}

impl fmt::Debug for Needles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Needles").field("secrets", &self.secrets.len()).finish_non_exhaustive()
    }
}
