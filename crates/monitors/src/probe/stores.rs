//! Whether data services answer, as far as one gets without a password: that they live, and not what is in them.

use std::net::SocketAddr;
use std::path::Path;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::tls::shake_hands;
use super::{Miss, connect, connect_to};
use crate::settings::Service;
use crate::trust;

/// A hello's answer has a few hundred bytes.
const LARGEST_ANSWER: usize = 64 * 1024;

/// `{ hello: 1, $db: "admin" }`, in BSON.
const HELLO: &[u8] = b"\x1f\x00\x00\x00\x10hello\x00\x01\x00\x00\x00\x02$db\x00\x06\x00\x00\x00admin\x00\x00";

/// An `OP_MSG` of MongoDB.
const OP_MSG: i32 = 2013;

fn hello() -> Vec<u8> {
    let length = i32::try_from(16 + 4 + 1 + HELLO.len()).expect("a hello is short");
    let mut message = Vec::new();
    for number in [length, 1, 0, OP_MSG, 0] {
        message.extend_from_slice(&number.to_le_bytes());
    }
    message.push(0);
    message.extend_from_slice(HELLO);
    message
}

trait Talk: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Talk for S {}

/// One of ours, which is in its own certificate by its address.
async fn ours(address: SocketAddr, authorities: &Path) -> Result<impl Talk + use<>, Miss> {
    let config = trust::only(authorities).map_err(|fault| Miss::Unknown(fault.to_string()))?;
    let stream = connect(address).await?;
    shake_hands(config, &address.ip().to_string(), stream).await
}

/// A server that somebody else runs.
async fn theirs(server: &str, tls: bool, authorities: Option<&Path>) -> Result<Box<dyn Talk>, Miss> {
    let stream = connect_to(server).await?;
    if !tls {
        return Ok(Box::new(stream));
    }
    let config = authorities.map_or_else(trust::public, trust::only);
    let config = config.map_err(|fault| Miss::Unknown(fault.to_string()))?;
    let host = server.rsplit_once(':').map_or(server, |(host, _)| host).trim_matches(['[', ']']);
    Ok(Box::new(shake_hands(config, host, stream).await?))
}

/// Lives while one of its servers answers.
pub(super) async fn one_of(
    service: Service,
    servers: &[&str],
    tls: bool,
    authorities: Option<&Path>,
) -> Result<(), Miss> {
    let mut last = Miss::Bad("it has no servers".to_owned());
    for server in servers {
        let said = match theirs(server, tls, authorities).await {
            Ok(stream) if service == Service::MongoDb => hears_hello(stream).await,
            Ok(stream) => hears_ping(stream).await,
            Err(miss) => Err(miss),
        };
        match said {
            Ok(()) => return Ok(()),
            Err(Miss::Bad(why)) => last = Miss::Bad(format!("{server}: {why}")),
            // Where we cannot look, nothing is said of the others either.
            Err(unknown) => return Err(unknown),
        }
    }
    Err(last)
}

pub(super) async fn mongodb(address: SocketAddr, authorities: &Path) -> Result<(), Miss> {
    hears_hello(ours(address, authorities).await?).await
}

pub(super) async fn redis(address: SocketAddr, authorities: &Path) -> Result<(), Miss> {
    hears_ping(ours(address, authorities).await?).await
}

async fn say(stream: &mut impl Talk, what: &[u8]) -> Result<(), Miss> {
    stream.write_all(what).await.map_err(|error| Miss::of("it hears nothing", &error))
}

/// A server of MongoDB says hello to anybody, and says what it is.
async fn hears_hello(mut stream: impl Talk) -> Result<(), Miss> {
    say(&mut stream, &hello()).await?;
    let broken = |error: std::io::Error| Miss::of("it does not answer", &error);
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.map_err(broken)?;
    let length = usize::try_from(i32::from_le_bytes(head)).unwrap_or(0);
    if !(21..=LARGEST_ANSWER).contains(&length) {
        return Err(Miss::Bad("it does not speak as MongoDB does".to_owned()));
    }
    let mut answer = vec![0; length - head.len()];
    stream.read_exact(&mut answer).await.map_err(broken)?;
    if is_set(&answer, "isWritablePrimary") || is_set(&answer, "secondary") {
        return Ok(());
    }
    Err(Miss::Bad("it is neither primary nor secondary".to_owned()))
}

/// Whether a boolean of the answer is true: its type, its name, its value. No text of a server's answer contains a name after a byte
/// of that value.
fn is_set(answer: &[u8], name: &str) -> bool {
    let mut field = vec![0x08];
    field.extend_from_slice(name.as_bytes());
    field.extend_from_slice(&[0, 1]);
    answer.windows(field.len()).any(|window| window == field)
}

/// A Redis that lets nobody in without a password says so, and lives.
async fn hears_ping(mut stream: impl Talk) -> Result<(), Miss> {
    say(&mut stream, b"PING\r\n").await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n") && answer.len() < 1024 {
        let read = stream.read_buf(&mut answer).await.map_err(|error| Miss::of("it does not answer", &error))?;
        if read == 0 {
            break;
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    if answer.starts_with("+PONG") || answer.starts_with("-NOAUTH") {
        return Ok(());
    }
    Err(Miss::Bad(match answer.trim().is_empty() {
        true => "it hangs up".to_owned(),
        false => format!("it answers {:?}", answer.trim().chars().take(80).collect::<String>()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_has_the_length_that_it_says() {
        let message = hello();
        assert_eq!(message[..4], i32::try_from(message.len()).unwrap().to_le_bytes());
        assert_eq!(HELLO[..4], i32::try_from(HELLO.len()).unwrap().to_le_bytes());
    }

    #[test]
    fn only_what_is_true_is_set() {
        assert!(is_set(b"\x08isWritablePrimary\x00\x01", "isWritablePrimary"));
        assert!(!is_set(b"\x08isWritablePrimary\x00\x00", "isWritablePrimary"));
    }
}
