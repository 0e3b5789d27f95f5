//! Results as JUnit XML: a suite for each package, a case for each task.

use std::collections::BTreeMap;

use reports::{Case, Suite, Verdict};

use crate::attempt::lines;
use crate::jobs::Job;
use crate::run::{Done, Outcome};

/// Lines of a log that a case shows: readers put it all on one page.
const SHOWN: usize = 200;

/// The document.
pub fn junit(jobs: &[Job], done: &[Done]) -> Vec<u8> {
    let mut suites: BTreeMap<&str, Vec<Case>> = BTreeMap::new();
    for (job, over) in jobs.iter().zip(done) {
        suites.entry(&job.package).or_default().push(case(job, over));
    }
    let suites: Vec<Suite> =
        suites.into_iter().map(|(package, cases)| Suite { name: package.to_owned(), cases }).collect();
    reports::junit::junit("roadbed ci", &suites)
}

fn case(job: &Job, done: &Done) -> Case {
    let why = done.why.clone().unwrap_or_default();
    let verdict = match done.outcome {
        Outcome::Failed => Verdict::Failed(why),
        Outcome::Skipped | Outcome::Stopped => Verdict::Skipped(why),
        Outcome::Succeeded if done.is_flaky() => Verdict::Flaky(format!("it succeeded at attempt {}", done.attempts)),
        Outcome::Succeeded | Outcome::Cached => Verdict::Passed,
    };
    Case { name: job.task.clone(), took: done.took, verdict, output: shown(&done.log) }
}

fn shown(log: &[u8]) -> String {
    let mut last: Vec<_> = lines(log).rev().take(SHOWN).collect();
    last.reverse();
    last.join("\n")
}
