//! One edge, from its first line to its last.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use host::files::{self, Access};
use host::socket;
use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::abuse::Memory;
use crate::abuse::crawlers::Resolver;
use crate::admission::Admissions;
use crate::arrivals::Arrivals;
use crate::config::EdgeConfig;
use crate::crowd::Crowd;
use crate::drain::{Drain, Phase};
use crate::edge::Edge;
use crate::fault::EdgeFault;
use crate::log::AccessLog;
use crate::publish::Publisher;
use crate::rate_limit::Limiter;
use crate::tls::on_demand::OnDemand;
use crate::tls::proofs::Proofs;
use crate::{api, listen, tls};

/// How often connections to apps are looked through for ones that were idle too long.
const SWEEP: Duration = Duration::from_secs(5);

/// Serves until `shutdown` ends, then drains. The listening sockets are the keeper's: closing our end refuses nobody.
pub async fn run(config: EdgeConfig) -> Result<(), EdgeFault> {
    let EdgeConfig { root, listeners, clock, mut shutdown, succeeded, limits } = config;
    files::create_dir(&root.run(), Access::Owner)?;
    files::create_dir(&root.logs(), Access::Owner)?;

    let (log, writer) = AccessLog::open(root.access_log(), limits.log_bytes)?;
    let listeners =
        listeners.into_iter().map(|(name, socket)| listen::adopt(&name, socket)).collect::<Result<Vec<_>, _>>()?;
    // After what may fail, since an edge before us may have to go on; and before the table is read, since what is published from
    // here on comes to us.
    let own_socket = own_socket(&root.edge_socket())?;
    let publisher = Arc::new(Publisher::resume(root.clone(), Arc::clone(&clock))?);
    let proofs = Arc::new(Proofs::resume(&root, Arc::clone(&clock)));
    let drain = Drain::new();
    let edge = Arc::new(Edge {
        serving: publisher.serving(),
        arrivals: Arrivals::new(clock.now()),
        on_demand: OnDemand::new(clock.instant()),
        crowd: Arc::new(Crowd::new(limits.connections_per_client)),
        limiter: Limiter::new(clock.instant(), limits.limits_store),
        admissions: Arc::new(Admissions::resume(&root)),
        abuse: Memory::new(),
        control: root.control_socket(),
        clock,
        log,
        tls: tls::Terms::new(publisher.serving(), Arc::clone(&proofs)).map_err(EdgeFault::Tls)?,
        proofs,
        watch: drain.watch(),
        limits,
    });

    let (mut doors, mut aside) = (JoinSet::new(), JoinSet::new());
    let slots = Arc::new(Semaphore::new(places(edge.limits.connections, host::own::most_open_files())));
    for listener in listeners {
        doors.spawn(listen::accept_all(Arc::clone(&edge), listener, Arc::clone(&slots), drain.watch()));
    }
    aside.spawn(answer_control(Arc::clone(&edge), publisher, root.edge_socket(), own_socket));
    aside.spawn(sweep(Arc::clone(&edge)));
    aside.spawn(tend_limits(Arc::clone(&edge)));
    aside.spawn(verify_crawlers(Arc::clone(&edge)));
    tracing::info!("serving");

    let is_succeeded = tokio::select! {
        () = &mut shutdown => false,
        () = succeeded => true,
    };
    let (limits, admissions) = (edge.limits.clone(), Arc::clone(&edge.admissions));
    // Ours is not to be waited for.
    drop(edge);
    drain.enter(Phase::LameDuck);
    let mut drain = drain;
    if is_succeeded {
        tracing::info!("another edge serves; draining without haste");
        // The doors close by themselves, each when whoever came in last is seen to.
        aside.shutdown().await;
        // Control tells the next one; whoever is still connected here is let in by what that one wrote down.
        aside.spawn(follow(admissions));
        tokio::select! {
            () = finish(&mut drain, limits.succeeded_lame_duck, limits.succeeded_drain) => {}
            // The environment is being stopped meanwhile.
            () = shutdown => finish(&mut drain, limits.lame_duck, limits.drain).await,
        }
    } else {
        tracing::info!("draining");
        let lame_duck = limits.lame_duck.min(limits.drain);
        tokio::time::sleep(lame_duck).await;
        doors.shutdown().await;
        aside.shutdown().await;
        finish(&mut drain, Duration::ZERO, limits.drain.saturating_sub(lame_duck)).await;
    }
    writer.close().await;
    Ok(())
}

