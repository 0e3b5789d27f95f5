//! What only environments have that exist many times.

use crate::findings::Findings;
use crate::source::Span;
use crate::tables::{Document, EnvironmentTable, Per};

pub(super) fn check(document: &Document, findings: &mut Findings) {
    for (name, table) in document.environments.iter() {
        if table.per.is_none() {
            for (key, span, why) in only_of_many(table) {
                findings
                    .error(span, format!("{} {why}", name.value))
                    .hint(format!("leave {key} out, or add per = \"pull-request\""));
            }
        }
        let is_per_branch = table.per.as_ref().is_some_and(|per| per.value == Per::Branch);
        for builder in &table.builders {
            if is_per_branch {
                findings
                    .error(builder.span, format!("{} is made by branches, which nobody has to allow", name.value))
                    .hint("leave builders out: strangers bring pull requests");
            } else if !document.people.has(&builder.value) {
                findings
                    .error(builder.span, format!("there is no person \"{}\"", builder.value))
                    .hint("name somebody of [people], with the SSH key that tells who they are");
            }
        }
    }
}

fn only_of_many(table: &EnvironmentTable) -> Vec<(&'static str, Span, &'static str)> {
    let ttl =
        table.ttl.as_ref().map(|ttl| ("ttl", ttl.span, "would be purged: only what exists many times ends by itself"));
    let idle = table
        .idle
        .as_ref()
        .map(|idle| ("idle", idle.span, "would be asleep for its visitors: only what exists many times sleeps"));
    let limits = table
        .limits
        .as_ref()
        .map(|limits| ("limits", limits.span, "exists once: only what exists many times is capped as a whole"));
    let builders = table
        .builders
        .first()
        .map(|builder| ("builders", builder.span, "is made by no pull request, so nobody has to allow one"));
    [ttl, idle, limits, builders].into_iter().flatten().collect()
}
