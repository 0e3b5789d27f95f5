//! One content, searched: exact values, rules, and both again in what it decodes to.

use std::ops::Range;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::decode::{self, Coding};
use crate::doubt;
use crate::exact::Values;
use crate::rules::{Confidence, Rule, Rules};
use crate::sight;

/// What recognised it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum How {
    /// A value of the store, by its label.
    Exact(String),
    /// A rule, by its id.
    Rule(String),
}

/// One secret in one content.
#[derive(Clone, Debug)]
pub struct Hit {
    pub how: How,
    pub description: String,
    pub confidence: Confidence,
    /// From 1, of the place where it or what it is encoded in begins.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// Its line with every secret masked.
    pub excerpt: String,
    /// The form that it was found in, if it is not there as it is.
    pub coding: Option<Coding>,
    pub(crate) value: Value,
}

/// The bytes of a hit, for the allow-list alone.
#[derive(Clone)]
pub(crate) struct Value(Zeroizing<Vec<u8>>);

impl Value {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Value(..)")
    }
}

/// Rules and values together.
#[derive(Debug)]
pub struct Scanner {
    rules: Arc<Rules>,
    values: Option<Values>,
}

/// Names what decides whether content is clean besides rules and values: a change of this file, of the decoders or of the doubts.
pub(crate) const ENGINE: &[u8] = b"roadbed-leaks engine 1";

/// Bytes before a keyword that belong to a pattern: the longest name that one of ours allows before it.
const BEFORE: usize = 160;

/// Where a NUL is looked for. Git decides by the first 8,000 bytes too.
const SNIFF: usize = 8000;

/// In one content more findings than these say no more than these.
const MOST_HITS: usize = 1000;

/// Before it is made a [`Hit`].
struct Found {
    /// Index into the rules, or into the values.
    by: By,
    /// In the content itself.
    place: Range<usize>,
    coding: Option<Coding>,
    value: Zeroizing<Vec<u8>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Value(usize),
    Rule(usize),
}

impl Scanner {
    pub fn new(rules: Arc<Rules>, values: Option<Values>) -> Self {
        Self { rules, values }
    }

    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    pub fn values(&self) -> Option<&Values> {
        self.values.as_ref()
    }

    /// Every secret of one content.
    pub fn scan(&self, content: &[u8]) -> Vec<Hit> {
        let is_binary = memchr::memchr(0, &content[..content.len().min(SNIFF)]).is_some();
        let mut found = self.look(content, None, if is_binary { Confidence::High } else { Confidence::Low });
        for layer in decode::layers(content) {
            found.extend(self.look(&layer.bytes, Some((layer.coding, layer.place)), Confidence::Low));
        }
        if found.is_empty() {
            return Vec::new();
        }
        let mut found = self.without_rivals(found);
        found.truncate(MOST_HITS);
        self.told(content, found)
    }

    fn look(&self, bytes: &[u8], within: Option<(Coding, Range<usize>)>, least: Confidence) -> Vec<Found> {
        let place = |own: &Range<usize>| within.as_ref().map_or_else(|| own.clone(), |(_, place)| place.clone());
        let coding = within.as_ref().map(|(coding, _)| *coding);
        let found = |by, own: Range<usize>| Found {
            by,
            place: place(&own),
            coding,
            value: Zeroizing::new(bytes[own].to_vec()),
        };
        let values = self.values.iter().flat_map(|values| values.find(bytes));
        let mut all: Vec<Found> = values.map(|(index, own)| found(By::Value(index), own)).collect();
        all.extend(self.by_rules(bytes, least).into_iter().map(|(index, own)| found(By::Rule(index), own)));
        // Within one text, what overlaps is one secret: the surest tells what it is.
        if within.is_some() { all } else { self.without_rivals(all) }
    }

    fn by_rules(&self, bytes: &[u8], least: Confidence) -> Vec<(usize, Range<usize>)> {
        let mut hits: Vec<(usize, Range<usize>)> = Vec::new();
        // Where each rule has to look and has not yet: windows that touch are one, so that no byte is read twice by a rule.
        let mut open: Vec<Option<Range<usize>>> = vec![None; self.rules.all.len()];
        for keyword in self.rules.keywords.find_overlapping_iter(bytes) {
            for &index in &self.rules.owners[keyword.pattern().as_usize()] {
                let rule = &self.rules.all[index];
                if rule.confidence < least {
                    continue;
                }
                let start = keyword.start().saturating_sub(BEFORE);
                match &mut open[index] {
                    Some(window) if keyword.end() + rule.reach <= window.end => {}
                    Some(window) if start <= window.end => {
                        window.end = end_of_window(bytes, keyword.end() + rule.reach)
                    }
                    slot => {
                        let window = start..end_of_window(bytes, keyword.end() + rule.reach);
                        if let Some(before) = slot.replace(window) {
                            search(rule, index, bytes, before, &mut hits);
                        }
                    }
                }
            }
        }
        for (index, window) in open.into_iter().enumerate() {
            if let Some(window) = window {
                search(&self.rules.all[index], index, bytes, window, &mut hits);
            }
        }
        hits
    }

