//! Who answers on a port, before anything is said: the certificate that a server shows, and whether it is to be believed.
//!
//! The driver tells neither, and a server whose certificate has run out must be told from one that is not there.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use host::clock::Timestamp;
use rustls::ClientConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use certificates::Leaf;

use crate::external;
use crate::tls::{self, Witness};

/// On loopback a server that does not shake hands in this time is stuck.
const TIMEOUT: Duration = Duration::from_secs(3);

/// What a server showed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Nobody is there, or he does not speak TLS.
    Nothing,
    Certificate {
        certificate: CertificateDer<'static>,
        is_believed: bool,
    },
}

/// Shakes hands and leaves. `trusted` is in PEM; at `now` the certificate must hold.
pub(crate) async fn shown(port: u16, trusted: &str, now: Timestamp) -> Shown {
    let witness = Witness::judging(tls::authorities(trusted), now);
    let config = tls::witnessed(witness.clone()).with_no_client_auth();
    let _ = tokio::time::timeout(TIMEOUT, connect(port, config)).await;
    witness.take().map_or(Shown::Nothing, |(certificate, is_believed)| Shown::Certificate { certificate, is_believed })
}

/// What became of a client that the server ought to send away.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The connection was closed without a word of the database's.
    Closed,
    Answered,
    Silent,
}

/// Says hello as a client with this certificate, whoever signed it; without one, in the clear.
pub(crate) async fn hello(port: u16, with: Option<&Leaf>) -> Answer {
    let talk = async {
        match with {
            None => converse(TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?).await,
            Some(leaf) => {
                let config = presenting(leaf).map_err(std::io::Error::other)?;
                converse(connect(port, config).await?).await
            }
        }
    };
    judge(tokio::time::timeout(TIMEOUT, talk).await)
}

fn judge(talked: Result<std::io::Result<usize>, tokio::time::error::Elapsed>) -> Answer {
    match talked {
        Ok(Ok(0)) => Answer::Closed,
        Ok(Ok(_)) => Answer::Answered,
        // A reset, or the server's alert: both are a door that is shut.
        Ok(Err(error)) if error.kind() != std::io::ErrorKind::ConnectionRefused => Answer::Closed,
        Ok(Err(_)) | Err(_) => Answer::Silent,
    }
}

/// As [`hello`] in the clear, at somebody else's server.
pub(crate) async fn hello_in_the_clear(host: &str, port: u16) -> Answer {
    let talk = async { converse(TcpStream::connect((host, port)).await?).await };
    judge(tokio::time::timeout(external::TIMEOUT, talk).await)
}

/// `hello` as the driver sends it first, and how many bytes come back.
async fn converse(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) -> std::io::Result<usize> {
    let question = mongodb::bson::doc! { "hello": 1, "$db": "admin" };
    let body = question.to_vec().map_err(std::io::Error::other)?;
    // Flags and the kind of the one section follow the header of four numbers.
    let length = i32::try_from(16 + 5 + body.len()).map_err(std::io::Error::other)?;
    const OP_MSG: i32 = 2013;
    let mut message: Vec<u8> = [length, 1, 0, OP_MSG].iter().flat_map(|number| number.to_le_bytes()).collect();
    message.extend([0; 5]);
    message.extend(body);
    stream.write_all(&message).await?;
    stream.read(&mut [0; 64]).await
}

async fn connect(port: u16, config: ClientConfig) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    let name = ServerName::IpAddress(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST).into());
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// As whoever this certificate makes us, to whoever answers.
fn presenting(leaf: &Leaf) -> Result<ClientConfig, rustls::Error> {
    let unreadable = |_| rustls::Error::General("our own certificate cannot be read".to_owned());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(leaf.chain_pem.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes()).map_err(unreadable)?;
    tls::witnessed(Witness::careless()).with_client_auth_cert(chain.map_err(unreadable)?, key)
}
