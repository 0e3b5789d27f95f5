//! Environments, their ports and the branches that lead to them.

use super::known_environment;
use crate::findings::Findings;
use crate::source::Span;
use crate::tables::Document;

/// The environment on a developer's own machine.
const LOCAL: &str = "local";

pub(super) fn check(document: &Document, findings: &mut Findings) {
    if document.environments.is_empty() {
        findings
            .absence(Span { start: 0, end: 0 }, "there is no environment")
            .hint("add the table [environments.local], with domain = \"NAME.localhost\"");
    }
    branches(document, findings);
    per_pull_request(document, findings);
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
                    format!("the branch \"{branch}\" cannot be deployed to {}: it exists per pull request", name.value),
                )
                .hint("pull requests get there by themselves; remove the line");
        }
    }
}

fn per_pull_request(document: &Document, findings: &mut Findings) {
    let mut first = None;
    for (name, table) in document.environments.in_order() {
        match (&table.per, table.domain.is_per_pull_request()) {
            (Some(_), false) => findings
                .error(table.domain.span, format!("all instances of {} would share one domain", name.value))
                .hint("put the number of the pull request in it: \"pr-{pr}.preview.shop.example\""),
            (None, true) => findings
                .error(
                    table.domain.span,
                    format!("\"{{pr}}\" has no meaning in {}: it does not exist per pull request", name.value),
                )
                .hint("add per = \"pull-request\", or write the domain without it"),
            _ => {}
        }
        if let Some(per) = &table.per
            && let Some(earlier) = first.replace(&name.value)
        {
            findings
                .error(per.span, format!("both {earlier} and {} exist per pull request", name.value))
                .hint("a pull request has one environment: remove one of the two lines");
        }
    }
}
