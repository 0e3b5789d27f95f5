//! Docker Engine, over its own socket.
//!
//! ```text
//!   daemon      one connection per request, the version negotiated; what a restart cut off is asked again
//!   fence       which epoch holds the environment: a volume per claim, whose name and labels say it
//!   network     one bridge per environment, no published ports
//!   images      loaded when the digest is absent, and held against it
//!   container   how an instance is made: nothing to write but /tmp, no rights, limits. Pure
//!   given       variables on standard input at the start, so that `docker inspect` shows none
//!   logs        with the engine's own times, so that whoever comes back misses nothing
//! ```
//!
//! **What the fence cannot do:** the engine knows no transactions, so a control that was paused between the look at the fence and the
//! call may still make one container. It bears its epoch, is never started by another, and goes with the next collection.

mod daemon;
mod fence;
mod network;
mod images;
mod container;
mod found;
mod given;
mod logs;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bollard::errors::Error;
use bollard::query_parameters::{KillContainerOptions, RemoveContainerOptions, StartContainerOptions, StatsOptions};
use futures_util::StreamExt;
use tokio::time::{Instant, sleep};

use self::daemon::{Daemon, Refusal};
use self::found::Found;
use crate::fault::RuntimeFault;
use crate::instance::{Given, InstanceId, Spec};
use crate::labels;
use crate::port::{Answer, Cursor, Holder, Lines, Made, Phase, Runtime, Seen, Stats, Until};

pub use network::Egress;

/// How long an engine that is starting again is waited for. Debian's takes two seconds with few containers; one with hundreds half a
/// minute.
pub const PATIENCE: Duration = Duration::from_secs(45);

/// How long SIGKILL may take: more hangs in the kernel.
const KILL_LIMIT: Duration = Duration::from_secs(15);

/// Between two looks at what is to end.
const LOOK: Duration = Duration::from_millis(100);

/// An engine as one control of one environment has it.
#[derive(Debug)]
pub struct Docker {
    holder: Holder,
    egress: Egress,
    daemon: Daemon,
}

impl Docker {
    /// Nothing is asked yet.
    pub fn new(socket: PathBuf, holder: Holder, egress: Egress, patience: Duration) -> Self {
        Self { holder, egress, daemon: Daemon::new(socket, patience) }
    }

    /// Takes away all of the environment: instances, images, the network, and the fence last.
    ///
    /// # Errors
    /// The engine would not, or another epoch holds it.
    pub async fn dissolve(&self) -> Result<(), RuntimeFault> {
        self.collected(&BTreeSet::new()).await?;
        network::remove(&self.daemon, &self.holder).await?;
        fence::lift(&self.daemon, &self.holder).await
    }

    async fn found(&self, id: &InstanceId) -> Result<Option<Found>, RuntimeFault> {
        found::look(&self.daemon, &self.holder, id).await
    }

    /// One that this epoch may touch.
    async fn ours(&self, id: &InstanceId) -> Result<Found, RuntimeFault> {
        fence::check(&self.daemon, &self.holder).await?;
        let found = self.found(id).await?.ok_or_else(|| RuntimeFault::Absent(id.clone()))?;
        fence::may_touch(&self.holder, found.labelled.epoch)?;
        Ok(found)
    }

    async fn created(&self, spec: &Spec) -> Result<Made, RuntimeFault> {
        fence::check(&self.daemon, &self.holder).await?;
        let name = labels::container(&self.holder.environment, &spec.id);
        let deadline = Instant::now() + self.daemon.patience();
        loop {
            if let Some(found) = self.found(&spec.id).await? {
                fence::may_touch(&self.holder, found.labelled.epoch)?;
                let is_same = found.labelled.revision == spec.revision();
                match found.phase {
                    Phase::Created | Phase::Running | Phase::Ended(_) if is_same => return Ok(Made::WasThere),
                    Phase::Running => return Err(RuntimeFault::Differs(spec.id.clone())),
                    _ => self.remove_container(&found.container).await?,
                }
            }
            let image = images::ensure(&self.daemon, &self.holder, spec).await?;
            let network = network::ensure(&self.daemon, &self.holder, self.egress).await?;
            match container::create(&self.daemon, &self.holder, spec, &name, &image, &network).await? {
                Ok(()) => return Ok(Made::New),
                // 404: image or network went away meanwhile. 409: somebody was faster; what they made is looked at, once it can be: the
                // engine keeps a name for one that it is still making for a caller who is gone, or still removing.
                Err(refusal) if matches!(refusal.status, 404 | 409) && Instant::now() < deadline => sleep(LOOK).await,
                Err(refusal) => return Err(refusal.fault(format!("create {}", spec.id))),
            }
        }
    }

