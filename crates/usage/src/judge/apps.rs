//! What is judged of an app as a whole, and not of one use.

use std::collections::BTreeSet;

use manifest::environment::{Class, Delivery};
use manifest::{FindingKind, Row, Severity};

use super::{CLIENT_HINT, Rules};
use crate::finding::{Finding, Id};
use crate::project_code::AppCode;
use crate::{How, Language, Name, Place, Use};

/// Variables that an app receives and never reads: one secret more that it can lose.
pub(super) fn unused(rules: &Rules, code: &AppCode, findings: &mut Vec<Finding>) {
    let mut read: BTreeSet<&str> = code.named.iter().map(String::as_str).collect();
    let mut patterns = Vec::new();
    for one in code.uses.iter().filter(|one| counts_as_reading(one)) {
        match &one.name {
            Name::Exact(name) => drop(read.insert(name)),
            Name::Pattern(text) => patterns.extend(rules.pattern(text)),
            Name::Computed | Name::Whole(_) => {}
        }
    }
    for row in rules.matrix.variables.iter().filter(|row| row.consumers.contains(&code.app)) {
        let name = row.name.as_str();
        let by_file = row.delivery == Delivery::File && read.contains(format!("{name}_FILE").as_str());
        let by_pattern = || patterns.iter().any(|pattern| pattern.name.matches(name));
        if read.contains(name) || by_file || by_pattern() {
            continue;
        }
        let Some((_, position)) = rules.declared.get(name) else { continue };
        findings.push(Finding {
            id: Id::Use(FindingKind::Unused),
            name: name.to_owned(),
            app: Some(code.app.clone()),
            place: rules.place(*position),
            severity: Severity::Error,
            message: format!("\"{}\" receives {name}, but never reads it", code.app),
            hint: format!(
                "take \"{}\" out of its `apps`; if a function of your own reads it, name that in wrappers of [scan]",
                code.app
            ),
        });
    }
}

/// What settings of build tools show to browsers.
pub(super) fn shown(rules: &Rules, code: &AppCode, findings: &mut Vec<Finding>) {
    let mut tell = |kind: FindingKind, name: &str, place: &Place, message: String, hint: &str| {
        findings.push(Finding {
            id: Id::Use(kind),
            name: name.to_owned(),
            app: Some(code.app.clone()),
            place: place.clone(),
            severity: Severity::Error,
            message,
            hint: hint.to_owned(),
        });
    };
    for inlined in &code.inlined {
        let name = inlined.variable.as_str();
        let Some(row) = rules.row(name).filter(|row| row.class != Class::Public) else { continue };
        let message = format!(
            "{name} is {}, but the build writes its value into what browsers load, as {}",
            row.class, inlined.shown_as
        );
        tell(FindingKind::ServerVariableInClient, name, &inlined.place, message, CLIENT_HINT);
    }
    for shown in &code.shown_prefixes {
        let receives = |row: &&Row| row.consumers.contains(&code.app) && row.class != Class::Public;
        for row in rules.matrix.variables.iter().filter(receives) {
            let name = row.name.as_str();
            if name.starts_with(&shown.prefix) {
                let message = format!(
                    "{name} is {}, but these settings show browsers whatever begins with \"{}\"",
                    row.class, shown.prefix
                );
                let hint = "choose a beginning that only public variables have";
                tell(FindingKind::SecretInPublicName, name, &shown.place, message, hint);
            }
        }
    }
}

/// Files that only hand variables on do not read them.
fn counts_as_reading(one: &Use) -> bool {
    let reads = matches!(one.how, How::Read | How::Test | How::Schema | How::Wrapper | How::BuildInput);
    reads && !matches!(one.language, Language::Dockerfile | Language::Compose | Language::Workflow)
}
