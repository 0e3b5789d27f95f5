//! The life of a unit, as a pure function: what happened in, what to do out.
//!
//! ```text
//!            Ensure            Died                 Due
//!   Absent ─────────► Running ──────► Backoff ─────────────► (start) ──► Running
//!      ▲                 │ Hold, Remove, Restart     another revision too
//!      │ Forget          ▼
//!      └──────────── Stopping ── Due: SIGKILL ── Died ──► Held | Absent | (start)
//! ```

use std::time::Duration;

use reconcile::ports::{RestartPolicy, StopPolicy, UnitState};

/// Time since the keeper began.
pub type Moment = Duration;

/// A unit's life so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    pub phase: Phase,
    /// Deaths in a row without becoming stable.
    pub deaths: u32,
    /// How often it was started again after a death.
    pub restarts: u32,
}

/// Where a unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No process, and none wanted: not begun yet, or forgotten.
    Absent,
    Running {
        since: Moment,
    },
    Backoff {
        until: Moment,
    },
    Stopping {
        /// `None` once it was killed.
        kill_at: Option<Moment>,
        then: Then,
    },
    Held,
    /// Dead, and what it takes to start it is not known.
    Lost,
}

/// What follows a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Start,
    Hold,
    Forget,
}

/// What a decision depends on beside the life itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    pub restart: RestartPolicy,
    pub stop: StopPolicy,
    pub means: Means,
}

/// Whether a process could be started now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    Known,
    /// The unit was adopted and its environment is not on disk.
    Unknown,
}

/// How a new specification compares with the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revision {
    Same,
    Other,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Ensure(Revision),
    Restart,
    Hold,
    Resume,
    Remove,
    /// Everything ends now, without grace.
    KillNow,
    /// A start succeeded, or did not.
    Began,
    NotBegun,
    Died,
    /// The moment of [`Life::due`] came.
    Due,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a process and report [`Event::Began`] or [`Event::NotBegun`].
    Start,
    /// SIGTERM to the group.
    Terminate,
    /// SIGKILL to the group.
    Kill,
    /// Remove every trace of the unit.
    Forget,
    /// Tell whoever asked that it cannot be done: the means are unknown.
    Refuse,
}

impl Life {
    pub const NEW: Self = Self { phase: Phase::Absent, deaths: 0, restarts: 0 };

    /// When to report [`Event::Due`].
    pub fn due(&self) -> Option<Moment> {
        match self.phase {
            Phase::Backoff { until } => Some(until),
            Phase::Stopping { kill_at, .. } => kill_at,
            _ => None,
        }
    }

    pub fn is_stopping(&self) -> bool {
        matches!(self.phase, Phase::Stopping { .. })
    }

    /// What people see; `None`: nothing.
    pub fn state(&self, policy: &RestartPolicy) -> Option<UnitState> {
        match self.phase {
            Phase::Absent => None,
            Phase::Running { .. } => Some(UnitState::Running),
            Phase::Backoff { .. } if self.deaths >= policy.crash_loop_after => Some(UnitState::CrashLoop),
            Phase::Backoff { .. } => Some(UnitState::Backoff),
            Phase::Stopping { .. } => Some(UnitState::Stopping),
            Phase::Held => Some(UnitState::Held),
            Phase::Lost => Some(UnitState::Lost),
        }
    }

    fn at(self, phase: Phase) -> Self {
        Self { phase, ..self }
    }
}

