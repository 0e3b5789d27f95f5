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
use secrets::{SecretName, Store, StoreFault, Versioned};

use crate::engines::checksum;

/// One environment's folders, processes, secrets and time.
#[derive(Clone, Debug)]
pub struct Ground {
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

/// The name of an app's own user in a store. The prefix keeps an app called `admin` or `default` from meaning somebody else.
pub(crate) fn user_of(app: &AppName) -> String {
    format!("app-{app}")
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
