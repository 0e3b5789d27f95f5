//! What others sign: asked for with a key of ours, read when it comes back.

use std::fmt;
use std::time::Duration;

use host::clock::Timestamp;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;
use zeroize::Zeroizing;

use crate::life::later;
use crate::{Fault, Life};

/// A key, and the request to sign it. Each certificate has a key of its own.
pub struct Request {
    pub key_pem: Zeroizing<String>,
    /// PKCS #10.
    pub der: Vec<u8>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").finish_non_exhaustive()
    }
}

impl Request {
    /// Asks for a certificate for these hosts.
    ///
    /// # Errors
    /// Where a host is no name, or the machine gives no random numbers.
    pub fn make(hosts: &[String]) -> Result<Self, Fault> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(Fault::Generate)?;
        let mut params = CertificateParams::new(hosts).map_err(Fault::Generate)?;
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&key).map_err(Fault::Generate)?;
        Ok(Self { key_pem: Zeroizing::new(key.serialize_pem()), der: request.der().to_vec() })
    }
}

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// Lower case, in order.
    pub hosts: Vec<String>,
    pub life: Life,
    /// The name of who signed it.
    pub issuer: String,
    /// Key identifier of who signed it, and its serial number with sign, as they are encoded: by them authorities know it (RFC 9773).
    pub known_as: Option<(Vec<u8>, Vec<u8>)>,
}

/// Why a text is no certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it holds no certificate that can be read: {0}")]
pub struct NotACertificate(String);

impl Issued {
    /// Reads the first certificate of a chain in PEM.
    ///
    /// # Errors
    /// Where there is none, or it is damaged.
    pub fn read(chain_pem: &str) -> Result<Self, NotACertificate> {
        let no = |error: &dyn fmt::Display| NotACertificate(error.to_string());
        Self::of(&CertificateDer::from_pem_slice(chain_pem.as_bytes()).map_err(|error| no(&error))?)
    }

    /// Reads a certificate.
    ///
    /// # Errors
    /// Where it is damaged.
    pub fn of(der: &CertificateDer<'_>) -> Result<Self, NotACertificate> {
        let no = |error: &dyn fmt::Display| NotACertificate(error.to_string());
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| no(&error))?;
        let names = certificate.subject_alternative_name().map_err(|error| no(&error))?;
        let names = names.iter().flat_map(|names| &names.value.general_names);
        let mut hosts: Vec<String> = names
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                _ => None,
            })
            .collect();
        hosts.sort();
        hosts.dedup();
        let validity = certificate.validity();
        let time = |seconds: i64| Timestamp::from_unix_millis(seconds.saturating_mul(1000));
        let life = Life { begin: time(validity.not_before.timestamp()), end: time(validity.not_after.timestamp()) };
        let key = certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(key) => key.key_identifier.as_ref().map(|key| key.0.to_vec()),
            _ => None,
        });
        let known_as = key.map(|key| (key, certificate.raw_serial().to_vec()));
        Ok(Self { hosts, life, issuer: certificate.issuer().to_string(), known_as })
    }

    /// Whether it names all of these and no others.
    pub fn is_for(&self, hosts: &[String]) -> bool {
        let mut hosts: Vec<String> = hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        hosts.sort();
        hosts.dedup();
        hosts == self.hosts
    }

    /// Whether it holds at a time.
    pub fn holds(&self, now: Timestamp) -> bool {
        (self.life.begin..=self.life.end).contains(&now)
    }

    /// When another one shall be there, where its authority does not say: two thirds of its life, half of one below ten days, as
    /// Let's Encrypt asks for. `spread` of 1000 is up to a thirtieth of its life later, so that not all come at once.
    pub fn renewal(&self, spread: u16) -> Timestamp {
        let length = self.life.end.since(self.life.begin);
        let part = if length < Duration::from_hours(240) { length / 2 } else { length * 2 / 3 };
        later(self.life.begin, part + length / 30 * u32::from(spread) / 1000)
    }
}

/// The common name of a certificate's subject, where it has one that is a text.
pub fn common_name(der: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let name = certificate.subject().iter_common_name().next()?.as_str().ok()?;
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Authority, Purpose, Subject};

    const NOW: Timestamp = Timestamp::from_unix_millis(1_795_000_000_000);
    const DAY: Duration = Duration::from_hours(24);

    fn issued(days: u32) -> Issued {
        let authority = Authority::make("An authority", NOW, DAY * 1000).unwrap();
        let hosts = ["www.shop.example".to_owned(), "shop.example".to_owned()];
        let subject = Subject { common_name: "x", organization: None, hosts: &hosts, purposes: &[Purpose::Server] };
        Issued::read(&authority.issue(&subject, NOW, DAY * days).unwrap().chain_pem).unwrap()
    }

    #[test]
    fn a_certificate_is_read_for_whom_for_how_long_and_by_whom() {
        let read = issued(90);
        assert_eq!(read.hosts, ["shop.example", "www.shop.example"]);
        assert!(read.is_for(&["Shop.example".into(), "www.shop.example".into()]));
        assert!(!read.is_for(&["shop.example".into()]));
        assert!(read.issuer.contains("An authority"), "{}", read.issuer);
        assert!(read.known_as.is_some());
        assert!(read.holds(NOW) && !read.holds(later(NOW, DAY * 91)));
        Issued::read("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap_err();
        Issued::read("").unwrap_err();
    }

    #[test]
    fn it_is_renewed_after_two_thirds_and_a_short_one_after_half() {
        let after = |days| later(NOW, DAY * days);
        let long = issued(90);
        assert!((after(59)..after(61)).contains(&long.renewal(0)));
        assert!((after(62)..after(64)).contains(&long.renewal(1000)));
        assert!((after(2)..after(4)).contains(&issued(6).renewal(0)));
    }

    #[test]
    fn a_request_shows_no_key() {
        let request = Request::make(&["shop.example".to_owned()]).unwrap();
        assert!(!format!("{request:?}").contains("PRIVATE"));
        assert!(!request.der.is_empty());
    }
}
