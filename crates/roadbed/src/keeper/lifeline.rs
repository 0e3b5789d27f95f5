//! A role's side of the lifeline: whoever holds it notices the keeper's death and starts the next one.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use host::{files, handover};
use reconcile::Root;
use tokio::net::UnixStream;
use tokio::sync::watch;

use super::wire::Hello;
use super::{down_marker, launch};

/// First pause after a keeper could not be revived; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Holds the lifeline of `root` for as long as it is polled; every new keeper gets the offered sockets back. When the keeper
/// dies, a new one is started, unless the environment was stopped on purpose: then this returns.
pub async fn hold(root: Root, offer: Vec<(String, OwnedFd)>) {
    match launch::own_program() {
        Ok(program) => Lifeline { root, offer, program, keepers: watch::Sender::new(0) }.hold().await,
        Err(fault) => tracing::error!(causes = ?fault.causes, "{fault}"),
    }
}

/// What it takes to hold on.
#[derive(Debug)]
pub struct Lifeline {
    pub root: Root,
    /// Listening sockets that the next keeper gets back, with their names.
    pub offer: Vec<(String, OwnedFd)>,
    /// The program that is started as the next keeper.
    pub program: PathBuf,
    /// Counts the keepers met. From the second on, adopted units have to be specified again: it does not know their secrets.
    pub keepers: watch::Sender<u64>,
}

impl Lifeline {
    /// See [`hold`].
    pub async fn hold(self) {
        let mut pause = FIRST_PAUSE;
        let mut keeper = greet(&self.root, &self.offer).await.ok();
        loop {
            if let Some(stream) = keeper.take() {
                pause = FIRST_PAUSE;
                self.keepers.send_modify(|count| *count += 1);
                wait_for_end(&stream).await;
                tracing::warn!("the keeper is gone");
            }
            if files::exists(&down_marker(&self.root)) {
                return;
            }
            // Several roles try this at once: the lock lets one new keeper live, the others' go quietly. The sign is the
            // greeting itself: the new keeper serves nobody else before it has our sockets.
            let greeting = || async { greet(&self.root, &self.offer).await.ok() };
            match launch::revive(&self.root, &self.program, greeting).await {
                Ok(greeted) => keeper = greeted,
                Err(fault) => {
                    tracing::error!(causes = ?fault.causes, "{fault}");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}

async fn greet(root: &Root, offer: &[(String, OwnedFd)]) -> io::Result<UnixStream> {
    let stream = host::socket::connect_unix(&root.lifeline_socket()).map_err(|fault| fault.source)?;
    stream.set_nonblocking(true)?;
    let stream = UnixStream::from_std(stream)?;
    let sockets = offer.iter().map(|(name, _)| name.clone()).collect();
    let mut hello = serde_json::to_vec(&Hello { pid: host::own::pid(), sockets })?;
    hello.push(b'\n');
    let descriptors: Vec<_> = offer.iter().map(|(_, descriptor)| descriptor.as_fd()).collect();
    handover::send(&stream, &hello, &descriptors).await?;
    Ok(stream)
}

async fn wait_for_end(stream: &UnixStream) {
    let mut buffer = [0; 64];
    loop {
        // The keeper says nothing; whatever ends the connection ends the keeper.
        match handover::receive(stream, &mut buffer, &mut Vec::new()).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}
