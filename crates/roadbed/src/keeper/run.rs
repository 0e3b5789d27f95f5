//! The keeper's own life: take the root, take up what is there, serve, stop in order.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use host::clock::Clock;
use host::files::{self, Access};
use host::lock::{self, Held, Lock};
use host::process::{Process, Signal, reaper, table};
use reconcile::ports::UnitKind;
use reconcile::{Fault, Root};
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};

use super::confinement::Means;
use super::fence::Fence;
use super::house::House;
use super::orphan::{self, Adopted};
use super::record::{self, Record, RecordedProcess};
use super::sockets::Sockets;
use super::successor::{self, Inheritance};
use super::units::{self, Request};
use super::wire::Manner;
use super::{down_marker, fifo_folder, log, offers, own_log, records_folder, server};
use crate::footprint;

/// How long a dead keeper's lock may outlive it: a child that it was just starting has a copy until it notices.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// How long open connections may take to finish after everything was stopped.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// The order of stopping: who depends on others goes first.
const STOPPING_ORDER: [UnitKind; 5] =
    [UnitKind::App, UnitKind::Edge, UnitKind::Store, UnitKind::Telemetry, UnitKind::Control];

/// How a keeper's run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything was stopped in order.
    Stopped,
    /// Another keeper has this root; what it says about itself.
    HeldBy(String),
    /// The root was stopped on purpose meanwhile; only [`super::launch`] takes that back.
    Down,
}

/// Keeps the units of `root` until it is told to stop. Brings its own runtime: one thread.
pub fn run_to_end(root: &Root, clock: Arc<dyn Clock>) -> Result<Ended, Fault> {
    let headline = || format!("the keeper of {} cannot run", root.path().display());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::because(headline(), &error))?;
    let fault = |fault: files::FileFault| Fault::because(headline(), &fault);
    files::create_dir(root.path(), Access::Owner).map_err(fault)?;
    // Children's marks and pipes are compared with what the kernel says, which knows no links.
    let root = &Root::new(files::canonical(root.path()).map_err(fault)?);
    for folder in [root.run(), records_folder(root), fifo_folder(root), root.logs()] {
        files::create_dir(&folder, Access::Owner).map_err(fault)?;
    }
    let mut inheritance = Inheritance::take();
    let taken = match inheritance.lock(&root.keeper_lock()) {
        Some(held) => Lock::Ours(held),
        None => runtime.block_on(take_lock(root, &clock)).map_err(fault)?,
    };
    let lock = match taken {
        Lock::Ours(held) => held,
        Lock::HeldBy(holder) => {
            // Several survivors may revive a keeper at once; who comes second has nothing to do and did nothing wrong.
            tracing::info!("nothing to do: {holder} holds {}", root.path().display());
            return Ok(Ended::HeldBy(holder));
        }
    };
    if files::exists(&down_marker(root)) {
        tracing::info!("nothing to do: {} was stopped on purpose", root.path().display());
        return Ok(Ended::Down);
    }
    runtime.block_on(keep(root, clock, lock, inheritance))
}

async fn take_lock(root: &Root, clock: &Arc<dyn Clock>) -> files::Result<Lock> {
    let myself = format!("keeper with pid {} since {}", host::own::pid(), clock.now());
    let deadline = clock.instant() + LOCK_PATIENCE;
    loop {
        match lock::try_lock(&root.keeper_lock(), &myself)? {
            Lock::HeldBy(holder) if !is_alive(&holder) && clock.instant() < deadline => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            taken => return Ok(taken),
        }
    }
}

fn is_alive(holder: &str) -> bool {
    let pid = holder.strip_prefix("keeper with pid ").and_then(|rest| rest.split(' ').next()?.parse().ok());
    pid.and_then(table::entry).is_some_and(|entry| !entry.is_dead())
}

