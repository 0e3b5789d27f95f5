//! T1: every required variable has a source, an owner and a value.

use std::sync::Arc;

use engine::variables::{Facts, assemble};
use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact, Outcome};
use manifest::Environment;

use crate::wanted;
use crate::wanted::Wanted;

pub(crate) const CLAIM: Claim = Claim {
    task: "T1",
    id: "variables-are-owned",
    claim: "Every required variable has a source, an owner and a value",
    hint: "`roadbed manifest check` and `roadbed env matrix` show what is declared",
    impact: Impact::Observes,
};

/// Reads the manifest as it is now, not as it was at `up`: what was edited since counts.
#[derive(Debug)]
pub struct VariablesAreOwned {
    pub wanted: Wanted,
    pub facts: Arc<dyn Facts>,
}

impl Check for VariablesAreOwned {
    fn claim(&self) -> &Claim {
        &CLAIM
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(async {
            match wanted::resolve_as_edited(&self.wanted) {
                Ok(environment) => look(&environment, self.facts.as_ref()),
                Err(fault) => Outcome::fails(std::iter::once(fault.message).chain(fault.causes).collect()),
            }
        })
    }
}

fn look(environment: &Environment, facts: &dyn Facts) -> Outcome {
    let mut findings = Findings::default();
    let required: Vec<_> = environment.variables.iter().filter(|variable| variable.required).collect();
    for variable in &required {
        // The types give each variable an owner and a source; that both say something is for this check to see.
        if variable.owner.as_str().is_empty() || variable.consumers.is_empty() {
            findings.bad(format!("{} has no owner or nobody who reads it", variable.name));
        }
    }
    for app in &environment.apps {
        let wanted = environment.variables_of(&app.name).filter(|variable| variable.required).count();
        match assemble(environment, &app.name, facts) {
            Ok(assembled) => findings.good(format!(
                "{}: {wanted} required variables have a source, an owner and a value; {} values in all",
                app.name,
                assembled.values.len()
            )),
            Err(fault) => {
                findings.bad(fault.message);
                fault.causes.into_iter().for_each(|cause| findings.bad(cause));
            }
        }
    }
    findings.outcome()
}
