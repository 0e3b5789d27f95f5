//! One unit: a task that feeds what happens to [`super::life`] and does what comes back.

mod end;
mod start;
mod succession;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use host::process::{Process, Signal};
use reconcile::Fault;
use reconcile::ports::{Ensured, UnitSpec, UnitState, UnitStatus};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::confinement::Seen;
use super::house::House;
use super::life::{self, Action, Event, Life, Means, Phase, Revision, Rules};
use super::orphan;
use super::output::{self, Output};
use super::record::{self, Record, RecordedSpec, Wanted};
use super::wire::Manner;

pub(super) type Reply<T> = oneshot::Sender<Result<T, Fault>>;

/// What may be asked of a unit.
#[derive(Debug)]
pub(super) enum Command {
    Ensure(Box<UnitSpec>, Reply<Ensured>),
    Remove(Reply<()>),
    Restart(Reply<()>),
    Hold(Reply<()>),
    Resume(Reply<()>),
}

/// Who waits for the present change to end.
#[derive(Debug)]
enum Waiting {
    Nobody,
    ForEnsure(Reply<Ensured>, Ensured),
    ForChange(Reply<()>),
}

/// What is told of a unit to whoever asks.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) status: UnitStatus,
    /// Its process, to be looked at when somebody wants to know what is in force.
    pub(super) seen: Option<Seen>,
}

/// A unit and its task's state.
#[derive(Debug)]
pub(super) struct Unit {
    house: Arc<House>,
    name: String,
    /// What is on disk, or would be.
    record: Record,
    /// The environment to start with; `None`: not known since the keeper before us died.
    env: Option<BTreeMap<String, String>>,
    life: Life,
    process: Option<Process>,
    output: Option<Output>,
    mailbox: mpsc::UnboundedReceiver<Command>,
    status: watch::Sender<Option<Told>>,
    waiting: Waiting,
    /// What is being started is not on record before it serves.
    is_on_trial: bool,
    /// Why the last start failed or was refused, until somebody is told.
    fault: Option<Fault>,
}

impl Unit {
    /// A unit of which only the name is known yet.
    pub(super) fn unspecified(
        house: Arc<House>,
        name: &str,
        mailbox: mpsc::UnboundedReceiver<Command>,
        status: watch::Sender<Option<Told>>,
    ) -> Self {
        let record = Record::new(RecordedSpec::unspecified(name));
        Self::new(house, record, None, Life::NEW, mailbox, status)
    }

    /// A unit that a keeper before us left behind: its process is taken up if it lives.
    pub(super) fn recorded(
        house: Arc<House>,
        record: Record,
        mailbox: mpsc::UnboundedReceiver<Command>,
        status: watch::Sender<Option<Told>>,
    ) -> Self {
        let alive = record.process.as_ref().and_then(|recorded| recorded.living(&house.boot_id));
        for recorded in &record.leaving {
            if let Some(process) = recorded.living(&house.boot_id) {
                succession::see_off(Arc::clone(&house), record.spec.name.clone(), process, Some(recorded.clone()));
            }
        }
        let now = house.now();
        let phase = match (&alive, record.wanted, &record.spec.env) {
            (Some(_), ..) => Phase::Running { since: now },
            (None, Wanted::Held, _) => Phase::Held,
            // Its death was not seen: start it at once.
            (None, Wanted::Running, Some(_)) => Phase::Backoff { until: now },
            (None, Wanted::Running, None) => Phase::Lost,
        };
        let life = Life { phase, restarts: record.restarts, ..Life::NEW };
        let env = record.spec.env.clone();
        let mut unit = Self::new(house, record, env, life, mailbox, status);
        match alive {
            Some(process) => {
                tracing::info!(unit = unit.name, pid = process.pid(), "adopted");
                // Our own child, where the keeper before us was this very process: how it ends is for us to take note of.
                unit.house.children().insert(process.pid());
                unit.process = Some(process);
            }
            None => unit.clear_dead_process(),
        }
        // Its output may have waited in the pipes all the while, also its last words.
        if let Err(fault) = unit.open_output() {
            tracing::error!(unit = unit.name, causes = ?fault.causes, "{fault}");
        }
        unit.publish();
        unit
    }

    fn new(
        house: Arc<House>,
        record: Record,
        env: Option<BTreeMap<String, String>>,
        life: Life,
        mailbox: mpsc::UnboundedReceiver<Command>,
        status: watch::Sender<Option<Told>>,
    ) -> Self {
        let name = record.spec.name.clone();
        let (process, output, waiting, fault) = (None, None, Waiting::Nobody, None);
        let is_on_trial = false;
        Self { house, name, record, env, life, process, output, mailbox, status, waiting, is_on_trial, fault }
    }

