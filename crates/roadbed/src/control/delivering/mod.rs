//! Deployments run here, in control, and never in the command that asked for one: who presses Ctrl-C changes nothing, and a control
//! that is killed reads where it was and goes on.
//!
//! One after the other, by `delivery::machine`. The work of each state is in `work`, safe to do twice. What a state changes about
//! slots is in the book together with the state (`slots`); then the world is converged to it.

mod crossing;
mod edge_life;
mod migrations;
mod pages;
mod promises;
mod rehearsal;
mod request;
mod retention;
mod slots;
mod streams;
mod traffic;
mod work;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use delivery::book::Step;
use delivery::machine::{self, Course, Outcome};
use delivery::{Book, BookFault, Deployment, DeploymentId, Kind, ReleaseId, Role, State};
use host::clock::Clock;
use host::database::Presence;
use manifest::environment::Runs;
use reconcile::fault::Retry;
use reconcile::progress::Unwatched;
use reconcile::{Fault, Root};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::identity::{self, Identity};
use super::{Control, convergence, sleeping, state_fault};
use crate::wanted;
use crate::world::Delivered;

pub use migrations::{Changes, changes};
pub use rehearsal::{AppChange, Rehearsal};
pub use request::{
    Ask, Happening, Listed, Rules, ToApprove, ToCancel, ToRollBack, WayBack, approve, approve_as, ask, ask_by, cancel,
    happening, list, releases, roll_back, way_back,
};
pub(super) use retention::kept;

/// Without anything to do, control looks this often whether a warm release is to be given up.
const IDLE: Duration = Duration::from_secs(1);

/// What died is started again within this.
const BEFORE_AGAIN: Duration = Duration::from_millis(300);

/// So many releases and deployments say what is live and what was before.
const LOOKED_BACK: u32 = 50;

/// Where the book lies.
pub fn path(root: &Root) -> PathBuf {
    root.state().join("delivery.db")
}

/// Opens the book and takes it over. Whoever had it before can no longer change anything.
pub(super) fn open(root: &Root, identity: &Identity, clock: Arc<dyn Clock>) -> Result<Book, Fault> {
    let presence = if identity.has_deliveries { Presence::MustExist } else { Presence::MayBeNew };
    let book = Book::open(&path(root), presence, clock).and_then(|book| book.of(&identity.id));
    let book = book.map_err(|fault| state_fault(&fault))?;
    identity::note_deliveries(root, true)?;
    Ok(book)
}

/// Refuses a book that is another root's or cannot be read, and leaves it to whoever has it.
pub(super) fn judge(root: &Root, identity: &Identity) -> Result<(), Fault> {
    let presence = if identity.has_deliveries { Presence::MustExist } else { Presence::MayBeNew };
    Book::judge(&path(root), presence, &identity.id).map_err(|fault| state_fault(&fault))
}

/// What the deployments of one environment share.
#[derive(Debug)]
pub struct Delivering {
    pub(super) book: Arc<Book>,
    /// Something was asked for, called off or approved.
    changed: Notify,
}

impl Delivering {
    pub(super) fn new(book: Book) -> Self {
        Self { book: Arc::new(book), changed: Notify::new() }
    }

    /// A deployment, if there is one of that number.
    pub(super) fn find(&self, id: DeploymentId) -> Result<Option<Deployment>, Fault> {
        match self.book.deployment(id) {
            Ok(deployment) => Ok(Some(deployment)),
            Err(BookFault::NoDeployment(_)) => Ok(None),
            Err(fault) => Err(told(&fault)),
        }
    }

    /// What visitors reach, once nothing is under way; `None` while something is.
    pub(super) fn settled(&self) -> Result<Option<Option<ReleaseId>>, Fault> {
        if self.book.current().map_err(|fault| told(&fault))?.is_some() {
            return Ok(None);
        }
        self.live().map(Some)
    }

    /// What visitors reach, where it is a release.
    pub(super) fn live(&self) -> Result<Option<ReleaseId>, Fault> {
        let slots = self.book.slots().map_err(|fault| told(&fault))?;
        Ok(slots.into_iter().find(|slot| slot.role == Role::Live).and_then(|slot| slot.release))
    }