    async fn started(&self, id: &InstanceId, given: &Given) -> Result<(), RuntimeFault> {
        let deadline = Instant::now() + self.daemon.patience();
        let (mut is_tried, mut is_cut_off, mut is_anew) = (false, false, false);
        loop {
            let found = self.ours(id).await?;
            match found.phase {
                Phase::Running if !is_tried => return Ok(()),
                // Ours, of an attempt that was cut off: whether it heard its variables nobody knows, and it may wait for them for ever.
                Phase::Running => {
                    self.signalled(&found.container, id, "SIGKILL", KILL_LIMIT).await?;
                    continue;
                }
                _ => {}
            }
            is_tried = true;
            match self.attempt(&found.container, given).await {
                // An engine that died while it started this one has a process of it that it does not know of, and takes no other.
                Ok(Err(refusal)) if refusal.status >= 500 && !is_anew => {
                    is_anew = true;
                    tracing::warn!(instance = %id, %refusal, "made anew, since the engine would not start it");
                    container::make_anew(&self.daemon, &found.container).await?;
                }
                // Of a start before that was cut off, and that the engine knows of by now: the next look ends it.
                Ok(Err(refusal)) if refusal.status == 304 && is_cut_off => {}
                Ok(Err(refusal)) if refusal.status == 304 => return Ok(()),
                Ok(started) => return started.map_err(|refusal| refusal.fault(format!("start {id}"))),
                Err(error) if Instant::now() >= deadline => return Err(self.daemon.unreachable(error)),
                Err(_) => {
                    is_cut_off = true;
                    sleep(LOOK).await;
                }
            }
        }
    }

    /// Attaches, starts and speaks, in one go over one daemon: nobody else could say the variables to what this started.
    async fn attempt(&self, container: &str, given: &Given) -> Result<Result<(), Refusal>, Error> {
        let input = match given::attach(&self.daemon, container).await? {
            Ok(input) => input,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let start = self
            .daemon
            .once(|docker| async move { docker.start_container(container, None::<StartContainerOptions>).await });
        match start.await? {
            Ok(()) => {}
            Err(refusal) => return Ok(Err(refusal)),
        }
        given::say(input, given).await.map(Ok)
    }

    async fn stopped(&self, id: &InstanceId, grace: Duration) -> Result<(), RuntimeFault> {
        let found = self.ours(id).await?;
        if self.signalled(&found.container, id, "SIGTERM", grace).await? == Signalled::Gone {
            return Ok(());
        }
        match self.signalled(&found.container, id, "SIGKILL", KILL_LIMIT).await? {
            Signalled::Gone => Ok(()),
            Signalled::Stays => Err(RuntimeFault::WouldNotEnd(id.clone())),
        }
    }

    /// Sends a signal, and waits whether it does.
    async fn signalled(
        &self,
        container: &str,
        id: &InstanceId,
        signal: &str,
        within: Duration,
    ) -> Result<Signalled, RuntimeFault> {
        if !self.signal(container, id, signal).await? {
            return Ok(Signalled::Gone);
        }
        let deadline = Instant::now() + within;
        loop {
            match self.found(id).await? {
                Some(found) if matches!(found.phase, Phase::Running | Phase::Between) => {}
                _ => return Ok(Signalled::Gone),
            }
            if Instant::now() >= deadline {
                return Ok(Signalled::Stays);
            }
            sleep(LOOK).await;
        }
    }

    /// Whether there was anybody to take it.
    async fn signal(&self, container: &str, id: &InstanceId, signal: &str) -> Result<bool, RuntimeFault> {
        let kill = self.daemon.again(|docker| {
            let options = KillContainerOptions { signal: signal.to_owned() };
            let container = container.to_owned();
            async move { docker.kill_container(&container, Some(options)).await }
        });
        match kill.await? {
            Ok(()) => Ok(true),
            Err(refusal) if matches!(refusal.status, 404 | 409) => Ok(false),
            Err(refusal) => Err(refusal.fault(format!("send {signal} to {id}"))),
        }
    }

    async fn remove_container(&self, container: &str) -> Result<(), RuntimeFault> {
        let options = RemoveContainerOptions { v: true, force: true, link: false };
        let remove = self.daemon.again(|docker| {
            let (container, options) = (container.to_owned(), options.clone());
            async move { docker.remove_container(&container, Some(options)).await }
        });
        match remove.await? {
            Ok(()) => Ok(()),
            // 404: it is gone. 409: it is on its way.
            Err(refusal) if matches!(refusal.status, 404 | 409) => Ok(()),
            Err(refusal) => Err(refusal.fault(format!("remove {container}"))),
        }
    }

    async fn measured(&self, id: &InstanceId) -> Result<Stats, RuntimeFault> {
        let found = self.found(id).await?.ok_or_else(|| RuntimeFault::Absent(id.clone()))?;
        if found.phase != Phase::Running {
            return Err(RuntimeFault::NotRunning(id.clone()));
        }
        let stats = self.daemon.again(|docker| {
            let container = found.container.clone();
            async move {
                let mut stats = docker.stats(&container, Some(StatsOptions { stream: false, one_shot: true }));
                stats.next().await.transpose()
            }
        });
        let stats = stats.await?.map_err(|refusal| refusal.fault(format!("measure {id}")))?;
        let stats = stats.ok_or_else(|| RuntimeFault::NotRunning(id.clone()))?;
        let cpu = stats.cpu_stats.and_then(|cpu| cpu.cpu_usage).and_then(|usage| usage.total_usage);
        let memory = stats.memory_stats.unwrap_or_default();
        let kept = memory.stats.unwrap_or_default();
        // Pages of files that nobody uses at present, as control groups of the first and the second version call them.
        let idle = kept.get("total_inactive_file").or_else(|| kept.get("inactive_file")).copied().unwrap_or(0);
        Ok(Stats {
            cpu: Duration::from_nanos(cpu.unwrap_or(0)),
            memory: memory.usage.unwrap_or(0).saturating_sub(idle),
            processes: stats.pids_stats.and_then(|pids| pids.current).unwrap_or(0),
        })
    }

    async fn collected(&self, keep: &BTreeSet<InstanceId>) -> Result<Vec<InstanceId>, RuntimeFault> {
        fence::check(&self.daemon, &self.holder).await?;
        let mut gone = Vec::new();
        for found in found::all(&self.daemon, &self.holder).await? {
            if found.labelled.epoch > self.holder.epoch || keep.contains(&found.labelled.id) {
                continue;
            }
            self.remove_container(&found.container).await?;
            gone.push(found.labelled.id);
        }
        images::collect(&self.daemon, &self.holder, keep).await?;
        Ok(gone)
    }
}

/// What became of what was sent a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signalled {
    Gone,
    Stays,
}

