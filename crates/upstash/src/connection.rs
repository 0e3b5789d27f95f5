//! One connection to Redis, logged in as whom a token names.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::resp::{Malformed, Reader, Value, write_command};
use crate::token::Login;

/// On loopback a server that takes no connection in this time is stuck.
const TO_CONNECT: Duration = Duration::from_secs(3);

/// How TLS is done now: asked for each connection, because authorities are replaced while a gateway runs.
pub type Tls = Box<dyn Fn() -> io::Result<Arc<ClientConfig>> + Send + Sync>;

/// The way to the Redis of this gateway.
pub struct Way {
    address: SocketAddr,
    tls: Option<Tls>,
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Way").field("address", &self.address).field("tls", &self.tls.is_some()).finish()
    }
}

impl Way {
    pub fn encrypted(address: SocketAddr, tls: Tls) -> Self {
        Self { address, tls: Some(tls) }
    }

    /// To a Redis on this machine that does not encrypt.
    pub fn in_the_clear(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }

    async fn connect(&self) -> io::Result<Box<dyn Wire>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let name = ServerName::from(self.address.ip());
        Ok(Box::new(TlsConnector::from(tls()?).connect(name, stream).await?))
    }

    /// Whether Redis is there and speaks, whoever asks.
    pub(crate) async fn answers(&self, longest: usize) -> Result<(), Lost> {
        let asking = async {
            let mut connection = Connection::new(self.connect().await?, longest);
            let ping = vec![Bytes::from_static(b"PING")];
            match connection.ask(&[ping]).await?.first() {
                // Who does not log in is told so: it serves.
                Some(Value::Error(said)) if !said.starts_with(b"NOAUTH") => Err(Lost::Unready(text(said))),
                _ => Ok(()),
            }
        };
        timeout(TO_CONNECT, asking).await.map_err(|_| Lost::late())?
    }
}

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<W: AsyncRead + AsyncWrite + Unpin + Send> Wire for W {}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It is there, and cannot serve now: it loads its data, say.
    #[error("{0}")]
    Unready(String),
}

impl Lost {
    fn late() -> Self {
        Self::Io(io::ErrorKind::TimedOut.into())
    }
}

/// What came of logging in.
pub(crate) enum Entered {
    In(Connection),
    /// Redis does not know this user by this password.
    Refused,
}

pub(crate) struct Connection {
    wire: Box<dyn Wire>,
    buffer: BytesMut,
    reader: Reader,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("waiting", &self.buffer.len()).finish_non_exhaustive()
    }
}

impl Connection {
    fn new(wire: Box<dyn Wire>, longest: usize) -> Self {
        Self { wire, buffer: BytesMut::with_capacity(8 * 1024), reader: Reader::new(longest) }
    }

    pub(crate) async fn enter(way: &Way, login: &Login, longest: usize) -> Result<Entered, Lost> {
        let entering = async {
            let mut connection = Self::new(way.connect().await?, longest);
            let auth = [b"AUTH".as_slice(), login.user.as_bytes(), login.password().as_bytes()];
            let auth = auth.map(Bytes::copy_from_slice).to_vec();
            match connection.ask(&[auth]).await?.first() {
                Some(Value::Simple(_)) => Ok(Entered::In(connection)),
                Some(Value::Error(said)) if said.starts_with(b"WRONGPASS") => Ok(Entered::Refused),
                Some(Value::Error(said)) => Err(Lost::Unready(text(said))),
                _ => Err(Malformed::NotResp.into()),
            }
        };
        timeout(TO_CONNECT, entering).await.map_err(|_| Lost::late())?
    }

    /// Says all commands in one packet and waits for all answers.
    pub(crate) async fn ask(&mut self, commands: &[Vec<Bytes>]) -> Result<Vec<Value>, Lost> {
        let length = commands.iter().flatten().map(|argument| argument.len() + 16).sum();
        let mut packet = BytesMut::with_capacity(length);
        for command in commands {
            write_command(&mut packet, command);
        }
        self.wire.write_all(&packet).await?;
        self.wire.flush().await?;
        drop(packet);
        let mut answers = Vec::with_capacity(commands.len());
        while answers.len() < commands.len() {
            answers.push(self.next().await?);
        }
        Ok(answers)
    }

    /// The next answer. What was read of it is kept where the caller does not wait for the rest.
    pub(crate) async fn next(&mut self) -> Result<Value, Lost> {
        loop {
            if let Some(value) = self.reader.next(&mut self.buffer)? {
                return Ok(value);
            }
            self.buffer.reserve(self.reader.wants().saturating_sub(self.buffer.len()).max(8 * 1024));
            if self.wire.read_buf(&mut self.buffer).await? == 0 {
                return Err(Lost::Io(io::ErrorKind::ConnectionReset.into()));
            }
        }
    }

    /// Whether it can be used again: nobody closed it, and nothing lies on it that nobody asked for.
    pub(crate) fn is_clean(&mut self) -> bool {
        self.buffer.is_empty() && self.wire.read_buf(&mut self.buffer).now_or_never().is_none()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
