//! The gate, asked for from elsewhere: begun, and looked at later, since it takes longer than a request may.

use std::sync::{Arc, Mutex, PoisonError};

use reconcile::Fault;

use super::answers::Gate;
use super::call::Caller;
use super::problem::Problem;
use super::questions::ToProve;
use crate::control::wire::ReadyRequest;
use crate::control::{Control, proof};

/// A run that was asked for here.
#[derive(Debug, Default)]
pub(super) struct GateRun {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    is_running: bool,
    trouble: Option<Fault>,
}

impl GateRun {
    /// Whether this one begins: two at once would take the environment away from each other.
    fn begin(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = !state.is_running;
        if begins {
            *state = State { is_running: true, trouble: None };
        }
        begins
    }

    fn end(&self, trouble: Option<Fault>) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State { is_running: false, trouble };
    }
}

/// Begins a look at all promises, in a task of its own.
pub(in crate::control) fn begin_all(control: &Arc<Control>) -> Result<(), Fault> {
    if !control.api.gate.begin() {
        return Err(Fault::new("the gate is being run").hint("look at it again when it is done"));
    }
    tokio::spawn(run(control.clone(), ReadyRequest::default()));
    Ok(())
}

/// Whether a run is under way, and why the last one came to no end, if so.
pub(in crate::control) fn under_way(control: &Control) -> (bool, Option<Fault>) {
    let state = control.api.gate.state.lock().unwrap_or_else(PoisonError::into_inner);
    (state.is_running, state.trouble.clone())
}

pub(super) async fn begin(caller: Caller, what: ToProve) -> Result<Gate, Problem> {
    let control = caller.control;
    if !control.api.gate.begin() {
        return Err(Fault::new("the gate is being run").hint("ask for it again when it is done").into());
    }
    let request = ReadyRequest { only: what.only.into_iter().map(|name| name.0).collect() };
    tokio::spawn(run(control.clone(), request));
    stands(&control)
}

async fn run(control: Arc<Control>, request: ReadyRequest) {
    // In a task of its own: if it dies, somebody still says that it did.
    let running = tokio::spawn({
        let control = control.clone();
        async move { proof::run(&control, &request, |_| {}).await.map(drop) }
    });
    let ended = running.await.unwrap_or_else(|error| Err(Fault::because("the gate came to no end", &error)));
    control.api.gate.end(ended.err());
}

/// How the promises stand, by the newest look at each.
pub(super) fn stands(control: &Control) -> Result<Gate, Problem> {
    let newest = control.ledger.newest_of_each();
    let newest = newest.map_err(|fault| Fault::because("cannot read the evidence", &fault))?;
    let (is_running, trouble) = {
        let state = control.api.gate.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.is_running, state.trouble.clone())
    };
    let holds = (!newest.is_empty()).then(|| newest.iter().all(|evidence| evidence.verdict == gate::Verdict::Holds));
    Ok(Gate {
        is_running,
        trouble: trouble.map(Into::into),
        holds,
        checks: newest.into_iter().map(Into::into).collect(),
    })
}
