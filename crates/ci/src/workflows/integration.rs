//! `ci.yml`: what a change affects is linted, checked, tested and built, and one job says whether all that was done.

use manifest::Workflows;

use super::steps::{self, Turn, pinned};
use super::{deploy_job, filled};

const TOP: &str = include_str!("templates/ci.yml");

const RELEASE: &str = include_str!("templates/ci-release.yml");

const REQUIRED: &str = include_str!("templates/ci-required.yml");

const DEPLOY: &str = include_str!("templates/ci-deploy.yml");

pub(super) fn text(workflows: &Workflows) -> String {
    let builds: Vec<&str> = workflows
        .deployed
        .iter()
        .filter(|deployed| deployed.from.is_none())
        .map(|deployed| deployed.environment.as_str())
        .collect();
    let mut text = format!("{}{TOP}", steps::HEAD);
    if !builds.is_empty() {
        text += RELEASE;
    }
    text += REQUIRED;
    for environment in &builds {
        text += &filled(DEPLOY, &[("job", &deploy_job(environment)), ("environment", environment)]);
    }
    let branches: Vec<String> = workflows.deployed.iter().map(|deployed| quoted(&deployed.branch)).collect();
    let minutes = if workflows.program == manifest::Program::Source { "60" } else { "15" };
    let text = filled(
        &text,
        &[
            ("branches", &branches.join(", ")),
            ("runner", &workflows.runner),
            ("minutes", minutes),
            ("and-release", if builds.is_empty() { "" } else { ", release" }),
            ("with-history", &steps::checkout_with_history()),
            ("node", &steps::node(workflows)),
            ("program-first", &steps::program(workflows, Turn::First)),
            ("program", &steps::program(workflows, Turn::Later)),
            ("task-secrets", &steps::secrets(&workflows.task_secrets)),
            ("build-env", &steps::build_environment(workflows)),
        ],
    );
    pinned(&text)
}

/// A branch as YAML takes it for a text, and GitHub for itself: a name may have no `*`, but it may be `on` or `1.0`.
pub(super) fn quoted(branch: &str) -> String {
    let is_plain = branch.len() > 3
        && branch.starts_with(|c: char| c.is_ascii_lowercase())
        && branch.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'-' | b'/'))
        && !["true", "false", "null"].contains(&branch);
    if is_plain { branch.to_owned() } else { format!("'{}'", branch.replace('\'', "''")) }
}
