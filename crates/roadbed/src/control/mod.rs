//! Control: decides. It converges the environment to what is wanted, runs the gate, and answers the command line.
//!
//! It may crash at any time: the keeper starts it again, it reads what is wanted and converges. Apps, stores and edge go on
//! meanwhile.

pub mod wire;
pub mod launch;
pub mod client;
pub mod server;
mod continuous;
pub mod convergence;
pub mod proof;
pub mod drift;
pub mod delivering;
pub mod watch;
pub mod scaling;
pub mod rotating;
pub mod renewing;
mod limiting;
mod telling;
mod telling_facts;
mod telling_monitors;
mod source_maps;
mod smoking;
mod process_model;
pub mod rotation_request;
pub mod rotation_steps;
mod holders;
pub mod fresh_value;
pub mod identity;
pub mod home;
pub mod possessions;
pub(crate) mod redacting;
pub mod adoption;
pub mod forgetting;
pub mod lent;
pub mod lending;
mod lending_record;
mod statistics;
pub mod backing_up;
pub mod login;
mod errand;
pub mod access;
mod console;
pub mod api;
mod expiring;
mod upgrading;
pub mod sleeping;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gate::Ledger;
use host::clock::{Clock, SystemClock};
use identity::Identity;
use journal::Journal;
use reconcile::{Fault, Root};
use redacting::Redactions;
use secrets::Store;

use crate::footprint;
use crate::keeper::client::KeeperClient;
use crate::keeper::{SPAWN_MARK, UNIT_MARK, lifeline};
use crate::seats;
use crate::wanted::{self, Wanted};

/// What control works with: one per process.
#[derive(Debug)]
pub struct Control {
    pub root: Root,
    /// Id of the root: what its parts are marked with.
    pub id: String,
    pub clock: Arc<dyn Clock>,
    pub journal: Arc<Journal>,
    pub ledger: Ledger,
    pub keeper: Arc<KeeperClient>,
    /// The marks that the keeper gave this process. Builds and installs get them too: what a killed control leaves behind is ended
    /// before the next one begins, or two builds would meet in one folder.
    pub marks: BTreeMap<String, String>,
    /// One convergence or gate run at a time: a gate that looks while things move would see neither state.
    pub turn: tokio::sync::Mutex<()>,
    pub rotation: rotating::Rotating,
    pub drift: drift::LastLook,
    /// How often it has converged: what is gone after one more is gone because it was meant to be.
    pub convergences: AtomicU64,
    pub renewing: renewing::Renewing,
    pub delivering: delivering::Delivering,
    /// Where people log in.
    pub desk: login::Desk,
    /// Who may see what is protected.
    pub access: access::Access,
    /// Pages about it.
    console: console::Console,
    /// Tokens, and what is asked with them.
    pub api: api::Api,
    /// Backups, and rehearsals of them.
    pub backing_up: backing_up::BackingUp,
    /// One lease is struck at a time, so that its end is noted once.
    pub striking: tokio::sync::Mutex<()>,
}

impl Control {
    /// What was known of the world before a convergence says nothing any more.
    pub(super) fn has_converged(&self) {
        self.drift.forget();
        self.convergences.fetch_add(1, Ordering::Relaxed);
    }

    /// As [`Control::redactions`], of what is wanted already. Where nothing is, there is nothing to look at, and no key with which
    /// to tell what must not be said.
    pub(crate) fn redactions_as_wanted(&self) -> Redactions {
        match wanted::read(&self.root) {
            Ok(Some(want)) => self.redactions(&want),
            _ => Redactions::none(self.clock.clone()),
        }
    }

    /// What keeps secrets out of what is said: those of the store, and those that whoever asks gave to builds.
    pub(crate) fn redactions(&self, want: &Wanted) -> Redactions {
        let secrets = Store::new(seats::of_control(&self.root, &self.id, &self.clock, want));
        Redactions::new(secrets, &want.given.0, self.clock.clone())
    }
}

