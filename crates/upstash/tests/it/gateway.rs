//! A redis-server and a gateway before it, of one test alone.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use upstash::{Limits, Login, Way, serve};

pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    redis: SocketAddr,
    folder: tempfile::TempDir,
    process: Child,
    serving: tokio::task::JoinHandle<()>,
}

/// As `stores/redis/acl.rs` has an app's user and its reader.
const USERS: [&str; 4] = [
    "app on >app-password ~shop:* resetchannels &shop:* -@all +@all -@admin -@dangerous +info",
    "reader on >reader-password %R~shop:* resetchannels -@all +@read +@connection -keys -scan -@dangerous",
    "other on >other-password ~other:* resetchannels -@all +@all -@admin -@dangerous",
    "default off",
];

impl Gateway {
    pub(crate) async fn start(limits: Limits) -> Self {
        let redis = address_of_its_own();
        let folder = tempfile::tempdir().unwrap();
        let process = spawn(redis, folder.path());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let way = Way::in_the_clear(redis);
        let serving = tokio::spawn(async move { serve(listener, way, limits, std::future::pending()).await.unwrap() });
        let gateway = Self { address, redis, folder, process, serving };
        gateway.is_healthy().await;
        gateway
    }

    pub(crate) async fn is_healthy(&self) {
        self.until("the gateway reaches Redis", |answer| answer.status == 200).await;
    }

    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&Answer) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = self.ask("GET", "/.well-known/health", &[], b"").await;
            if is_so(&answer) {
                return;
            }
            assert!(Instant::now() < deadline, "not in time: {what}; last: {answer:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn kill_redis(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub(crate) fn start_redis(&mut self) {
        self.process = spawn(self.redis, self.folder.path());
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
        // A body that is too large is refused before it was read.
        let _ = stream.write_all(body).await;
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all).await;
        let split = all.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer has a head");
        let head = String::from_utf8(all[..split].to_vec()).unwrap().to_ascii_lowercase();
        Answer { status: head[9..12].parse().unwrap(), head, body: all[split + 4..].to_vec() }
    }

    /// As the app.
    pub(crate) async fn app(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        self.ask(method, path, &[("Authorization", &bearer("app", "app-password"))], body).await
    }
}

pub(crate) fn token(user: &str, password: &str) -> String {
    Login::new(user, password).unwrap().token().to_string()
}

pub(crate) fn bearer(user: &str, password: &str) -> String {
    format!("Bearer {}", token(user, password))
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn says(&self, status: u16, body: &str) {
        assert_eq!((self.status, self.text().as_str()), (status, body));
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.serving.abort();
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// While a server is away nobody else gets its port: no other test has this address.
fn address_of_its_own() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let process = u8::try_from(std::process::id() % 250).unwrap();
    let ip = IpAddr::from([127, 77, process, NEXT.fetch_add(1, Ordering::Relaxed)]);
    TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap()
}

fn spawn(address: SocketAddr, folder: &Path) -> Child {
    let (program, libraries) = program();
    let mut command = Command::new(program);
    command
        .args([
            "--port",
            &address.port().to_string(),
            "--bind",
            &address.ip().to_string(),
            "--save",
            "",
            "--appendonly",
            "yes",
            "--dir",
        ])
        .arg(folder);
    for user in USERS {
        command.arg("--user").args(user.split(' '));
    }
    command.env("LD_LIBRARY_PATH", libraries).stdout(Stdio::null()).spawn().unwrap()
}

/// The machine's own, or the one that `stores` has fetched.
fn program() -> (PathBuf, PathBuf) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if let Some(found) =
        std::env::split_paths(&path).map(|folder| folder.join("redis-server")).find(|file| file.is_file())
    {
        return (found, PathBuf::new());
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"));
    let engines = std::fs::read_dir(cache.join("roadbed/engines")).into_iter().flatten().flatten();
    let fetched = engines.map(|entry| entry.path()).find(|engine| engine.join("usr/bin/redis-server").is_file());
    let engine = fetched.expect("there is no redis-server: `cargo test -p roadbed-stores --test it redis` fetches one");
    let libraries = std::fs::read_dir(engine.join("usr/lib")).unwrap().flatten().map(|entry| entry.path());
    let libraries = libraries.into_iter().find(|folder| folder.to_string_lossy().contains("linux-gnu")).unwrap();
    (engine.join("usr/bin/redis-server"), libraries)
}