    /// Of hits that overlap only the surest stay; two of one text under the same coding are no rivals.
    fn without_rivals(&self, mut found: Vec<Found>) -> Vec<Found> {
        let rank = |found: &Found| match found.by {
            By::Value(_) => 4,
            By::Rule(index) => self.rules.all[index].confidence as u8,
        };
        found.sort_by_key(|one| {
            let index = match one.by {
                By::Value(index) | By::Rule(index) => index,
            };
            (std::cmp::Reverse(rank(one)), one.coding.is_some(), std::cmp::Reverse(one.place.len()), index)
        });
        let mut kept: Vec<Found> = Vec::new();
        for one in found {
            let rival = |other: &Found| {
                let overlap = other.place.start < one.place.end && one.place.start < other.place.end;
                let both_exact = matches!((other.by, one.by), (By::Value(a), By::Value(b)) if a != b);
                let same_text = other.coding.is_some() && other.coding == one.coding && other.place == one.place;
                if same_text { shares(&other.value, &one.value) && !both_exact } else { overlap && !both_exact }
            };
            if !kept.iter().any(rival) {
                kept.push(one);
            }
        }
        kept.sort_by_key(|one| one.place.start);
        kept
    }

    fn told(&self, content: &[u8], found: Vec<Found>) -> Vec<Hit> {
        let marks: Vec<(Range<usize>, String)> = found.iter().map(|one| (one.place.clone(), self.mark(one))).collect();
        let mut lines = sight::Lines::new(content);
        found
            .into_iter()
            .map(|one| {
                let (line, column) = lines.place(one.place.start);
                let (how, description, confidence) = match one.by {
                    By::Value(index) => {
                        let label = self.values.as_ref().expect("a value was found").label(index);
                        (How::Exact(label.to_owned()), format!("the value of {label}"), Confidence::High)
                    }
                    By::Rule(index) => {
                        let rule = &self.rules.all[index];
                        (How::Rule(rule.id.clone()), rule.description.clone(), rule.confidence)
                    }
                };
                let excerpt = sight::excerpt(content, one.place.start, &marks);
                Hit { how, description, confidence, line, column, excerpt, coding: one.coding, value: Value(one.value) }
            })
            .collect()
    }

    fn mark(&self, found: &Found) -> String {
        match found.by {
            By::Value(index) => format!("‹{}›", self.values.as_ref().expect("a value was found").label(index)),
            By::Rule(index) => format!("‹{}›", self.rules.all[index].id),
        }
    }
}

/// What a rule finds in one window.
fn search(rule: &Rule, index: usize, bytes: &[u8], window: Range<usize>, hits: &mut Vec<(usize, Range<usize>)>) {
    let mut from = window.start;
    while from < window.end && hits.len() < MOST_HITS * 4 {
        let Some(groups) = rule.pattern.captures_at(&bytes[..window.end], from) else { return };
        let whole = groups.get(0).expect("the whole match").range();
        let secret = groups.name("secret").map_or_else(|| whole.clone(), |group| group.range());
        from = secret.end.max(whole.start + 1);
        if is_meant(rule, bytes, whole.start, &secret) {
            hits.push((index, secret));
        }
    }
}

/// One value holds the other.
fn shares(one: &[u8], other: &[u8]) -> bool {
    let (long, short) = if one.len() >= other.len() { (one, other) } else { (other, one) };
    memchr::memmem::find(long, short).is_some()
}

/// A window ends where a token ends, so that none is cut.
fn end_of_window(bytes: &[u8], at: usize) -> usize {
    let Some(rest) = bytes.get(at..) else { return bytes.len() };
    rest.iter().take(4096).position(u8::is_ascii_whitespace).map_or(bytes.len().min(at + 4096), |blank| at + blank)
}

/// Whether a match of the pattern is a secret and not a stand-in.
fn is_meant(rule: &Rule, bytes: &[u8], start: usize, secret: &Range<usize>) -> bool {
    let value = &bytes[secret.clone()];
    !value.is_empty()
        && doubt::entropy(value) >= rule.entropy
        && !doubt::is_placeholder(value)
        && !rule.allow.iter().any(|pattern| pattern.is_match(value))
        && (rule.confidence > Confidence::Low
            || !(doubt::names_no_secret(&bytes[start..secret.start])
                || doubt::reads_like_code(value, bytes.get(secret.end).copied())))
}
