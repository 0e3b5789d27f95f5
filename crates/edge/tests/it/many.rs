//! Very many connections, and more than a process may have open: an edge in a process of its own, so that what it holds can be
//! counted and its limits be its own.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use edge::Limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpSocket, TcpStream};

use crate::app::App;
use crate::visitor::{exchange, read_reply};
use crate::world::{SHOP, World, eventually, shop};

/// Says how many files the other process may have open.
const FILES: &str = "ROADBED_TEST_OPEN_FILES";

/// What either process holds beside visitors.
const OTHERS: u64 = 400;

/// The process itself: started by the tests below, and by nobody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the tests of this file start it in a process of its own"]
async fn an_edge_of_its_own() {
    let Some(files) = std::env::var(FILES).ok().and_then(|files| files.parse().ok()) else { return };
    setrlimit(Resource::Nofile, Rlimit { current: Some(files), maximum: Some(files) }).unwrap();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::INFO)
        .init();
    let app = App::saying("shop").await;
    let minute = Duration::from_secs(60);
    let world =
        World::with(Limits { connections: 21_000, keep_alive: minute * 5, first_byte: minute, ..Limits::default() })
            .await;
    world.publish(vec![shop(app.port)]).await;
    println!("DOORS {} {}", world.http, world.internal);
    let mut hoard = Vec::new();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || std::io::stdin().lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
    while let Some(line) = told.recv().await {
        match line.as_str() {
            "hoard" => {
                while let Ok(file) = std::fs::File::open("/dev/null") {
                    hoard.push(file);
                }
            }
            _ => hoard.clear(),
        }
        println!("DONE {}", hoard.len());
    }
}

struct Other {
    process: Child,
    orders: Option<ChildStdin>,
    said: BufReader<std::process::ChildStdout>,
    http: SocketAddr,
    internal: SocketAddr,
}

impl Other {
    fn start(files: u64) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "many::an_edge_of_its_own", "--ignored", "--nocapture"])
            .env(FILES, files.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(process.stdout.take().unwrap());
        let orders = process.stdin.take();
        let none = SocketAddr::from(([0; 4], 0));
        let mut other = Self { process, orders, said, http: none, internal: none };
        let doors = other.answer("DOORS ");
        let mut doors = doors.split(' ').map(|door| door.parse().unwrap());
        (other.http, other.internal) = (doors.next().unwrap(), doors.next().unwrap());
        other
    }

    fn answer(&mut self, mark: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.said.read_line(&mut line).unwrap(), 0, "the other process is gone");
            // The harness writes the name of the test before what it says first.
            if let Some((_, rest)) = line.split_once(mark) {
                return rest.trim().to_owned();
            }
        }
    }

    fn order(&mut self, what: &str) -> String {
        writeln!(self.orders.as_mut().unwrap(), "{what}").unwrap();
        self.answer("DONE ")
    }

    /// KiB in memory.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Ends it. What it wrote to its log.
    fn end(mut self) -> String {
        drop(self.orders.take());
        let mut log = String::new();
        std::io::Read::read_to_string(&mut self.process.stderr.take().unwrap(), &mut log).unwrap();
        self.process.wait().unwrap();
        log
    }
}

/// Lets this process have so many files open, or as many as it may: only root passes the limit it was started with. How many.
fn with_many_files(wanted: u64) -> u64 {
    let may = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let most = |files| Rlimit { current: Some(files), maximum: Some(files) };
    let files = if setrlimit(Resource::Nofile, most(wanted.max(may))).is_ok() { wanted } else { wanted.min(may) };
    setrlimit(Resource::Nofile, most(files)).unwrap();
    files
}

/// A connection of the visitor with this number: each address of this network has so many ports.
async fn visit(door: SocketAddr, number: usize) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    let host = u8::try_from(2 + number / 5000).unwrap();
    socket.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)), 0))?;
    socket.connect(door).await
}

/// Whether the connection ends within that time. What arrives before is left for who reads it: a file that somebody else closes is
/// a place for who waits.
async fn is_sent_away(stream: &TcpStream, longest: Duration) -> bool {
    matches!(tokio::time::timeout(longest, stream.peek(&mut [0])).await, Ok(Ok(0) | Err(_)))
}

