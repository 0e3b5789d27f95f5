//! A file server that plays a package index or a repository, and treats the tools' clients and ours as it is told.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a client gets of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conduct {
    Serve,
    /// Sends so many bytes, then nothing, and keeps the connection.
    StallAfter(usize),
    Refuse,
    /// Serves whoever sends the password of `user:s3cret`.
    AskPassword,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    Ours,
    Tool,
}

/// A request for a file whose conduct was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) client: Client,
    pub(crate) range: Option<String>,
}

#[derive(Clone, Debug)]
struct Shelved {
    bytes: Vec<u8>,
    edition: String,
    /// For our requests, one after the other; the last one stays.
    ours: Vec<Conduct>,
    tools: Conduct,
}

pub(crate) struct Shelf {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Shelved>,
    asked: Vec<Asked>,
}

impl Shelf {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || drop(answer(stream.unwrap(), &state)));
            }
        });
        Self { port, state }
    }

    /// A file that everybody gets.
    pub(crate) fn put(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.put_for(path, bytes, &[], Conduct::Serve);
    }

    pub(crate) fn put_for(&self, path: &str, bytes: impl Into<Vec<u8>>, ours: &[Conduct], tools: Conduct) {
        let bytes = bytes.into();
        let edition = format!("\"{}\"", stores::engines::checksum::of_bytes(&bytes));
        let shelved = Shelved { bytes, edition, ours: ours.to_vec(), tools };
        self.state.lock().unwrap().files.insert(path.to_owned(), shelved);
    }

    /// What our own client asked for, among the files whose conduct was set.
    pub(crate) fn our_ranges(&self) -> Vec<Option<String>> {
        let asked = &self.state.lock().unwrap().asked;
        asked.iter().filter(|asked| asked.client == Client::Ours).map(|asked| asked.range.clone()).collect()
    }

    pub(crate) fn tool_asked(&self) -> bool {
        self.state.lock().unwrap().asked.iter().any(|asked| asked.client == Client::Tool)
    }
}

fn answer(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let path = first.split_whitespace().nth(1).unwrap_or_default().replace("/./", "/");
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let client = match headers.get("user-agent") {
        Some(agent) if agent.starts_with("ureq") => Client::Ours,
        _ => Client::Tool,
    };
    let range = headers.get("range").and_then(|range| range.strip_prefix("bytes=")).map(str::to_owned);
    let (file, conduct) = {
        let mut state = state.lock().unwrap();
        let Some(file) = state.files.get_mut(&path) else {
            return stream.write_all(b"HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        };
        let conduct = match (client, file.ours.len()) {
            (Client::Tool, _) => file.tools,
            (Client::Ours, 0) => Conduct::Serve,
            (Client::Ours, 1) => file.ours[0],
            (Client::Ours, _) => file.ours.remove(0),
        };
        let file = file.clone();
        if !file.ours.is_empty() {
            state.asked.push(Asked { client, range: range.clone() });
        }
        (file, conduct)
    };
    let has_password = headers.contains_key("authorization");
    let refused = match conduct {
        Conduct::Refuse => Some("403 Forbidden\r\n"),
        Conduct::AskPassword if !has_password => {
            Some("401 Unauthorized\r\nwww-authenticate: Basic realm=\"shelf\"\r\n")
        }
        _ => None,
    };
    if let Some(refused) = refused {
        return write!(stream, "HTTP/1.1 {refused}connection: close\r\ncontent-length: 0\r\n\r\n");
    }
    let total = file.bytes.len();
    let same_edition = headers.get("if-range").is_none_or(|edition| *edition == file.edition);
    let start = range.filter(|_| same_edition).map_or(0, |range| range.trim_end_matches('-').parse::<usize>().unwrap());
    let status = match start {
        0 => "200 OK".to_owned(),
        start => format!("206 Partial Content\r\ncontent-range: bytes {start}-{}/{total}", total - 1),
    };
    let kind = if path.ends_with('/') { "text/html" } else { "application/octet-stream" };
    let rest = &file.bytes[start..];
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\netag: {}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        file.edition,
        rest.len()
    )?;
    match conduct {
        Conduct::StallAfter(bytes) => {
            stream.write_all(&rest[..bytes])?;
            std::thread::sleep(Duration::from_secs(60));
            Ok(())
        }
        _ => stream.write_all(rest),
    }
}