    pub(super) async fn work(mut self) {
        let mut shutdown = self.house.shutdown.subscribe();
        loop {
            let due = self.life.due().map(|moment| Instant::from_std(self.house.instant_of(moment)));
            let is_stopping = self.life.is_stopping();
            let event = tokio::select! {
                () = gone(self.process.as_ref(), &self.life, &self.record), if self.process.is_some() => {
                    self.bury();
                    Some(Event::Died)
                }
                () = sleep_until(due), if due.is_some() => Some(Event::Due),
                changed = shutdown.changed() => {
                    let is_now = changed.is_ok() && *shutdown.borrow_and_update() == Some(Manner::Now);
                    is_now.then_some(Event::KillNow)
                }
                command = self.mailbox.recv(), if !is_stopping => match command {
                    Some(command) if self.is_succession(&command) => {
                        self.succeed(command).await;
                        None
                    }
                    Some(command) => self.take(command),
                    None => return,
                },
            };
            let Some(mut event) = event else { continue };
            while self.happened(event) == Flow::Forgotten {
                match self.house.units.forget(&self.name, &mut self.mailbox) {
                    Ok(()) => return,
                    // Asked for again while it was being forgotten.
                    Err(command) => match self.take(command) {
                        Some(next) => event = next,
                        None => break,
                    },
                }
            }
        }
    }

    /// Turns a request into an event.
    fn take(&mut self, command: Command) -> Option<Event> {
        match command {
            Command::Ensure(spec, reply) => {
                if self.house.shutdown.borrow().is_some() {
                    let _ = reply.send(Err(Fault::new(format!(
                        "cannot start unit {:?}: the environment is being stopped",
                        self.name
                    ))));
                    return None;
                }
                Some(self.specify(*spec, reply))
            }
            Command::Remove(reply) => Some(self.change(reply, Event::Remove)),
            Command::Restart(reply) => Some(self.change(reply, Event::Restart)),
            Command::Hold(reply) => Some(self.change(reply, Event::Hold)),
            Command::Resume(reply) => Some(self.change(reply, Event::Resume)),
        }
    }

    fn change(&mut self, reply: Reply<()>, event: Event) -> Event {
        self.waiting = Waiting::ForChange(reply);
        event
    }

    fn specify(&mut self, spec: UnitSpec, reply: Reply<Ensured>) -> Event {
        let is_known = self.life.phase != Phase::Absent;
        let revision = if self.record.spec.revision == spec.revision { Revision::Same } else { Revision::Other };
        let ensured = match (self.life.phase, revision) {
            (Phase::Running { .. }, Revision::Same) | (Phase::Held, _) => Ensured::Unchanged,
            (_, Revision::Other) if is_known => Ensured::Replaced,
            _ => Ensured::Started,
        };
        // Also of the same revision: after an adoption this is how the environment becomes known again, and policies that are
        // no part of the revision may have changed.
        let (recorded, env) = RecordedSpec::divide(spec);
        let is_new = self.record.spec != recorded;
        self.record.spec = recorded;
        self.env = Some(env);
        // A running process stays the one that was started as recorded; only its successor is another.
        if is_new && ensured == Ensured::Unchanged {
            self.write_record();
        }
        self.waiting = Waiting::ForEnsure(reply, ensured);
        Event::Ensure(revision)
    }

