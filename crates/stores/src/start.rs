//! Starting a store's process and waiting until it answers, or saying why it does not.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use host::socket;
use reconcile::Fault;
use reconcile::ports::{UnitSpec, UnitState, UnitStatus};
use tokio::net::TcpStream;

use crate::ground::Ground;

/// The floor of a warm start is how often we look.
const POLL: Duration = Duration::from_millis(20);
/// After a crash a store replays its journal first; large data takes its time.
const START_DEADLINE: Duration = Duration::from_secs(120);
/// How many of the last lines to look through for the reason of a death.
const TAIL: usize = 60;

/// The kernel's words, which every server repeats.
const DISK_FULL: &str = "No space left on device";

/// What it takes to start one store.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    pub(crate) ground: &'a Ground,
    /// The port it will listen on.
    pub(crate) port: u16,
    /// Turns the process's own lines into what a person wants to read.
    pub(crate) explain: fn(&[String]) -> Vec<String>,
    pub(crate) hint: String,
}

/// What one look at a starting server found.
pub(crate) enum Look {
    Ready,
    NotYet,
}

impl Start<'_> {
    /// Makes the unit run and waits until `is_ready` says so.
    pub(crate) async fn run<F>(&self, spec: UnitSpec, mut is_ready: impl FnMut() -> F) -> Result<(), Fault>
    where
        F: Future<Output = Result<Look, Fault>>,
    {
        let name = spec.name.clone();
        let before = self.status(&name).await?;
        let port = self.port;
        if before.as_ref().is_none_or(|unit| unit.pid.is_none()) && !socket::is_port_free(port) {
            return Err(Fault::new(format!("cannot start {name}: another process listens on port {port}"))
                .hint(format!("see who with `ss -ltnp 'sport = :{port}'` and end it, or give {name} another port"))
                .retry_safe());
        }
        self.ground.units.ensure(spec).await?;
        let first = self.status(&name).await?;
        if first.as_ref().is_some_and(|unit| matches!(unit.state, UnitState::Held | UnitState::CrashLoop)) {
            self.ground.units.resume(&name).await?;
        }
        let first_restarts = first.map_or(0, |unit| unit.restarts);
        let give_up = self.ground.clock.instant() + START_DEADLINE;
        loop {
            if let Look::Ready = is_ready().await? {
                return Ok(());
            }
            let unit = self.status(&name).await?;
            if unit.as_ref().is_none_or(|unit| matches!(unit.state, UnitState::Lost | UnitState::Held)) {
                // Time will not bring it: a keeper that came after a crash does not know how to start it.
                return Err(Fault::new(format!("cannot start {name}: it was lost meanwhile"))
                    .hint("try again: whoever converges next specifies it anew")
                    .retry_safe());
            }
            // One death may be an accident that the keeper mends; the second is a server that does not start.
            if let Some(unit) = unit
                && unit.pid.is_none()
                && (unit.restarts > first_restarts || unit.state == UnitState::CrashLoop)
            {
                return Err(self.died(&unit).await);
            }
            if self.ground.clock.instant() >= give_up {
                return Err(self
                    .explained(&name, format!("{name} does not answer {} s after its start", START_DEADLINE.as_secs()))
                    .await);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn status(&self, name: &str) -> Result<Option<UnitStatus>, Fault> {
        Ok(self.ground.units.list().await?.into_iter().find(|unit| unit.name == name))
    }

    async fn died(&self, unit: &UnitStatus) -> Fault {
        let how = unit.last_exit.as_deref().unwrap_or("it ended");
        self.explained(&unit.name, format!("{} does not stay up: {how}", unit.name)).await
    }

    async fn explained(&self, name: &str, message: String) -> Fault {
        let lines = self.ground.units.tail(name, TAIL).await.unwrap_or_default();
        let is_disk_full = lines.iter().any(|line| line.contains(DISK_FULL));
        let lines = (self.explain)(&lines);
        let hint = if is_disk_full {
            format!("the disk is full: free some space, and {name} starts by itself; its data is not damaged by that")
        } else {
            self.hint.clone()
        };
        let mut fault = Fault::new(message).hint(hint);
        if let Some(last) = lines.last() {
            fault = fault.cause(last.clone());
        }
        fault.output(lines)
    }
}

/// Whether something accepts connections on this loopback port.
pub(crate) async fn accepts(port: u16) -> bool {
    TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await.is_ok()
}
