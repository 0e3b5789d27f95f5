//! Handshakes, and how long a certificate lasts.

use std::net::SocketAddr;
use std::sync::Arc;

use host::clock::Timestamp;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::parse_x509_certificate;

use super::{Miss, connect, connect_to};
use crate::settings::Trusted;
use crate::trust;

const DAY_SECONDS: i64 = 24 * 60 * 60;

/// Renewal begins with a third left, or earlier; with less than this nobody renews.
const LIFE_LEFT: i64 = 8;
const MOST_DAYS: i64 = 7;

pub(super) async fn look(
    (host, port): (&str, u16),
    via: Option<SocketAddr>,
    days: Option<u32>,
    trusted: &Trusted,
    now: Timestamp,
) -> Result<(), Miss> {
    let ours = |fault: reconcile::Fault| Miss::Unknown(fault.to_string());
    let (stream, config) = match via {
        Some(address) => (connect(address).await?, trust::at_our_door(trusted).map_err(ours)?),
        None => (connect_to(&format!("{host}:{port}")).await?, trust::elsewhere(trusted).map_err(ours)?),
    };
    let stream = shake_hands(config, host, stream).await?;
    let (_, session) = stream.get_ref();
    let leaf = session.peer_certificates().and_then(|chain| chain.first());
    let leaf = leaf.ok_or_else(|| Miss::Bad("it shows no certificate".to_owned()))?;
    let (_, leaf) = parse_x509_certificate(leaf).map_err(|error| Miss::Bad(format!("its certificate: {error}")))?;
    let (from, to) = (leaf.validity().not_before.timestamp(), leaf.validity().not_after.timestamp());
    lasts(from, to, now.unix_millis() / 1000, days)
}

fn lasts(from: i64, to: i64, now: i64, days: Option<u32>) -> Result<(), Miss> {
    let least = match days {
        Some(days) => i64::from(days) * DAY_SECONDS,
        None => ((to - from) / LIFE_LEFT).min(MOST_DAYS * DAY_SECONDS),
    };
    let left = to - now;
    if left >= least {
        return Ok(());
    }
    Err(Miss::Bad(format!("its certificate ends in {} hours", left / 3600)))
}

pub(crate) async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
    config: Arc<ClientConfig>,
    host: &str,
    stream: S,
) -> Result<TlsStream<S>, Miss> {
    let name = ServerName::try_from(host.to_owned()).map_err(|error| Miss::Bad(format!("{host}: {error}")))?;
    let connected = TlsConnector::from(config).connect(name, stream).await;
    connected.map_err(|error| Miss::Bad(format!("no TLS with {host}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_nobody_renewed_is_bad_before_it_ends() {
        let at = |left: i64, life: i64, days| lasts(0, life * DAY_SECONDS, (life - left) * DAY_SECONDS, days).is_ok();
        assert!(at(30, 90, None));
        assert!(!at(6, 90, None));
        // Six days of life are few; a day of them is enough.
        assert!(at(1, 6, None));
        assert!(!at(29, 90, Some(30)));
        assert!(!at(-1, 90, None));
    }
}
