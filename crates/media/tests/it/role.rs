//! A role with a folder of objects, of one test alone.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use media::origin::{Folder, Found, Origin, Unmet};
use media::worker::Program;
use media::{Media, Settings, SigningKey, admin_routes, serve};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const KEY: &[u8] = b"a key of a test";

pub(crate) struct Role {
    pub(crate) media: Media,
    pub(crate) origin: Arc<Counted>,
    address: SocketAddr,
    admin: SocketAddr,
    serving: [tokio::task::JoinHandle<()>; 2],
    objects: Arc<tempfile::TempDir>,
}

/// A folder that counts who asks, and can be away.
#[derive(Debug)]
pub(crate) struct Counted {
    folder: Folder,
    pub(crate) asked: AtomicUsize,
    /// Those that have what they asked for in hand, whatever replaces it.
    pub(crate) opened: AtomicUsize,
    pub(crate) is_away: std::sync::atomic::AtomicBool,
    /// While somebody writes here, what was opened does not arrive.
    pub(crate) held: tokio::sync::RwLock<()>,
}

impl Origin for Counted {
    fn get<'a>(&'a self, bucket: &'a str, key: &'a str, known: Option<&'a str>) -> BoxFuture<'a, Result<Found, Unmet>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.is_away.load(Ordering::SeqCst) {
            return Box::pin(async { Err(Unmet::Away("it is away".to_owned())) });
        }
        Box::pin(async move {
            let found = self.folder.get(bucket, key, known).await;
            self.opened.fetch_add(1, Ordering::SeqCst);
            drop(self.held.read().await);
            found
        })
    }
}

pub(crate) fn settings() -> Settings {
    Settings { buckets: ["shop".to_owned()].into(), workers: Some(2), ..Settings::default() }
}

/// The example, which `cargo test` builds beside the tests.
pub(crate) fn program(role: &str) -> Program {
    let path = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("examples/media");
    assert!(path.exists(), "{} is not built: cargo build -p roadbed-media --example media", path.display());
    Program { path, args: vec![role.to_owned()] }
}

impl Role {
    pub(crate) async fn start(settings: Settings) -> Self {
        let objects = tempfile::tempdir().unwrap();
        std::fs::create_dir(objects.path().join("shop")).unwrap();
        Self::begin(settings, program("worker"), Arc::new(objects)).await
    }

    pub(crate) async fn start_with(settings: Settings, program: Program) -> Self {
        let objects = tempfile::tempdir().unwrap();
        std::fs::create_dir(objects.path().join("shop")).unwrap();
        Self::begin(settings, program, Arc::new(objects)).await
    }

    async fn begin(settings: Settings, program: Program, objects: Arc<tempfile::TempDir>) -> Self {
        let origin = Arc::new(Counted {
            folder: Folder::new(objects.path()),
            asked: AtomicUsize::new(0),
            opened: AtomicUsize::new(0),
            is_away: false.into(),
            held: tokio::sync::RwLock::new(()),
        });
        let media = Media::open(settings, Some(SigningKey::new(KEY)), origin.clone(), program).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = media.clone();
        let serving = tokio::spawn(async move { serve(listener, served, std::future::pending()).await.unwrap() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admin = listener.local_addr().unwrap();
        let routes = admin_routes(&media);
        let admin_serving = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { media, origin, address, admin, serving: [serving, admin_serving], objects }
    }

    /// Another role with the same objects.
    pub(crate) async fn again(self, settings: Settings) -> Self {
        let objects = self.objects.clone();
        drop(self);
        Self::begin(settings, program("worker"), objects).await
    }

    pub(crate) fn put(&self, key: &str, bytes: &[u8]) {
        let file = self.file(key);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        // Another file, so that it has another entity tag whatever the clock says.
        let fresh = file.with_extension("fresh");
        std::fs::write(&fresh, bytes).unwrap();
        std::fs::rename(fresh, file).unwrap();
    }

    pub(crate) fn file(&self, key: &str) -> PathBuf {
        self.objects.path().join("shop").join(key)
    }

    pub(crate) async fn get(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        ask(self.address, "GET", target, headers, b"").await
    }

    pub(crate) async fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
        ask(self.address, method, target, headers, b"").await
    }

    pub(crate) async fn admin(&self, method: &str, target: &str, body: &[u8]) -> Answer {
        ask(self.admin, method, target, &[("content-type", "application/json")], body).await
    }

    pub(crate) async fn purge(&self, selector: &str) -> String {
        let answer = self.admin("POST", "/-/purge", selector.as_bytes()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text()
    }

    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let text = self.admin("GET", "/-/metrics", b"").await.text();
        let row = text.lines().find_map(|line| line.strip_prefix(&format!("roadbed_media_{name} ")));
        row.unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        self.serving.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

async fn ask(address: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(target).header("host", "media.test");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = sender.send_request(request.body(Body::from(body.to_vec())).unwrap()).await.unwrap();
    let (head, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    drop(sender);
    connection.abort();
    Answer { status: head.status, headers: head.headers, body }
}

/// Waits until it is so.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The processes that this test process started with this word as argument.
pub(crate) fn children(word: &str) -> Vec<i32> {
    let me = std::process::id().to_string();
    let is_ours = |pid: &str| {
        let place = Path::new("/proc").join(pid);
        let stat = std::fs::read_to_string(place.join("stat")).unwrap_or_default();
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)).unwrap_or_default();
        let line = std::fs::read_to_string(place.join("cmdline")).unwrap_or_default();
        parent == me && line.split('\0').any(|argument| argument == word)
    };
    let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| is_ours(name)).filter_map(|name| name.parse().ok()).collect()
}