/// Runs control until it is told to stop.
pub async fn run(root: Root) -> Result<(), Fault> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let Some(identity) = identity::read(&root)? else {
        return Err(Fault::new(format!("cannot run control: {} is no root", root.path().display()))
            .hint("`roadbed up` makes one"));
    };
    let (journal, ledger) = open_state(&root, &identity, clock.clone())?;
    identity::note_state(&root, &identity)?;
    let deliveries = delivering::open(&root, &identity, clock.clone())?;
    for cut_off in journal.take_interrupted().map_err(|fault| state_fault(&fault))? {
        tracing::warn!(resource = cut_off.resource, step = cut_off.step, "a crash cut this step off; looking again");
    }
    let desk = login::Desk::new(&identity.id, host::machine::name());
    let tokens = api::tokens::Tokens::open(&api::tokens::Tokens::path(&root), clock.now())
        .map_err(|fault| state_fault(&fault))?;
    let book = access::book::Book::open(&access::book::Book::path(&root)).map_err(|fault| state_fault(&fault))?;
    let keeper = Arc::new(KeeperClient::new(root.clone()).of_epoch(deliveries.epoch()));
    let control = Arc::new(Control {
        root: root.clone(),
        id: identity.id,
        clock,
        journal: Arc::new(journal),
        ledger,
        keeper,
        marks: own_marks(),
        turn: tokio::sync::Mutex::default(),
        rotation: rotating::Rotating::default(),
        drift: drift::LastLook::default(),
        convergences: AtomicU64::new(0),
        renewing: renewing::Renewing::default(),
        delivering: delivering::Delivering::new(deliveries),
        desk,
        backing_up: backing_up::BackingUp::default(),
        access: access::Access::new(book),
        console: console::Console::default(),
        api: api::Api::new(tokens),
        striking: tokio::sync::Mutex::default(),
    });
    let watching = tokio::spawn(watch::watch(control.clone()));
    let rotating = tokio::spawn(rotating::carry_on(control.clone()));
    let looking_out = tokio::spawn(drift::look_out(control.clone()));
    let renewing = tokio::spawn(renewing::carry_on(control.clone()));
    let limiting = tokio::spawn(limiting::carry_on(control.clone()));
    let admission = tokio::spawn(access::telling::carry_on(control.clone()));
    let telling = tokio::spawn(telling::carry_on(control.clone()));
    let sweeping = tokio::spawn(lending::sweep(control.clone()));
    let delivering = tokio::spawn(delivering::carry_on(control.clone()));
    let backing_up = tokio::spawn(backing_up::carry_on(control.clone()));
    let scaling = tokio::spawn(scaling::carry_on(control.clone()));
    let proving = tokio::spawn(continuous::carry_on(control.clone()));
    let expiring = tokio::spawn(expiring::watch(control.clone()));
    let upgrading = tokio::spawn(upgrading::watch(control.clone()));
    let listening = tokio::spawn(api::listener::listen(control.clone()));
    let sleeping = tokio::spawn(sleeping::watch(control.clone()));
    let light = tokio::spawn(footprint::stay_light());
    let lifeline = tokio::spawn(lifeline::hold(root, Vec::new()));
    let served = server::serve(control).await;
    watching.abort();
    rotating.abort();
    looking_out.abort();
    renewing.abort();
    limiting.abort();
    admission.abort();
    telling.abort();
    sweeping.abort();
    proving.abort();
    expiring.abort();
    upgrading.abort();
    backing_up.abort();
    scaling.abort();
    sleeping.abort();
    delivering.abort();
    listening.abort();
    light.abort();
    lifeline.abort();
    served
}

/// Opens what the environment knows of itself, and refuses what is damaged.
fn open_state(root: &Root, identity: &Identity, clock: Arc<dyn Clock>) -> Result<(Journal, Ledger), Fault> {
    let presence = identity.presence();
    let journal = Journal::open(&root.state().join("journal.db"), presence, clock);
    let journal = journal.and_then(|journal| journal.of(&identity.id));
    let ledger = proof::ledger(root, identity);
    Ok((journal.map_err(|fault| state_fault(&fault))?, ledger.map_err(|fault| state_fault(&fault))?))
}

fn own_marks() -> BTreeMap<String, String> {
    let of = |name: &str| Some((name.to_owned(), std::env::var(name).ok()?));
    [UNIT_MARK, SPAWN_MARK].into_iter().filter_map(of).collect()
}

/// A state file that cannot be used: what, why, and what to do.
fn state_fault(fault: &(dyn std::error::Error + 'static)) -> Fault {
    let mut source = fault.source();
    let mut hint = None;
    while let Some(cause) = source {
        if let Some(fault) = cause.downcast_ref::<host::database::DatabaseFault>() {
            hint = Some(fault.hint());
        }
        source = cause.source();
    }
    Fault { hint: hint.map(str::to_owned), ..Fault::because("cannot read the state of this environment", fault) }
}
