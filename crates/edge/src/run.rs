//! One edge, from its first line to its last.

use std::sync::Arc;
use std::time::Duration;

use host::files::{self, Access};
use host::socket;
use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::arrivals::Arrivals;
use crate::config::EdgeConfig;
use crate::drain::{Drain, Phase};
use crate::edge::Edge;
use crate::fault::EdgeFault;
use crate::log::AccessLog;
use crate::publish::Publisher;
use crate::{api, listen, tls};

/// How often connections to apps are looked through for ones that were idle too long.
const SWEEP: Duration = Duration::from_secs(5);

/// Serves until `shutdown` ends, then drains. The listening sockets are the keeper's: closing our end refuses nobody.
pub async fn run(config: EdgeConfig) -> Result<(), EdgeFault> {
    let EdgeConfig { root, listeners, clock, shutdown, limits } = config;
    files::create_dir(&root.run(), Access::Owner)?;
    files::create_dir(&root.logs(), Access::Owner)?;

    let publisher = Arc::new(Publisher::resume(root.clone(), Arc::clone(&clock))?);
    let (log, writer) = AccessLog::open(root.access_log(), limits.log_bytes)?;
    let drain = Drain::new();
    let edge = Arc::new(Edge {
        serving: publisher.serving(),
        arrivals: Arrivals::new(clock.now()),
        clock,
        log,
        tls: Arc::new(tls::server_config(publisher.serving()).map_err(EdgeFault::Tls)?),
        watch: drain.watch(),
        limits,
    });

    let mut tasks = JoinSet::new();
    let slots = Arc::new(Semaphore::new(edge.limits.connections));
    for (name, socket) in listeners {
        let listener = listen::adopt(&name, socket)?;
        tasks.spawn(listen::accept_all(Arc::clone(&edge), listener, Arc::clone(&slots), drain.watch()));
    }
    let own_socket = unix_listener(&root.edge_socket())?;
    tasks.spawn(api::serve(Arc::clone(&edge), publisher, own_socket));
    tasks.spawn(sweep(Arc::clone(&edge)));
    tracing::info!("serving");

    shutdown.await;
    tracing::info!("draining");
    let (lame_duck, longest) = (edge.limits.lame_duck, edge.limits.drain);
    // Ours is not to be waited for.
    drop(edge);
    finish(drain, lame_duck, longest, &mut tasks).await;
    writer.close().await;
    Ok(())
}

/// Nothing new, then nothing idle, then nothing at all.
async fn finish(mut drain: Drain, lame_duck: Duration, longest: Duration, tasks: &mut JoinSet<()>) {
    drain.enter(Phase::LameDuck);
    tokio::time::sleep(lame_duck.min(longest)).await;
    tasks.shutdown().await;
    drain.enter(Phase::Closing);
    let rest = longest.saturating_sub(lame_duck);
    if timeout(rest, drain.finished()).await.is_err() {
        drain.enter(Phase::Over);
        // What is cut needs a moment to notice, and to be written down.
        let _ = timeout(Duration::from_secs(1), drain.finished()).await;
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

fn unix_listener(path: &std::path::Path) -> Result<UnixListener, EdgeFault> {
    let fault = |source| EdgeFault::Listen { name: path.display().to_string(), source };
    let listener = socket::listen_unix(path)?;
    listener.set_nonblocking(true).map_err(fault)?;
    UnixListener::from_std(listener).map_err(fault)
}
