//! Who we are to our own sites that ask visitors for a certificate.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use certificates::{Purpose, Subject};
use edge::tls::local_ca;
use host::files;
use manifest::Environment;
use reconcile::{Fault, Root};
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::World;

/// Longer than any look at the sites takes.
const LIFE: Duration = Duration::from_hours(2);

/// In whose name an environment's own authority signs.
pub(super) fn owner(environment: &Environment, root_id: &str) -> local_ca::Owner {
    local_ca::Owner {
        environment: format!("{} {}", environment.product, environment.reference()),
        root: root_id.to_owned(),
    }
}

impl World {
    /// What we show to sites that ask: a certificate of the environment's own authority, made anew each time. `None` where none asks.
    pub fn shown_to_sites(&self) -> Result<Option<Arc<dyn ResolvesClientCert>>, Fault> {
        let fleets = self.fleets.iter().flat_map(|fleet| fleet.running.iter().map(|one| &one.app));
        if !self.environment.apps.iter().chain(fleets).any(|app| app.client_ca.is_some()) {
            return Ok(None);
        }
        let cannot =
            |error: &(dyn std::error::Error + 'static)| Fault::because("cannot show our own sites who we are", error);
        let subject = Subject { common_name: "roadbed", organization: None, hosts: &[], purposes: &[Purpose::Client] };
        let now = self.ground.clock.now();
        let made = local_ca::issue(&self.ground.root, &owner(&self.environment, &self.ground.id), &subject, now, LIFE);
        // Before there is an authority there is no site either.
        let Some(leaf) = made.map_err(|fault| cannot(&fault))? else { return Ok(None) };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(leaf.chain_pem.as_bytes()).collect();
        let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes()).map_err(|error| cannot(&error))?;
        let chain = chain.map_err(|error| cannot(&error))?;
        let whole = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider());
        Ok(Some(Arc::new(SingleCertAndKey::from(whole.map_err(|error| cannot(&error))?))))
    }
}

/// Whom a site believes about its visitors: those of the manifest, and for our own looks the environment's authority.
pub(super) fn client_authorities(
    root: &Root,
    project: &Path,
    app: &manifest::environment::App,
) -> Result<Option<String>, Fault> {
    let Some(file) = &app.client_ca else { return Ok(None) };
    let theirs = files::read_string(&project.join(file)).map_err(|fault| {
        Fault::because(format!("cannot tell whom {} believes about its visitors", app.name), &fault)
            .hint(format!("client_ca of [apps.{}] names a file of certificates, in PEM", app.name))
    })?;
    if !theirs.contains("-----BEGIN CERTIFICATE-----") {
        // Ours alone would let nobody in, without a word.
        return Err(Fault::new(format!("there is no certificate in {file}, which {} believes", app.name))
            .hint("put there, in PEM, the certificates of whom visitors have theirs from"));
    }
    let own = files::read_if_exists(&root.ca_certificate());
    let own = own.map_err(|fault| Fault::because("cannot read the environment's own authority", &fault))?;
    let own = own.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    Ok(Some(format!("{theirs}\n{own}")))
}
