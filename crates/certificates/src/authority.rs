//! Who signs.

use std::fmt;
use std::time::Duration;

use host::clock::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::Fault;
use crate::leaf::{Leaf, Subject};
use crate::life::{Life, later};

/// An authority: all that is needed to sign in its name. Serialized it holds its key.
#[derive(Clone, Serialize, Deserialize)]
pub struct Authority {
    pub name: String,
    #[serde(flatten)]
    pub life: Life,
    pub certificate_pem: String,
    pub key_pem: Zeroizing<String>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("name", &self.name).field("life", &self.life).finish_non_exhaustive()
    }
}

impl Authority {
    /// A new one. `name` says of what, and gets a number that tells it from others of the same name.
    ///
    /// # Errors
    /// Where the machine gives no random numbers.
    pub fn make(name: &str, now: Timestamp, length: Duration) -> Result<Self, Fault> {
        Self::of(&KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(Fault::Generate)?, name, now, length)
    }

    /// The same authority again, from its key and its name without the number: who trusts an earlier certificate of it trusts
    /// what it signs.
    ///
    /// # Errors
    /// Where the key is none.
    pub fn of_key(key_pem: &str, name: &str, now: Timestamp, length: Duration) -> Result<Self, Fault> {
        Self::of(&KeyPair::from_pem(key_pem).map_err(Fault::Key)?, name, now, length)
    }

    fn of(key: &KeyPair, name: &str, now: Timestamp, length: Duration) -> Result<Self, Fault> {
        // An uncompressed point: the first byte is the same for all.
        let number: String = key.public_key_raw().iter().skip(1).take(4).map(|byte| format!("{byte:02x}")).collect();
        let name = format!("{name} {number}");
        let life = Life::from(now, length);
        let mut params = Self::params(&name);
        params.not_before = life.begin.calendar();
        params.not_after = life.end.calendar();
        let certificate_pem = params.self_signed(key).map_err(Fault::Generate)?.pem();
        Ok(Self { name, life, certificate_pem, key_pem: Zeroizing::new(key.serialize_pem()) })
    }

    /// Whether a leaf of this length, issued now, would end before the authority does.
    pub fn outlives(&self, length: Duration, now: Timestamp) -> bool {
        self.life.end > later(now, length)
    }

    /// Signs a new key for `subject`. The leaf ends with the authority at the latest.
    ///
    /// # Errors
    /// Where the authority's key is damaged, or a name of the subject is none.
    pub fn issue(&self, subject: &Subject<'_>, now: Timestamp, length: Duration) -> Result<Leaf, Fault> {
        let issuer = Issuer::new(Self::params(&self.name), KeyPair::from_pem(&self.key_pem).map_err(Fault::Key)?);
        let mut life = Life::from(now, length);
        life.end = life.end.min(self.life.end);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(Fault::Generate)?;
        let mut params = subject.params()?;
        params.not_before = life.begin.calendar();
        params.not_after = life.end.calendar();
        let certificate = params.signed_by(&key, &issuer).map_err(Fault::Generate)?;
        Ok(Leaf {
            life,
            chain_pem: certificate.pem() + &self.certificate_pem,
            key_pem: Zeroizing::new(key.serialize_pem()),
        })
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
    }
}