    /// Releases and slots, as the world is made from.
    pub(super) fn delivered(&self) -> Result<Delivered, Fault> {
        let instances = self.book.instances().map_err(|fault| told(&fault))?;
        let slots = self.book.slots().map_err(|fault| told(&fault))?;
        let slots = slots.into_iter().map(|slot| {
            let release = slot.release.map(|id| self.book.release(id)).transpose();
            Ok((slot, release.map_err(|fault| told(&fault))?))
        });
        let slots = slots.collect::<Result<Vec<_>, Fault>>()?;
        if slots.is_empty() {
            let (epoch, book) = (Some(self.book.epoch()), Some(self.book.clone()));
            return Ok(Delivered { epoch, book, instances, ..Delivered::default() });
        }
        Ok(Delivered {
            epoch: Some(self.book.epoch()),
            book: Some(self.book.clone()),
            slots,
            instances,
            trial: None,
            releases: self.book.releases(LOOKED_BACK).map_err(|fault| told(&fault))?,
            deployments: self.book.deployments(LOOKED_BACK).map_err(|fault| told(&fault))?,
        })
    }
}

/// A book that cannot be used, in words.
pub(super) fn told(fault: &BookFault) -> Fault {
    let headline = "cannot use the book of deployments";
    match fault {
        BookFault::Open(_) | BookFault::Sqlite(_) | BookFault::Json(_) => {
            Fault::because(headline, fault).hint("see whether the disk is full; `roadbed logs control` says more")
        }
        BookFault::Fenced => Fault::because(headline, fault).hint("`roadbed restart control` starts one that has it"),
        BookFault::NoRelease(_) => Fault::new(fault.to_string()).hint("`roadbed releases` shows them"),
        BookFault::TooLate { .. } => {
            Fault::new(fault.to_string()).hint("`roadbed rollback` goes back to the release that served before")
        }
        other => Fault::new(other.to_string()).hint("`roadbed deploy list` shows them, and how each ended"),
    }
}

/// Does what is asked for until the task is aborted.
pub async fn carry_on(control: Arc<Control>) {
    loop {
        match go_on(&control).await {
            Ok(true) => {}
            Ok(false) => {
                let _ = timeout(IDLE, control.delivering.changed.notified()).await;
            }
            Err(fault) => {
                tracing::error!(causes = ?fault.causes, "cannot go on with deployments: {fault}");
                sleep(IDLE).await;
            }
        }
    }
}

/// One state's work. Whether there was any.
async fn go_on(control: &Arc<Control>) -> Result<bool, Fault> {
    let Some(deployment) = control.delivering.book.current().map_err(|fault| told(&fault))? else {
        tend(control).await?;
        return Ok(false);
    };
    // Half of the world is not there while it is brought up or stopped; what is wanted must be known.
    if wanted::read(&control.root)?.is_none() || convergence::refuse_while_stopping(control).await.is_err() {
        return Ok(false);
    }
    // Whatever a state does, it stands on data services.
    if let Err(fault) = sleeping::ensure_awake(control).await {
        // The release that does not wake may be the one that this one mends.
        tracing::warn!(causes = ?fault.causes, "{fault}");
    }
    let (outcome, fault) = end_of(control, &deployment).await;
    if let Some(fault) = &fault {
        tracing::warn!(deployment = %deployment.id, state = %deployment.state, causes = ?fault.causes, "{fault}");
    }
    if let Some(fault) = fault.as_ref().filter(|fault| fault.retry == Retry::Safe) {
        // Somebody was killed who had a part in it and comes back; the release is not to blame. The state's deadline still holds.
        work::note(control, &deployment, &format!("{fault}; trying again"));
        sleep(BEFORE_AGAIN).await;
        return Ok(true);
    }
    advance(control, deployment.id, deployment.state, outcome, fault.as_ref())?;
    Ok(true)
}

/// Waits for the end of a state: its work is done, its time is over, or somebody calls it off.
async fn end_of(control: &Arc<Control>, deployment: &Deployment) -> (Outcome, Option<Fault>) {
    let over = async {
        match deployment.left(&control.clock.moment()) {
            None => std::future::pending().await,
            Some(left) => sleep(left).await,
        }
    };
    tokio::select! {
        // A step that was cut off is one that a crash cut off: whoever comes next looks at the world again.
        done = work::of(control, deployment) => match done {
            Ok(()) => (Outcome::Done, None),
            Err(fault) => (Outcome::Failed, Some(fault)),
        },
        () = over => {
            let fault = Fault::new(format!("{} was {} for too long", deployment.id, deployment.state));
            (Outcome::Failed, Some(fault))
        }
        () = called_off(control, deployment) => (Outcome::CalledOff, None),
    }
}

