//! Collects faults, so that all are told at once and none is told twice.

use std::collections::HashSet;

use crate::source::{Diagnostic, Lines, Severity, Source, Span};

/// Everything found wrong so far.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Finding>);

#[derive(Debug)]
pub(crate) struct Finding {
    span: Span,
    severity: Severity,
    message: String,
    hint: Option<String>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The text is not TOML.
    Syntax,
    /// Something is missing or unknown. Where the text is not TOML this may be a mere consequence.
    Absence,
    Other,
}

impl Findings {
    /// Tells a fault. The answer takes a hint.
    pub(crate) fn error(&mut self, span: Span, message: impl Into<String>) -> &mut Finding {
        self.push(span, Severity::Error, message.into(), Kind::Other)
    }

    pub(crate) fn warning(&mut self, span: Span, message: impl Into<String>) -> &mut Finding {
        self.push(span, Severity::Warning, message.into(), Kind::Other)
    }

    /// Something the manifest refers to, or must have, is not there.
    pub(crate) fn absence(&mut self, span: Span, message: impl Into<String>) -> &mut Finding {
        self.push(span, Severity::Error, message.into(), Kind::Absence)
    }

    pub(crate) fn syntax(&mut self, span: Span, message: impl Into<String>) -> &mut Finding {
        self.push(span, Severity::Error, message.into(), Kind::Syntax)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    fn push(&mut self, span: Span, severity: Severity, message: String, kind: Kind) -> &mut Finding {
        self.0.push(Finding { span, severity, message, hint: None, kind });
        self.0.last_mut().expect("was just pushed")
    }

    /// In the order of the text, without repetitions and without what only follows from broken TOML.
    pub(crate) fn into_diagnostics(self, source: &Source) -> Vec<Diagnostic> {
        let lines = Lines::new(&source.text);
        let line_of = |span: Span| lines.position(span.start).0;
        let broken: HashSet<usize> =
            self.0.iter().filter(|finding| finding.kind == Kind::Syntax).map(|finding| line_of(finding.span)).collect();
        let mut told = HashSet::new();
        let mut findings: Vec<Finding> = self
            .0
            .into_iter()
            .filter(|finding| match finding.kind {
                Kind::Syntax => true,
                Kind::Absence => broken.is_empty(),
                Kind::Other => !broken.contains(&line_of(finding.span)),
            })
            .filter(|finding| finding.span != Span::NOWHERE)
            .filter(|finding| told.insert((finding.span, finding.message.clone())))
            .collect();
        findings.sort_by_key(|finding| finding.span.start);
        findings
            .into_iter()
            .map(|Finding { span, severity, message, hint, .. }| {
                let (line, column) = lines.position(span.start);
                Diagnostic { file: source.file.clone(), line, column, severity, message, hint, span }
            })
            .collect()
    }
}

impl Finding {
    pub(crate) fn hint(&mut self, hint: impl Into<String>) {
        self.hint = Some(hint.into());
    }

    /// Hints at the candidate that was probably meant; if none is near, names them all.
    pub(crate) fn did_you_mean<'a>(&mut self, given: &str, candidates: impl IntoIterator<Item = &'a str>, all: &str) {
        let candidates: Vec<&str> = candidates.into_iter().collect();
        self.hint = match nearest(given, &candidates) {
            Some(meant) => Some(format!("did you mean \"{meant}\"?")),
            None if candidates.is_empty() => None,
            None if candidates.len() > MOST_NAMED => {
                let (named, more) = candidates.split_at(MOST_NAMED);
                Some(format!("{all}: {} and {} more", named.join(", "), more.len()))
            }
            None => Some(format!("{all}: {}", candidates.join(", "))),
        };
    }
}

/// A hint stays a line; the longest list of keys has eighteen.
const MOST_NAMED: usize = 20;

/// The candidate that a typing mistake turned into `given`, if one is near enough.
fn nearest<'a>(given: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', '_'], "");
    let plain_given = plain(given);
    let allowed = (plain_given.chars().count() / 3).max(1);
    candidates
        .iter()
        .filter_map(|candidate| {
            if is_shortened(given, candidate) {
                return Some((1, *candidate));
            }
            // Most candidates are out of reach by their length alone, which matters where there are thousands.
            let length = candidate.bytes().filter(|byte| !b"-_".contains(byte)).count();
            if plain_given.len().abs_diff(length) > allowed {
                return None;
            }
            let distance = strsim::osa_distance(&plain_given, &plain(candidate));
            (distance <= allowed).then_some((distance, *candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// "prod" for "production", "nextjs" for "next".
fn is_shortened(given: &str, candidate: &str) -> bool {
    let length = given.len().min(candidate.len());
    let starts = given.get(..length).zip(candidate.get(..length));
    length >= 3 && starts.is_some_and(|(given, candidate)| given.eq_ignore_ascii_case(candidate))
}
