//! Protected branches: a protection that protects nothing is a mistake.

use crate::findings::Findings;
use crate::tables::Document;

pub(super) fn check(document: &Document, findings: &mut Findings) {
    let Some(table) = &document.ci.protection else { return };
    if table.value.checks.is_empty() {
        findings
            .error(table.span, "[ci.protection] requires no check".to_owned())
            .hint("name one in `checks`, or leave `checks` out for \"required\"");
    }
    let is_without_branches = match &table.value.branches {
        Some(branches) => branches.is_empty(),
        None => document.branches.in_order().is_empty(),
    };
    if is_without_branches {
        findings
            .error(table.span, "[ci.protection] protects no branch".to_owned())
            .hint("name them in `branches`, or remove [ci.protection]");
    }
}
