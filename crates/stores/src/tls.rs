//! Our side of a handshake with a data service: whom we believe, by the environment's time, or nobody and everybody.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use host::clock::{Clock, Timestamp};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme, WantsVerifier};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// By name: drivers put a second kind of cryptography into the process.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// The authorities of a PEM text. What is none is passed over.
pub(crate) fn authorities(pem: &str) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem.as_bytes()).flatten());
    roots
}

/// Believes these authorities, by this clock.
pub(crate) fn believing(roots: RootCertStore, clock: Arc<dyn Clock>) -> ClientConfig {
    with_versions(ClientConfig::builder_with_details(provider(), Arc::new(OurTime(clock))))
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Goes on whatever is shown, and tells the witness.
pub(crate) fn witnessed(witness: Arc<Witness>) -> ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    with_versions(ClientConfig::builder_with_provider(witness.provider.clone()))
        .dangerous()
        .with_custom_certificate_verifier(witness)
}

fn with_versions(
    builder: ConfigBuilder<ClientConfig, rustls::WantsVersions>,
) -> ConfigBuilder<ClientConfig, WantsVerifier> {
    builder.with_safe_default_protocol_versions().expect("the provider has suites for both versions")
}

/// The time of the environment, by which its certificates are made.
#[derive(Debug)]
struct OurTime(Arc<dyn Clock>);

impl TimeProvider for OurTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(in_seconds(self.0.now()))
    }
}

fn in_seconds(now: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.unix_millis() / 1000).unwrap_or(0)))
}

/// Remembers what a server shows, and stops nobody: nothing secret is said on such connections.
#[derive(Debug)]
pub(crate) struct Witness {
    judge: Option<(Arc<WebPkiServerVerifier>, UnixTime)>,
    provider: Arc<CryptoProvider>,
    seen: Mutex<Option<(CertificateDer<'static>, bool)>>,
}

impl Witness {
    /// Does not care what is shown.
    pub(crate) fn careless() -> Arc<Self> {
        Arc::new(Self { judge: None, provider: provider(), seen: Mutex::new(None) })
    }

    /// Judges what is shown by these authorities, at `now`.
    pub(crate) fn judging(roots: RootCertStore, now: Timestamp) -> Arc<Self> {
        let provider = provider();
        let judge = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().ok();
        let judge = judge.map(|judge| (judge, in_seconds(now)));
        Arc::new(Self { judge, provider, seen: Mutex::new(None) })
    }

    /// The certificate that was shown last, and whether it is to be believed.
    pub(crate) fn take(&self) -> Option<(CertificateDer<'static>, bool)> {
        self.seen.lock().expect("nobody panics while holding it").take()
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict = self.judge.as_ref().map(|(judge, now)| {
            judge.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, *now).is_ok()
        });
        let seen = (end_entity.clone().into_owned(), verdict.unwrap_or(false));
        *self.seen.lock().expect("nobody panics while holding it") = Some(seen);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
