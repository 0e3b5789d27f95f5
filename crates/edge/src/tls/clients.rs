//! Visitors who show a certificate: whom a site lets in by it, and what its app is told of them.
//!
//! The handshake asks and does not insist: who has none gets an answer that says so, in the access log too, and not a riddle of the
//! browser's. Who shows one that nobody here signed gets no connection.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConnection};
use sha2::{Digest, Sha256};

/// Who may sign for visitors of a site.
#[derive(Clone)]
pub struct Authorities {
    /// Of the text that they were read from: a connection that was opened before others were named is no good any more.
    digest: [u8; 32],
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorities").finish_non_exhaustive()
    }
}

impl Authorities {
    /// Reads certificates in PEM; if they do not serve, why.
    pub fn read(pem: &str) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|error| error.to_string())?;
            roots.add(certificate).map_err(|error| error.to_string())?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), super::provider())
            .allow_unauthenticated()
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { digest: Sha256::digest(pem.as_bytes()).into(), verifier })
    }

    /// Whether this visitor's certificate was verified against exactly these.
    pub fn know(&self, client: Option<&Client>) -> bool {
        client.is_some_and(|client| client.authorities == self.digest)
    }
}

/// Who a visitor proved to be.
#[derive(Clone, Debug)]
pub struct Client {
    authorities: [u8; 32],
    /// As RFC 9440 writes it.
    pub certificate: HeaderValue,
    /// Common name of its subject; absent where that is no text for a header.
    pub name: Option<HeaderValue>,
}

impl Client {
    /// What the handshake, which verified it against `authorities`, was shown.
    pub fn of(session: &ServerConnection, authorities: &Authorities) -> Option<Self> {
        let der = session.peer_certificates()?.first()?;
        let certificate = HeaderValue::from_str(&format!(":{}:", STANDARD.encode(der))).ok()?;
        let name = certificates::common_name(der).and_then(|name| HeaderValue::from_str(&name).ok());
        Some(Self { authorities: authorities.digest, certificate, name })
    }
}