/// Files that are open whoever visits: doors, logs, certificates while they are read, what the runtime needs.
const OWN_FILES: u64 = 64;

/// How many visitors are let in. A quarter of all files stays for what they ask for, connections to apps and files of sites; visitors are
/// idle most of the time. Whoever is in is served, and who cannot be served yet waits at the door.
fn places(wanted: usize, most_open_files: Option<u64>) -> usize {
    let Some(most) = most_open_files else { return wanted };
    let places = usize::try_from(most.saturating_sub(OWN_FILES) / 4 * 3).unwrap_or(usize::MAX).max(1);
    if places < wanted {
        tracing::warn!(places, wanted, "fewer visitors at once than usual: this process may open only {most} files");
    }
    places.min(wanted)
}

/// Nothing new is let in any more. Then nothing idle, then nothing at all.
async fn finish(drain: &mut Drain, lame_duck: Duration, longest: Duration) {
    let lame_duck = lame_duck.min(longest);
    if timeout(lame_duck, drain.finished()).await.is_ok() {
        return;
    }
    drain.enter(Phase::Closing);
    if timeout(longest.saturating_sub(lame_duck), drain.finished()).await.is_err() {
        drain.enter(Phase::Over);
        // What is cut needs a moment to notice, and to be written down.
        let _ = timeout(Duration::from_secs(1), drain.finished()).await;
    }
}

/// Sees to it that limits are counted with other edges.
async fn tend_limits(edge: Arc<Edge>) {
    edge.limiter.shared.tend().await;
}

/// Asks the name service about crawlers, where there is one.
async fn verify_crawlers(edge: Arc<Edge>) {
    let Some(names) = Resolver::of_this_machine() else { return };
    edge.abuse.crawlers.tend(&names, edge.clock.as_ref()).await;
}

async fn follow(admissions: Arc<Admissions>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let admissions = Arc::clone(&admissions);
        let _ = tokio::task::spawn_blocking(move || admissions.look_again()).await;
    }
}

async fn sweep(edge: Arc<Edge>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        if let Ok(snapshot) = edge.serving.load().snapshot() {
            let now = edge.clock.instant();
            snapshot.pools().for_each(|pool| pool.sweep(now));
        }
    }
}

/// Answers on the edge's own socket, and takes its place again where one who was to follow took it and did not come to serve.
async fn answer_control(edge: Arc<Edge>, publisher: Arc<Publisher>, path: PathBuf, mut listener: UnixListener) {
    loop {
        tokio::select! {
            () = api::serve(Arc::clone(&edge), Arc::clone(&publisher), listener) => return,
            () = is_nobodys(&path) => {}
        }
        tracing::warn!("nobody listens on the edge's socket; listening there again");
        listener = loop {
            match own_socket(&path) {
                Ok(listener) => break listener,
                Err(fault) => tracing::error!(%fault, "cannot listen there again"),
            }
            tokio::time::sleep(LOOK).await;
        };
    }
}

/// Between two looks at whether the edge's socket is still somebody's.
const LOOK: Duration = Duration::from_secs(1);

/// Ends when nobody listens at this place any more. While we do, looking costs one connection a second.
async fn is_nobodys(path: &Path) {
    loop {
        tokio::time::sleep(LOOK).await;
        let refused =
            |fault: files::FileFault| matches!(fault.source.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound);
        if socket::connect_unix(path).is_err_and(refused) {
            return;
        }
    }
}

fn own_socket(path: &Path) -> Result<UnixListener, EdgeFault> {
    let fault = |source| EdgeFault::Listen { name: path.display().to_string(), source };
    let listener = socket::listen_unix(path)?;
    listener.set_nonblocking(true).map_err(fault)?;
    UnixListener::from_std(listener).map_err(fault)
}

#[cfg(test)]
mod tests {
    use super::places;

    #[test]
    fn nobody_is_let_in_who_could_not_be_served() {
        assert_eq!(places(10_000, None), 10_000);
        assert_eq!(places(10_000, Some(65_536)), 10_000);
        assert_eq!(places(10_000, Some(1024)), 720);
        assert_eq!(places(10_000, Some(10)), 1);
    }
}
