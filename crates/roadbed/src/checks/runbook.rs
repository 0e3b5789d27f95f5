//! T14: who is called at night has a page that is true, and commands that can be typed.

use std::path::Path;

use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact, Outcome};
use host::files;
use incidents::{Command, commands, runbook};
use manifest::{EnvRef, Manifest};
use reconcile::Fault;

use crate::cli::args::Arguments;
use crate::wanted::{self, Wanted};

pub(crate) const CLAIM: Claim = Claim {
    task: "T14",
    id: "runbook-can-be-followed",
    claim: "The runbook is as the manifest makes it, says who is called, and each command in it can be typed as it stands",
    hint: "`roadbed generate` writes docs/infra/runbook.md; `[incidents]` in roadbed.toml says who is called",
    impact: Impact::Observes,
};

/// Reads page and manifest as they are now: who is called at night does.
#[derive(Debug)]
pub struct RunbookCanBeFollowed {
    pub wanted: Wanted,
}

impl RunbookCanBeFollowed {
    /// Whether there must be a page, or is one: an environment that no branch is deployed to has no visitors.
    pub fn is_due(wanted: &Wanted) -> Result<bool, Fault> {
        let served = wanted::manifest_as_wanted(wanted)?.served_environments();
        let is_served = served.iter().any(|environment| environment.name.as_str() == wanted.environment);
        Ok(is_served || files::exists(&folder(wanted).join(runbook::PATH)))
    }
}

fn folder(wanted: &Wanted) -> &Path {
    crate::world::project(&wanted.manifest)
}

impl Check for RunbookCanBeFollowed {
    fn claim(&self) -> &Claim {
        &CLAIM
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(async {
            let manifest = match wanted::manifest_as_edited(&self.wanted) {
                Ok(manifest) => manifest,
                Err(fault) => return Outcome::fails(std::iter::once(fault.message).chain(fault.causes).collect()),
            };
            match files::read_if_exists(&folder(&self.wanted).join(runbook::PATH)) {
                Ok(Some(page)) => look(&manifest, &String::from_utf8_lossy(&page)),
                Ok(None) => Outcome::fails(vec![format!("BROKEN: there is no {}", runbook::PATH)]),
                Err(fault) => Outcome::inconclusive(format!("{fault}: {}", fault.source)),
            }
        })
    }
}

fn look(manifest: &Manifest, page: &str) -> Outcome {
    let mut findings = Findings::default();
    match runbook::page(manifest, Some(page)) == page {
        true => findings.good(format!("{} is as the manifest makes it", runbook::PATH)),
        false => findings.bad(format!("{} is not as the manifest makes it", runbook::PATH)),
    }
    let incidents = manifest.incidents();
    match incidents.lead.as_ref().and_then(|lead| incidents.owner(lead)) {
        Some(lead) => {
            findings.good(format!("{} leads, and {} are called after", lead.name, incidents.escalation.len()))
        }
        None => findings.bad("nobody is named who leads"),
    }
    for owner in incidents.owners.iter().filter(|owner| owner.contact.trim().is_empty()) {
        findings.bad(format!("{} cannot be reached: its contact is empty", owner.name));
    }
    let all = commands(page);
    let broken: Vec<String> = all
        .iter()
        .filter_map(|command| Some(format!("line {}: {}", command.line, fault(manifest, command)?)))
        .collect();
    match broken.is_empty() {
        true => findings.good(format!("{} commands, each of which this program knows", all.len())),
        false => broken.into_iter().for_each(|sentence| findings.bad(sentence)),
    }
    findings.outcome()
}

/// Why a command of Roadbed cannot be typed. Other programs' are theirs.
fn fault(manifest: &Manifest, command: &Command) -> Option<String> {
    let text = &command.text;
    let Some(words) = command.words() else { return Some(format!("`{text}` has a quotation without an end")) };
    if words.first().is_none_or(|program| program != "roadbed") {
        return None;
    }
    if let Err(error) = Arguments::definition().try_get_matches_from(&words) {
        let why = error.to_string();
        return Some(format!("`{text}`: {}", why.lines().next().unwrap_or("it is no command")));
    }
    let named = words.iter().skip_while(|word| *word != "--env").nth(1)?;
    let known = named.parse::<EnvRef>().is_ok_and(|environment| manifest.resolve(&environment).is_ok());
    (!known).then(|| format!("`{text}`: there is no environment {named}"))
}

#[cfg(test)]
mod tests {
    use gate::Verdict;
    use manifest::Source;

    use super::*;

    const TINY: &str = "[product]\nname = \"tiny\"\n[owners.team]\ndescription = \"All\"\ncontact = \"team@tiny.example\"\n\
        [branches]\nmain = \"production\"\n[environments.production]\ndomain = \"tiny.example\"\n\
        [apps.web]\nowner = \"team\"\npath = \"web\"\nkind = \"static\"\nhosts = [\"www\"]\n";

    fn manifest(text: &str) -> Manifest {
        manifest::parse(&Source::new("roadbed.toml", text)).0.expect("it is sound")
    }

    #[test]
    fn every_command_of_a_fresh_page_is_one_that_this_program_knows() {
        let manifest = manifest(TINY);
        let outcome = look(&manifest, &runbook::page(&manifest, None));
        assert_eq!(outcome.verdict, Verdict::Holds, "{outcome:#?}");
    }

    #[test]
    fn a_command_that_is_none_and_an_environment_that_is_none_are_told_with_their_lines() {
        let manifest = manifest(TINY);
        let page = runbook::page(&manifest, None);
        let kept = "<!-- /kept -->";
        let page = page.replace(
            kept,
            &format!("```sh\nroadbed undo --env production\nroadbed status --env prod\ncurl https://x\n```\n{kept}"),
        );
        let outcome = look(&manifest, &page);
        let seen = outcome.observed.join("\n");
        assert_eq!(outcome.verdict, Verdict::Fails);
        assert!(
            seen.contains("`roadbed undo --env production`") && seen.contains("there is no environment prod"),
            "{seen}"
        );
        assert!(!seen.contains("curl") && seen.contains("is as the manifest makes it"), "{seen}");
    }
}
