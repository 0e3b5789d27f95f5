//! The certificate that proves a host to an authority which looks by TLS (RFC 8737).

use std::time::Duration;

use host::clock::Timestamp;
use rcgen::{CertificateParams, CustomExtension, KeyPair, PKCS_ECDSA_P256_SHA256};
use zeroize::Zeroizing;

use crate::{Fault, Leaf, Life};

/// What the authority asks for, and nobody else does.
pub const ACME_PROTOCOL: &[u8] = b"acme-tls/1";

/// An order is over long before.
const LENGTH: Duration = Duration::from_hours(24);

/// A certificate that nobody signed, for one host, with the digest that the authority waits for.
///
/// # Errors
/// Where the host is no name, or the machine gives no random numbers.
pub fn proof(host: &str, digest: &[u8; 32], now: Timestamp) -> Result<Leaf, Fault> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(Fault::Generate)?;
    let mut params = CertificateParams::new([host.to_owned()]).map_err(Fault::Generate)?;
    let life = Life::from(now, LENGTH);
    params.not_before = life.begin.calendar();
    params.not_after = life.end.calendar();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = params.self_signed(&key).map_err(Fault::Generate)?;
    Ok(Leaf { life, chain_pem: certificate.pem(), key_pem: Zeroizing::new(key.serialize_pem()) })
}
