//! What proves to an authority that our hosts are ours, for as long as an order is under way.
//!
//! Kept on disk too: an edge that dies in the middle of an order would otherwise let it fail.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use host::clock::Clock;
use host::files::{self, Access};
use reconcile::Root;
use reconcile::ports::{Challenges, HTTP_CHALLENGE};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::fault::EdgeFault;

/// The proofs that are answered with now.
#[derive(Debug)]
pub struct Proofs {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    ready: ArcSwap<Ready>,
}

#[derive(Debug, Default)]
struct Ready {
    http: HashMap<String, Bytes>,
    tls: HashMap<String, Arc<CertifiedKey>>,
}

impl Proofs {
    /// Takes up those that are on disk. Damaged ones are none: the order fails, and is tried again.
    pub fn resume(root: &Root, clock: Arc<dyn Clock>) -> Self {
        let path = root.routes().join("challenges.json");
        let bytes = files::read_if_exists(&path).ok().flatten();
        let kept: Challenges = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let ready = make(&kept, clock.as_ref()).unwrap_or_default();
        Self { path, clock, ready: ArcSwap::from_pointee(ready) }
    }

    /// Replaces them all, durably first.
    pub fn set(&self, challenges: &Challenges) -> Result<(), EdgeFault> {
        let ready = make(challenges, self.clock.as_ref())?;
        let bytes = serde_json::to_vec(challenges).map_err(EdgeFault::Encode)?;
        files::write_durable(&self.path, &bytes, Access::Owner)?;
        self.ready.store(Arc::new(ready));
        Ok(())
    }

    /// The answer to who asks for this path over plain HTTP.
    pub fn over_http(&self, path: &str) -> Option<Bytes> {
        self.ready.load().http.get(path.strip_prefix(HTTP_CHALLENGE)?).cloned()
    }

    /// The certificate for who asks for `acme-tls/1` and this host.
    pub fn over_tls(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        self.ready.load().tls.get(&host.to_ascii_lowercase()).cloned()
    }
}

fn make(challenges: &Challenges, clock: &dyn Clock) -> Result<Ready, EdgeFault> {
    let http = challenges.http.iter().map(|(token, answer)| (token.clone(), Bytes::from(answer.clone()))).collect();
    let certificate = |(host, digest): (&String, &String)| {
        let unusable = |why: String| EdgeFault::Proof { host: host.clone(), why };
        let digest = bytes_of(digest).ok_or_else(|| unusable("its digest is none".to_owned()))?;
        let leaf = certificates::proof(host, &digest, clock.now()).map_err(|fault| unusable(fault.to_string()))?;
        let chain = CertificateDer::pem_slice_iter(leaf.chain_pem.as_bytes()).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| unusable(error.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes());
        let key = key.map_err(|error| unusable(error.to_string()))?;
        // Not compared with the certificate, which has a critical extension that no ordinary reader knows.
        let key = super::provider().key_provider.load_private_key(key).map_err(|error| unusable(error.to_string()))?;
        Ok((host.to_ascii_lowercase(), Arc::new(CertifiedKey::new(chain, key))))
    };
    let tls: Result<_, EdgeFault> = challenges.tls.iter().map(certificate).collect();
    Ok(Ready { http, tls: tls? })
}

fn bytes_of(hex: &str) -> Option<[u8; 32]> {
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&hex[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}
