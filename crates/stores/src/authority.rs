//! The authority that an environment's data services show their certificates of, and by which they know us.
//!
//! Its key is in the sealed secret store and in the memory of control, nowhere else: servers get a key and a certificate of
//! their own, clients of ours get one that lasts for as long as they are needed. Its certificate is public and lies beside the
//! servers' configuration; where that is lost, the key makes another that means the same.
//!
//! ```text
//!   another key is kept ─► everybody trusts both ─► it signs: servers and our users get its certificates ─► the first is trusted no more
//! ```

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use certificates::{Authority, Leaf, Life, Subject};
use host::clock::Timestamp;
use host::files::{self, Access};
use manifest::environment::Class;
use reconcile::Fault;
use secrets::{Secret, SecretName, VersionState, Versioned};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::engines::checksum;
use crate::ground::{Ground, file_fault, secret_fault};

const NAME: &str = "Roadbed data services";

const AUTHORITY_LIFE: Duration = Duration::from_hours(24 * 3650);

/// What a server shows. It is renewed when two thirds of this are over, by a server that keeps its connections.
pub(crate) const SERVER_LIFE: Duration = Duration::from_hours(24 * 90);

/// Under which name the authority's key lies in the secret store, in PEM.
pub fn authority_secret() -> SecretName {
    SecretName::new("services/authority")
}

/// The key of an authority that is to be.
///
/// # Errors
/// Where the machine gives no random numbers.
pub fn fresh_authority_key(now: Timestamp) -> Result<Secret, Fault> {
    let fresh = Authority::make(NAME, now, AUTHORITY_LIFE).map_err(|fault| cannot_make(&fault))?;
    Ok(Secret::new(fresh.key_pem.to_string()))
}

fn cannot_make(fault: &certificates::Fault) -> Fault {
    Fault::because("cannot make the authority of the data services", fault)
}

/// What everybody may know of an authority.
#[derive(Debug, Serialize, Deserialize)]
struct Public {
    name: String,
    #[serde(flatten)]
    life: Life,
    certificate_pem: String,
}

impl Ground {
    /// The authority that signs, if it was made.
    pub(crate) fn authority(&self) -> Result<Option<Authority>, Fault> {
        let kept = self.secret(&authority_secret())?;
        Ok(kept.map(|kept| self.read(&kept)).transpose()?.flatten())
    }

    /// The authority, made now if there is none, and the certificate of each whose key is kept. Only for steps: looking must not
    /// change anything.
    pub(crate) fn make_authority(&self) -> Result<Authority, Fault> {
        // MongoDB and Redis are provisioned side by side: the second one finds what the first one made.
        static MAKING: Mutex<()> = Mutex::new(());
        let _turn = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.has_all_authorities()? {
            let fresh = fresh_authority_key(self.clock.now())?;
            self.secrets
                .get_or_keep(&authority_secret(), Class::Secret, &fresh)
                .map_err(|fault| secret_fault(&fault))?;
            for kept in self.accepted_authorities()? {
                if self.read(&kept)?.is_none() {
                    self.write_public(&kept)?;
                }
            }
        }
        self.authority()?.ok_or_else(|| Fault::new("the authority of the data services was taken away meanwhile"))
    }

    /// Whether there is one, and everybody can be told of each: one that is to follow is kept before it has a certificate.
    pub(crate) fn has_all_authorities(&self) -> Result<bool, Fault> {
        let accepted = self.accepted_authorities()?;
        let known = accepted.iter().map(|kept| self.read(kept)).collect::<Result<Vec<_>, Fault>>()?;
        Ok(!known.is_empty() && known.iter().all(Option::is_some))
    }

