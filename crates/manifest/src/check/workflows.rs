//! Workflows: environments that are promoted from, and whether a branch goes there.

use crate::findings::Findings;
use crate::id::EnvName;
use crate::tables::{Document, Per};

pub(super) fn check(document: &Document, findings: &mut Findings) {
    let Some(workflows) = &document.ci.workflows else { return };
    let workflows = &workflows.value;
    let is_deployed = |name: &EnvName| document.branches.iter().any(|(_, to)| to.value == *name);
    for (name, from) in workflows.promote.in_order() {
        for (environment, span) in [(&name.value, name.span), (&from.value, from.span)] {
            if document.environments.get(environment).is_none() {
                findings.absence(span, format!("there is no environment \"{environment}\"")).did_you_mean(
                    environment.as_str(),
                    document.environments.iter().map(|(name, _)| name.as_str()),
                    "the environments are",
                );
            } else if !is_deployed(environment) {
                findings
                    .error(span, format!("no branch goes to {environment}"))
                    .hint("name its branch in [branches]: a push there is what deploys");
            }
        }
        if workflows.promote.get(&from.value).is_some() {
            findings
                .error(from.span, format!("{} builds nothing itself: it is promoted too", from.value))
                .hint("name the environment that what is built goes to first");
        }
    }
    let is_per_request = |per: &crate::source::At<Per>| per.value == Per::PullRequest;
    let has_previews = document.environments.iter().any(|(_, table)| table.per.as_ref().is_some_and(is_per_request));
    if let Some(label) = workflows.previews.first().filter(|_| !has_previews) {
        findings
            .error(label.span, "there is no environment per pull request that a workflow could bring up")
            .hint("add [environments.preview] with per = \"pull-request\", or leave `previews` out");
    }
}
