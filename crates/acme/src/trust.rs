//! Whom one believes: the authorities that the manifest names, else the public ones.

use std::path::Path;
use std::sync::Arc;

use host::clock::Timestamp;
use host::files;
use reconcile::Fault;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, RootCertStore};

/// Authorities that are believed.
#[derive(Clone, Debug)]
pub struct Trust(Arc<RootCertStore>);

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

impl Trust {
    /// The certificates in a file, or where none is named the public authorities.
    pub fn read(file: Option<&Path>) -> Result<Self, Fault> {
        let Some(file) = file else {
            return Ok(Self(Arc::new(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })));
        };
        let cannot = |error: &(dyn std::error::Error + 'static)| {
            Fault::because(format!("cannot tell whom {} believes", file.display()), error)
                .hint("it holds certificates in PEM; the manifest names it in [environments.NAME.tls]")
        };
        let pem = files::read(file).map_err(|fault| cannot(&fault))?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| cannot(&error))?;
            roots.add(certificate).map_err(|error| cannot(&error))?;
        }
        if roots.is_empty() {
            return Err(cannot(&rustls::Error::General("there is no certificate in it".to_owned())));
        }
        Ok(Self(Arc::new(roots)))
    }

    /// Whoever believes these and those.
    pub fn and(&self, other: &Self) -> Self {
        let mut roots = self.0.as_ref().clone();
        roots.extend(other.0.roots.iter().cloned());
        Self(Arc::new(roots))
    }

    /// As rustls takes them.
    pub fn roots(&self) -> Arc<RootCertStore> {
        self.0.clone()
    }

    /// As whoever believes them speaks TLS.
    pub fn client(&self) -> Result<Arc<ClientConfig>, rustls::Error> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(self.0.clone())
            .with_no_client_auth();
        Ok(Arc::new(config))
    }

    /// Whether a visitor who believes them would accept this chain for all these hosts, now; if not, why.
    pub fn accepts(&self, chain: &[CertificateDer<'_>], hosts: &[String], now: Timestamp) -> Result<(), String> {
        let (leaf, above) = chain.split_first().ok_or("there is no certificate")?;
        let verifier = WebPkiServerVerifier::builder_with_provider(self.0.clone(), provider()).build();
        let verifier = verifier.map_err(|error| error.to_string())?;
        let since_epoch = now.since(Timestamp::from_unix_millis(0));
        for host in hosts {
            let name = ServerName::try_from(host.as_str()).map_err(|error| format!("{host}: {error}"))?;
            let verdict = verifier.verify_server_cert(leaf, above, &name, &[], UnixTime::since_unix_epoch(since_epoch));
            verdict.map_err(|error| format!("{host}: {error}"))?;
        }
        Ok(())
    }
}
