//! T1: the apps read only variables that are declared for them.

use std::path::Path;

use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact, Outcome};
use manifest::{Diagnostic, Severity, Source};
use reconcile::Fault;
use usage::Checked;

use crate::wanted::{self, Wanted};

pub(crate) const CLAIM: Claim = Claim {
    task: "T1",
    id: "code-matches-the-matrix",
    claim: "The apps read only variables that are declared for them",
    hint: "`roadbed env check` shows each place and what to do",
    impact: Impact::Observes,
};

/// More would bury the rest of the report; `roadbed env check` has them all.
const MOST_TOLD: usize = 10;

/// Reads the code and the manifest as they are now, not as they were at `up`: what was edited since counts.
#[derive(Debug)]
pub struct CodeMatchesTheMatrix {
    pub wanted: Wanted,
}

impl Check for CodeMatchesTheMatrix {
    fn claim(&self) -> &Claim {
        &CLAIM
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        let wanted = self.wanted.clone();
        Box::pin(async move {
            match tokio::task::spawn_blocking(move || look(&wanted)).await {
                Ok(Ok(checked)) => outcome(&checked),
                Ok(Err(fault)) => Outcome::fails(std::iter::once(fault.message).chain(fault.causes).collect()),
                Err(panic) => Outcome::inconclusive(format!("the search broke off: {panic}")),
            }
        })
    }
}

fn look(wanted: &Wanted) -> Result<Checked, Fault> {
    let source = wanted::source_as_edited(wanted)?;
    let (manifest, diagnostics) = manifest::parse(&source);
    let manifest = manifest.ok_or_else(|| faults(&source, &diagnostics))?;
    let folder = wanted.manifest.parent().unwrap_or(Path::new("/"));
    usage::check(folder, &manifest, &source)
        .map_err(|fault| Fault::because("cannot look at the code of the apps", &fault))
}

fn faults(source: &Source, diagnostics: &[Diagnostic]) -> Fault {
    let mut fault = Fault::new(format!("{} has faults", source.file));
    fault.causes = diagnostics.iter().filter(|told| told.is_error()).map(|told| told.message.clone()).collect();
    fault
}

fn outcome(checked: &Checked) -> Outcome {
    let mut findings = Findings::default();
    let errors: Vec<_> = checked.findings.iter().filter(|told| told.severity == Severity::Error).collect();
    for told in errors.iter().take(MOST_TOLD) {
        findings.bad(format!("{}: {} [{}]", told.place, told.message, told.id));
    }
    if errors.len() > MOST_TOLD {
        findings.bad(format!("and {} more", errors.len() - MOST_TOLD));
    }
    // A search in the wrong place would find every declared variable unused, so that none found proves something.
    findings.good(format!("{} uses of variables in {} files were looked at", checked.uses, checked.files));
    findings.outcome()
}
