//! T2: the branch alone decides where a deploy goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact, Outcome};
use manifest::{Change, EnvRef, Environment, Manifest, Target};

use crate::wanted::{self, Wanted};

pub(crate) const CLAIM: Claim = Claim {
    task: "T2",
    id: "targets-follow-branches",
    claim: "The branch alone decides where a deploy goes, and no two environments share a name",
    hint: "`roadbed target --branch NAME` shows where a branch goes and what is named after it",
    impact: Impact::Observes,
};

/// Names that somebody may give a branch to get where it does not belong.
const HOSTILE: [&str; 12] = [
    "../../production",
    "main\n",
    "main ",
    "refs/heads/main",
    "-main",
    "main/",
    "Main",
    "MAIN",
    "feature/main",
    "🚀",
    "production",
    "pr-1",
];

/// Reads the manifest as it is now: the next deploy does.
#[derive(Debug)]
pub struct TargetsFollowBranches {
    pub wanted: Wanted,
    /// What runs.
    pub environment: Arc<Environment>,
}

impl Check for TargetsFollowBranches {
    fn claim(&self) -> &Claim {
        &CLAIM
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(async {
            match wanted::manifest_as_edited(&self.wanted) {
                Ok(manifest) => look(&manifest, &self.environment),
                Err(fault) => Outcome::fails(std::iter::once(fault.message).chain(fault.causes).collect()),
            }
        })
    }
}

fn look(manifest: &Manifest, runs: &Environment) -> Outcome {
    let mut findings = Findings::default();
    let mut targets: BTreeMap<EnvRef, Target> = BTreeMap::new();
    let declared = manifest.branches();
    for (branch, environment) in &declared {
        let change = Change::branch(branch);
        match change.map(|change| manifest.target(&change)) {
            Ok(Some(target)) if target == EnvRef::new(environment.clone()) => {
                findings.good(format!("{branch} goes to {environment}"));
                keep(manifest, target, &mut targets);
            }
            Ok(other) => {
                let seen = other.map_or("nowhere".to_owned(), |other| other.to_string());
                findings.bad(format!("{branch} is declared to go to {environment}, and goes to {seen}"));
            }
            Err(error) => findings.bad(error.to_string()),
        }
    }
    for number in [1, 2, 12, u32::MAX] {
        if let Some(target) = manifest.target(&Change::PullRequest(number)) {
            keep(manifest, target, &mut targets);
        }
    }
    refuse_hostile(
        manifest,
        &declared.iter().map(|(branch, _)| branch.as_str()).collect::<Vec<_>>(),
        &mut targets,
        &mut findings,
    );
    for name in manifest.environments() {
        keep(manifest, EnvRef::new(name), &mut targets);
    }
    let named = no_name_twice(targets.values(), &mut findings);
    findings.good(format!("{named} names in {} environments, all different", targets.len()));
    match manifest.names(&runs.reference()) {
        Some(target) if is_what_runs(&target, runs) => {
            findings.good(format!("what runs here is named as {} is in the manifest", target.environment));
        }
        Some(target) => {
            findings.bad(format!("what runs here is not named as {} is in the manifest now", target.environment))
        }
        None => findings.bad(format!("the manifest has no environment {} any more", runs.reference())),
    }
    findings.outcome()
}

fn keep(manifest: &Manifest, environment: EnvRef, targets: &mut BTreeMap<EnvRef, Target>) {
    if let Some(target) = manifest.names(&environment) {
        targets.insert(environment, target);
    }
}

/// A branch that is not declared goes nowhere, or to an environment that is its own.
fn refuse_hostile(
    manifest: &Manifest,
    declared: &[&str],
    targets: &mut BTreeMap<EnvRef, Target>,
    findings: &mut Findings,
) {
    let mut refused = 0;
    for branch in HOSTILE.iter().filter(|branch| !declared.contains(branch)) {
        match Change::branch(branch).map(|change| manifest.target(&change)) {
            Ok(Some(target)) if target.instance.is_none() => {
                findings.bad(format!("{branch:?} is not declared, and goes to {target}"));
            }
            Ok(Some(target)) => keep(manifest, target, targets),
            Ok(None) | Err(_) => refused += 1,
        }
    }
    findings.good(format!("{refused} other names of branches go nowhere, {:?} among them", HOSTILE[0]));
}

/// How many names there are. A name that two have is told.
fn no_name_twice<'a>(targets: impl Iterator<Item = &'a Target>, findings: &mut Findings) -> usize {
    let mut owners: BTreeMap<String, &EnvRef> = BTreeMap::new();
    for target in targets {
        let hosts = target.hosts.values().flatten().map(|host| format!("the host {host}"));
        let buckets = target.buckets.values().map(|bucket| format!("the bucket {bucket}"));
        let users = target.units.values().map(|user| format!("the user {user}"));
        let database = target.database.iter().map(|name| format!("the database {name}"));
        let prefix = target.redis_key_prefix.iter().map(|name| format!("keys that begin with {name}"));
        let scope = std::iter::once(format!("the secrets of {}", target.secret_scope));
        for name in hosts.chain(buckets).chain(users).chain(database).chain(prefix).chain(scope) {
            if let Some(other) = owners.get(&name).filter(|other| **other != &target.environment) {
                findings.bad(format!("{other} and {} both have {name}", target.environment));
            }
            owners.insert(name, &target.environment);
        }
    }
    owners.len()
}

fn is_what_runs(target: &Target, runs: &Environment) -> bool {
    let hosts = runs.apps.iter().all(|app| target.hosts.get(&app.name) == Some(&app.hosts));
    let database = runs.mongodb.as_ref().map(|mongodb| &mongodb.database);
    let prefix = runs.redis.as_ref().map(|redis| &redis.key_prefix);
    hosts && target.database.as_ref() == database && target.redis_key_prefix.as_ref() == prefix
}
