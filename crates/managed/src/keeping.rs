//! Where it is kept what a provider gave: secrets in the store, what was ordered in the book.

use std::path::PathBuf;
use std::sync::Arc;

use manifest::environment::Class;
use reconcile::{Fault, Root};
use secrets::{Secret, SecretName, Store, StoreFault, Versioned};

use crate::book::{self, Ordered};

/// Where one service's secrets and notes are.
#[derive(Clone, Debug)]
pub struct Keeping {
    pub(crate) store: Arc<Store>,
    file: PathBuf,
    /// `mongodb`, `redis` or `redis-cache`.
    service: String,
    /// What opens the account.
    access: SecretName,
    /// Where the address goes by which others log in as administrator.
    address: SecretName,
    /// `roadbed secrets set --env ENVIRONMENT`.
    set: String,
}

impl Keeping {
    pub fn new(root: &Root, store: Arc<Store>, environment: &str, service: &str, access: SecretName) -> Self {
        Self {
            store,
            file: root.state().join(format!("ordered-{service}.json")),
            service: service.to_owned(),
            access,
            address: SecretName::new(format!("{service}/external")),
            set: format!("roadbed secrets set --env {environment}"),
        }
    }

    pub(crate) fn service(&self) -> &str {
        &self.service
    }

    /// What opens the account: two parts with a colon between.
    pub(crate) fn access(&self, provider: &str, form: &str) -> Result<(Secret, Secret), Fault> {
        let command = format!("`{} {}` reads it from stdin: {form}", self.set, self.access);
        let cannot = |why: String| {
            Fault::new(format!("cannot open the account at {provider} for {}", self.service))
                .cause(why)
                .hint(command.clone())
        };
        let found = self.store.get(&self.access).map_err(|fault| store_fault(&fault))?;
        let found = found.ok_or_else(|| cannot(format!("the secret store has no {}", self.access)))?;
        match found.secret.expose().trim().split_once(':') {
            Some((who, key)) if !who.is_empty() && !key.is_empty() && is_graphic(who) && is_graphic(key) => {
                Ok((Secret::new(who.to_owned()), Secret::new(key.to_owned())))
            }
            _ => Err(cannot(format!("{} is not {form}", self.access))),
        }
    }

    pub(crate) fn ordered(&self) -> Result<Option<Ordered>, Fault> {
        book::read(&self.file)
    }

    pub(crate) fn note(&self, ordered: &Ordered) -> Result<(), Fault> {
        book::write(&self.file, ordered)
    }

    /// Whether the address that is kept is this one.
    pub(crate) fn has_address(&self, address: &Secret) -> Result<bool, Fault> {
        let kept = self.store.get(&self.address).map_err(|fault| store_fault(&fault))?;
        Ok(kept.is_some_and(|kept| kept.secret.expose() == address.expose()))
    }

    pub(crate) fn keep_address(&self, address: &Secret) -> Result<(), Fault> {
        self.store.set(&self.address, Class::Secret, address).map(drop).map_err(|fault| store_fault(&fault))
    }

    pub(crate) fn accepted(&self, name: &SecretName) -> Result<Vec<Versioned>, Fault> {
        self.store.accepted(name).map_err(|fault| store_fault(&fault))
    }

    pub(crate) fn get(&self, name: &SecretName) -> Result<Option<Versioned>, Fault> {
        self.store.get(name).map_err(|fault| store_fault(&fault))
    }

    pub(crate) fn make(&self, name: &SecretName) -> Result<Versioned, Fault> {
        self.store.get_or_generate(name, Class::Secret).map_err(|fault| store_fault(&fault))
    }
}

/// What can stand in a header.
fn is_graphic(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn store_fault(fault: &StoreFault) -> Fault {
    Fault::because("cannot use the credentials of the data services", fault).hint(fault.hint())
}
