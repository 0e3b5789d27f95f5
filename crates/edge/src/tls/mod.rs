//! TLS as visitors meet it: versions, ciphers, and the certificate for the host they ask for.
//!
//! **Invariant:** cryptography comes from `aws-lc-rs` and is passed in by hand. Another provider is in the process too (a
//! database driver brings it), so a process-wide default would be whichever was installed first.

pub mod local_ca;
pub mod issued;
pub mod shown;
pub mod proofs;

use std::sync::Arc;

use arc_swap::ArcSwap;
use certificates::ACME_PROTOCOL;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{Error, ServerConfig};

use crate::snapshot::Serving;
use proofs::Proofs;

/// The provider, with forward-secret AEAD suites only, as rustls has no others.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

pub fn server_config(serving: Arc<ArcSwap<Serving>>, proofs: Arc<Proofs>) -> Result<ServerConfig, Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(ByHost { serving, proofs }));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec(), ACME_PROTOCOL.to_vec()];
    config.ignore_client_order = true;
    // Resumption without memory per visitor; the keys live in this process and change by themselves.
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(config)
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
        // Only an authority asks for this, and for nothing beside it.
        if hello.alpn().is_some_and(|mut protocols| protocols.any(|protocol| protocol == ACME_PROTOCOL)) {
            return self.proofs.over_tls(host);
        }
        self.serving.load().certificate(host)
    }
}
