//! Nothing is older than the manifest lets it be.

use std::sync::Arc;

use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact, Outcome};
use host::clock::{Clock, Timestamp};
use manifest::Environment;
use secrets::Store;

use crate::render::span;
use crate::rotation::due::{no_earlier_than, set_back};
use crate::rotation::{Due, due, subjects};
use crate::wanted;
use crate::wanted::Wanted;

pub(crate) const CLAIM: Claim = Claim {
    task: "T7",
    id: "nothing-is-overdue",
    claim: "No secret is older than the manifest lets it be",
    hint: "`roadbed secrets rotate --due` replaces what is overdue; what a person sets, `roadbed secrets set NAME`",
    impact: Impact::Observes,
};

/// Reads the manifest as it is now: who makes the ages shorter wants to know at once what that means.
#[derive(Debug)]
pub struct NothingIsOverdue {
    pub wanted: Wanted,
    pub secrets: Arc<Store>,
    pub clock: Arc<dyn Clock>,
    /// The newest time that this environment wrote down.
    pub noted: Option<Timestamp>,
}

impl Check for NothingIsOverdue {
    fn claim(&self) -> &Claim {
        &CLAIM
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(async {
            match wanted::resolve_as_edited(&self.wanted) {
                Ok(environment) => self.look(&environment),
                Err(fault) => Outcome::fails(std::iter::once(fault.message).chain(fault.causes).collect()),
            }
        })
    }
}

impl NothingIsOverdue {
    fn look(&self, environment: &Environment) -> Outcome {
        let mut findings = Findings::default();
        let rows = match self.secrets.versions() {
            Ok(rows) => rows,
            Err(fault) => return Outcome::fails(vec![format!("the secret store cannot be read: {fault}")]),
        };
        let now = self.clock.now();
        if let Some(by) = set_back(self.noted, &rows, now) {
            findings.bad(format!(
                "the clock says {now}, which is {} before what was noted here: ages are counted from the later time",
                span::time(u64::try_from(by.as_millis()).unwrap_or(u64::MAX))
            ));
        }
        let now = no_earlier_than(self.noted, &rows, now);
        for subject in subjects(environment) {
            let (name, kind) = (subject.name(), subject.kind());
            match due(&subject, &rows, now) {
                Due::NoValue => findings.good(format!("{name}: has no value")),
                Due::Later { at } => findings.good(format!("{name} ({kind}): due at {at}")),
                Due::Overdue { since } => {
                    findings.bad(format!("{name} ({kind}, owner: {}): overdue since {since}", subject.owner()));
                }
            }
        }
        findings.outcome()
    }
}
