//! Stands in for the roles that hold the lifeline: this very test program, started by the keeper with `--exact stand_in::role`.

use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use host::inherit;
use reconcile::Root;
use reconcile::ports::{UnitKind, UnitSpec};
use roadbed::keeper::lifeline::Lifeline;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::environment::{Environment, app, program};

const ROOT: &str = "STAND_IN_ROOT";
const MANNER: &str = "STAND_IN_MANNER";

/// How a stand-in behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Proper,
    /// Serves, but never comes back with its sockets.
    Silent,
}

/// Decides nothing; revives the keeper.
pub(crate) fn control(environment: &Environment) -> UnitSpec {
    role(environment, "control", UnitKind::Control, &[], Manner::Proper)
}

/// Answers every connection with its pid.
pub(crate) fn edge(environment: &Environment, sockets: &[&str], manner: Manner) -> UnitSpec {
    role(environment, "edge", UnitKind::Edge, sockets, manner)
}

fn role(environment: &Environment, name: &str, kind: UnitKind, sockets: &[&str], manner: Manner) -> UnitSpec {
    let mut spec = app(name, "");
    spec.kind = kind;
    spec.program = host::own::program().unwrap();
    spec.args = ["--exact", "stand_in::role_process", "--ignored", "--nocapture"].map(str::to_owned).to_vec();
    spec.env.insert(ROOT.to_owned(), environment.root.path().to_string_lossy().into_owned());
    spec.env.insert(MANNER.to_owned(), format!("{manner:?}"));
    spec.sockets = sockets.iter().map(|socket| (*socket).to_owned()).collect();
    spec
}

#[test]
#[ignore = "started by other tests as a process of its own"]
fn role_process() {
    let Ok(root) = std::env::var(ROOT) else { return };
    let listeners = inherit::listeners().unwrap();
    let offer = listeners.iter().map(|(name, listener)| (name.clone(), listener.try_clone().unwrap().into())).collect();
    for (_, listener) in listeners {
        listener.set_nonblocking(true).unwrap();
        std::thread::spawn(move || serve(&listener));
    }
    let _leaves = std::thread::spawn(leave_when_succeeded);
    if std::env::var(MANNER).unwrap() == format!("{:?}", Manner::Silent) {
        loop {
            std::thread::park();
        }
    }
    let root = Root::new(PathBuf::from(root));
    let lifeline = Lifeline { root, offer, program: program().to_owned(), keepers: watch::Sender::new(0) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(lifeline.hold());
}

static IS_SUCCEEDED: AtomicBool = AtomicBool::new(false);

fn serve(listener: &TcpListener) {
    while !IS_SUCCEEDED.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((mut visitor, _)) => drop(visitor.write_all(host::own::pid().to_string().as_bytes())),
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// As the edge does: who came is served, nobody new is let in.
fn leave_when_succeeded() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        signal(SignalKind::user_defined2()).unwrap().recv().await;
        IS_SUCCEEDED.store(true, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(200)).await;
    });
    host::own::end_with(0)
}
