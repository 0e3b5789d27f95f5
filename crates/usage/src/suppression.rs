//! Findings that are meant to be: `roadbed-allow(undeclared): reason` in a comment at the line or on the line before it, or
//! an entry of `[scan] allow`.

use manifest::{Allowed, FindingKind, Severity};

use crate::Place;
use crate::finding::{Finding, Id};
use crate::judge::Rules;
use crate::lines::Lines;

/// What a comment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppression {
    pub place: Place,
    /// What stands in the brackets, as it is written.
    kinds: Vec<String>,
    reason: String,
    /// The line that it is for, beside its own.
    next: u32,
}

const MARK: &str = "roadbed-allow(";

/// The suppressions in a text of any language. Only behind what begins a comment somewhere: in a text it says nothing.
pub fn suppressions(file: &str, text: &str) -> Vec<Suppression> {
    let mut lines = Lines::new(file, text);
    let mut found: Vec<Suppression> = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find(MARK).map(|start| at + start) {
        at = start + MARK.len();
        let line_start = text[..start].rfind('\n').map_or(0, |end| end + 1);
        let before = &text[line_start..start];
        let opens = ["//", "#", "/*", "<!--", "--"].iter().any(|mark| before.contains(mark));
        if !opens && !before.trim_start().starts_with('*') {
            continue;
        }
        let line = text[at..].lines().next().unwrap_or_default();
        let (kinds, rest) = line.split_once(')').unwrap_or((line, ""));
        let reason = rest.strip_prefix(':').unwrap_or_default().trim().trim_end_matches("*/").trim_end_matches("-->");
        let place = lines.place(start);
        found.push(Suppression {
            next: place.line + 1,
            place,
            kinds: kinds.split(',').map(|kind| kind.trim().to_owned()).collect(),
            reason: reason.trim().to_owned(),
        });
    }
    // Several in a row are all for the line behind the last.
    for at in (1..found.len()).rev() {
        if found[at - 1].next == found[at].place.line {
            found[at - 1].next = found[at].next;
        }
    }
    found
}

impl Suppression {
    fn covers(&self, finding: &Finding, kind: FindingKind) -> bool {
        let line = finding.place.line;
        self.place.file == finding.place.file
            && (line == self.place.line || line == self.next)
            && !self.reason.is_empty()
            && self.kinds.iter().any(|written| written == kind.as_str())
    }
}

/// What is left of the findings, and what is wrong with the suppressions themselves.
pub fn suppress(rules: &Rules, findings: Vec<Finding>, suppressions: &[Suppression]) -> Vec<Finding> {
    let allowed = &rules.scan().allowed;
    let mut used = vec![false; suppressions.len()];
    let mut used_allowed = vec![false; allowed.len()];
    let mut left: Vec<Finding> = Vec::new();
    for finding in findings {
        let Id::Use(kind) = finding.id else {
            left.push(finding);
            continue;
        };
        let mut is_meant = false;
        for (suppression, used) in suppressions.iter().zip(&mut used) {
            let covers = suppression.covers(&finding, kind);
            *used |= covers;
            is_meant |= covers;
        }
        for (allow, used) in allowed.iter().zip(&mut used_allowed) {
            let covers = allows(allow, &finding, kind);
            *used |= covers;
            is_meant |= covers;
        }
        if !is_meant {
            left.push(finding);
        }
    }
    for (suppression, used) in suppressions.iter().zip(used) {
        left.extend(faults(suppression, used));
    }
    for (allow, _) in allowed.iter().zip(used_allowed).filter(|(_, used)| !used) {
        left.push(Finding {
            id: Id::SuppressionUnused,
            name: allow.name.as_str().to_owned(),
            app: None,
            place: rules.place(allow.position),
            severity: Severity::Warning,
            message: format!("nothing about {} is {}: this entry allows nothing", allow.name.as_str(), allow.kind),
            hint: "remove it, so that it hides nothing later".to_owned(),
        });
    }
    left.sort_by(|a, b| (&a.place, a.id, &a.name).cmp(&(&b.place, b.id, &b.name)));
    left
}

fn allows(allow: &Allowed, finding: &Finding, kind: FindingKind) -> bool {
    allow.kind == kind
        && allow.name.matches(&finding.name)
        && allow.file.as_ref().is_none_or(|file| file.matches(&finding.place.file))
}

/// What is wrong with one comment.
fn faults(suppression: &Suppression, used: bool) -> Vec<Finding> {
    let finding = |id: Id, severity: Severity, message: String, hint: &str| Finding {
        id,
        name: suppression.kinds.join(", "),
        app: None,
        place: suppression.place.clone(),
        severity,
        message,
        hint: hint.to_owned(),
    };
    let unknown: Vec<&String> = suppression.kinds.iter().filter(|kind| Id::kind_named(kind).is_none()).collect();
    if let Some(unknown) = unknown.first() {
        let message = format!("there is no kind of finding \"{unknown}\"");
        let all: Vec<&str> = Id::ALL
            .into_iter()
            .filter_map(|id| if let Id::Use(kind) = id { Some(kind.as_str()) } else { None })
            .collect();
        return vec![finding(
            Id::SuppressionUnknown,
            Severity::Error,
            message,
            &format!("there is {}", all.join(", ")),
        )];
    }
    if suppression.reason.is_empty() {
        let message = "this suppression does not say why, so it suppresses nothing".to_owned();
        let hint = "write the reason behind a colon: roadbed-allow(write): the reason";
        return vec![finding(Id::SuppressionWithoutReason, Severity::Error, message, hint)];
    }
    if used {
        return Vec::new();
    }
    let message = format!("nothing here is {}: this suppression suppresses nothing", suppression.kinds.join(" or "));
    vec![finding(Id::SuppressionUnused, Severity::Warning, message, "remove it, so that it hides nothing later")]
}
