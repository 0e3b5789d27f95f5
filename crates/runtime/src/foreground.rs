//! One instance in the foreground of a process: it writes what the instance writes, is asked to end as the instance is, and ends as it
//! ends. Whoever watches processes watches instances so.
//!
//! ```text
//!   keeper ──► this process ──► engine ──► instance
//!                │  killed: the instance runs on, and the next of its kind takes it over
//!                └─ asked to end: so is the instance, then killed when the grace is over
//! ```
//!
//! The epoch is one for all instances of the environment that are kept so: who gives orders to the keeper is the keeper's business. It
//! is raised when the environment moves to another keeper for good, whose instances then replace the ones that are left.

use std::time::Duration;

use futures_util::StreamExt;

use crate::fault::RuntimeFault;
use crate::instance::{Epoch, Given, Spec};
use crate::port::{Cursor, Ended, Line, Lines, Made, Phase, Runtime, Seen, Until};

/// How one instance is kept in the foreground.
#[derive(Debug)]
pub struct Foreground<'a> {
    pub runtime: &'a dyn Runtime,
    pub epoch: Epoch,
    pub spec: &'a Spec,
    pub given: &'a Given,
    pub grace: Duration,
    /// Where whoever was here before stopped reading; without it all that the engine still has is written.
    pub from: Option<Cursor>,
}

/// As if the signal had ended it: 128 and SIGTERM's number.
const NEVER_BEGAN: Ended = Ended { code: 143, out_of_memory: false };

/// Whose start it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    Started,
    /// It ran already, as it is to run.
    TakenOver,
}

impl Foreground<'_> {
    /// Runs it to its end, or ends it when `stop` comes. `out` gets each line.
    ///
    /// # Errors
    /// It cannot be started, or the engine is gone for good.
    pub async fn run(
        &self,
        stop: impl Future<Output = ()>,
        out: &mut (dyn FnMut(&Line) + Send),
    ) -> Result<Ended, RuntimeFault> {
        let mut stop = std::pin::pin!(stop);
        let begun = tokio::select! {
            begun = self.begin() => begun?,
            // An image that is being loaded is not waited for.
            () = &mut stop => return self.given_up().await,
        };
        let id = &self.spec.id;
        tracing::debug!(instance = %id, ?begun, "in the foreground");
        let from = self.from.filter(|_| begun == Begun::TakenOver);
        let mut lines = self.runtime.logs(id, from, Until::End).await?;
        let ended = tokio::select! {
            passed = pass_on(&mut lines, out) => passed,
            () = &mut stop => {
                let (stopped, passed) = tokio::join!(self.runtime.stop(id, self.grace), pass_on(&mut lines, out));
                stopped.and(passed)
            }
        };
        ended?;
        self.ended().await
    }

    /// What is left of another is taken over if it is the same, and taken away if not.
    async fn begin(&self) -> Result<Begun, RuntimeFault> {
        let Self { runtime, spec, .. } = self;
        let there = runtime.list().await?.into_iter().find(|seen| seen.id == spec.id);
        match there {
            Some(seen) if self.is_this(&seen) => return Ok(Begun::TakenOver),
            Some(Seen { phase: Phase::Running, .. }) => {
                runtime.stop(&spec.id, self.grace).await?;
                runtime.remove(&spec.id).await?;
            }
            Some(_) => runtime.remove(&spec.id).await?,
            None => {}
        }
        if runtime.create(spec).await? == Made::WasThere {
            // Somebody else is at it: two that keep the same instance would take it from each other in turn.
            tracing::warn!(instance = %spec.id, "made by another at this very moment");
        }
        runtime.start(&spec.id, self.given).await?;
        Ok(Begun::Started)
    }

    /// Ends what may have begun.
    async fn given_up(&self) -> Result<Ended, RuntimeFault> {
        let Self { runtime, spec, .. } = self;
        match runtime.stop(&spec.id, self.grace).await {
            Ok(()) => {}
            Err(RuntimeFault::Absent(_)) => return Ok(NEVER_BEGAN),
            Err(fault) => return Err(fault),
        }
        let seen = runtime.list().await?.into_iter().find(|seen| seen.id == spec.id);
        if let Some(Phase::Ended(ended)) = seen.map(|seen| seen.phase) {
            return Ok(ended);
        }
        // Made and never started.
        runtime.remove(&spec.id).await?;
        Ok(NEVER_BEGAN)
    }

    fn is_this(&self, seen: &Seen) -> bool {
        seen.phase == Phase::Running && seen.epoch == self.epoch && seen.revision == self.spec.revision()
    }

    async fn ended(&self) -> Result<Ended, RuntimeFault> {
        let seen = self.runtime.list().await?.into_iter().find(|seen| seen.id == self.spec.id);
        match seen.map(|seen| seen.phase) {
            Some(Phase::Ended(ended)) => Ok(ended),
            Some(_) => Err(RuntimeFault::Nonsense(format!("{} writes no more and has not ended", self.spec.id))),
            None => Err(RuntimeFault::Absent(self.spec.id.clone())),
        }
    }
}

async fn pass_on(lines: &mut Lines, out: &mut (dyn FnMut(&Line) + Send)) -> Result<(), RuntimeFault> {
    while let Some(line) = lines.next().await {
        out(&line?);
    }
    Ok(())
}
