//! Monitors in this process, something that is watched, and somebody who is told.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{any, get};
use axum::{Json, Router};
use host::clock::SystemClock;
use monitors::{
    Alert, Channel, ChannelKind, Delivery, Monitor, MonitorSettings, MonitorState, Monitors, Probe, SIGNATURE,
    Surroundings, Watching,
};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

pub(crate) const SECRET: &str = "a-secret-of-the-channel-that-nobody-guesses";
pub(crate) const EVERY_MS: u64 = 400;

/// What is watched: it answers with whatever status it is told.
#[derive(Clone)]
pub(crate) struct Watched {
    pub(crate) address: SocketAddr,
    status: Arc<AtomicU16>,
}

impl Watched {
    pub(crate) async fn start() -> Self {
        let status = Arc::new(AtomicU16::new(200));
        let answer = |State(status): State<Arc<AtomicU16>>| async move {
            (StatusCode::from_u16(status.load(Ordering::Acquire)).unwrap(), "UrbanCart")
        };
        let address = serve(Router::new().route("/", get(answer)).with_state(Arc::clone(&status)), 0).await;
        Self { address, status }
    }

    pub(crate) fn answers(&self, status: u16) {
        self.status.store(status, Ordering::Release);
    }
}

/// What a receiver was told.
pub(crate) struct Word {
    pub(crate) signature: String,
    pub(crate) body: Bytes,
    pub(crate) at: Instant,
}

impl Word {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Takes alerts.
pub(crate) async fn receiver(port: u16) -> (SocketAddr, mpsc::UnboundedReceiver<Word>) {
    let (told, words) = mpsc::unbounded_channel();
    let take = move |headers: HeaderMap, body: Bytes| {
        let signature = headers.get(SIGNATURE).map_or("", |value| value.to_str().unwrap()).to_owned();
        told.send(Word { signature, body, at: Instant::now() }).unwrap();
        async { StatusCode::NO_CONTENT }
    };
    (serve(Router::new().route("/hook", any(take)), port).await, words)
}

pub(crate) async fn serve(router: Router, port: u16) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

pub(crate) async fn word(words: &mut mpsc::UnboundedReceiver<Word>) -> Word {
    tokio::time::timeout(Duration::from_secs(20), words.recv()).await.expect("somebody is told").unwrap()
}

pub(crate) fn monitor(name: &str, address: SocketAddr) -> Monitor {
    Monitor {
        name: name.into(),
        public: Some(name.into()),
        probe: Probe::Http {
            url: format!("http://{address}/"),
            via: None,
            status: vec![(200, 399)],
            contains: Some("UrbanCart".into()),
            within_ms: None,
        },
        every_ms: EVERY_MS,
        timeout_ms: EVERY_MS,
        failures: 2,
        successes: 2,
        parent: None,
        app: Some("api".into()),
        owner: "backend".into(),
        contact: "backend@urbancart.example".into(),
        runbook: Some(monitors::Runbook {
            link: "docs/runbook.md#api".into(),
            text: "Look at `roadbed status`.".into(),
        }),
    }
}

pub(crate) fn channel(name: &str, kind: ChannelKind) -> Channel {
    Channel { name: name.into(), kind, owners: Vec::new(), after_ms: 0, quiet: None }
}

pub(crate) fn webhook(name: &str, address: SocketAddr) -> Channel {
    channel(name, ChannelKind::Webhook { url: format!("http://{address}/hook") })
}

pub(crate) fn settings(monitors: Vec<Monitor>, channels: Vec<Channel>) -> MonitorSettings {
    MonitorSettings { product: "urbancart".into(), monitors, channels, status_page: true, ..MonitorSettings::default() }
}

/// Monitors that run, and the door by which they are asked.
pub(crate) struct Running {
    pub(crate) monitors: Arc<Monitors>,
    _watching: Watching,
    door: SocketAddr,
}

impl Running {
    pub(crate) async fn start(folder: &Path, settings: MonitorSettings) -> Self {
        let channels: Vec<String> = settings.channels.iter().map(|channel| channel.name.clone()).collect();
        let surroundings = Surroundings {
            folder: folder.to_owned(),
            environment: "test".into(),
            clock: Arc::new(SystemClock),
            minutes: Arc::new(Vec::new),
        };
        let (monitors, watching) = Monitors::start(settings, surroundings);
        let router = monitors::routes(Arc::clone(&monitors)).merge(monitors::public_routes(Arc::clone(&monitors)));
        let door = serve(router, 0).await;
        let running = Self { monitors, _watching: watching, door };
        let secrets: Vec<_> =
            channels.iter().map(|channel| serde_json::json!({ "channel": channel, "value": SECRET })).collect();
        let known = serde_json::json!({ "secrets": secrets, "releases": BTreeMap::from([("api", "r7-abc")]),
            "deploying": null, "lease_ms": 0 });
        running.ask::<()>("PUT", "/monitors/told", Some(known)).await;
        running
    }

    pub(crate) async fn raw(&self, method: &str, path: &str, body: Option<serde_json::Value>) -> (u16, String) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let mut stream = tokio::net::TcpStream::connect(self.door).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let status = answer[9..12].parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<serde_json::Value>,
    ) -> T {
        let (status, body) = self.raw(method, path, body).await;
        assert_eq!(status, 200, "{method} {path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    pub(crate) async fn states(&self) -> Vec<MonitorState> {
        self.ask("GET", "/monitors", None).await
    }

    pub(crate) async fn alerts(&self) -> Vec<Alert> {
        self.ask("GET", "/alerts", None).await
    }

    pub(crate) async fn deliveries(&self) -> Vec<Delivery> {
        self.ask("GET", "/alerts/deliveries", None).await
    }

    /// Waits until everything stands as it shall.
    pub(crate) async fn until(&self, what: &str, is: impl Fn(&[MonitorState]) -> bool) -> Vec<MonitorState> {
        let began = Instant::now();
        loop {
            let states = self.states().await;
            if is(&states) {
                return states;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{what} does not come: {states:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn until_shown(&self, name: &str, shown: monitors::Shown) -> MonitorState {
        let is = |state: &MonitorState| state.name == name && state.shown == shown;
        let states = self.until(&format!("{name} {shown:?}"), |states| states.iter().any(is)).await;
        states.into_iter().find(is).unwrap()
    }
}
