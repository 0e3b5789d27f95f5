//! Environments, their ports and the branches that lead to them.

use super::known_environment;
use super::meeting::may_meet;
use crate::findings::Findings;
use crate::id::EnvName;
use crate::naming::slug_pattern;
use crate::source::{At, Span};
use crate::tables::{Document, EnvironmentTable, Per};

/// The environment on a developer's own machine.
pub(super) const LOCAL: &str = "local";

pub(super) fn check(document: &Document, findings: &mut Findings) {
    if document.environments.is_empty() {
        findings
            .absence(Span { start: 0, end: 0 }, "there is no environment")
            .hint("add the table [environments.local], with domain = \"NAME.localhost\"");
    }
    branches(document, findings);
    of_many(document, findings);
    for (name, table) in document.environments.iter() {
        let Some(ports) = &table.ports else { continue };
        if let (Some(http), Some(https)) = (&ports.http, &ports.https)
            && http.value == https.value
        {
            let message = format!("HTTP and HTTPS of {} both listen on port {}", name.value, http.0);
            findings.error(https.span, message).hint("give them ports of their own");
        }
    }
}

fn branches(document: &Document, findings: &mut Findings) {
    for (branch, name) in document.branches.iter() {
        if !known_environment(name, &document.environments, findings) {
            continue;
        }
        let branch = &branch.0;
        if name.as_str() == LOCAL {
            findings
                .error(
                    name.span,
                    format!(
                        "the branch \"{branch}\" cannot be deployed to local: that is each developer's own machine"
                    ),
                )
                .hint("name another environment, or remove the line");
        }
        if document.environments.get(&name.value).is_some_and(|table| table.per.is_some()) {
            findings
                .error(
                    name.span,
                    format!("the branch \"{branch}\" cannot be deployed to {}: it exists many times", name.value),
                )
                .hint("what it exists for gets there by itself; remove the line");
        }
    }
}

/// Environments that exist many times: each instance has a domain and names of its own.
fn of_many(document: &Document, findings: &mut Findings) {
    let environments = document.environments.in_order();
    let mut seen: Vec<(&At<EnvName>, Per)> = Vec::new();
    for (name, table) in &environments {
        for per in Per::ALL.iter().copied().filter(|per| table.domain.has(*per)) {
            if table.per.as_ref().is_none_or(|of| of.value != per) {
                let (placeholder, words) = (per.placeholder(), per.words());
                findings
                    .error(
                        table.domain.span,
                        format!("\"{placeholder}\" has no meaning in {}: it does not exist per {words}", name.value),
                    )
                    .hint(format!("add per = \"{per}\", or write the domain without it"));
            }
        }
        let Some(per) = &table.per else { continue };
        if !table.domain.has(per.value) {
            let example = match per.value {
                Per::PullRequest => "put the number of the pull request in it: \"pr-{pr}.preview.shop.example\"",
                Per::Branch => "put the branch in it: \"{branch}.sandbox.shop.example\"",
            };
            findings
                .error(table.domain.span, format!("all instances of {} would share one domain", name.value))
                .hint(example);
        }
        if let Some(earlier) = seen.iter().find(|(_, of)| *of == per.value).map(|(name, _)| name) {
            let words = per.words();
            findings
                .error(per.span, format!("both {} and {} exist per {words}", earlier.value, name.value))
                .hint(format!("a {words} has one environment: remove one of the two lines"));
        }
        seen.push((*name, per.value));
    }
    named_like_instances(document, findings);
}

/// All names of an environment are made from its slug: one that is called like an instance of another would share its data.
fn named_like_instances(document: &Document, findings: &mut Findings) {
    let environments = document.environments.in_order();
    let pattern =
        |name: &EnvName, table: &EnvironmentTable| slug_pattern(name, table.per.as_ref().map(|per| per.value));
    for (many, table) in environments.iter().filter(|(_, table)| table.per.is_some()) {
        let instances = pattern(&many.value, table);
        for (name, other) in environments.iter().filter(|(name, _)| name.value != many.value) {
            if may_meet(&instances, &pattern(&name.value, other)) {
                findings
                    .error(
                        name.span,
                        format!("\"{}\" would share its names with an instance of {}", name.value, many.value),
                    )
                    .hint("give the environment another name: both would have the same database");
            }
        }
    }
}
