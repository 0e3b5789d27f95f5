//! T4: an app says that it is not ready while a store is away, and is ready again when the store returns.
//!
//! Both ways of being away are tried at once: Redis is stopped, so that connections are refused; MongoDB is frozen, so that
//! they hang. The second is the harder one, since nothing but a deadline notices it.

use std::sync::Arc;
use std::time::Duration;

use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact, Outcome};
use host::clock::Clock;
use host::drill::{Frozen, freeze};
use reconcile::Fault;
use reconcile::ports::Units;
use tokio::time::sleep;

use super::Visitor;

pub(crate) const CLAIM: Claim = Claim {
    task: "T4",
    id: "readiness-follows-the-stores",
    claim: "An app is not ready while a store is away, and ready again when it returns",
    hint: "`roadbed logs api` shows what the app says about its stores",
    impact: Impact::Disrupts,
};

/// A readiness answer may be a second old, and the app gives a silent store 800 ms.
const NOTICED_WITHIN: Duration = Duration::from_secs(5);

/// Drivers reconnect with a growing pause.
const BACK_WITHIN: Duration = Duration::from_secs(15);

const PAUSE: Duration = Duration::from_millis(50);

/// Takes the stores away for a moment and watches the app's readiness from outside.
#[derive(Debug)]
pub struct ReadinessFollowsStores {
    pub visitor: Visitor,
    pub host: String,
    pub ready_path: String,
    pub units: Arc<dyn Units>,
    pub clock: Arc<dyn Clock>,
    /// Unit to stop.
    pub stopped: &'static str,
    /// Units to freeze: all that one store consists of. Somebody else's cannot be.
    pub frozen: Vec<String>,
}

impl Check for ReadinessFollowsStores {
    fn claim(&self) -> &Claim {
        &CLAIM
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(async {
            let outcome = self.look().await;
            // Whatever happened: leave no store stopped.
            match (outcome, self.units.resume(self.stopped).await) {
                (Ok(outcome), Ok(())) => outcome,
                (Err(fault), _) | (Ok(_), Err(fault)) => {
                    Outcome::fails(std::iter::once(fault.message).chain(fault.causes).collect())
                }
            }
        })
    }
}

impl ReadinessFollowsStores {
    async fn look(&self) -> Result<Outcome, Fault> {
        let mut findings = Findings::default();
        if let Err(why) = self.await_status(200, &[], BACK_WITHIN).await {
            findings.bad(format!("not ready before anything was taken away: {why}"));
            return Ok(findings.outcome());
        }
        let frozen = self.freeze().await?;
        self.units.hold(self.stopped).await?;
        let away: Vec<&str> = std::iter::once(self.stopped).chain(self.frozen.first().map(String::as_str)).collect();
        let told = match self.frozen.is_empty() {
            false => format!("{} stopped and {} frozen", self.stopped, self.frozen.join(", ")),
            true => format!("{} stopped", self.stopped),
        };
        match self.await_status(503, &away, NOTICED_WITHIN).await {
            Ok(ms) => findings.good(format!("{told}: 503 naming {} after {ms} ms", away.join(" and "))),
            Err(why) => findings.bad(format!("{told}, but: {why}")),
        }
        drop(frozen);
        self.units.resume(self.stopped).await?;
        match self.await_status(200, &[], BACK_WITHIN).await {
            Ok(ms) => findings.good(format!("all back: 200 after {ms} ms")),
            Err(why) => findings.bad(format!("all are back, but: {why}")),
        }
        Ok(findings.outcome())
    }

    async fn freeze(&self) -> Result<Vec<Frozen>, Fault> {
        let units = self.units.list().await?;
        let freeze_one = |name: &String| {
            let pid = units.iter().find(|unit| unit.name == *name).and_then(|unit| unit.pid);
            let pid = pid.ok_or_else(|| Fault::new(format!("{name} does not run")))?;
            freeze(pid).map_err(|fault| Fault::because(format!("cannot freeze {name}"), &fault))
        };
        self.frozen.iter().map(freeze_one).collect()
    }

    /// Waits for a status, and that the answer says each store of `away` is not ok. Returns how long that took.
    async fn await_status(&self, status: u16, away: &[&str], within: Duration) -> Result<u128, String> {
        let start = self.clock.instant();
        loop {
            let answer = self.visitor.get(&self.host, &self.ready_path, Duration::from_secs(5)).await;
            let waited = self.clock.instant().saturating_duration_since(start);
            let last = match answer {
                Ok(answer) if answer.status == status && names_as_away(&answer.body, away) => {
                    return Ok(waited.as_millis());
                }
                Ok(answer) => format!("status {}: {}", answer.status, answer.body),
                Err(why) => why,
            };
            if waited >= within {
                return Err(format!("expected {status} within {} s, the last answer was {last}", within.as_secs()));
            }
            sleep(PAUSE).await;
        }
    }
}

fn names_as_away(body: &str, away: &[&str]) -> bool {
    let Ok(body) = serde_json::from_str::<serde_json::Value>(body) else { return away.is_empty() };
    away.iter().all(|store| body[*store]["ok"] == serde_json::Value::Bool(false))
}
