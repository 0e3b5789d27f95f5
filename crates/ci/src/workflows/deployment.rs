//! `deploy-E.yml`: what was built is brought to an environment, or what was deployed elsewhere, unchanged.

use manifest::{DeployedBranch, Workflows};

use super::integration::quoted;
use super::steps::{self, Turn, pinned};
use super::{deploy_job, filled};

/// Called by `ci.yml`, so that nothing is deployed that did not pass, and so that whom the token of identity names is this file.
const CALLED: &str = include_str!("templates/deploy-called.yml");

const PROMOTED: &str = include_str!("templates/deploy-promoted.yml");

const DEPLOY: &str = include_str!("templates/deploy.yml");

const KEPT: &str = include_str!("templates/deploy-kept.yml");

/// A run in which it was skipped has deployed nothing that visitors see yet.
const LIVE: &str = include_str!("templates/deploy-live.yml");

/// The workflow that calls has one of its own, for more than this.
const CONCURRENCY: &str = include_str!("templates/deploy-concurrency.yml");

const OF_RUN: &str = "          run-id: ${{ needs.find.outputs.run }}\n          github-token: ${{ github.token }}\n";

pub(super) fn text(workflows: &Workflows, deployed: &DeployedBranch) -> String {
    let environment = &deployed.environment;
    let is_promoted = deployed.from.is_some();
    let (from, from_branch) = deployed.from.clone().unwrap_or_default();
    let promoted: Vec<&str> = workflows
        .deployed
        .iter()
        .filter(|other| other.from.as_ref().is_some_and(|(from, _)| from == environment))
        .map(|other| other.environment.as_str())
        .collect();
    let top = if is_promoted { PROMOTED } else { CALLED };
    let kept = if promoted.is_empty() { "" } else { KEPT };
    let minutes = if workflows.program == manifest::Program::Source { "60" } else { "10" };
    let text = filled(
        &format!("{}{top}{DEPLOY}{kept}{LIVE}", steps::HEAD),
        &[
            ("needs", if is_promoted { "    needs: find\n" } else { "" }),
            ("actions", if is_promoted { "      actions: read # to get what another run kept\n" } else { "" }),
            ("concurrency", if is_promoted { "" } else { CONCURRENCY }),
            ("of-run", if is_promoted { OF_RUN } else { "" }),
            ("release", if is_promoted { "${{ needs.find.outputs.name }}" } else { "release" }),
            ("checkout", &steps::checkout()),
            ("program-first", &steps::program(workflows, Turn::First)),
            ("program", &steps::program(workflows, Turn::Later)),
            ("job", &deploy_job(environment)),
            ("promoted", &promoted.join(", ")),
            ("environment", environment),
            ("from", &from),
            ("from-branch", &from_branch),
            ("quoted-branch", &quoted(&deployed.branch)),
            ("branch", &deployed.branch),
            ("runner", &workflows.runner),
            ("minutes", minutes),
        ],
    );
    pinned(&text)
}