/// Decides. While a unit is stopping it takes no request: the caller keeps them until the stop is over.
pub fn next(life: Life, rules: &Rules, event: Event, now: Moment) -> (Life, Vec<Action>) {
    match event {
        Event::Ensure(Revision::Same) => match life.phase {
            Phase::Running { .. } | Phase::Held | Phase::Stopping { .. } => (life, vec![]),
            // Whoever asks wants it now; the deaths still count, so a crash loop stays one.
            Phase::Absent | Phase::Backoff { .. } | Phase::Lost => start(life, rules),
        },
        Event::Ensure(Revision::Other) => match life.phase {
            Phase::Running { .. } => stop(fresh(life), rules, Then::Start, now),
            Phase::Held | Phase::Stopping { .. } => (life, vec![]),
            Phase::Absent | Phase::Backoff { .. } | Phase::Lost => start(fresh(life), rules),
        },
        Event::Restart => match life.phase {
            // Not stopped if it could not be started again.
            Phase::Running { .. } if rules.means == Means::Unknown => (life, vec![Action::Refuse]),
            Phase::Running { .. } => stop(fresh(life), rules, Then::Start, now),
            Phase::Stopping { .. } => (life, vec![]),
            Phase::Absent | Phase::Backoff { .. } | Phase::Held | Phase::Lost => start(fresh(life), rules),
        },
        Event::Hold => match life.phase {
            Phase::Running { .. } if rules.means == Means::Unknown => (life, vec![Action::Refuse]),
            Phase::Running { .. } => stop(life, rules, Then::Hold, now),
            Phase::Held | Phase::Stopping { .. } => (life, vec![]),
            Phase::Absent | Phase::Backoff { .. } | Phase::Lost => (life.at(Phase::Held), vec![]),
        },
        Event::Resume => match life.phase {
            // Whoever had it die on purpose says so: these deaths are not the beginning of a crash loop.
            Phase::Running { .. } => (fresh(life), vec![]),
            Phase::Stopping { .. } => (life, vec![]),
            Phase::Absent | Phase::Backoff { .. } | Phase::Held | Phase::Lost => start(fresh(life), rules),
        },
        Event::Remove => match life.phase {
            Phase::Running { .. } => stop(life, rules, Then::Forget, now),
            Phase::Stopping { .. } => (life, vec![]),
            Phase::Absent | Phase::Backoff { .. } | Phase::Held | Phase::Lost => forget(life),
        },
        Event::KillNow => match life.phase {
            Phase::Running { .. } | Phase::Stopping { .. } => {
                (life.at(Phase::Stopping { kill_at: None, then: Then::Forget }), vec![Action::Kill])
            }
            Phase::Absent | Phase::Backoff { .. } | Phase::Held | Phase::Lost => forget(life),
        },
        Event::Began => (life.at(Phase::Running { since: now }), vec![]),
        Event::NotBegun => (died(life, rules, now), vec![]),
        Event::Died => match life.phase {
            Phase::Stopping { then: Then::Start, .. } => start(life, rules),
            Phase::Stopping { then: Then::Hold, .. } => (life.at(Phase::Held), vec![]),
            Phase::Stopping { then: Then::Forget, .. } => forget(life),
            _ => (died(life, rules, now), vec![]),
        },
        Event::Due => match life.phase {
            Phase::Backoff { until } if now >= until => {
                start(Life { restarts: life.restarts.saturating_add(1), ..life }, rules)
            }
            Phase::Stopping { kill_at: Some(kill_at), then } if now >= kill_at => {
                (life.at(Phase::Stopping { kill_at: None, then }), vec![Action::Kill])
            }
            _ => (life, vec![]),
        },
    }
}

fn fresh(life: Life) -> Life {
    Life { deaths: 0, ..life }
}

fn start(life: Life, rules: &Rules) -> (Life, Vec<Action>) {
    match rules.means {
        Means::Known => (life.at(Phase::Absent), vec![Action::Start]),
        Means::Unknown => (life.at(Phase::Lost), vec![Action::Refuse]),
    }
}

fn stop(life: Life, rules: &Rules, then: Then, now: Moment) -> (Life, Vec<Action>) {
    let kill_at = Some(now.saturating_add(rules.stop.grace));
    (life.at(Phase::Stopping { kill_at, then }), vec![Action::Terminate])
}

fn forget(life: Life) -> (Life, Vec<Action>) {
    (life.at(Phase::Absent), vec![Action::Forget])
}

fn died(life: Life, rules: &Rules, now: Moment) -> Life {
    let was_stable =
        matches!(life.phase, Phase::Running { since } if now.saturating_sub(since) >= rules.restart.stable_after);
    let deaths = if was_stable { 1 } else { life.deaths.saturating_add(1) };
    let phase = match rules.means {
        _ if rules.restart.once => Phase::Held,
        Means::Known => Phase::Backoff { until: now.saturating_add(delay(deaths, &rules.restart)) },
        Means::Unknown => Phase::Lost,
    };
    Life { phase, deaths, ..life }
}

/// Doubles with every death in a row, up to the cap; in a crash loop it is the cap.
fn delay(deaths: u32, policy: &RestartPolicy) -> Duration {
    if deaths >= policy.crash_loop_after {
        return policy.max_delay;
    }
    let factor = 2_u32.saturating_pow(deaths.saturating_sub(1));
    policy.first_delay.saturating_mul(factor).min(policy.max_delay)
}

#[cfg(test)]
#[path = "life_tests.rs"]
mod tests;