async fn keep(root: &Root, clock: Arc<dyn Clock>, lock: Held, left: Inheritance) -> Result<Ended, Fault> {
    let headline = || format!("the keeper of {} cannot run", root.path().display());
    let because_file = |fault: files::FileFault| Fault::because(headline(), &fault);
    let because_io = |error: std::io::Error| Fault::because(headline(), &error);

    let mut terminate = signal(SignalKind::terminate()).map_err(because_io)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(because_io)?;
    // A closed terminal is no reason to stop what others rely on.
    let _hangup = signal(SignalKind::hangup()).map_err(because_io)?;
    let mut child = signal(SignalKind::child()).map_err(because_io)?;
    reaper::become_subreaper().map_err(because_io)?;
    // It holds every unit's variables.
    host::own::keep_memory_private().map_err(because_io)?;

    let house = take_up(root, clock, left).await.map_err(because_file)?;
    let reaping = tokio::spawn({
        let house = Arc::clone(&house);
        async move {
            while child.recv().await.is_some() {
                house.reap_strangers();
            }
        }
    });

    let listener = listen(&root.keeper_socket()).map_err(because_file)?;
    let mut stopped = house.stopped.subscribe();
    let serving = axum::serve(listener, server::routes(Arc::clone(&house)))
        .with_graceful_shutdown(async move { drop(stopped.wait_for(|stopped| *stopped).await) });
    let serving = tokio::spawn(serving.into_future());
    let light = tokio::spawn(footprint::stay_light());
    let tidy = tokio::spawn(log::keep_own_small(own_log(root)));
    tracing::info!(root = %root.path().display(), "keeping");

    let (mut shutdown, mut next) = (house.shutdown.subscribe(), house.next.subscribe());
    loop {
        tokio::select! {
            _ = terminate.recv() => house.begin_shutdown(Manner::Gracefully),
            _ = interrupt.recv() => house.begin_shutdown(Manner::Gracefully),
            _ = shutdown.wait_for(Option::is_some) => {}
            program = successor::due(&mut next) => {
                let fault = successor::become_it(&house, &lock, &program);
                tracing::error!(causes = ?fault.causes, "{fault}");
                continue;
            }
        }
        break;
    }
    let stopping = stop(&house);
    tokio::pin!(stopping);
    loop {
        tokio::select! {
            () = &mut stopping => break,
            // Asked twice: who is in such a hurry does not want to wait for grace.
            _ = interrupt.recv() => house.begin_shutdown(Manner::Now),
        }
    }
    house.stopped.send_replace(true);
    let _ = tokio::time::timeout(LAST_ANSWERS, serving).await;
    reaping.abort();
    light.abort();
    tidy.abort();
    for removed in [files::remove(&root.keeper_socket()), files::remove(&root.lifeline_socket())] {
        note(removed);
    }
    tracing::info!("stopped in order");
    drop(lock);
    Ok(Ended::Stopped)
}

/// Finds what a keeper before us left behind, and makes it ours.
async fn take_up(root: &Root, clock: Arc<dyn Clock>, left: Inheritance) -> files::Result<Arc<House>> {
    let boot_id = table::boot_id()?;
    let (records, damaged) = record::read_all(root)?;
    let (mut sockets, socket_fault) = Sockets::load(root)?;
    left.sockets.into_iter().for_each(|(name, socket)| sockets.offer(&name, socket));
    let (fence, fence_fault) = Fence::load(root)?;
    let damage = damaged.iter().map(|damaged| damaged.fault.clone());
    let faults: Vec<String> = damage.chain(socket_fault).chain(fence_fault).collect();
    for fault in &faults {
        tracing::error!("{fault}");
    }
    let kept = records.iter().filter(|record| is_of_boot(record, &boot_id)).flat_map(groups_of).collect();
    let means = Means::find(root, &kept);
    let house = Arc::new(House::new(root.clone(), clock, boot_id, sockets, faults, (fence, means)));

    // Roles come back by themselves, sockets in hand, as soon as there is a lifeline.
    let lifeline = listen(&root.lifeline_socket())?;
    tokio::spawn(offers::accept(Arc::clone(&house), lifeline));
    recover_sockets(&house, &records).await;

    let adopted = records.iter().flat_map(|record| living(&house, record).into_iter().chain(leaving(&house, record)));
    let adopted: Vec<Adopted> = adopted.map(|(_, adopted)| adopted).collect();
    for unit in orphan::stop_strangers(root, &adopted).await {
        tracing::warn!(unit, "stopped a process that no record named");
    }
    for damaged in damaged {
        // Shown as lost until it is specified again, also by the keeper after us.
        damaged.stand_in.write(root)?;
        units::adopt(&house, damaged.stand_in);
    }
    for record in records {
        units::adopt(&house, record);
    }
    Ok(house)
}