impl Runtime for Docker {
    fn claim(&self) -> Answer<'_, ()> {
        Box::pin(fence::claim(&self.daemon, &self.holder))
    }

    fn create<'a>(&'a self, spec: &'a Spec) -> Answer<'a, Made> {
        Box::pin(self.created(spec))
    }

    fn start<'a>(&'a self, id: &'a InstanceId, given: &'a Given) -> Answer<'a, ()> {
        Box::pin(self.started(id, given))
    }

    fn address<'a>(&'a self, id: &'a InstanceId) -> Answer<'a, SocketAddr> {
        Box::pin(async move {
            let found = self.found(id).await?.ok_or_else(|| RuntimeFault::Absent(id.clone()))?;
            let address = found.address.filter(|_| found.phase == Phase::Running);
            let address = address.ok_or_else(|| RuntimeFault::NotRunning(id.clone()))?;
            Ok(SocketAddr::new(address, found.labelled.port))
        })
    }

    fn stop<'a>(&'a self, id: &'a InstanceId, grace: Duration) -> Answer<'a, ()> {
        Box::pin(self.stopped(id, grace))
    }

    fn remove<'a>(&'a self, id: &'a InstanceId) -> Answer<'a, ()> {
        Box::pin(async move {
            match self.ours(id).await {
                Ok(found) => self.remove_container(&found.container).await,
                Err(RuntimeFault::Absent(_)) => Ok(()),
                Err(fault) => Err(fault),
            }
        })
    }

    fn list(&self) -> Answer<'_, Vec<Seen>> {
        Box::pin(async {
            let found = found::all(&self.daemon, &self.holder).await?;
            Ok(found.into_iter().map(Found::seen).collect())
        })
    }

    fn logs<'a>(&'a self, id: &'a InstanceId, from: Option<Cursor>, until: Until) -> Answer<'a, Lines> {
        Box::pin(async move {
            let found = self.found(id).await?.ok_or_else(|| RuntimeFault::Absent(id.clone()))?;
            Ok(logs::of(self.daemon.clone(), found.container, id.clone(), from, until))
        })
    }

    fn stats<'a>(&'a self, id: &'a InstanceId) -> Answer<'a, Stats> {
        Box::pin(self.measured(id))
    }

    fn collect<'a>(&'a self, keep: &'a BTreeSet<InstanceId>) -> Answer<'a, Vec<InstanceId>> {
        Box::pin(self.collected(keep))
    }
}
