//! One request to a process of ours over loopback, whose answer is short.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Bytes of an answer that are read.
const LONGEST_ANSWER: u64 = 64 * 1024;

/// The status, and what is said. `head` asks for the connection to be closed after the answer, and `body` follows it.
///
/// # Errors
/// Where nobody listens, what comes is no answer, or it does not come within the time.
pub(crate) async fn ask(port: u16, head: &str, body: &[u8], within: Duration) -> io::Result<(u16, Vec<u8>)> {
    let asking = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body).await?;
        let mut answer = Vec::new();
        stream.take(LONGEST_ANSWER).read_to_end(&mut answer).await?;
        let none = || io::Error::other("what came is no answer");
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(none)?;
        let status = answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        Ok((status.ok_or_else(none)?, answer.split_off(end + 4)))
    };
    timeout(within, asking).await.map_err(|_| io::ErrorKind::TimedOut)?
}
