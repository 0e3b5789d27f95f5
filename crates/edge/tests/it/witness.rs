//! An app that keeps its connections open, reads strictly, and says in each answer whom it answers. Whatever arrives that is not
//! a whole request right behind the one before is on record: that would be a request inside another.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a connection carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Carried {
    /// A whole request: its line, and its body.
    Request { connection: usize, line: String, body: Vec<u8> },
    /// Bytes that are no request.
    Garbage(String),
}

pub(crate) struct Witness {
    pub(crate) address: SocketAddr,
    carried: Arc<Mutex<Vec<Carried>>>,
}

impl Witness {
    /// Answers each request with its line, but those whose path begins with `/raw`: the rest of the path is the answer, percent-encoded.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let carried = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&carried);
        tokio::spawn(async move {
            for connection in 0.. {
                let Ok((stream, _)) = listener.accept().await else { return };
                tokio::spawn(serve(connection, stream, Arc::clone(&record)));
            }
        });
        Self { address, carried }
    }

    /// What arrived since the last call.
    pub(crate) fn take(&self) -> Vec<Carried> {
        std::mem::take(&mut self.carried.lock().unwrap())
    }
}

async fn serve(connection: usize, mut stream: TcpStream, record: Arc<Mutex<Vec<Carried>>>) {
    let mut buffer = Vec::new();
    loop {
        let read = loop {
            match next(&buffer) {
                Ok(Some(read)) => break read,
                Ok(None) => {}
                Err(why) => {
                    let text = String::from_utf8_lossy(&buffer).into_owned();
                    record.lock().unwrap().push(Carried::Garbage(format!("{why}: {text:?}")));
                    return;
                }
            }
            // What breaks off is no request, and nobody takes it for one.
            if !matches!(stream.read_buf(&mut buffer).await, Ok(1..)) {
                return;
            }
        };
        let (length, line, body) = read;
        buffer.drain(..length);
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        record.lock().unwrap().push(Carried::Request { connection, line: line.clone(), body });
        let answer = match path.strip_prefix("/raw/") {
            Some(raw) => percent_encoding::percent_decode_str(raw).collect(),
            None => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{line}", line.len()).into_bytes(),
        };
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

type Read = (usize, String, Vec<u8>);

/// The first request, if it is whole; an error where it cannot become one.
fn next(buffer: &[u8]) -> Result<Option<Read>, &'static str> {
    let Some(end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&buffer[..end]).map_err(|_| "bytes beyond ASCII")?;
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or_default();
    if line.split(' ').count() != 3 || !line.ends_with(" HTTP/1.1") {
        return Err("no request line");
    }
    let (mut length, mut chunked, mut hosts) = (None, 0, 0);
    for line in lines {
        let (name, value) = line.split_once(':').ok_or("a line without a colon")?;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err("a name that is none");
        }
        if value.bytes().any(|byte| byte < b' ' && byte != b'\t') {
            return Err("a control byte");
        }
        match name.to_ascii_lowercase().as_str() {
            "content-length" if length.is_some() => return Err("two lengths"),
            "content-length" => length = Some(value.trim().parse().map_err(|_| "a length that is none")?),
            "transfer-encoding" if value.trim() != "chunked" => return Err("an encoding that is not chunked"),
            "transfer-encoding" => chunked += 1,
            "host" => hosts += 1,
            _ => {}
        }
    }
    if hosts != 1 || chunked > 1 || chunked == 1 && length.is_some() {
        return Err("two meanings");
    }
    let mut at = end + 4;
    let mut body = Vec::new();
    if chunked == 0 {
        let length: usize = length.unwrap_or(0);
        let Some(whole) = buffer.get(at..at + length) else { return Ok(None) };
        return Ok(Some((at + length, line.to_owned(), whole.to_vec())));
    }
    loop {
        let Some(size) = buffer[at..].windows(2).position(|bytes| bytes == b"\r\n") else { return Ok(None) };
        let digits = std::str::from_utf8(&buffer[at..at + size]).map_err(|_| "a size that is none")?;
        let length = usize::from_str_radix(digits, 16).map_err(|_| "a size that is none")?;
        at += size + 2;
        if length == 0 {
            // Trailers, up to an empty line.
            let Some(rest) = buffer.get(at..) else { return Ok(None) };
            if rest.starts_with(b"\r\n") {
                return Ok(Some((at + 2, line.to_owned(), body)));
            }
            let Some(over) = rest.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return Ok(None) };
            return Ok(Some((at + over + 4, line.to_owned(), body)));
        }
        let Some(chunk) = buffer.get(at..at + length + 2) else { return Ok(None) };
        if !chunk.ends_with(b"\r\n") {
            return Err("a chunk of another length");
        }
        body.extend_from_slice(&chunk[..length]);
        at += length + 2;
    }
}
