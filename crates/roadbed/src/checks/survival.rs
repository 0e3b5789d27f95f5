//! T5: a killed instance is started again and serves.

use std::sync::Arc;
use std::time::Duration;

use engine::instance::Fleet;
use futures_util::future::join_all;
use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact};
use host::clock::Clock;
use host::drill::kill;
use manifest::Environment;
use manifest::environment::{App, Runs, Server};
use reconcile::ports::{UnitState, UnitStatus, Units};
use tokio::time::sleep;

use super::Visitor;

pub(crate) const CLAIM: Claim = Claim {
    task: "T5",
    id: "killed-instances-return",
    claim: "A killed app instance is started again and serves",
    hint: "`roadbed status` shows restarts, `roadbed logs APP` why an instance does not start",
    impact: Impact::Disrupts,
};

/// A Node process is back in a second; the keeper's first pause is 100 ms.
const BACK_WITHIN: Duration = Duration::from_secs(20);

const PAUSE: Duration = Duration::from_millis(25);

/// Kills one instance of each server app, as a crash would, and watches from outside.
#[derive(Debug)]
pub struct KilledInstancesReturn {
    pub environment: Arc<Environment>,
    pub visitor: Visitor,
    pub units: Arc<dyn Units>,
    pub clock: Arc<dyn Clock>,
    /// The one that visitors reach.
    pub fleet: Fleet,
}

impl Check for KilledInstancesReturn {
    fn claim(&self) -> &Claim {
        &CLAIM
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(async {
            let servers = self.environment.apps.iter().filter_map(|app| match &app.runs {
                Runs::Server(server) => Some((app, server)),
                Runs::Static { .. } => None,
            });
            let mut findings = Findings::default();
            for outcome in join_all(servers.map(|(app, server)| self.kill_one(app, server))).await {
                match outcome {
                    Ok(sentence) => findings.good(sentence),
                    Err(sentence) => findings.bad(sentence),
                }
            }
            findings.outcome()
        })
    }
}

impl KilledInstancesReturn {
    async fn kill_one(&self, app: &App, server: &Server) -> Result<String, String> {
        let name = self.fleet.instance(&app.name, 0);
        let before = self.unit(&name).await?.ok_or(format!("{name} does not exist"))?;
        let pid = before.pid.ok_or(format!("{name} does not run"))?;
        kill(pid).map_err(|fault| format!("cannot kill {name}: {fault}"))?;
        let start = self.clock.instant();
        loop {
            let unit = self.unit(&name).await?;
            let back = unit.filter(|unit| unit.state == UnitState::Running && unit.pid.is_some_and(|new| new != pid));
            let waited = self.clock.instant().saturating_duration_since(start);
            if let (Some(unit), Some(host)) = (back, app.hosts.first()) {
                let answer = self.visitor.get(host, &server.ready, Duration::from_secs(5)).await;
                if answer.is_ok_and(|answer| answer.status == 200) {
                    let new = unit.pid.unwrap_or_default();
                    // Gates that follow one another are no crash loop, for which its next start would wait longer each time.
                    let resumed = self.units.resume(&name).await;
                    resumed.map_err(|fault| format!("cannot say that {name} was killed on purpose: {fault}"))?;
                    return Ok(format!("{name}: pid {pid} killed, pid {new} ready after {} ms", waited.as_millis()));
                }
            }
            if waited >= BACK_WITHIN {
                return Err(format!("{name} was killed and is not back after {} s", BACK_WITHIN.as_secs()));
            }
            sleep(PAUSE).await;
        }
    }

    async fn unit(&self, name: &str) -> Result<Option<UnitStatus>, String> {
        let units = self.units.list().await.map_err(|fault| fault.message)?;
        Ok(units.into_iter().find(|unit| unit.name == name))
    }
}
