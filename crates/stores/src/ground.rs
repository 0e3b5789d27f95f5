//! What both stores stand on.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use host::clock::Clock;
use host::files::FileFault;
use manifest::environment::Class;
use manifest::id::AppName;
use reconcile::ports::{Safeguard, Units};
use reconcile::{Fault, Root};
use secrets::{SecretName, Store, StoreFault, VersionState, Versioned};

use crate::engines::checksum;

/// One environment's folders, processes, secrets and time.
#[derive(Clone, Debug)]
pub struct Ground {
    /// Which environment this is, for people: `urbancart local`.
    pub name: String,
    /// Id of the root: in the certificates, so that those of another environment are none here.
    pub id: String,
    pub root: Root,
    pub units: Arc<dyn Units>,
    pub secrets: Arc<Store>,
    pub clock: Arc<dyn Clock>,
    /// What must keep the servers to their own business.
    pub require: Vec<Safeguard>,
}

impl Ground {
    /// A secret that must already be there.
    pub(crate) fn secret(&self, name: &SecretName) -> Result<Option<Versioned>, Fault> {
        self.secrets.get(name).map_err(|fault| secret_fault(&fault))
    }

    /// The versions of an app's password that log in, each as a user of its own. Where a third is kept already, the two that
    /// processes hold come first: it gets its user when one of them is retired.
    pub(crate) fn logins(&self, name: &SecretName) -> Result<Vec<Versioned>, Fault> {
        let mut accepted = self.secrets.accepted(name).map_err(|fault| secret_fault(&fault))?;
        accepted.sort_by_key(|version| match version.state {
            VersionState::Current => 0,
            VersionState::Previous => 1,
            _ => 2,
        });
        let mut logins: Vec<Versioned> = Vec::new();
        for version in accepted {
            if logins.iter().all(|other| Slot::of(other.version) != Slot::of(version.version)) {
                logins.push(version);
            }
        }
        Ok(logins)
    }

    /// A secret, made now if there is none. Only for steps: looking must not change anything.
    pub(crate) fn make_secret(&self, name: &SecretName) -> Result<Versioned, Fault> {
        self.secrets.get_or_generate(name, Class::Secret).map_err(|fault| secret_fault(&fault))
    }
}

pub(crate) fn secret_fault(fault: &StoreFault) -> Fault {
    Fault::because("cannot use the credentials of the data services", fault).hint(fault.hint())
}

pub(crate) fn file_fault(service: &str, fault: &FileFault) -> Fault {
    let wrapped = Fault::because(format!("cannot prepare the files of {service}"), fault);
    match fault.source.kind() {
        std::io::ErrorKind::StorageFull => wrapped.hint("the disk is full: free some space, then run this again"),
        _ => wrapped,
    }
}

/// An app has two users in a store, and the versions of its password sit on them in turn. So the old password and the new one
/// let in side by side, and the sessions of the old one can be told from the others and ended with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Odd versions; the first password of an app is here.
    First,
    Second,
}

impl Slot {
    pub const ALL: [Self; 2] = [Self::First, Self::Second];

    pub fn of(version: u32) -> Self {
        if version % 2 == 1 { Self::First } else { Self::Second }
    }
}

/// The name of an app's own user in a store. The prefix keeps an app called `admin` or `default` from meaning somebody else; the
/// dot, which no app's name has, keeps the second user of `shop` from being the first of an app `shop-b`.
pub fn user_of(app: &AppName, slot: Slot) -> String {
    match slot {
        Slot::First => format!("app-{app}"),
        Slot::Second => format!("app-{app}.b"),
    }
}

/// A revision: changes when one of these public texts does.
pub(crate) fn revision(parts: &[&str], env: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for part in parts {
        let _ = writeln!(text, "{}:{part}", part.len());
    }
    let _ = write!(text, "{env:?}");
    checksum::of_bytes(text.as_bytes())[..16].to_owned()
}
