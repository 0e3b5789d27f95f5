//! A repository on GitHub: environments that are there, and times that GitHub can keep.

use std::time::Duration;

use crate::findings::Findings;
use crate::tables::Document;

/// GitHub waits for thirty days at most, which no duration here reaches.
const MINUTE: Duration = Duration::from_secs(60);

pub(super) fn check(document: &Document, findings: &mut Findings) {
    let Some(table) = &document.ci.github else { return };
    let of_environments = table.value.environments.in_order();
    let of_environments = of_environments.iter().flat_map(|(_, one)| &one.secrets);
    for name in table.value.secrets.iter().chain(of_environments) {
        if name.value.as_str().starts_with("GITHUB_") {
            findings
                .error(name.span, format!("GitHub takes no secret \"{}\": names that begin so are its own", name.value))
                .hint("call it otherwise");
        }
    }
    for (name, environment) in table.value.environments.in_order() {
        if document.environments.get(&name.value).is_none() {
            findings
                .error(name.span, format!("there is no environment \"{}\"", name.value))
                .hint("name one of [environments]");
        }
        if let Some(wait) = &environment.wait
            && !wait.value.as_secs().is_multiple_of(MINUTE.as_secs())
        {
            findings.error(wait.span, "GitHub waits for whole minutes".to_owned()).hint("write them: \"5m\"");
        }
        if environment.reviewers.len() > 6 {
            findings
                .error(name.span, format!("\"{}\" has more than six reviewers, which GitHub does not take", name.value))
                .hint("name a team: \"team/platform\"");
        }
    }
}
