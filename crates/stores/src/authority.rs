//! The authority that an environment's data services show their certificates of, and by which they know us.
//!
//! Its key is in the sealed secret store and in the memory of control, nowhere else: servers get a key and a certificate of
//! their own, clients of ours get one that lasts for as long as they are needed. Its certificate is public and lies beside the
//! servers' configuration; where that is lost, the key makes another that means the same.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use certificates::{Authority, Leaf, Life, Subject};
use host::files::{self, Access};
use manifest::environment::Class;
use reconcile::Fault;
use secrets::{Secret, SecretName, VersionState, Versioned};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::ground::{Ground, file_fault, secret_fault};

const AUTHORITY_LIFE: Duration = Duration::from_hours(24 * 3650);

/// What a server shows. It is renewed when two thirds of this are over, by a server that keeps its connections.
pub(crate) const SERVER_LIFE: Duration = Duration::from_hours(24 * 90);

/// Under which name the authority's key lies in the secret store, in PEM.
pub fn authority_secret() -> SecretName {
    SecretName::new("services/authority")
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

    /// The authority, made now if there is none. Only for steps: looking must not change anything.
    pub(crate) fn make_authority(&self) -> Result<Authority, Fault> {
        // MongoDB and Redis are provisioned side by side: the second one finds what the first one made.
        static MAKING: Mutex<()> = Mutex::new(());
        let _turn = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(authority) = self.authority()? {
            return Ok(authority);
        }
        let cannot = |fault| Fault::because("cannot make the authority of the data services", &fault);
        let name = format!("Roadbed data services of {}", self.name);
        let now = self.clock.now();
        let fresh = Authority::make(&name, now, AUTHORITY_LIFE).map_err(cannot)?;
        let kept = self
            .secrets
            .get_or_keep(&authority_secret(), Class::Secret, &Secret::new(fresh.key_pem.to_string()))
            .map_err(|fault| secret_fault(&fault))?;
        let authority = Authority::of_key(kept.secret.expose(), &name, now, AUTHORITY_LIFE).map_err(cannot)?;
        let Authority { name, life, certificate_pem, .. } = authority;
        let text = serde_json::to_vec_pretty(&Public { name, life, certificate_pem }).expect("plain data");
        let fault = |fault| file_fault("the data services", &fault);
        files::create_dir(&self.authority_folder(), Access::Owner).map_err(fault)?;
        files::write_durable(&self.public_file(kept.version), &text, Access::Owner).map_err(fault)?;
        self.authority()?.ok_or_else(|| Fault::new("the authority of the data services was taken away meanwhile"))
    }

    /// What clients of the data services trust, in PEM: every authority whose certificates may be met. `None` before there is one.
    ///
    /// # Errors
    /// Where the secret store or a certificate beside it cannot be read.
    pub fn trusted(&self) -> Result<Option<String>, Fault> {
        let all = self.authorities()?;
        let bundle: String = all.iter().map(|authority| authority.certificate_pem.as_str()).collect();
        Ok((!bundle.is_empty()).then_some(bundle))
    }

    /// Every authority whose certificates may be met; the one that signs now comes first.
    pub(crate) fn authorities(&self) -> Result<Vec<Authority>, Fault> {
        let mut accepted = self.secrets.accepted(&authority_secret()).map_err(|fault| secret_fault(&fault))?;
        accepted.sort_by_key(|kept| kept.state != VersionState::Current);
        let all: Result<Vec<Option<Authority>>, Fault> = accepted.iter().map(|kept| self.read(kept)).collect();
        Ok(all?.into_iter().flatten().collect())
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

    fn public_file(&self, version: u32) -> PathBuf {
        self.authority_folder().join(format!("{version}.json"))
    }

    /// A key with the certificate that belongs to it; one that is missing or damaged is made again by the next step.
    fn read(&self, kept: &Versioned) -> Result<Option<Authority>, Fault> {
        let bytes = files::read_if_exists(&self.public_file(kept.version))
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
