//! How an edge follows an edge: the next one serves before the one before is told to go, so that no visitor waits for either.
//!
//! ```text
//!   before   ── serves ─────────────────────── SIGUSR2 ── answers what it has ── ends
//!   next              started ── says hello ── on record ── serves …
//! ```
//!
//! Until the next one has said hello it is on no record: a keeper that takes over meanwhile ends it and keeps the one before. From
//! then on it is the other way round, and the one before is on record as leaving, also for the keeper after this one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use host::process::{Process, Signal};
use reconcile::Fault;
use reconcile::ports::{Ensured, UnitKind, UnitSpec};

use super::{Command, Unit, told_shortly};
use crate::keeper::house::House;
use crate::keeper::life::{Life, Phase};
use crate::keeper::orphan;
use crate::keeper::record::{Record, RecordedProcess, RecordedSpec};

/// An edge opens its files and a socket; on a disk that is busy elsewhere this took a second.
const HELLO_DEADLINE: Duration = Duration::from_secs(15);

/// Longer than the edge's own patience with streams and tunnels.
const LONGEST_GOODBYE: Duration = Duration::from_secs(310);

/// When the environment is stopped: longer than the edge drains then.
const SHORT_GOODBYE: Duration = Duration::from_secs(6);

/// What a unit was before.
struct Before {
    record: Record,
    env: Option<BTreeMap<String, String>>,
    process: Process,
}

impl Unit {
    /// Whether a request puts another process beside the one that runs, to take its place.
    pub(super) fn is_succession(&self, command: &Command) -> bool {
        let runs = matches!(self.life.phase, Phase::Running { .. }) && self.process.is_some();
        let is_edge = self.record.spec.kind == UnitKind::Edge && !self.record.spec.sockets.is_empty();
        let is_meant = match command {
            Command::Ensure(spec, _) => {
                spec.kind == UnitKind::Edge
                    && spec.revision != self.record.spec.revision
                    && self.house.shutdown.borrow().is_none()
            }
            Command::Restart(_) => self.env.is_some(),
            _ => false,
        };
        runs && is_edge && is_meant
    }

    /// Does it, and answers whoever asked. Where the next one does not come to serve, the one before never notices.
    pub(super) async fn succeed(&mut self, command: Command) {
        match command {
            Command::Ensure(spec, reply) => {
                let succeeded = self.try_succeed(Some(*spec)).await;
                let _ = reply.send(succeeded.map(|()| Ensured::Replaced));
            }
            Command::Restart(reply) => drop(reply.send(self.try_succeed(None).await)),
            _ => {}
        }
    }

    async fn try_succeed(&mut self, spec: Option<UnitSpec>) -> Result<(), Fault> {
        let Some(process) = self.process.take() else { return Ok(()) };
        let before = Before { record: self.record.clone(), env: self.env.clone(), process };
        if let Some(spec) = spec {
            let (recorded, env) = RecordedSpec::divide(spec);
            self.record.spec = recorded;
            self.env = Some(env);
        }
        // Nothing of the one before: it is neither to be forgotten nor to be taken for the next.
        self.record.process = None;
        self.is_on_trial = true;
        let started = self.try_start();
        self.is_on_trial = false;
        let outcome = match started {
            Ok(next) => match self.hello(&next).await {
                Ok(()) => Ok(next),
                Err(fault) => {
                    self.end_at_once(&next).await;
                    Err(fault)
                }
            },
            Err(fault) => Err(fault),
        };
        match outcome {
            Ok(next) => {
                tracing::info!(unit = self.name, pid = next.pid(), before = before.process.pid(), "succeeded");
                self.process = Some(next);
                self.life = Life { phase: Phase::Running { since: self.house.now() }, deaths: 0, ..self.life };
                let recorded = before.record.process;
                let boot_id = &self.house.boot_id;
                self.record.leaving.retain(|leaving| leaving.living(boot_id).is_some());
                self.record.leaving.extend(recorded.clone());
                self.write_record();
                self.publish();
                see_off(Arc::clone(&self.house), self.name.clone(), before.process, recorded);
                Ok(())
            }
            Err(fault) => {
                tracing::error!(unit = self.name, causes = ?fault.causes, "the next one does not serve: {fault}");
                self.record = before.record;
                self.record.last_exit = Some(format!("not replaced: {}", told_shortly(&fault)));
                self.env = before.env;
                self.process = Some(before.process);
                self.publish();
                Err(fault)
            }
        }
    }

    /// Waits until the next one serves.
    async fn hello(&self, next: &Process) -> Result<(), Fault> {
        let cannot = |why: String| {
            Fault::new(format!("cannot replace unit {:?}: the one before goes on", self.name))
                .cause(why)
                .hint(format!("`roadbed logs {}` shows what the next one said", self.name))
        };
        let mut greeted = self.house.greeted.subscribe();
        let mut shutdown = self.house.shutdown.subscribe();
        tokio::select! {
            _ = greeted.wait_for(|pids| pids.contains(&next.pid())) => Ok(()),
            _ = next.ended() => Err(cannot("the next one ended before it served".to_owned())),
            _ = shutdown.wait_for(Option::is_some) => Err(cannot("the environment is being stopped".to_owned())),
            () = tokio::time::sleep(HELLO_DEADLINE) => {
                Err(cannot(format!("the next one did not serve within {} s", HELLO_DEADLINE.as_secs())))
            }
        }
    }

    /// Ends a process that is on no record.
    async fn end_at_once(&self, next: &Process) {
        let _ = next.signal_group(Signal::KILL);
        let _ = next.ended().await;
        bury(&self.house, next, self.record.process.as_ref());
        if let Some(output) = &self.output {
            output.drain();
        }
    }
}

/// Lets an edge go that another has followed, for as long as it takes, and takes note of its end.
pub(super) fn see_off(house: Arc<House>, unit: String, process: Process, recorded: Option<RecordedProcess>) {
    house.leaving.send_modify(|leaving| *leaving += 1);
    house.children().insert(process.pid());
    tokio::spawn(async move {
        if let Err(error) = process.signal(Signal::USR2) {
            tracing::error!(unit, pid = process.pid(), %error, "cannot tell it that another serves");
        }
        let mut shutdown = house.shutdown.subscribe();
        let is_gone = tokio::select! {
            _ = process.ended() => true,
            () = tokio::time::sleep(LONGEST_GOODBYE) => false,
            () = async { drop(shutdown.wait_for(Option::is_some).await) } => {
                let _ = process.signal(Signal::TERM);
                tokio::time::timeout(SHORT_GOODBYE, process.ended()).await.is_ok()
            }
        };
        if !is_gone {
            tracing::warn!(unit, pid = process.pid(), "it does not go; killing it");
            let _ = process.signal_group(Signal::KILL);
            let _ = process.ended().await;
        }
        let how = bury(&house, &process, recorded.as_ref());
        tracing::info!(unit, pid = process.pid(), how, "went, another having followed");
        house.leaving.send_modify(|leaving| *leaving -= 1);
    });
}

fn bury(house: &House, process: &Process, recorded: Option<&RecordedProcess>) -> String {
    let _ = process.signal_group(Signal::KILL);
    if let Some(recorded) = recorded {
        orphan::kill_rest(&recorded.spawn);
    }
    let exit = process.reap().ok().flatten().unwrap_or(host::process::Exit::Unseen);
    house.children().remove(&process.pid());
    house.reap_strangers();
    exit.to_string()
}