fn is_of_boot(record: &Record, boot_id: &str) -> bool {
    record.process.as_ref().is_some_and(|recorded| recorded.boot_id == boot_id)
}

fn groups_of(record: &Record) -> Vec<PathBuf> {
    record.process.as_ref().map_or_else(Vec::new, |recorded| recorded.groups.clone())
}

/// Gets the listening sockets back from the edges that live, or binds them anew.
async fn recover_sockets(house: &House, records: &[Record]) {
    let edges: Vec<Process> = records
        .iter()
        .filter(|record| record.spec.kind == UnitKind::Edge && !record.spec.sockets.is_empty())
        .filter_map(|record| living(house, record))
        .map(|(process, _)| process)
        .collect();
    if !edges.is_empty() {
        let pids: BTreeSet<u32> = edges.iter().map(Process::pid).collect();
        let silent = offers::wait_for(house, &pids).await;
        for edge in edges.iter().filter(|edge| silent.contains(&edge.pid())) {
            // It holds the ports and does not give them: nobody could serve in its place.
            tracing::error!(pid = edge.pid(), "an edge did not come back with its sockets; killing it");
            if let Err(error) = edge.signal_group(Signal::KILL) {
                tracing::error!(pid = edge.pid(), %error, "cannot kill it");
                continue;
            }
            let _ = tokio::time::timeout(Duration::from_secs(5), edge.ended()).await;
        }
    }
    if house.sockets().any_missing() {
        for fault in house.sockets().bind_missing() {
            tracing::error!("{fault}");
        }
    }
}

fn living(house: &House, record: &Record) -> Option<(Process, Adopted)> {
    ours(house, record, record.process.as_ref()?)
}

fn leaving(house: &House, record: &Record) -> Vec<(Process, Adopted)> {
    record.leaving.iter().filter_map(|recorded| ours(house, record, recorded)).collect()
}

fn ours(house: &House, record: &Record, recorded: &RecordedProcess) -> Option<(Process, Adopted)> {
    let process = recorded.living(&house.boot_id)?;
    if orphan::is_of_another(&house.root, process.pid()) {
        tracing::error!(unit = record.spec.name, "the record is of another root; its process is left alone");
        return None;
    }
    let adopted = Adopted { pid: process.pid(), spawn: recorded.spawn.clone() };
    Some((process, adopted))
}

fn listen(path: &std::path::Path) -> files::Result<UnixListener> {
    let fault = |source| files::FileFault::new("listen on", path, source);
    let listener = host::socket::listen_unix(path)?;
    listener.set_nonblocking(true).map_err(fault)?;
    UnixListener::from_std(listener).map_err(fault)
}

/// Stops everything, kind after kind, and leaves nothing in the run folder that a later keeper would take up.
async fn stop(house: &Arc<House>) {
    // Before anything else: from here on nobody revives us. A full disk must not keep an environment from being stopped.
    note(files::write_durable(&down_marker(&house.root), b"stopped on purpose\n", Access::Owner));
    for kind in STOPPING_ORDER {
        let names = house.units.names_of(kind);
        let removals = names.iter().map(|name| units::ask(house, name, Request::Remove));
        for (name, removed) in names.iter().zip(join_all(removals).await) {
            if let Err(fault) = removed {
                tracing::error!(unit = name, causes = ?fault.causes, "{fault}");
            }
        }
    }
    let mut leaving = house.leaving.subscribe();
    // Each is killed where it does not go.
    let _ = leaving.wait_for(|leaving| *leaving == 0).await;
    note(house.sockets().close());
    note(house.fence.forget());
    house.means.sweep();
}

fn note(outcome: files::Result<()>) {
    if let Err(fault) = outcome {
        tracing::error!(error = %fault.source, "{fault}");
    }
}

impl House {
    fn begin_shutdown(&self, manner: Manner) {
        self.shutdown.send_replace(Some(manner));
    }
}