    fn write_public(&self, kept: &Versioned) -> Result<(), Fault> {
        let authority =
            Authority::of_key(kept.secret.expose(), &self.authority_name(), self.clock.now(), AUTHORITY_LIFE)
                .map_err(|fault| cannot_make(&fault))?;
        let Authority { name, life, certificate_pem, .. } = authority;
        let text = serde_json::to_vec_pretty(&Public { name, life, certificate_pem }).expect("plain data");
        let fault = |fault| file_fault("the data services", &fault);
        files::create_dir(&self.authority_folder(), Access::Owner).map_err(fault)?;
        files::write_durable(&self.public_file(&kept.secret), &text, Access::Owner).map_err(fault)
    }

    fn authority_name(&self) -> String {
        format!("{NAME} of {}", self.name)
    }

    /// What clients of the data services trust, in PEM: every authority whose certificates may be met. `None` before there is one.
    /// In an order that stays when another one becomes the one that signs: who holds this text need not be told of that.
    ///
    /// # Errors
    /// Where the secret store or a certificate beside it cannot be read.
    pub fn trusted(&self) -> Result<Option<String>, Fault> {
        let mut accepted = self.accepted_authorities()?;
        accepted.sort_by_key(|kept| kept.version);
        let all = accepted.iter().map(|kept| self.read(kept)).collect::<Result<Vec<_>, Fault>>()?;
        let bundle: String = all.into_iter().flatten().map(|authority| authority.certificate_pem).collect();
        Ok((!bundle.is_empty()).then_some(bundle))
    }

    /// The version of the newest authority that is trusted: who knows it knows those before it too.
    ///
    /// # Errors
    /// Where the secret store or a certificate beside it cannot be read.
    pub fn newest_trusted(&self) -> Result<Option<u32>, Fault> {
        let mut newest = None;
        for kept in self.accepted_authorities()? {
            if self.read(&kept)?.is_some() {
                newest = newest.max(Some(kept.version));
            }
        }
        Ok(newest)
    }

    /// Every authority whose certificates may be met; the one that signs now comes first.
    pub(crate) fn authorities(&self) -> Result<Vec<Authority>, Fault> {
        let mut accepted = self.accepted_authorities()?;
        accepted.sort_by_key(|kept| kept.state != VersionState::Current);
        let all: Result<Vec<Option<Authority>>, Fault> = accepted.iter().map(|kept| self.read(kept)).collect();
        Ok(all?.into_iter().flatten().collect())
    }

    fn accepted_authorities(&self) -> Result<Vec<Versioned>, Fault> {
        self.secrets.accepted(&authority_secret()).map_err(|fault| secret_fault(&fault))
    }

    /// A certificate of this environment's data services.
    pub(crate) fn issue(&self, subject: &Subject<'_>, life: Duration) -> Result<Leaf, Fault> {
        let authority = self.authority()?.ok_or_else(|| Fault::new("the data services have no authority yet"))?;
        authority
            .issue(subject, self.clock.now(), life)
            .map_err(|fault| Fault::because(format!("cannot issue a certificate for {}", subject.common_name), &fault))
    }

    fn authority_folder(&self) -> PathBuf {
        self.root.conf().join("authority")
    }

    /// Named after the key: a version of another secret store is another key.
    fn public_file(&self, key: &Secret) -> PathBuf {
        let digest = checksum::of_bytes(key.expose().as_bytes());
        self.authority_folder().join(format!("{}.json", &digest[..16]))
    }

    /// A key with the certificate that belongs to it; one that is missing or damaged is made again by the next step.
    fn read(&self, kept: &Versioned) -> Result<Option<Authority>, Fault> {
        let bytes = files::read_if_exists(&self.public_file(&kept.secret))
            .map_err(|fault| file_fault("the data services", &fault))?;
        let public = bytes.and_then(|bytes| serde_json::from_slice::<Public>(&bytes).ok());
        Ok(public.map(|Public { name, life, certificate_pem }| Authority {
            name,
            life,
            certificate_pem,
            key_pem: Zeroizing::new(kept.secret.expose().to_owned()),
        }))
    }
}
