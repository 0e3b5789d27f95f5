//! What one run of a code host's pipeline does: its jobs, and how work is spread over them. Decided once, by whoever plans; all
//! others, the verdict too, go by what is written here.

use std::collections::BTreeMap;

use manifest::DeployedBranch;
use serde::{Deserialize, Serialize};

use crate::hash_of;
use crate::hex;
use crate::jobs::Job;
use crate::plan::Plan;

/// Of what a [`Pipeline`] is written in. Another one is not understood.
pub const VERSION: u32 = 1;

/// A matrix of GitHub has at most 256 jobs.
const MOST_PARTS: usize = 200;

/// As the base of a comparison: nothing is common, so everything is new.
pub const NOTHING: &str = "0000000000000000000000000000000000000000";

/// Why the pipeline runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occasion {
    /// `pull_request`, `push`, …
    pub event: String,
    /// The branch that was pushed, if one was.
    pub branch: Option<String>,
    /// What is compared with.
    pub base: String,
}

/// The plan of a run. Its JSON is a contract between jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    pub version: u32,
    pub event: String,
    pub head: String,
    pub base: String,
    /// Each job that the plan decides on, and whether it runs.
    pub jobs: BTreeMap<String, bool>,
    /// The environment that is deployed to when all has passed; empty: none.
    pub deploy: String,
    /// What is looked at, by name.
    pub packages: Vec<String>,
}

/// What one job of the matrix does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    pub name: String,
    /// Names, joined by commas.
    pub packages: String,
    /// Of their content: results are kept under it.
    pub hash: String,
}

/// Why a pipeline was started: by its event, as the code host writes it down. Pushes look at everything: what was done before with the
/// same content is not done again, and what failed at an earlier push is not forgotten because a later one did not touch it.
pub fn occasion(event: &str, reference: &str, payload: &serde_json::Value) -> Occasion {
    let text = |path: &str| payload.pointer(path).and_then(serde_json::Value::as_str).map(str::to_owned);
    let base = match event {
        "pull_request" => text("/pull_request/base/sha"),
        "merge_group" => text("/merge_group/base_sha"),
        _ => None,
    };
    let branch = reference.strip_prefix("refs/heads/").filter(|_| event == "push");
    Occasion {
        event: event.to_owned(),
        branch: branch.map(str::to_owned),
        base: base.unwrap_or_else(|| NOTHING.to_owned()),
    }
}

/// Decides what runs. `jobs` is what `ci run` would do.
pub fn pipeline(occasion: &Occasion, plan: &Plan, jobs: &[Job], deployed: &[DeployedBranch]) -> (Pipeline, Vec<Part>) {
    let parts = parts(plan, jobs);
    let goes_to = deployed
        .iter()
        .find(|deployed| occasion.branch.as_deref() == Some(&deployed.branch) && deployed.from.is_none());
    let mut runs = BTreeMap::from([("check".to_owned(), !parts.is_empty())]);
    if deployed.iter().any(|deployed| deployed.from.is_none()) {
        runs.insert("release".to_owned(), goes_to.is_some());
    }
    let packages = parts.iter().flat_map(|part| part.packages.split(',')).map(str::to_owned).collect();
    let pipeline = Pipeline {
        version: VERSION,
        event: occasion.event.clone(),
        head: plan.head.clone(),
        base: occasion.base.clone(),
        jobs: runs,
        deploy: goes_to.map(|goes_to| goes_to.environment.clone()).unwrap_or_default(),
        packages,
    };
    (pipeline, parts)
}

/// A package each, as long as there are not too many.
fn parts(plan: &Plan, jobs: &[Job]) -> Vec<Part> {
    let mut asked: Vec<(&str, String)> = Vec::new();
    for job in jobs.iter().filter(|job| job.is_asked) {
        if !asked.iter().any(|(name, _)| *name == job.package) {
            let package = &plan.workspace.packages[job.path.as_str()];
            asked.push((&job.package, hex(plan.workspace.hash(package))));
        }
    }
    let each = asked.len().div_ceil(MOST_PARTS).max(1);
    let part = |of: &[(&str, String)]| {
        let names: Vec<&str> = of.iter().map(|(name, _)| *name).collect();
        let name = match of.len() {
            1 => names[0].to_owned(),
            more => format!("{} and {} more", names[0], more - 1),
        };
        let hash = match of {
            [(_, hash)] => hash.clone(),
            _ => hex(&hash_of(of.iter().map(|(_, hash)| hash.as_bytes()))),
        };
        Part { name, packages: names.join(","), hash }
    };
    asked.chunks(each).map(part).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_compared_with_is_what_the_event_says() {
        let base = "1234567890123456789012345678901234567890";
        let request = occasion("pull_request", "refs/pull/7/merge", &json!({"pull_request": {"base": {"sha": base}}}));
        assert_eq!((request.base.as_str(), request.branch), (base, None));
        let queue = occasion(
            "merge_group",
            "refs/heads/gh-readonly-queue/main/pr-7",
            &json!({"merge_group": {"base_sha": base}}),
        );
        assert_eq!((queue.base.as_str(), queue.branch), (base, None), "what waits in a queue is not deployed");
        let push = occasion("push", "refs/heads/develop", &json!({"before": base}));
        assert_eq!((push.base.as_str(), push.branch.as_deref()), (NOTHING, Some("develop")));
        let tag = occasion("push", "refs/tags/develop", &json!({}));
        assert_eq!(tag.branch, None, "a tag is no branch of the same name");
        // An event without what it should have is compared with nothing: everything is looked at.
        assert_eq!(occasion("pull_request", "refs/pull/7/merge", &json!({})).base, NOTHING);
    }
}
