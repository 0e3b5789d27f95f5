//! An app that answers 200 to everything and remembers, byte for byte, what it was sent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::visitor::read_until;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let of_name = |line: &'_ str| line.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name));
        self.head
            .lines()
            .skip(1)
            .filter(|line| of_name(line))
            .map(|line| line.split_once(':').unwrap().1.trim())
            .collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }
}

pub(crate) struct Recorder {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Recorder {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&record)));
            }
        });
        Self { address, seen }
    }

    /// Whole requests since the last call; one that broke off is none.
    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

async fn serve(mut stream: TcpStream, record: Arc<Mutex<Vec<Seen>>>) -> Option<()> {
    loop {
        let head = String::from_utf8(read_until(&mut stream, b"\r\n\r\n").await?).unwrap();
        let mut seen = Seen { head, body: Vec::new() };
        if let Some(length) = seen.header("content-length") {
            seen.body = vec![0; length.parse().unwrap()];
            stream.read_exact(&mut seen.body).await.ok()?;
        } else if seen.header("transfer-encoding").is_some() {
            loop {
                let size = String::from_utf8(read_until(&mut stream, b"\r\n").await?).unwrap();
                let size = usize::from_str_radix(size.trim(), 16).unwrap();
                let mut chunk = vec![0; size];
                stream.read_exact(&mut chunk).await.ok()?;
                seen.body.extend(chunk);
                read_until(&mut stream, b"\r\n").await?;
                if size == 0 {
                    break;
                }
            }
        }
        record.lock().unwrap().push(seen);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.ok()?;
    }
}
