//! T9: no release reaches visitors whose pages were not looked at, and a look can fail.

use std::sync::Arc;

use delivery::deployment::Happened;
use delivery::{Book, Deployment, Kind, State};
use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact, Outcome};
use host::clock::Clock;
use smoke::{Plan, Report};

pub(crate) const CLAIM: Claim = Claim {
    task: "T9",
    id: "failed-looks-fail-deployments",
    claim: "Every release was looked at before visitors got it, a page that is not as it should be is seen, and fails the deployment",
    hint: "`roadbed smoke` shows the pages as visitors get them, `roadbed deploy list` how each deployment ended",
    impact: Impact::Observes,
};

/// On no page. Whoever finds it there looks at nothing.
const NOWHERE: &str = "a text that roadbed asks for because no page has it";

/// Looks at the live pages by the means of deployments, and at the book for what came of earlier looks.
#[derive(Debug)]
pub struct FailedLooksFailDeployments {
    /// The pages of what is live, by the public way in.
    pub plan: Plan,
    pub book: Arc<Book>,
    /// The newest first.
    pub deployments: Vec<Deployment>,
    pub clock: Arc<dyn Clock>,
}

impl Check for FailedLooksFailDeployments {
    fn claim(&self) -> &Claim {
        &CLAIM
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(async {
            if self.plan.pages.is_empty() {
                return Outcome::inconclusive("the manifest names no page to look at");
            }
            let mut findings = Findings::default();
            let unproven = match self.look(&self.plan).await {
                Ok(report) => judge_pages(&report, &mut findings),
                Err(why) => return Outcome::inconclusive(why),
            };
            match self.look(&impossible(&self.plan)).await {
                Ok(report) => judge_impossible(&report, &mut findings),
                Err(why) => return Outcome::inconclusive(why),
            }
            for deployment in &self.deployments {
                match self.book.happened(deployment.id, 0) {
                    Ok(happened) => judge_history(deployment, &happened, &mut findings),
                    Err(fault) => findings.bad(format!("{}: nobody knows how it went: {fault}", deployment.id)),
                }
            }
            let outcome = findings.outcome();
            match outcome.verdict {
                gate::Verdict::Holds if unproven => Outcome { verdict: gate::Verdict::Inconclusive, ..outcome },
                _ => outcome,
            }
        })
    }
}

impl FailedLooksFailDeployments {
    async fn look(&self, plan: &Plan) -> Result<Report, String> {
        smoke::run(plan, self.clock.as_ref()).await.map_err(|fault| format!("cannot look at the pages: {fault}"))
    }
}

/// The same pages, with what none of them has. Over HTTP alone: a browser would wait for the text to come.
fn impossible(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    for page in &mut plan.pages {
        page.contains = Some(NOWHERE.to_owned());
        page.rendering = None;
    }
    plan
}

/// Whether a page could not be seen to the end, for no fault of its own.
fn judge_pages(report: &Report, findings: &mut Findings) -> bool {
    let mut unproven = false;
    for page in &report.pages {
        let complaints: Vec<String> = page.complaints.iter().map(ToString::to_string).collect();
        let complaints = complaints.join("; ");
        match page.verdict {
            smoke::Verdict::Holds => findings.good(format!("{} is as it should be", page.url)),
            smoke::Verdict::Fails => findings.bad(format!("{}: {complaints}", page.url)),
            smoke::Verdict::Unproven => {
                unproven = true;
                findings.good(format!("NOT SEEN: {}: {complaints}", page.url));
            }
        }
    }
    unproven
}

fn judge_impossible(report: &Report, findings: &mut Findings) {
    let passed: Vec<&str> = report
        .pages
        .iter()
        .filter(|page| page.verdict == smoke::Verdict::Holds)
        .map(|page| page.url.as_str())
        .collect();
    match passed.first() {
        None => findings.good(format!("asked for a text that no page has, {} pages failed", report.pages.len())),
        Some(url) => findings.bad(format!("{url} is said to be as it should be whatever is asked of it")),
    }
}

/// A deployment that visitors saw was looked at before, and one whose look failed was never seen by them.
fn judge_history(deployment: &Deployment, happened: &[Happened], findings: &mut Findings) {
    let entered = |state| happened.iter().position(|line| line.state == state && line.what.is_empty());
    let id = deployment.id;
    // What stands ready was looked at when it went live.
    let is_flip = deployment.kind == Kind::Rollback && entered(State::Starting).is_none();
    match (entered(State::Smoking), entered(State::Switching)) {
        (None, Some(_)) if !is_flip => findings.bad(format!("{id} reached visitors and nobody had looked at it")),
        (Some(smoking), Some(switching)) if switching < smoking => {
            findings.bad(format!("{id} reached visitors before it was looked at"));
        }
        (Some(_), None) if deployment.state == State::Live => {
            findings.bad(format!("{id} is said to be live and was never switched to"));
        }
        (Some(_), None) if deployment.state.is_over() => {
            findings.good(format!("{id} failed its look, or was called off then: {}", deployment.state));
        }
        _ => {}
    }
}