    /// Lets the pure part decide until nothing is left to do, then tells everybody.
    fn happened(&mut self, event: Event) -> Flow {
        let mut flow = Flow::GoesOn;
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let (life, actions) = life::next(self.life, &self.rules(), event, self.house.now());
            tracing::debug!(unit = self.name, ?event, ?life, ?actions, "decided");
            self.life = life;
            for action in actions {
                match action {
                    Action::Start => events.push_back(self.start()),
                    Action::Terminate => self.signal(Signal::TERM),
                    Action::Kill => self.signal(Signal::KILL),
                    Action::Refuse => self.fault = Some(self.refusal()),
                    Action::Forget => {
                        self.forget();
                        flow = Flow::Forgotten;
                    }
                }
            }
        }
        self.note_wanted();
        self.publish();
        self.settle();
        flow
    }

    fn rules(&self) -> Rules {
        let spec = &self.record.spec;
        let means = if self.env.is_some() { Means::Known } else { Means::Unknown };
        Rules { restart: spec.restart, stop: spec.stop, means }
    }

    fn start(&mut self) -> Event {
        match self.try_start() {
            Ok(process) => {
                tracing::info!(unit = self.name, pid = process.pid(), revision = self.record.spec.revision, "started");
                self.process = Some(process);
                Event::Began
            }
            Err(fault) => {
                tracing::error!(unit = self.name, causes = ?fault.causes, "{fault}");
                self.record.last_exit = Some(format!("not started: {}", told_shortly(&fault)));
                self.clear_dead_process();
                self.fault = Some(fault);
                Event::NotBegun
            }
        }
    }

    fn signal(&mut self, signal: Signal) {
        let Some(process) = &self.process else { return };
        tracing::info!(unit = self.name, pid = process.pid(), ?signal, "signalling");
        if let Err(error) = process.signal_group(signal) {
            tracing::error!(unit = self.name, pid = process.pid(), ?signal, %error, "cannot signal");
        }
    }

    /// Keeps on disk whether the unit should run.
    fn note_wanted(&mut self) {
        let wanted = if self.life.phase == Phase::Held { Wanted::Held } else { Wanted::Running };
        let is_forgotten = self.life.phase == Phase::Absent;
        if wanted != self.record.wanted && !is_forgotten && !self.life.is_stopping() {
            self.record.wanted = wanted;
            self.write_record();
        }
    }

    fn write_record(&self) {
        // The next keeper then knows less: it reads an older record, whose process is dead by its start time.
        if let Err(fault) = self.record.write(&self.house.root) {
            tracing::error!(unit = self.name, error = %fault.source, "{fault}");
        }
    }

    fn forget(&mut self) {
        self.output = None;
        self.env = None;
        let root = &self.house.root;
        let tmp = host::files::remove_dir(&root.tmp_of(&self.name));
        for removed in [record::remove(root, &self.name), output::remove(root, &self.name), tmp] {
            if let Err(fault) = removed {
                tracing::error!(unit = self.name, error = %fault.source, "{fault}");
            }
        }
        self.record = Record::new(RecordedSpec::unspecified(&self.name));
        self.life = Life::NEW;
        tracing::info!(unit = self.name, "forgotten");
    }

    fn publish(&self) {
        let spec = &self.record.spec;
        let told = |state| if state == UnitState::Running && self.env.is_none() { UnitState::Adopted } else { state };
        let status = self.life.state(&spec.restart).map(|state| UnitStatus {
            name: self.name.clone(),
            kind: spec.kind,
            state: told(state),
            pid: self.process.as_ref().map(Process::pid),
            restarts: self.life.restarts,
            revision: spec.revision.clone(),
            last_exit: self.record.last_exit.clone(),
            loaded: self.process.as_ref().and(self.record.process.as_ref()).and_then(|process| process.loaded.clone()),
            specified: spec.loaded.clone(),
        });
        self.status.send_replace(status.map(|status| Told { status, seen: self.seen() }));
    }

    /// Answers whoever waits, once the change is over.
    fn settle(&mut self) {
        if self.life.is_stopping() {
            return;
        }
        let fault = self.fault.take();
        match std::mem::replace(&mut self.waiting, Waiting::Nobody) {
            Waiting::Nobody => {}
            Waiting::ForEnsure(reply, ensured) => drop(reply.send(fault.map_or(Ok(ensured), Err))),
            Waiting::ForChange(reply) => drop(reply.send(fault.map_or(Ok(()), Err))),
        }
    }

    fn refusal(&self) -> Fault {
        Fault::new(format!("cannot start unit {:?} again", self.name))
            .cause("it was adopted from a keeper that crashed, and its environment holds secrets, so it is not on disk")
            .hint("`roadbed up` specifies it again")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    GoesOn,
    Forgotten,
}

fn told_shortly(fault: &Fault) -> String {
    fault.causes.last().cloned().unwrap_or_else(|| fault.message.clone())
}

/// Returns when the process is dead; while it is being stopped gracefully, when all that it started is. A wrapper often goes at
/// once, and what it wraps still finishes its requests.
async fn gone(process: Option<&Process>, life: &Life, record: &Record) {
    ended(process).await;
    let is_in_grace = matches!(life.phase, Phase::Stopping { kill_at: Some(_), .. });
    if let (true, Some(recorded)) = (is_in_grace, &record.process) {
        orphan::rest_gone(&recorded.spawn, recorded.identity.pid).await;
    }
}

async fn ended(process: Option<&Process>) {
    let Some(process) = process else { return std::future::pending().await };
    if let Err(error) = process.ended().await {
        // Out of descriptors, for example. A wrong "dead" would start a second instance: look again later.
        tracing::error!(pid = process.pid(), %error, "cannot watch a process, looking at it every second");
        while process.is_alive() {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
