//! One edge with everything around it, in a folder of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge::tls::local_ca;
use edge::{EdgeClient, EdgeConfig, EdgeFault, Limits};
use host::clock::{Clock, SystemClock};
use host::socket;
use reconcile::Root;
use reconcile::ports::{Published, RouteTable, Routes, Site, SiteAccess, Target, Upstream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const SHOP: &str = "www.shop.localhost";

pub(crate) struct World {
    pub(crate) root: Root,
    pub(crate) https: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) internal: SocketAddr,
    pub(crate) candidate: SocketAddr,
    pub(crate) edge: EdgeClient,
    shutdown: Mutex<Option<oneshot::Sender<()>>>,
    succeeded: Mutex<Option<oneshot::Sender<()>>>,
    running: Option<JoinHandle<Result<(), EdgeFault>>>,
    sockets: Vec<(String, std::net::TcpListener)>,
    limits: Limits,
    _folder: Arc<tempfile::TempDir>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let root = Root::new(folder.path().canonicalize().unwrap());
        let listen = |name: &str| (name.to_owned(), socket::listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap());
        let sockets = vec![listen("https"), listen("http"), listen("shop-internal"), listen("candidate")];
        let address = |at: usize| sockets[at].1.local_addr().unwrap();
        let mut world = Self {
            edge: EdgeClient::new(root.clone()),
            root,
            https: address(0),
            http: address(1),
            internal: address(2),
            candidate: address(3),
            shutdown: Mutex::new(None),
            succeeded: Mutex::new(None),
            running: None,
            sockets,
            limits,
            _folder: folder,
        };
        world.start().await;
        world
    }

    /// Starts an edge on the same root and sockets, as the keeper would.
    pub(crate) async fn start(&mut self) {
        let sockets = self.sockets.iter().map(|(name, socket)| (name.clone(), socket.try_clone().unwrap())).collect();
        let (stop, stopped) = oneshot::channel();
        let (succeed, succeeded) = oneshot::channel::<()>();
        let mut config = EdgeConfig::new(self.root.clone(), sockets, Arc::new(SystemClock), async {
            let _ = stopped.await;
        });
        config = config.until_succeeded(async {
            if succeeded.await.is_err() {
                std::future::pending().await
            }
        });
        config.limits = self.limits.clone();
        self.shutdown = Mutex::new(Some(stop));
        self.succeeded = Mutex::new(Some(succeed));
        self.running = Some(tokio::spawn(edge::run(config)));
        eventually("the edge's socket answers", async || self.edge.health().await.is_ok()).await;
    }

    /// Starts another edge beside this one, as the keeper does, and lets this one know. What follows is asked of the next.
    pub(crate) async fn succeed(&mut self) -> Before {
        let (shutdown, succeeded) = (self.shutdown.lock().unwrap().take(), self.succeeded.lock().unwrap().take());
        let running = self.running.take().unwrap();
        self.start().await;
        succeeded.unwrap().send(()).unwrap();
        Before { shutdown, running }
    }

    /// Tells the edge to drain; returns at once.
    pub(crate) fn begin_stop(&self) {
        let _ = self.shutdown.lock().unwrap().take().unwrap().send(());
    }

    pub(crate) async fn stopped(&mut self) {
        self.running.take().unwrap().await.unwrap().unwrap();
    }

    pub(crate) async fn stop(&mut self) {
        self.begin_stop();
        self.stopped().await;
    }

    /// Makes the certificate and publishes, as control does.
    pub(crate) async fn publish(&self, sites: Vec<Site>) -> Published {
        self.try_publish(self.table(sites)).await.unwrap()
    }

    pub(crate) async fn try_publish(&self, table: RouteTable) -> Result<Published, reconcile::Fault> {
        let hosts: Vec<String> =
            table.sites.iter().chain(&table.candidate).flat_map(|site| site.hosts.clone()).collect();
        let owner = local_ca::Owner { environment: "test".to_owned(), root: "1".to_owned() };
        local_ca::ensure(&self.root, &owner, &hosts, SystemClock.now()).unwrap();
        self.edge.publish(table).await
    }

    pub(crate) fn table(&self, sites: Vec<Site>) -> RouteTable {
        RouteTable { environment: "test".into(), https_port: self.https.port(), sites, ..RouteTable::default() }
    }

    /// The lines of the access log that are there when `is_enough` says so.
    pub(crate) async fn log(&self, is_enough: impl Fn(&[serde_json::Value]) -> bool) -> Vec<serde_json::Value> {
        let newest = self.root.access_log();
        // Oldest first: a busy test has more lines than one file takes.
        let files: Vec<_> = ["log.3", "log.2", "log.1", "log"].map(|end| newest.with_extension(end)).into();
        let read = || {
            let text: String = files.iter().filter_map(|file| std::fs::read_to_string(file).ok()).collect();
            // What follows the last end of a line is being written.
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>()
        };
        eventually("the access log has the lines", async || is_enough(&read())).await;
        read()
    }
}

/// An edge that another has followed.
pub(crate) struct Before {
    shutdown: Option<oneshot::Sender<()>>,
    running: JoinHandle<Result<(), EdgeFault>>,
}

impl Before {
    /// The environment is being stopped.
    pub(crate) fn begin_stop(&mut self) {
        self.shutdown.take().unwrap().send(()).unwrap();
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.running.is_finished()
    }

    pub(crate) async fn gone(self) {
        self.running.await.unwrap().unwrap();
    }
}

/// Polls until it holds. The deadline is for a broken edge on a busy machine, not part of any test.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..1500 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

/// A public site on one app instance, also reachable from inside.
pub(crate) fn shop(port: u16) -> Site {
    site(&[SHOP], instances(&[port]))
}

pub(crate) fn instances(ports: &[u16]) -> Target {
    let upstream = |(at, &port): (usize, &u16)| Upstream { instance: format!("shop-{}", at + 1), port };
    Target::Instances {
        upstreams: ports.iter().enumerate().map(upstream).collect(),
        first_byte_ms: 30_000,
        idle_ms: 5_000,
        longest_body: None,
        protocol: reconcile::ports::Protocol::Http1,
        wake_ms: None,
    }
}

pub(crate) fn site(hosts: &[&str], target: Target) -> Site {
    Site {
        app: "shop".into(),
        hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
        target,
        access: SiteAccess::Public,
        client_authorities: None,
        cache: None,
        config: None,
        key_set: None,
        internal_socket: Some("shop-internal".into()),
        release: None,
        kept: Vec::new(),
        headers: BTreeMap::new(),
    }
}

pub(crate) fn folder_site(folder: &Path) -> Site {
    Site {
        config: Some(BTreeMap::from([("PUBLIC_API_URL".to_owned(), "https://api.shop.localhost".to_owned())])),
        key_set: None,
        ..site(&[SHOP], Target::Files { folder: folder.to_owned(), spa_fallback: Some("index.html".into()) })
    }
}
