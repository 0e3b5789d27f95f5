//! Keys that others gave out for us, from the secret store: to a zone of the name service, and to an account at an authority.

use std::path::Path;

use acme::dns::{Algorithm, Key, Secret, Zone};
use acme::order::Customer;
use manifest::{AcmeAuthority, Dns, KeyAlgorithm};
use reconcile::Fault;
use secrets::{SecretName, Store};

/// Under which name the key to the zone lies.
pub(crate) const ZONE_KEY: &str = "tls/dns";

/// The zone that records are put into.
pub(super) fn zone(dns: &Dns, secrets: &Store, folder: &Path) -> Result<Zone, Fault> {
    let secret = key(ZONE_KEY, secrets)?;
    let algorithm = match dns.algorithm {
        KeyAlgorithm::HmacSha256 => Algorithm::Sha256,
        KeyAlgorithm::HmacSha384 => Algorithm::Sha384,
        KeyAlgorithm::HmacSha512 => Algorithm::Sha512,
    };
    Ok(Zone {
        server: dns.server.clone(),
        name: dns.zone.clone(),
        key: Key { name: dns.key.clone(), algorithm, secret },
        seen_at: dns.seen_at.clone(),
        patience: dns.patience,
        note: folder.join("records.json"),
    })
}

/// Whose customer we are at an authority; `None` where it takes anybody.
pub(super) fn customer(authority: &AcmeAuthority, secrets: &Store) -> Result<Option<Customer>, Fault> {
    let Some(key_id) = &authority.external_account else { return Ok(None) };
    Ok(Some(Customer { key_id: key_id.clone(), key: key(&authority.account_secret(), secrets)? }))
}

fn key(name: &str, secrets: &Store) -> Result<Secret, Fault> {
    let found = secrets.get(&SecretName::new(name));
    let found = found.map_err(|fault| Fault::because(format!("cannot read {name}"), &fault).hint(fault.hint()))?;
    let hint = format!("`roadbed secrets set {name}` takes the key, in base64");
    let found = found.ok_or_else(|| Fault::new(format!("no certificate can be ordered without {name}")).hint(&hint))?;
    Secret::of_base64(found.secret.expose()).ok_or_else(|| Fault::new(format!("{name} is no base64")).hint(&hint))
}
