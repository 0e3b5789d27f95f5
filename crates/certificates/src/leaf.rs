//! What is signed.

use std::fmt;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyUsagePurpose};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::Fault;
use crate::life::Life;

/// What a certificate may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It is shown to whoever connects.
    Server,
    /// It is shown to whom its owner connects.
    Client,
}

/// Whom a certificate is for.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub common_name: &'a str,
    /// Organisation and unit; MongoDB knows clients by their whole name, and members of a replica set by these two.
    pub organization: Option<(&'a str, &'a str)>,
    /// DNS names and IP addresses.
    pub hosts: &'a [String],
    pub purposes: &'a [Purpose],
}

impl Subject<'_> {
    pub(crate) fn params(&self) -> Result<CertificateParams, Fault> {
        let mut params = CertificateParams::new(self.hosts).map_err(Fault::Generate)?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some((organization, unit)) = self.organization {
            params.distinguished_name.push(DnType::OrganizationName, organization);
            params.distinguished_name.push(DnType::OrganizationalUnitName, unit);
        }
        params.distinguished_name.push(DnType::CommonName, self.common_name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let usage = |purpose: &Purpose| match purpose {
            Purpose::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Purpose::Client => ExtendedKeyUsagePurpose::ClientAuth,
        };
        params.extended_key_usages = self.purposes.iter().map(usage).collect();
        params.use_authority_key_identifier_extension = true;
        Ok(params)
    }

    /// The name as RFC 2253 writes it, most specific first: what MongoDB calls a user who shows this certificate.
    pub fn distinguished_name(&self) -> String {
        match self.organization {
            Some((organization, unit)) => format!("CN={},OU={unit},O={organization}", self.common_name),
            None => format!("CN={}", self.common_name),
        }
    }
}

/// A certificate with its key. Serialized it holds the key.
#[derive(Clone, Serialize, Deserialize)]
pub struct Leaf {
    #[serde(flatten)]
    pub life: Life,
    /// Itself first, then its authority, as they are sent.
    pub chain_pem: String,
    pub key_pem: Zeroizing<String>,
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaf").field("life", &self.life).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use host::clock::Timestamp;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::crypto::aws_lc_rs;
    use rustls_pki_types::pem::PemObject;
    use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

    use super::*;
    use crate::Authority;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_795_000_000_000);
    const DAY: Duration = Duration::from_hours(24);

    fn der(pem: &str) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().unwrap()
    }

    /// What a client says that trusts `authority` and connects to `name` `after` the issue.
    fn verified(authority: &Authority, leaf: &Leaf, name: &'static str, after: Duration) -> Result<(), rustls::Error> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(der(&authority.certificate_pem).remove(0)).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier =
            rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let now = u64::try_from(NOW.unix_millis() / 1000).unwrap() + after.as_secs();
        let chain = der(&leaf.chain_pem);
        let name = ServerName::try_from(name).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
        verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], now).map(drop)
    }

    fn member() -> Subject<'static> {
        Subject {
            common_name: "mongodb",
            organization: Some(("urbancart-local", "members")),
            hosts: Box::leak(Box::new(["127.0.0.1".to_owned(), "db.internal".to_owned()])),
            purposes: &[Purpose::Server, Purpose::Client],
        }
    }

    #[test]
    fn a_leaf_is_good_for_its_hosts_under_its_authority_and_for_its_time() {
        let authority = Authority::make("Roadbed data services", NOW, 3650 * DAY).unwrap();
        let other = Authority::make("Roadbed data services", NOW, 3650 * DAY).unwrap();
        assert_ne!(authority.name, other.name);
        let leaf = authority.issue(&member(), NOW, 90 * DAY).unwrap();
        verified(&authority, &leaf, "127.0.0.1", DAY).unwrap();
        verified(&authority, &leaf, "db.internal", DAY).unwrap();
        verified(&authority, &leaf, "127.0.0.2", DAY).unwrap_err();
        verified(&authority, &leaf, "127.0.0.1", 91 * DAY).unwrap_err();
        verified(&other, &leaf, "127.0.0.1", DAY).unwrap_err();
        assert_eq!(member().distinguished_name(), "CN=mongodb,OU=members,O=urbancart-local");
    }

    #[test]
    fn a_client_is_no_server_and_no_leaf_outlives_its_authority() {
        let authority = Authority::make("Roadbed data services", NOW, 30 * DAY).unwrap();
        let client = Subject { purposes: &[Purpose::Client], ..member() };
        let leaf = authority.issue(&client, NOW, 90 * DAY).unwrap();
        verified(&authority, &leaf, "127.0.0.1", DAY).unwrap_err();
        assert_eq!(leaf.life.end, authority.life.end);
        assert!(authority.outlives(29 * DAY, NOW) && !authority.outlives(31 * DAY, NOW));
    }

    #[test]
    fn an_authority_that_is_made_again_of_its_key_is_the_same() {
        let authority = Authority::make("Roadbed data services", NOW, 30 * DAY).unwrap();
        let again = Authority::of_key(&authority.key_pem, "Roadbed data services", NOW, 60 * DAY).unwrap();
        assert_eq!(again.name, authority.name);
        let leaf = again.issue(&member(), NOW, DAY).unwrap();
        verified(&authority, &leaf, "127.0.0.1", Duration::ZERO).unwrap();
        assert!(Authority::of_key("no key", "x", NOW, DAY).is_err());
    }

    #[test]
    fn keys_are_in_no_debug_output() {
        let authority = Authority::make("x", NOW, DAY).unwrap();
        let leaf = authority.issue(&member(), NOW, DAY).unwrap();
        assert!(!format!("{authority:?} {leaf:?}").contains("PRIVATE"));
    }
}
