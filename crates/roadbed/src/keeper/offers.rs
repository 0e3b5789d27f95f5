//! The keeper's side of the lifeline: roles hold on to it, and bring back the listening sockets they have.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use host::handover;
use tokio::net::{UnixListener, UnixStream};

use super::house::House;
use super::wire::Hello;

/// A hello is a pid and some names.
const LONGEST_HELLO: usize = 16 * 1024;

/// How long an edge that outlived the keeper before may take to come back with its sockets.
const PATIENCE: Duration = Duration::from_secs(2);

/// Takes connections for as long as the keeper lives.
pub(super) async fn accept(house: Arc<House>, listener: UnixListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let house = Arc::clone(&house);
                tokio::spawn(async move {
                    if let Err(error) = hold(&house, &stream).await {
                        tracing::warn!(%error, "a role let go of the lifeline without a proper hello");
                    }
                });
            }
            Err(error) => {
                // Out of descriptors: without a pause this would be a busy loop.
                tracing::error!(%error, "cannot accept on the lifeline");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn hold(house: &House, stream: &UnixStream) -> io::Result<()> {
    let mut descriptors = Vec::new();
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    while !text.ends_with(b"\n") {
        let count = handover::receive(stream, &mut buffer, &mut descriptors).await?;
        if count == 0 || text.len() > LONGEST_HELLO {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        text.extend_from_slice(&buffer[..count]);
    }
    let hello: Hello = serde_json::from_slice(&text)?;
    for (name, descriptor) in hello.sockets.iter().zip(descriptors) {
        house.sockets().offer(name, descriptor);
    }
    tracing::info!(pid = hello.pid, sockets = ?hello.sockets, "a role holds the lifeline");
    house.greeted.send_modify(|pids| {
        pids.insert(hello.pid);
    });
    // Our end stays open for as long as we live; the role's end for as long as it does.
    let mut none = Vec::new();
    while handover::receive(stream, &mut buffer, &mut none).await? > 0 {}
    house.greeted.send_modify(|pids| {
        pids.remove(&hello.pid);
    });
    Ok(())
}

/// Waits until these processes said hello. Returns those that did not in time.
pub(super) async fn wait_for(house: &House, pids: &BTreeSet<u32>) -> BTreeSet<u32> {
    let mut greeted = house.greeted.subscribe();
    let all_came = greeted.wait_for(|greeted| pids.iter().all(|pid| greeted.contains(pid)));
    let _ = tokio::time::timeout(PATIENCE, all_came).await;
    let greeted = house.greeted.borrow();
    pids.iter().copied().filter(|pid| !greeted.contains(pid)).collect()
}
