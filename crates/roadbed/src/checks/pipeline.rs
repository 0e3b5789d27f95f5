//! T8: a change to an app is looked at, and nothing that was left out passes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ci::changes::Checkout;
use ci::jobs::{self, Surroundings, Wanted as Jobs};
use ci::pipeline::{NOTHING, Occasion, Pipeline, pipeline};
use ci::plan::{Plan, Request, plan};
use ci::trees::Changed;
use ci::verdict::verdict;
use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact, Outcome};
use host::files;
use manifest::Manifest;
use reconcile::Fault;

use crate::wanted::{self, Wanted};

pub(crate) const CLAIM: Claim = Claim {
    task: "T8",
    id: "changes-are-checked",
    claim: "A change to any app is looked at before it is merged, and a check that was left out has not passed",
    hint: "`roadbed generate` writes the workflows, `roadbed ci plan` shows what a change affects",
    impact: Impact::Observes,
};

/// Reads manifest and workflows as they are now: the next push does.
#[derive(Debug)]
pub struct ChangesAreChecked {
    pub wanted: Wanted,
}

impl Check for ChangesAreChecked {
    fn claim(&self) -> &Claim {
        &CLAIM
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        let wanted = self.wanted.clone();
        Box::pin(async move {
            match tokio::task::spawn_blocking(move || look(&wanted)).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(fault)) => Outcome::fails(std::iter::once(fault.message).chain(fault.causes).collect()),
                Err(panic) => Outcome::inconclusive(format!("the search broke off: {panic}")),
            }
        })
    }
}

fn look(wanted: &Wanted) -> Result<Outcome, Fault> {
    let manifest = wanted::manifest_as_edited(wanted)?;
    let folder = wanted.manifest.parent().unwrap_or(Path::new("/"));
    let mut findings = Findings::default();
    let are_current = workflows(&manifest, folder, &mut findings)?;
    // What a change affects is told from commits. Without a repository nothing is known of changes.
    let Ok(checkout) = Checkout::of(folder) else {
        if !are_current {
            return Ok(findings.outcome());
        }
        return Ok(Outcome::inconclusive(format!("{} is in no git repository", folder.display())));
    };
    let name = wanted.manifest.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let whole = match everything(&manifest, &checkout, &name) {
        Ok(whole) => whole,
        Err(fault) => return Ok(Outcome::inconclusive(format!("{fault}: {}", fault.causes.join(": ")))),
    };
    apps(&manifest, &whole, &mut findings)?;
    Ok(findings.outcome())
}

/// Whether the workflows are those that the manifest makes.
fn workflows(manifest: &Manifest, folder: &Path, findings: &mut Findings) -> Result<bool, Fault> {
    let mut are_current = true;
    for file in manifest.workflows().iter().flat_map(ci::workflows::files) {
        let path: PathBuf = folder.join(&file.path);
        let found = files::read_if_exists(&path).map_err(|fault| Fault::because("cannot look at workflows", &fault))?;
        are_current &= found.as_deref() == Some(file.text.as_bytes());
        match found {
            Some(text) if text == file.text.as_bytes() => {
                findings.good(format!("{} is as the manifest makes it", file.path))
            }
            Some(_) => findings.bad(format!("{} is not as the manifest makes it", file.path)),
            None => findings.bad(format!("{} is missing", file.path)),
        }
    }
    Ok(are_current)
}

/// A plan in which everything is new.
fn everything(manifest: &Manifest, checkout: &Checkout, name: &str) -> Result<Plan, Fault> {
    let (ci, changed) = (manifest.ci(), Changed::new());
    plan(&Request { checkout, changed: &changed, base: Some(NOTHING), ci: &ci, manifest: name })
}

/// Each app has a part in the plan, and a run that left its part out is refused.
fn apps(manifest: &Manifest, whole: &Plan, findings: &mut Findings) -> Result<(), Fault> {
    let ci = manifest.ci();
    let jobs = jobs::jobs(whole, &ci, &Jobs::Affected, &[], &Surroundings::default())?;
    let deployed = manifest.workflows().map(|workflows| workflows.deployed).unwrap_or_default();
    let occasion = Occasion { event: "pull_request".to_owned(), branch: None, base: NOTHING.to_owned() };
    let (planned, _) = pipeline(&occasion, whole, &jobs, &deployed);
    for app in manifest.apps() {
        let path = ci.apps.iter().find(|known| known.name == app.as_str()).map(|known| known.path.as_str());
        if !path.is_some_and(|path| whole.workspace.packages.contains_key(path)) {
            findings.good(format!("{app} is in no commit yet"));
            continue;
        }
        let tasks = jobs.iter().filter(|job| job.package == app.as_str()).map(|job| job.task.as_str());
        let tasks: Vec<&str> = tasks.collect();
        if planned.packages.iter().any(|package| package == app.as_str()) && !tasks.is_empty() {
            findings.good(format!("a change to {app} is looked at: {}", tasks.join(", ")));
        } else {
            findings.bad(format!("nothing is run for a change to {app}"));
        }
    }
    // Where nothing is run there is nothing that could be left out; that was told above.
    if !planned.jobs.get("check").is_some_and(|runs| *runs) {
        return Ok(());
    }
    let ended = |result: &str| ran(&planned, result);
    for (result, is_fine) in [("success", true), ("skipped", false), ("failure", false), ("cancelled", false)] {
        let passes = ended(result)?;
        match passes == is_fine {
            true => findings.good(format!("a run whose check ends with {result} {}", word(passes))),
            false => findings.bad(format!("a run whose check ends with {result} {}", word(passes))),
        }
    }
    Ok(())
}

fn word(passes: bool) -> &'static str {
    if passes { "passes" } else { "is refused" }
}

/// Whether a run passes in which everything that the plan runs ended so.
fn ran(planned: &Pipeline, result: &str) -> Result<bool, Fault> {
    let runs = planned.jobs.iter().map(|(job, runs)| (job.as_str(), if *runs { result } else { "skipped" }));
    let needs: BTreeMap<&str, serde_json::Value> =
        runs.chain([("plan", "success")]).map(|(job, result)| (job, serde_json::json!({ "result": result }))).collect();
    let plan = serde_json::to_string(planned).expect("a plan is plain data");
    let needs = serde_json::to_string(&needs).expect("results are plain data");
    Ok(verdict(&plan, &needs)?.iter().all(|said| said.holds))
}
