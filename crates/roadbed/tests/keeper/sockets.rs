//! Listening sockets outlive everybody.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use host::files;
use host::process::{Process, Signal};
use reconcile::ports::{Sockets, Units};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::environment::{Environment, eventually, is_dead};
use crate::stand_in::{self, Manner};

pub(crate) const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The pid of the edge that answers there.
pub(crate) async fn visit(address: SocketAddr) -> std::io::Result<u32> {
    let visit = async {
        let mut stream = TcpStream::connect(address).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        text.parse().map_err(std::io::Error::other)
    };
    tokio::time::timeout(Duration::from_secs(10), visit).await?
}

/// Visits all the time; counts.
pub(crate) struct Visitors {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicU32>,
    task: tokio::task::JoinHandle<Vec<String>>,
}

impl Visitors {
    pub(crate) fn come(address: SocketAddr) -> Self {
        let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&served));
        let task = tokio::spawn(async move {
            let mut refused = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                match visit(address).await {
                    Ok(_) => drop(count.fetch_add(1, Ordering::Relaxed)),
                    Err(error) => refused.push(error.to_string()),
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            refused
        });
        Self { stop, served, task }
    }

    pub(crate) async fn more(&self) {
        let before = self.served.load(Ordering::Relaxed);
        eventually("visitors are served", async || (self.served.load(Ordering::Relaxed) > before + 20).then_some(()))
            .await;
    }

    pub(crate) async fn leave(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

#[tokio::test]
async fn no_visitor_is_refused_while_the_keeper_dies_and_comes_back() {
    let environment = Environment::start().await;
    let address = environment.client.listen("https", ANY).await.unwrap();
    environment.client.ensure(stand_in::edge(&environment, &["https"], Manner::Proper)).await.unwrap();
    let edge = visit(address).await.unwrap();
    let visitors = Visitors::come(address);
    for _ in 0..3 {
        visitors.more().await;
        let before = environment.kill_keeper().await;
        assert_ne!(environment.keeper_pid().await, before);
    }
    visitors.more().await;
    assert_eq!(visitors.leave().await, Vec::<String>::new());
    assert_eq!(visit(address).await.unwrap(), edge, "the same edge all the while");

    // The keeper got the socket back: it holds it alone now, and gives it to the next edge.
    assert_eq!(environment.client.listen("https", ANY).await.unwrap(), address);
    // To its very end: one of its threads may have just accepted a visitor.
    let process = Process::open(edge).unwrap();
    process.signal(Signal::KILL).unwrap();
    process.ended().await.unwrap();
    let next = visit(address).await.unwrap();
    assert_ne!(next, edge, "a visitor who came while there was no edge waited and was served");
}

#[tokio::test]
async fn when_keeper_and_edge_both_die_the_address_stays_the_same() {
    let environment = Environment::start().await;
    let address = environment.client.listen("https", ANY).await.unwrap();
    environment.client.ensure(stand_in::edge(&environment, &["https"], Manner::Proper)).await.unwrap();
    let edge = visit(address).await.unwrap();
    environment.kill_keeper().await;
    // It may revive the keeper before this, or not: both ways lead to the same.
    let process = Process::open(edge).unwrap();
    process.signal(Signal::KILL).unwrap();
    process.ended().await.unwrap();
    environment.launch().await;
    let next = visit(address).await.unwrap();
    assert_ne!(next, edge);
    assert_eq!(environment.client.listen("https", ANY).await.unwrap(), address);
}

#[tokio::test]
async fn an_edge_that_keeps_its_sockets_to_itself_is_replaced() {
    let environment = Environment::start().await;
    let address = environment.client.listen("https", ANY).await.unwrap();
    environment.client.ensure(stand_in::edge(&environment, &["https"], Manner::Silent)).await.unwrap();
    let silent = visit(address).await.unwrap();
    environment.kill_keeper().await;
    environment.launch().await;
    assert!(is_dead(silent));
    let next = visit(address).await.unwrap();
    assert_ne!(next, silent);
}

#[tokio::test]
async fn sockets_come_back_even_if_their_list_is_damaged() {
    let environment = Environment::start().await;
    let address = environment.client.listen("https", ANY).await.unwrap();
    environment.client.ensure(stand_in::edge(&environment, &["https"], Manner::Proper)).await.unwrap();
    let edge = visit(address).await.unwrap();
    let list = environment.root.run().join("sockets.json");
    files::write_durable(&list, b"{\"version\":1,", files::Access::Owner).unwrap();
    environment.kill_keeper().await;
    environment.keeper_pid().await;
    let health = environment.client.health().await.unwrap();
    assert!(health.faults[0].contains("listening sockets is damaged"), "{:?}", health.faults);
    let process = Process::open(edge).unwrap();
    process.signal(Signal::KILL).unwrap();
    process.ended().await.unwrap();
    assert_ne!(visit(address).await.unwrap(), edge);
}
