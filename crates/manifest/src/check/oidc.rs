//! Whose CI is let in.

use crate::findings::Findings;
use crate::oidc::{CiEvent, NUMBER};
use crate::tables::{Document, Per};

pub(super) fn check(document: &Document, findings: &mut Findings) {
    for (name, table) in document.environments.in_order() {
        let Some(oidc) = &table.oidc else { continue };
        let name = name.value.as_str();
        if table.api.is_none() {
            findings
                .error(oidc.span, format!("nobody can show a token of a CI to {name}: it is not asked from elsewhere"))
                .hint(format!("add `api = {{}}` to [environments.{name}]"));
        }
        let is_per_pull_request = table.per.as_ref().is_some_and(|per| per.value == Per::PullRequest);
        for list in [oidc.value.events.is_empty().then_some(("events", oidc.value.events.span))]
            .into_iter()
            .chain([oidc.value.algorithms.is_empty().then_some(("algorithms", oidc.value.algorithms.span))])
            .flatten()
        {
            findings.error(list.1, format!("\"{}\" is empty: no token would be accepted", list.0)).hint("name one");
        }
        super::no_repetition(&oidc.value.events, findings);
        super::no_repetition(&oidc.value.algorithms, findings);
        for event in oidc.value.events.iter().filter(|event| event.value == CiEvent::PullRequest) {
            if !is_per_pull_request {
                findings
                    .error(event.span, format!("a pull request is a stranger's word, and not enough for {name}"))
                    .hint("it is enough only for environments with `per = \"pull-request\"`");
            }
        }
        let texts =
            [(oidc.value.r#ref.0.as_str(), oidc.value.r#ref.span), (&oidc.value.workflow.0, oidc.value.workflow.span)];
        let texts = texts.into_iter().chain(oidc.value.job_workflow.iter().map(|text| (text.0.as_str(), text.span)));
        for (text, span) in texts {
            if text.contains(NUMBER) && !is_per_pull_request {
                findings
                    .error(span, format!("\"{NUMBER}\" has no meaning in {name}"))
                    .hint("it does not exist per pull request");
            }
        }
        if table.per.as_ref().is_some_and(|per| per.value == Per::Branch) {
            findings
                .error(oidc.span, format!("no token of a CI tells which instance of {name} it is for"))
                .hint("remove it; of environments that exist many times only those per pull request can have it");
            continue;
        }
        let git_ref = &oidc.value.r#ref;
        if is_per_pull_request && !git_ref.0.contains(NUMBER) {
            findings
                .error(git_ref.span, format!("every instance of {name} would take the same ref"))
                .hint("write \"refs/pull/{pr}/merge\": each pull request gets into its own");
        }
        if !is_per_pull_request && git_ref.0.starts_with("refs/pull/") {
            findings
                .error(git_ref.span, format!("a pull request is a stranger's word, and not enough for {name}"))
                .hint("write the branch that is deployed here: \"refs/heads/main\"");
        }
    }
}
