//! `[scan]` and `[patterns]`: that what they name is there, and that patterns say the same as the variables they describe.

use super::{known_app, known_owner, no_repetition};
use crate::findings::Findings;
use crate::scan::FindingKind;
use crate::tables::Document;

pub(super) fn check(document: &Document, findings: &mut Findings) {
    for allow in &document.scan.allow {
        // The others are findings about names that need not be declared.
        let is_of_declared = !matches!(
            allow.kind.value,
            FindingKind::Undeclared | FindingKind::ComputedName | FindingKind::WholeEnvironment | FindingKind::Write
        );
        let is_known = || document.variables.iter().any(|(name, _)| allow.name.matches(name.as_str()));
        if is_of_declared && !is_known() {
            let names = document.variables.in_order();
            findings
                .absence(
                    allow.name.span,
                    format!("there is no variable \"{}\" that could be {}", allow.name.as_str(), allow.kind.value),
                )
                .did_you_mean(allow.name.as_str(), names.iter().map(|(name, _)| name.as_str()), "the variables are");
        }
    }
    for (name, pattern) in document.patterns.iter() {
        let shown = name.0.as_str();
        known_owner(&pattern.owner, document, findings);
        no_repetition(&pattern.apps, findings);
        for app in &pattern.apps.value {
            known_app(&app.value, app.span, document, findings);
        }
        if pattern.apps.is_empty() {
            findings
                .error(pattern.apps.span, format!("no app reads {shown}"))
                .hint("name the apps that do, or remove the pattern");
        }
        let described = || document.variables.iter().filter(|(variable, _)| name.0.matches(variable.as_str()));
        if described().next().is_none() {
            findings
                .warning(name.span, format!("no variable is called {shown}"))
                .hint("declare the variables that the code puts together, or remove the pattern");
        }
        for (variable, table) in described() {
            if table.class.value != pattern.class.value {
                findings
                    .error(
                        table.class.span,
                        format!("{} is {}, but {shown} is {}", variable.value, table.class.value, pattern.class.value),
                    )
                    .hint("code that puts the name together cannot tell them apart: give both the same class");
            }
            if table.r#type.value != pattern.r#type.value {
                findings
                    .error(
                        table.r#type.span,
                        format!(
                            "{} is of type {}, but {shown} is of type {}",
                            variable.value, table.r#type.value, pattern.r#type.value
                        ),
                    )
                    .hint("code that puts the name together cannot tell them apart: give both the same type");
            }
        }
    }
}
