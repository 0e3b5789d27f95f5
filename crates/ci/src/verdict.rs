//! Whether a run of a pipeline did what its plan said. A job may be skipped if the plan says so, and for no other reason: a skipped
//! check counts as passed on code hosts, so that one that quietly stops running would stay green.

use std::collections::BTreeMap;

use reconcile::Fault;
use serde::{Deserialize, Serialize};

use crate::pipeline::{Pipeline, VERSION};

/// The job that plans. Without it nothing is known of the others.
const PLAN: &str = "plan";

/// How a job ended, as GitHub names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Result {
    Success,
    Failure,
    Cancelled,
    Skipped,
    /// A word that we do not know is nothing to rely on.
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize)]
struct Need {
    result: Result,
}

/// What is said of one job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Said {
    pub job: String,
    pub holds: bool,
    pub why: String,
}

/// Judges each job that somebody needs: `needs` is GitHub's `toJSON(needs)`, `plan` the output of the job that planned.
pub fn verdict(plan: &str, needs: &str) -> std::result::Result<Vec<Said>, Fault> {
    let needs: BTreeMap<String, Need> = serde_json::from_str(needs).map_err(|error| {
        Fault::because("cannot understand how the jobs ended", &error).hint("NEEDS must be `${{ toJSON(needs) }}`")
    })?;
    let say = |job: &str, holds: bool, why: &str| Said { job: job.to_owned(), holds, why: why.to_owned() };
    // GitHub leaves out the outputs of a job that failed; whatever an empty plan allows, it is not this.
    let planned = needs.get(PLAN).map(|need| need.result);
    if planned != Some(Result::Success) {
        let why = match planned {
            None => "is not among what is needed",
            Some(result) => ended(result),
        };
        return Ok(vec![say(PLAN, false, why)]);
    }
    let pipeline: Pipeline = serde_json::from_str(plan).map_err(|error| {
        Fault::because("cannot understand the plan", &error)
            .hint("PLAN must be the output `plan` of the step that ran `roadbed ci plan --github`")
    })?;
    if pipeline.version != VERSION {
        return Err(Fault::new(format!("the plan is of version {}, and this is {VERSION}", pipeline.version))
            .hint("let all jobs of a run use the same `roadbed`"));
    }
    let mut all = vec![say(PLAN, true, "succeeded")];
    for (job, need) in needs.iter().filter(|(job, _)| *job != PLAN) {
        let (holds, why) = match (pipeline.jobs.get(job), need.result) {
            (Some(true), Result::Success) => (true, "succeeded"),
            (Some(true), Result::Skipped) => (false, "was skipped, and the plan says that it runs"),
            (Some(false), Result::Skipped) => (true, "was skipped, as the plan says"),
            (Some(false), Result::Success) => (false, "ran, and the plan says that it is skipped"),
            // The plan is the only one who may excuse a job.
            (None, Result::Success) => (true, "succeeded; the plan does not know it"),
            (None, Result::Skipped) => (false, "was skipped, and the plan does not know it"),
            (_, result) => (false, ended(result)),
        };
        all.push(say(job, holds, why));
    }
    let unseen = pipeline.jobs.iter().filter(|(job, runs)| **runs && !needs.contains_key(*job));
    all.extend(unseen.map(|(job, _)| say(job, false, "runs by the plan, and nobody waited for it")));
    Ok(all)
}

fn ended(result: Result) -> &'static str {
    match result {
        Result::Success => "succeeded",
        Result::Failure => "failed",
        Result::Cancelled => "was cancelled",
        Result::Skipped => "was skipped",
        Result::Unknown => "ended in a way that is not known",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan(check: bool, release: bool) -> String {
        json!({
            "version": 1, "event": "push", "head": "abc", "base": "def", "deploy": "", "packages": [],
            "jobs": {"check": check, "release": release}
        })
        .to_string()
    }

    fn needs(plan: &str, check: &str, release: &str) -> String {
        json!({"plan": {"result": plan, "outputs": {}}, "check": {"result": check}, "release": {"result": release}})
            .to_string()
    }

    fn holds(plan: &str, needs: &str) -> bool {
        verdict(plan, needs).is_ok_and(|all| all.iter().all(|said| said.holds))
    }

    #[test]
    fn a_job_may_be_skipped_only_if_the_plan_says_so() {
        // What the plan says of `check`, how it ended, and whether that is fine.
        let table = [
            (true, "success", true),
            (true, "skipped", false),
            (true, "failure", false),
            (true, "cancelled", false),
            (true, "neutral", false),
            (false, "skipped", true),
            (false, "success", false),
            (false, "failure", false),
            (false, "cancelled", false),
        ];
        for (runs, ended, is_fine) in table {
            assert_eq!(holds(&plan(runs, false), &needs("success", ended, "skipped")), is_fine, "{runs} {ended}");
            // One that fails is not made good by another.
            assert!(!holds(&plan(runs, true), &needs("success", ended, "skipped")), "{runs} {ended}");
        }
    }

    #[test]
    fn without_a_plan_nothing_is_excused() {
        for ended in ["failure", "cancelled", "skipped"] {
            assert!(!holds(&plan(false, false), &needs(ended, "skipped", "skipped")), "{ended}");
        }
        let good = needs("success", "skipped", "skipped");
        for damaged in
            ["", "{}", "null", "[]", "{\"jobs\": {}}", &plan(false, false).replace("\"version\":1", "\"version\":2")]
        {
            assert!(!holds(damaged, &good), "{damaged:?}");
        }
        assert!(holds(&plan(false, false), &good));
        for damaged in ["", "{}", "null", "[]", "{\"check\": {\"result\": \"skipped\"}}"] {
            assert!(!holds(&plan(false, false), damaged), "{damaged:?}");
        }
    }

    #[test]
    fn what_nobody_waited_for_has_not_passed() {
        let said = verdict(&plan(true, false), &json!({"plan": {"result": "success"}}).to_string()).unwrap();
        let check = said.iter().find(|said| said.job == "check").unwrap();
        assert!(!check.holds && check.why.contains("nobody waited"), "{said:?}");
        // A job that somebody added by hand has to succeed: no plan excuses it.
        let with = |ended: &str| {
            json!({"plan": {"result": "success"}, "check": {"result": "success"}, "release": {"result": "skipped"}, "e2e": {"result": ended}})
                .to_string()
        };
        assert!(holds(&plan(true, false), &with("success")));
        assert!(!holds(&plan(true, false), &with("skipped")));
    }

    #[test]
    fn no_text_makes_it_panic() {
        for bytes in ["{", "\u{0}", "{\"plan\": 1}", "{\"plan\": {\"result\": null}}", "9e999"] {
            assert!(!holds(bytes, bytes));
        }
    }
}
