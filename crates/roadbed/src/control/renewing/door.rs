//! Our own public door, as a visitor meets it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use acme::Trust;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;

/// The edge shows a certificate at once; only an edge that just died takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

type Broken = Box<dyn std::error::Error + Send + Sync>;

/// One handshake over loopback.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Where visitors come in, from here.
pub(crate) fn address(bind: Option<IpAddr>, port: u16) -> SocketAddr {
    let ip = bind.filter(|ip| !ip.is_unspecified()).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    SocketAddr::new(ip, port)
}

/// Waits until every host shows this certificate to who believes `trust`; if one does not, why.
pub(super) async fn shows(
    door: SocketAddr,
    hosts: &[String],
    certificate: &CertificateDer<'_>,
    trust: &Trust,
) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let Err(why) = all_show(door, hosts, certificate, trust).await else { return Ok(()) };
        if Instant::now() >= deadline {
            return Err(why);
        }
        sleep(Duration::from_millis(100)).await;
    }
}

async fn all_show(
    door: SocketAddr,
    hosts: &[String],
    certificate: &CertificateDer<'_>,
    trust: &Trust,
) -> Result<(), String> {
    for host in hosts {
        let shown = handshake(door, host, trust).await.map_err(|why| format!("{host}: {why}"))?;
        if shown != *certificate {
            return Err(format!("{host} shows another certificate"));
        }
    }
    Ok(())
}

/// The certificate that this host shows to who believes `trust`.
pub(crate) async fn handshake(door: SocketAddr, host: &str, trust: &Trust) -> Result<CertificateDer<'static>, Broken> {
    let shake = async {
        let stream = TcpStream::connect(door).await?;
        let connector = TlsConnector::from(trust.client()?);
        let stream = connector.connect(ServerName::try_from(host.to_owned())?, stream).await?;
        let (_, session) = stream.get_ref();
        let shown = session.peer_certificates().and_then(|chain| chain.first()).ok_or("no certificate is shown")?;
        Ok::<_, Broken>(shown.clone().into_owned())
    };
    let shaken = timeout(HANDSHAKE, shake).await;
    shaken.unwrap_or_else(|_| Err(format!("no handshake within {} s", HANDSHAKE.as_secs()).into()))
}