const BY_HTTP: &str = "GET / HTTP/1.1\r\nHost: www.shop.localhost\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_thousand_visitors_who_say_nothing_leave_room_for_the_next() {
    assert_eq!(SHOP, "www.shop.localhost");
    let files = with_many_files(30_000);
    // As many as one process may have here, where that is less than would be needed.
    let wanted = 20_000.min(usize::try_from((files - OTHERS) / 4 * 3).unwrap());
    let mut other = Other::start(files);
    let before = other.memory();
    let mut idle = Vec::with_capacity(wanted);
    while idle.len() < wanted {
        let begun: Vec<_> = (idle.len()..wanted.min(idle.len() + 250))
            .map(|number| {
                let door = other.http;
                tokio::spawn(async move {
                    let mut stream = visit(door, number).await.unwrap();
                    assert_eq!(exchange(&mut stream, BY_HTTP.as_bytes()).await.unwrap().status, 308);
                    stream
                })
            })
            .collect();
        for stream in begun {
            idle.push(stream.await.unwrap());
        }
    }
    let each = (other.memory() - before) * 1024 / wanted as u64;
    println!("{wanted} idle connections, {each} bytes of memory each");
    assert!(each < 32_768, "{each} bytes for each idle connection");
    let wire = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    let mut next = visit(other.internal, 0).await.unwrap();
    assert_eq!(exchange(&mut next, wire.as_bytes()).await.unwrap().text(), "shop");
    // None of them was let go meanwhile.
    let (first, last) = (idle.swap_remove(0), idle.pop().unwrap());
    for mut stream in [first, last] {
        assert_eq!(exchange(&mut stream, BY_HTTP.as_bytes()).await.unwrap().status, 308);
    }
    drop(idle);
    other.orders.take();
    other.process.kill().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_visitors_than_files_wait_and_those_inside_are_served() {
    let mut other = Other::start(512);
    let wire = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    // More than it has files. Those who are inside are answered, all at once, each by a connection to the app.
    let mut visitors = Vec::new();
    for number in 0..600 {
        visitors.push(visit(other.internal, number).await.unwrap());
    }
    let mut inside = 0;
    for stream in &mut visitors[..100] {
        assert_eq!(exchange(stream, wire.as_bytes()).await.unwrap().text(), "shop");
        inside += 1;
    }
    assert_eq!(inside, 100);
    let mut waiting = visitors.pop().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut waiting, wire.as_bytes()).await.unwrap();
    assert!(!is_sent_away(&waiting, Duration::from_millis(100)).await);
    visitors.clear();
    assert_eq!(
        read_reply(&mut waiting).await.unwrap().text(),
        "shop",
        "whoever waited is served when others have gone"
    );

    // Something else takes all that is left, also of those who are still leaving.
    let mut taken: usize = 0;
    loop {
        let now = other.order("hoard").parse().unwrap();
        if now == taken {
            break;
        }
        taken = now;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(taken > 100, "{taken}");
    assert_eq!(exchange(&mut waiting, wire.as_bytes()).await.unwrap().text(), "shop", "who is inside");
    let mut late = visit(other.internal, 1).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut late, wire.as_bytes()).await.unwrap();
    assert!(!is_sent_away(&late, Duration::from_millis(300)).await, "it waits, and is not sent away");
    other.order("release");
    assert_eq!(read_reply(&mut late).await.unwrap().text(), "shop", "after that, all is as before");
    eventually("it takes further ones", async || {
        let mut stream = visit(other.internal, 2).await.unwrap();
        exchange(&mut stream, wire.as_bytes()).await.is_some_and(|reply| reply.status == 200)
    })
    .await;
    let log = other.end();
    assert_eq!(log.matches("cannot accept connections").count(), 1, "it is said, and not fifty times a second: {log}");
    assert!(
        log.contains("connections are accepted again") && log.contains("fewer visitors at once than usual"),
        "{log}"
    );
}
