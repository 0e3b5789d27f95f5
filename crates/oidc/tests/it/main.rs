//! Tokens of an issuer that answers over real TLS: the good one, the forged ones, and an issuer that is away.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod outage;
mod tokens;

use std::sync::Arc;

use host::clock::Timestamp;
use manifest::{Algorithm, CiEvent, Oidc, Runner};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use testkit::ci::{self, Issuer};

pub(crate) const AUDIENCE: &str = "roadbed://tiny/local";

/// Whoever believes the issuer's authority.
pub(crate) fn verifier(issuer: &Issuer) -> oidc::Issuer {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(issuer.ca_pem().as_bytes()).unwrap()).unwrap();
    let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    oidc::Issuer::new(format!("{}/.well-known/jwks", issuer.url), Arc::new(tls))
}

pub(crate) fn rules(issuer: &Issuer) -> Oidc {
    Oidc {
        issuer: issuer.url.clone(),
        keys: format!("{}/.well-known/jwks", issuer.url),
        ca: None,
        algorithms: vec![Algorithm::Rs256],
        audience: AUDIENCE.to_owned(),
        repository_id: ci::REPOSITORY_ID.to_owned(),
        repository_owner_id: ci::OWNER_ID.to_owned(),
        git_ref: "refs/heads/main".to_owned(),
        workflow: ci::WORKFLOW.to_owned(),
        job_workflow: None,
        environment: Some("staging".to_owned()),
        events: vec![CiEvent::Push, CiEvent::WorkflowDispatch],
        runner: Runner::GithubHosted,
    }
}

/// So many seconds from now.
pub(crate) fn after(seconds: i64) -> Timestamp {
    Timestamp::from_unix_millis((ci::now() + seconds) * 1000)
}

/// Runs what waits for something.
pub(crate) fn wait<T>(what: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(what)
}
