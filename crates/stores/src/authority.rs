//! The authority that an environment's data services show their certificates of, and by which they know us.
//!
//! Its key is in the sealed secret store and in the memory of control, nowhere else: servers get a key and a certificate of
//! their own, clients of ours get one that lasts for as long as they are needed.

use std::time::Duration;

use certificates::{Authority, Leaf, Subject};
use manifest::environment::Class;
use reconcile::Fault;
use secrets::{Secret, SecretName, VersionState, Versioned};

use crate::ground::{Ground, secret_fault};

const AUTHORITY_LIFE: Duration = Duration::from_hours(24 * 3650);

/// What a server shows. It is renewed when two thirds of this are over, by a server that keeps its connections.
pub(crate) const SERVER_LIFE: Duration = Duration::from_hours(24 * 90);

/// Under which name the authority lies in the secret store, key and all.
pub fn authority_secret() -> SecretName {
    SecretName::new("services/authority")
}

impl Ground {
    /// The authority that signs, if it was made.
    pub(crate) fn authority(&self) -> Result<Option<Authority>, Fault> {
        self.secret(&authority_secret())?.map(|kept| read(&kept)).transpose()
    }

    /// The authority, made now if there is none. Only for steps: looking must not change anything.
    pub(crate) fn make_authority(&self) -> Result<Authority, Fault> {
        if let Some(authority) = self.authority()? {
            return Ok(authority);
        }
        let name = format!("Roadbed data services of {}", self.name);
        let fresh = Authority::make(&name, self.clock.now(), AUTHORITY_LIFE)
            .map_err(|fault| Fault::because("cannot make the authority of the data services", &fault))?;
        let text = serde_json::to_string(&fresh).expect("texts and numbers encode");
        let kept = self.secrets.get_or_keep(&authority_secret(), Class::Secret, &Secret::new(text));
        read(&kept.map_err(|fault| secret_fault(&fault))?)
    }

    /// What clients of the data services trust, in PEM: every authority whose certificates may be met. `None` before there is one.
    ///
    /// # Errors
    /// Where the secret store cannot be read, or what is in it is no authority.
    pub fn trusted(&self) -> Result<Option<String>, Fault> {
        let all = self.authorities()?;
        let bundle: String = all.iter().map(|authority| authority.certificate_pem.as_str()).collect();
        Ok((!bundle.is_empty()).then_some(bundle))
    }

    /// Every authority whose certificates may be met; the one that signs now comes first.
    pub(crate) fn authorities(&self) -> Result<Vec<Authority>, Fault> {
        let mut accepted = self.secrets.accepted(&authority_secret()).map_err(|fault| secret_fault(&fault))?;
        accepted.sort_by_key(|kept| kept.state != VersionState::Current);
        accepted.iter().map(read).collect()
    }

    /// A certificate of this environment's data services.
    pub(crate) fn issue(&self, subject: &Subject<'_>, life: Duration) -> Result<Leaf, Fault> {
        let authority = self.authority()?.ok_or_else(|| Fault::new("the data services have no authority yet"))?;
        authority
            .issue(subject, self.clock.now(), life)
            .map_err(|fault| Fault::because(format!("cannot issue a certificate for {}", subject.common_name), &fault))
    }
}

fn read(kept: &Versioned) -> Result<Authority, Fault> {
    serde_json::from_str(kept.secret.expose()).map_err(|_| {
        // The parser's own words would quote a key.
        Fault::new(format!("version {} of {} in the secret store is no authority", kept.version, authority_secret()))
            .hint("bring back the secret store as it was; `roadbed secrets audit` says who wrote it")
    })
}
