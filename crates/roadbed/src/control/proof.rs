//! Runs the gate, and keeps the evidence.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gate::ledger::LedgerFault;
use gate::{Check, Evidence, Ledger, Report};
use reconcile::ports::{UnitKind, Units};
use reconcile::{Fault, Root};

use super::identity::Identity;
use super::wire::{Explained, Message, ReadyRequest};
use super::{Control, convergence, sleeping};
use crate::checks::ProtectedRefusesStrangers;
use crate::wanted::{self, Wanted};
use crate::world::{Ports, World};

/// The longest checks wait for a restarted store and a reconnected driver, or search history and what was built: 3 to 5 s on an idle
/// machine. Each bounds its own waits by less, so only one that hangs, or a machine with twenty times the work it can do, gets there.
const BUDGET: Duration = Duration::from_secs(90);

/// Where the evidence lies.
pub fn ledger_path(root: &Root) -> PathBuf {
    root.state().join("evidence.db")
}

/// Opens the evidence of this root; another's is refused.
pub fn ledger(root: &Root, identity: &Identity) -> Result<Ledger, LedgerFault> {
    Ledger::open(&ledger_path(root), identity.presence()).and_then(|ledger| ledger.of(&identity.id))
}

/// What the gate was asked.
pub(super) struct Asked {
    pub want: Wanted,
    pub world: World,
    pub checks: Vec<Box<dyn Check>>,
}

/// What the checks of the environment promise, those of `request` alone, untested.
pub async fn explain(control: &Control, request: &ReadyRequest) -> Result<Vec<Explained>, Fault> {
    let _turn = control.turn.lock().await;
    let checks = asked_for(control, request).await?.checks;
    Ok(checks.iter().map(|check| Explained::from(check.claim())).collect())
}

/// Lets every store run again. A check freezes one for a moment; if control is killed in that moment, nobody else knows of it.
/// What such a check had stopped is on hold at the keeper, and the next convergence starts it.
pub async fn thaw_stores(control: &Control) {
    let units = control.keeper.list().await.unwrap_or_default();
    for pid in units.iter().filter(|unit| unit.kind == UnitKind::Store).filter_map(|unit| unit.pid) {
        if let Err(error) = host::drill::thaw(pid) {
            tracing::warn!(pid, %error, "cannot let a store run again");
        }
    }
}

/// Runs the gate of the environment that is wanted, keeps the evidence and reports it.
pub async fn run(
    control: &Control,
    request: &ReadyRequest,
    mut on_evidence: impl FnMut(&Evidence),
) -> Result<Message, Fault> {
    sleeping::ensure_awake(control).await?;
    let _turn = control.turn.lock().await;
    let Asked { want, world, checks } = asked_for(control, request).await?;
    world.compile_what_is_developed().await?;
    let mut unkept = None;
    let redactions = control.redactions(&want);
    let evidence = gate::run(&checks, BUDGET, control.clock.as_ref(), |evidence| {
        let observed = evidence.observed.iter().map(|text| redactions.redact(text).into_owned()).collect();
        if let Err(fault) = control.ledger.append(&Evidence { observed, ..evidence.clone() }) {
            unkept.get_or_insert(fault);
        }
        on_evidence(evidence);
    })
    .await;
    if let Some(fault) = unkept {
        return Err(Fault::because("cannot keep the evidence", &fault).hint("see whether the disk is full"));
    }
    Ok(Message::Report { report: Report::new(want.environment, evidence) })
}

/// What is wanted, and the checks of it that were asked for. Whoever calls has the turn.
pub(super) async fn asked_for(control: &Control, request: &ReadyRequest) -> Result<Asked, Fault> {
    let want = wanted::read(&control.root)?
        .ok_or_else(|| Fault::new("there is nothing to check: no environment is wanted").hint("`roadbed up` first"))?;
    let world = convergence::world(control, &want, Ports::Stay).await?;
    let mut checks = world.checks(control.newest_noted()?)?;
    if world.has_protected() {
        checks.push(Box::new(ProtectedRefusesStrangers {
            environment: Arc::new(world.environment().clone()),
            visitor: world.visitor()?,
            signer: control.access.signer(control, &want).await?,
            clock: control.clock.clone(),
        }));
    }
    let wants = |check: &dyn Check| {
        let claim = check.claim();
        request.only.is_empty() || request.only.iter().any(|name| name == claim.id || name == claim.task)
    };
    let known: Vec<&str> = checks.iter().map(|check| check.claim().id).collect();
    let unknown = request.only.iter().find(|name| {
        !checks.iter().any(|check| check.claim().id == name.as_str() || check.claim().task == name.as_str())
    });
    if let Some(name) = unknown {
        return Err(Fault::new(format!("there is no check {name:?}"))
            .hint(format!("name a task (T5) or one of: {}", known.join(", "))));
    }
    checks.retain(|check| wants(check.as_ref()));
    Ok(Asked { want, world, checks })
}
