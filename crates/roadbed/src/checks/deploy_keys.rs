//! Where runs of a CI get in by their own token, nobody keeps one there that deploys.

use std::sync::Arc;
use std::time::Duration;

use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact, Outcome};
use host::clock::Clock;
use manifest::Oidc;
use reconcile::Root;

use crate::control::api::action::Action;
use crate::control::api::authorise::{Role, Standing};
use crate::control::api::tokens::Tokens;
use crate::control::identity;

pub(crate) const CLAIM: Claim = Claim {
    task: "T8",
    id: "no-deploy-key-is-kept",
    claim: "No token that deploys lies with a CI: its runs get in by their own",
    hint: "`roadbed token revoke ID` ends it; `roadbed deploy --remote URL --oidc` needs none",
    impact: Impact::Observes,
};

/// As long as somebody works with a token that names nobody. One that holds longer is kept somewhere.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads the book of tokens.
#[derive(Debug)]
pub struct NoDeployKeyIsKept {
    pub root: Root,
    pub rules: Oidc,
    pub clock: Arc<dyn Clock>,
}

impl Check for NoDeployKeyIsKept {
    fn claim(&self) -> &Claim {
        &CLAIM
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(async { self.look() })
    }
}

impl NoDeployKeyIsKept {
    fn look(&self) -> Outcome {
        let mut findings = Findings::default();
        let now = self.clock.now();
        let cannot = |why: String| Outcome::fails(vec![format!("the book of tokens cannot be read: {why}")]);
        let here = match identity::read(&self.root) {
            Ok(here) => here.map(|identity| identity.id).unwrap_or_default(),
            Err(fault) => return cannot(fault.message),
        };
        let all = match Tokens::open(&Tokens::path(&self.root), now).and_then(|tokens| tokens.all()) {
            Ok(all) => all,
            Err(fault) => return cannot(fault.to_string()),
        };
        let Oidc { repository_id, workflow, .. } = &self.rules;
        findings.good(format!("runs of {workflow} in the repository {repository_id} get in by their own token"));
        for kept in all.iter().filter(|kept| kept.scope.root == here && kept.standing(now) == Standing::Holds) {
            let is_key = match kept.role {
                // Approvals are a person's, and a viewer changes nothing.
                Role::Viewer | Role::Approver => false,
                Role::Deployer | Role::Operator | Role::Pipeline => {
                    kept.person.is_none() && kept.until.since(kept.made_at) > LONGEST
                }
            };
            let told = format!("{} ({} for {}): holds until {}", kept.id, kept.role, kept.name, kept.until);
            if is_key {
                let deploy = Action::Deploy.as_str();
                findings.bad(format!("{told}, may {deploy}, and names nobody whose it is"));
            } else {
                findings.good(told);
            }
        }
        findings.outcome()
    }
}
