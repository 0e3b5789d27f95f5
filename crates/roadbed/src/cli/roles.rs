//! The roles of a running environment: the same program, started by `up` and by the keeper.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use host::clock::SystemClock;
use host::inherit;
use reconcile::Fault;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::role_args::RedisRest;
use crate::cli::session::Session;
use crate::keeper::lifeline;
use crate::{control, keeper};

/// Owns every process of the root.
pub fn keeper(session: &Session) -> Result<Exit, Failure> {
    // Nobody adds a time to what the keeper itself says.
    tracing_subscriber::fmt().with_ansi(false).with_target(false).with_writer(io::stderr).init();
    // Whatever the end, it is a good one: stopped, or the root is in other hands.
    keeper::run_to_end(&session.root, Arc::new(SystemClock))?;
    Ok(Exit::Done)
}

/// Decides.
pub fn control(session: &Session) -> Result<Exit, Failure> {
    speak();
    keep_memory_private()?;
    trust_nobody_else();
    threads()?.block_on(control::run(session.root.clone()))?;
    Ok(Exit::Done)
}

/// Serves visitors.
pub fn edge(session: &Session) -> Result<Exit, Failure> {
    speak();
    keep_memory_private()?;
    trust_nobody_else();
    threads()?.block_on(serve(session))
}

/// How the keeper tells an edge that the next one serves: [`host::process::Signal::USR2`].
const SUCCEEDED: SignalKind = SignalKind::user_defined2();

async fn serve(session: &Session) -> Result<Exit, Failure> {
    let cannot = |error: &(dyn std::error::Error + 'static)| Fault::because("the edge cannot start", error);
    let listeners = inherit::listeners().map_err(|fault| cannot(&fault))?;
    // The next keeper gets the sockets back from us: a second descriptor of each waits for it.
    let offer: Vec<(String, OwnedFd)> = listeners
        .iter()
        .map(|(name, socket)| Ok((name.clone(), socket.try_clone()?.into())))
        .collect::<io::Result<_>>()
        .map_err(|error| cannot(&error))?;
    let mut terminated = signal(SignalKind::terminate()).map_err(|error| cannot(&error))?;
    let mut succeeded = signal(SUCCEEDED).map_err(|error| cannot(&error))?;
    let root = session.root.clone();
    let let_go = Arc::new(Notify::new());
    let is_let_go = Arc::clone(&let_go);
    let shutdown = async move {
        // Polled when the edge serves, and not before: to the keeper, who says hello serves.
        let held = async {
            tokio::select! {
                // Ends only where the environment was stopped on purpose and no keeper is left to tell us.
                () = lifeline::hold(root, offer) => {}
                () = is_let_go.notified() => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = terminated.recv() => {}
            () = held => {}
        }
    };
    let succeeded = async move {
        succeeded.recv().await;
        // Whom the next keeper finds is not this edge, and may be of a later program: it is not for this one to start it.
        let_go.notify_one();
    };
    let config = ::edge::EdgeConfig::new(session.root.clone(), listeners, Arc::new(SystemClock), shutdown)
        .until_succeeded(succeeded);
    ::edge::run(config).await.map_err(|fault| {
        let hint = fault.hint();
        let fault = Fault::because("the edge cannot go on", &fault);
        Failure::Work(Fault { hint: hint.map(str::to_owned), ..fault })
    })?;
    Ok(Exit::Done)
}

/// Keeps what apps and browsers report.
pub fn telemetry(session: &Session) -> Result<Exit, Failure> {
    speak();
    keep_memory_private()?;
    threads()?.block_on(async {
        let cannot = |error: &(dyn std::error::Error + 'static)| Fault::because("telemetry cannot start", error);
        let mut terminated = signal(SignalKind::terminate()).map_err(|error| cannot(&error))?;
        let shutdown = async move {
            terminated.recv().await;
        };
        let config = ::telemetry::TelemetryConfig::new(session.root.clone(), Arc::new(SystemClock), shutdown);
        ::telemetry::run(config).await.map_err(|fault| {
            let hint = fault.hint();
            let fault = Fault::because("telemetry cannot go on", &fault);
            Failure::Work(Fault { hint: hint.map(str::to_owned), ..fault })
        })?;
        Ok(Exit::Done)
    })
}

/// Speaks Upstash's REST. It has no root: whoever it runs as sees nothing of it.
pub fn redis_rest(args: &RedisRest) -> Result<Exit, Failure> {
    speak();
    keep_memory_private()?;
    threads()?.block_on(async {
        let cannot =
            |error: &(dyn std::error::Error + 'static)| Fault::because("the gateway before Redis cannot go on", error);
        let mut terminated = signal(SignalKind::terminate()).map_err(|error| cannot(&error))?;
        let shutdown = async move {
            terminated.recv().await;
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.listen)).await.map_err(|error| cannot(&error))?;
        let authorities = args.authorities.clone();
        // Read again for each connection: an authority is replaced while this goes on.
        let tls = move || {
            let pem = host::files::read(&authorities).map_err(io::Error::other)?;
            Ok(stores::redis::rest::tls(&String::from_utf8_lossy(&pem), Arc::new(SystemClock)))
        };
        let way = upstash::Way::encrypted((Ipv4Addr::LOCALHOST, args.redis).into(), Box::new(tls));
        upstash::serve(listener, way, upstash::Limits::default(), shutdown).await.map_err(|error| cannot(&error))?;
        Ok(Exit::Done)
    })
}

/// What a unit says goes to stderr; the keeper adds the time and keeps it.
pub(super) fn speak() {
    tracing_subscriber::fmt().with_ansi(false).without_time().with_target(false).with_writer(io::stderr).init();
}

/// Control reads the secret store, and the edge has the key of the certificate.
pub(super) fn keep_memory_private() -> Result<(), Fault> {
    host::own::keep_memory_private().map_err(|error| Fault::because("cannot keep others out of our memory", &error))
}

/// One implementation of cryptography for all who ask for the default. A second call changes nothing.
fn trust_nobody_else() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

pub(super) fn threads() -> Result<Runtime, Fault> {
    Builder::new_multi_thread().enable_all().build().map_err(|error| Fault::because("cannot start threads", &error))
}
