//! Variables that refer to variables: known, visible, and never in a circle.

use std::collections::BTreeMap;

use crate::findings::Findings;
use crate::id::VarName;
use crate::source::{At, Span};
use crate::tables::Document;
use crate::template::Text;
use crate::variable_tables::{VariableOrigin, VariableTable};

/// A value may consist of so many pieces once all references are filled in. Doubling a reference thirty times would
/// otherwise fill the memory.
const MOST_PIECES: u64 = 1_000;

pub(super) fn check(document: &Document, findings: &mut Findings) {
    let mut graph: BTreeMap<&VarName, Vec<(&VarName, Span)>> = BTreeMap::new();
    for (name, variable) in document.variables.iter() {
        let own = variable.r#in.iter().filter_map(|(_, own)| own.value.as_ref());
        for text in variable.value.iter().chain(own) {
            for target in text.variables() {
                if let Some(other) = reference(name, variable, text, target, document, findings) {
                    graph.entry(&name.value).or_default().push((other, text.span));
                }
            }
        }
    }
    cycles(&graph, findings);
}

/// The variable referred to, if there is one that may be referred to.
fn reference<'a>(
    name: &At<VarName>,
    variable: &VariableTable,
    text: &At<Text>,
    target: &VarName,
    document: &'a Document,
    findings: &mut Findings,
) -> Option<&'a VarName> {
    let Some((known, other)) = document.variables.entry(target) else {
        findings.absence(text.span, format!("there is no variable {target}")).did_you_mean(
            target.as_str(),
            document.variables.iter().map(|(name, _)| name.as_str()).take(1_000),
            "the variables are",
        );
        return None;
    };
    if other.class.is_sensitive() {
        findings
            .error(text.span, format!("{} cannot be part of another value: it is {}", known.value, other.class.value))
            .hint("let the app read both variables");
        return None;
    }
    if other.class.value > variable.class.value {
        findings
            .error(
                text.span,
                format!(
                    "{} is {}, but {} in it is {}",
                    name.value, variable.class.value, known.value, other.class.value
                ),
            )
            .hint(format!("set class = \"{}\"", other.class.value));
    }
    for (environment, _) in
        document.environments.iter().filter(|(environment, _)| variable.exists_in(&environment.value))
    {
        let uses = match variable.origin_in(&environment.value) {
            Some(VariableOrigin::Value(value)) => value.span == text.span,
            _ => false,
        };
        let has_value = || matches!(other.origin_in(&environment.value), Some(VariableOrigin::Value(_)));
        if uses && !(other.exists_in(&environment.value) && has_value()) {
            findings
                .error(
                    text.span,
                    format!("{} has no value in {}, where {} refers to it", known.value, environment.value, name.value),
                )
                .hint("refer only to variables whose value is in the manifest, in the same environments");
        }
    }
    Some(&known.value)
}

/// Takes away variables whose references are all settled, until only circles and what leads to them are left.
fn cycles(graph: &BTreeMap<&VarName, Vec<(&VarName, Span)>>, findings: &mut Findings) {
    let mut users: BTreeMap<&VarName, Vec<&VarName>> = BTreeMap::new();
    let mut open: BTreeMap<&VarName, usize> = BTreeMap::new();
    for (name, targets) in graph {
        for (target, _) in targets {
            users.entry(target).or_default().push(name);
        }
        open.insert(name, targets.len());
    }
    let mut pieces: BTreeMap<&VarName, u64> = BTreeMap::new();
    let mut settled: Vec<&VarName> = users.keys().copied().filter(|name| !graph.contains_key(name)).collect();
    while let Some(name) = settled.pop() {
        let count = graph.get(name).map_or(1, |targets| {
            targets.iter().fold(1, |sum: u64, (target, _)| sum.saturating_add(pieces.get(target).copied().unwrap_or(1)))
        });
        if count > MOST_PIECES
            && let Some((_, span)) = graph.get(name).and_then(|targets| targets.first())
        {
            findings
                .error(
                    *span,
                    format!("{name} consists of more than {MOST_PIECES} pieces once its references are filled in"),
                )
                .hint("refer to fewer variables");
        }
        // Told once; what stands on it need not be told again.
        pieces.insert(name, if count > MOST_PIECES { 1 } else { count });
        for user in users.get(name).into_iter().flatten() {
            if let Some(left) = open.get_mut(user) {
                *left -= 1;
                if *left == 0 {
                    settled.push(user);
                }
            }
        }
    }
    let mut left: BTreeMap<&VarName, (&VarName, Span)> = BTreeMap::new();
    for (name, targets) in graph.iter().filter(|(name, _)| !pieces.contains_key(*name)) {
        if let Some(target) =
            targets.iter().find(|(target, _)| graph.contains_key(target) && !pieces.contains_key(target))
        {
            left.insert(name, *target);
        }
    }
    while let Some((start, _)) = left.first_key_value() {
        let mut path = vec![*start];
        // Ends where it comes back to itself, or at a circle that was told already.
        let closed = loop {
            match left.get(path[path.len() - 1]) {
                None => break None,
                Some((next, span)) => match path.iter().position(|name| name == next) {
                    Some(at) => break Some((at, *span)),
                    None => path.push(next),
                },
            }
        };
        if let Some((at, span)) = closed {
            let circle: Vec<&str> = path[at..].iter().chain([&path[at]]).map(|name| name.as_str()).collect();
            findings
                .error(span, format!("these variables refer to each other: {}", circle.join(" -> ")))
                .hint("give one of them a value without ${variable.…}");
        }
        path.iter().for_each(|name| {
            left.remove(name);
        });
    }
}
