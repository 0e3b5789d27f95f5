//! TLS as visitors meet it: versions, ciphers, and the certificate for the host they ask for.
//!
//! **Invariant:** cryptography comes from `aws-lc-rs` and is passed in by hand. Another provider is in the process too (a
//! database driver brings it), so a process-wide default would be whichever was installed first.

pub mod local_ca;
pub mod issued;
pub mod shelf;
pub mod shown;
pub mod proofs;
pub mod on_demand;
pub mod clients;

use std::sync::Arc;

use arc_swap::ArcSwap;
use certificates::ACME_PROTOCOL;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoClientAuth, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{Error, ServerConfig};

use crate::snapshot::Serving;
use clients::Authorities;
use proofs::Proofs;

/// The provider, with forward-secret AEAD suites only, as rustls has no others.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// TLS with visitors, on every host.
#[derive(Debug)]
pub struct Terms {
    by_host: Arc<ByHost>,
    usual: Arc<ServerConfig>,
}

impl Terms {
    pub fn new(serving: Arc<ArcSwap<Serving>>, proofs: Arc<Proofs>) -> Result<Self, Error> {
        let by_host = Arc::new(ByHost { serving, proofs });
        let mut usual = config(Arc::new(NoClientAuth), Arc::clone(&by_host))?;
        // Resumption without memory per visitor; the keys live in this process and change by themselves.
        usual.ticketer = aws_lc_rs::Ticketer::new()?;
        Ok(Self { by_host, usual: Arc::new(usual) })
    }

    /// Where a visitor need not say who it is.
    pub fn usual(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.usual)
    }

    /// Where it is asked to. Nothing is resumed: each connection shows a certificate, and whoever is no longer believed is out with
    /// the next one. Such sites have few visitors, so this is made for each.
    pub fn with_clients(&self, authorities: &Authorities) -> Result<Arc<ServerConfig>, Error> {
        let mut config = config(Arc::clone(&authorities.verifier), Arc::clone(&self.by_host))?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }
}

fn config(verifier: Arc<dyn ClientCertVerifier>, by_host: Arc<ByHost>) -> Result<ServerConfig, Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(by_host);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec(), ACME_PROTOCOL.to_vec()];
    config.ignore_client_order = true;
    Ok(config)
}

/// Whether an authority looks for a proof: nobody else asks for this, and it for nothing beside it.
pub fn is_of_authority(hello: &ClientHello<'_>) -> bool {
    hello.alpn().is_some_and(|mut protocols| protocols.any(|protocol| protocol == ACME_PROTOCOL))
}

/// Serves the certificate to who asks for one of our hosts. Who asks for another, or for none, gets an alert and learns nothing
/// about the hosts that are there.
#[derive(Debug)]
struct ByHost {
    serving: Arc<ArcSwap<Serving>>,
    proofs: Arc<Proofs>,
}

impl ResolvesServerCert for ByHost {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let host = hello.server_name()?;
        if is_of_authority(&hello) {
            return self.proofs.over_tls(host);
        }
        self.serving.load().certificate(host)
    }
}
