//! What the API shows who calls it: a certificate of the authority that visitors trust on this machine, for the API's own names. Its key is
//! in memory alone; each control that starts makes another.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use certificates::{Life, Purpose, Subject};
use edge::tls::local_ca::{self, Owner};
use host::clock::Timestamp;
use reconcile::{Fault, Root};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};

/// It is made again at two thirds of this, and whenever control starts.
const LASTS: Duration = Duration::from_hours(24 * 30);

/// What is shown by now.
#[derive(Debug)]
pub(super) struct Shown {
    hosts: Vec<String>,
    /// Of the authority that signed: another one needs another certificate.
    authority: Vec<u8>,
    life: Life,
    config: Arc<ServerConfig>,
}

/// The certificate of a listener, made anew when it is due.
#[derive(Debug, Default)]
pub(super) struct Certificate {
    shown: Mutex<Option<Shown>>,
}

impl Certificate {
    /// What a connection is accepted with, once there is something.
    pub(super) fn config(&self) -> Option<Arc<ServerConfig>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|shown| shown.config.clone())
    }

    /// Sees that there is one for these hosts that holds for a while.
    pub(super) fn ensure(&self, root: &Root, owner: &Owner, hosts: &[String], now: Timestamp) -> Result<(), Fault> {
        let cannot =
            |error: &(dyn std::error::Error + 'static)| Fault::because("cannot make a certificate for the API", error);
        let authority = host::files::read_if_exists(&root.ca_certificate()).map_err(|fault| cannot(&fault))?;
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let is_good = shown.as_ref().is_some_and(|shown| {
            shown.hosts == hosts && Some(&shown.authority) == authority.as_ref() && !shown.life.is_due(now)
        });
        if is_good {
            return Ok(());
        }
        let subject = Subject { common_name: "roadbed api", organization: None, hosts, purposes: &[Purpose::Server] };
        let leaf = local_ca::issue(root, owner, &subject, now, LASTS).map_err(|fault| cannot(&fault))?;
        let (Some(leaf), Some(authority)) = (leaf, authority) else {
            return Err(Fault::new("cannot make a certificate for the API")
                .cause("the environment has no certificate authority yet")
                .hint("`roadbed up` makes it"));
        };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(leaf.chain_pem.as_bytes()).collect();
        let chain = chain.map_err(|error| cannot(&error))?;
        let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes()).map_err(|error| cannot(&error))?;
        let mut config = ServerConfig::builder_with_provider(edge::tls::provider())
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| cannot(&error))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| cannot(&error))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        *shown = Some(Shown { hosts: hosts.to_vec(), authority, life: leaf.life, config: Arc::new(config) });
        Ok(())
    }
}

/// The names that the certificate is for.
pub(super) fn hosts(address: SocketAddr, named: &[String]) -> Vec<String> {
    let mut hosts: Vec<String> = named.to_vec();
    let ip = address.ip();
    if ip.is_unspecified() || ip.is_loopback() {
        hosts.extend(["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()]);
    }
    if !ip.is_unspecified() && ip != IpAddr::from([127, 0, 0, 1]) {
        hosts.push(ip.to_string());
    }
    hosts.sort();
    hosts.dedup();
    hosts
}