async fn called_off(control: &Control, deployment: &Deployment) {
    if !deployment.state.can_be_cancelled() {
        std::future::pending::<()>().await;
    }
    loop {
        let now = control.delivering.book.deployment(deployment.id);
        if now.is_ok_and(|now| now.cancelled_by.is_some()) {
            return;
        }
        let _ = timeout(IDLE, control.delivering.changed.notified()).await;
    }
}

/// Writes down what comes next, with the slots that it changes.
fn advance(
    control: &Control,
    id: delivery::DeploymentId,
    from: State,
    outcome: Outcome,
    fault: Option<&Fault>,
) -> Result<(), Fault> {
    let book = &control.delivering.book;
    let deployment = book.deployment(id).map_err(|fault| told(&fault))?;
    let taken = book.slots().map_err(|fault| told(&fault))?;
    let course = Course {
        kind: deployment.kind,
        needs_approval: deployment.kind == Kind::Deploy && deployment.policy.approvals > 0,
        is_warm: taken.iter().any(|slot| slot.role == Role::Warm && slot.release == Some(deployment.release)),
    };
    let Some(mut to) = machine::next(from, outcome, course) else { return Ok(()) };
    if to == State::Aborted && deployment.cancelled_by.is_some() {
        to = State::Cancelled;
    }
    let now = control.clock.moment();
    let turn = slots::turn(control, &deployment, to, &taken, &now)?;
    let start = if to == State::Starting { start_deadlines(control, &deployment)? } else { Duration::ZERO };
    let lasts = machine::deadline(to, &deployment.policy, start);
    let step = Step { id, from, to, at: now, lasts, place: turn.place, fault, slots: turn.changes };
    book.step(&step).map_err(|fault| told(&fault))?;
    tracing::info!(deployment = %id, %from, %to, "deployment");
    Ok(())
}

/// What all instances may take to start, one after the other at worst, and what comes before them.
fn start_deadlines(control: &Control, deployment: &Deployment) -> Result<Duration, Fault> {
    let environment = work::environment_of(control, deployment)?;
    let of = |app: &manifest::environment::App| match &app.runs {
        Runs::Server(server) => {
            let migrations: Duration = app.migrations.iter().map(|migration| migration.deadline).sum();
            server.start_deadline * server.most() + migrations
        }
        Runs::Static { .. } => Duration::ZERO,
    };
    Ok(environment.apps.iter().map(of).sum())
}

/// What the release before needs while nothing is deployed.
async fn tend(control: &Arc<Control>) -> Result<(), Fault> {
    if let Err(fault) = streams::end_overdue(control).await {
        // An edge that was killed has no streams left, and keeps nobody from what follows.
        tracing::debug!(causes = ?fault.causes, "cannot end streams: {fault}");
    }
    give_up_warm(control).await
}

/// A release that stood ready long enough is stopped.
async fn give_up_warm(control: &Arc<Control>) -> Result<(), Fault> {
    let book = &control.delivering.book;
    let now = control.clock.moment();
    let is_over = |slot: &delivery::Slot| match slot.role {
        Role::Warm => slot.is_over(&now),
        Role::Leaving => true,
        Role::Live | Role::Candidate => false,
    };
    let over: Vec<_> = book.slots().map_err(|fault| told(&fault))?.into_iter().filter(is_over).collect();
    if over.is_empty() || sleeping::read(&control.root).is_some() {
        return Ok(());
    }
    let Some(want) = wanted::read(&control.root)? else { return Ok(()) };
    if convergence::refuse_while_stopping(control).await.is_err() {
        return Ok(());
    }
    for slot in over {
        tracing::info!(place = %slot.place, "no longer kept warm");
        book.give_up(slot.place).map_err(|fault| told(&fault))?;
    }
    convergence::converge(control, &want, Arc::new(Unwatched)).await.map(drop)
}
