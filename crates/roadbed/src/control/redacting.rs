//! What must not be in logs, answers and evidence: the keeper is told before it starts anything that could write it, and what
//! control itself says goes through [`Redactions`].

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use host::clock::Clock;
use manifest::environment::Class;
use reconcile::Fault;
use reconcile::ports::{Ensured, PortFuture, UnitSpec, UnitStatus, Units};
use secrets::redact::Needles;
use secrets::{Secret, Store, StoreFault, jwk};

use crate::keeper::client::KeeperClient;

/// Starts units as the keeper does. Every secret of the store is known to the keeper first.
#[derive(Debug)]
pub(crate) struct Redacting {
    keeper: KeeperClient,
    secrets: Arc<Store>,
}

impl Redacting {
    pub(crate) fn new(keeper: KeeperClient, secrets: Arc<Store>) -> Self {
        Self { keeper, secrets }
    }

    /// Tells the keeper. It remembers, and what it knows already costs it nothing.
    pub(crate) async fn tell(&self) -> Result<(), Fault> {
        let known = known(&self.secrets)?;
        self.keeper.look_for(&known).await
    }
}

/// A convergence makes secrets as it goes; what it says so long after is searched for them too.
const FRESH: Duration = Duration::from_millis(500);

/// What control says, without secrets.
#[derive(Debug)]
pub(crate) struct Redactions {
    /// `None`: there is no store to be told from.
    secrets: Option<Store>,
    /// Those that are in no store: what whoever builds gave to builds.
    given: Vec<(String, Secret)>,
    clock: Arc<dyn Clock>,
    built: Mutex<Option<(Instant, Arc<Needles>)>>,
}

impl Redactions {
    pub(crate) fn new(secrets: Store, given: &BTreeMap<String, String>, clock: Arc<dyn Clock>) -> Self {
        let given = given.iter().map(|(name, value)| (name.clone(), Secret::new(value.clone()))).collect();
        Self { secrets: Some(secrets), given, clock, built: Mutex::default() }
    }

    /// Takes out nothing.
    pub(crate) fn none(clock: Arc<dyn Clock>) -> Self {
        Self { secrets: None, given: Vec::new(), clock, built: Mutex::default() }
    }

    pub(crate) fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.needles().redact(text)
    }

    fn needles(&self) -> Arc<Needles> {
        let now = self.clock.instant();
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        match &*built {
            Some((at, needles)) if now.saturating_duration_since(*at) < FRESH => Arc::clone(needles),
            before => {
                // A store that cannot be opened has told nobody its secrets; what was known before is still looked for.
                let known = self.secrets.as_ref().and_then(|store| known(store).ok()).unwrap_or_default();
                let all = known.iter().chain(&self.given).map(|(name, secret)| (name.clone(), secret));
                let fresh = match (Needles::new(all), before) {
                    (Ok(needles), before) if !known.is_empty() || before.is_none() => Arc::new(needles),
                    (_, Some((_, needles))) => Arc::clone(needles),
                    (_, None) => Arc::new(Needles::none()),
                };
                *built = Some((now, Arc::clone(&fresh)));
                fresh
            }
        }
    }
}

/// Every value that the store can still open, by the name that is shown in its place.
pub(crate) fn known(store: &Store) -> Result<Vec<(String, Secret)>, Fault> {
    Ok(values(store)?.into_iter().map(|(shown, _, secret)| (shown, secret)).collect())
}

/// As [`known`], without what is public or internal: that may be seen, whoever keeps it.
pub(crate) fn sensitive(store: &Store) -> Result<Vec<(String, Secret)>, Fault> {
    let rows = store.versions().map_err(|fault| unread(&fault))?;
    let open: BTreeSet<String> = rows.into_iter().filter(|row| is_open(&row.class)).map(|row| row.name).collect();
    let values = values(store)?.into_iter().filter(|(_, name, _)| !open.contains(name));
    Ok(values.map(|(shown, _, secret)| (shown, secret)).collect())
}

/// A class that nobody knows is taken for a secret's.
fn is_open(class: &str) -> bool {
    Class::ALL.iter().any(|known| known.as_str() == class && !known.is_sensitive())
}

fn unread(fault: &StoreFault) -> Fault {
    Fault::because("cannot read the values that the secret store holds", fault)
}

/// What is shown in place of a value, under which name it is kept, and the value.
fn values(store: &Store) -> Result<Vec<(String, String, Secret)>, Fault> {
    let mut known = Vec::new();
    for name in store.names().map_err(|fault| unread(&fault))? {
        for found in store.held(&name).map_err(|fault| unread(&fault))? {
            let (shown, kept) = (format!("{}@{}", name.shown(), found.version), name.to_string());
            known.extend(jwk::private_part(&found.secret).map(|part| (shown.clone(), kept.clone(), part)));
            known.push((shown, kept, found.secret));
        }
    }
    Ok(known)
}

impl Units for Redacting {
    fn ensure(&self, spec: UnitSpec) -> PortFuture<'_, Ensured> {
        Box::pin(async move {
            self.tell().await?;
            self.keeper.ensure(spec).await
        })
    }

    fn remove<'a>(&'a self, name: &'a str) -> PortFuture<'a, ()> {
        self.keeper.remove(name)
    }

    fn restart<'a>(&'a self, name: &'a str) -> PortFuture<'a, ()> {
        self.keeper.restart(name)
    }

    fn hold<'a>(&'a self, name: &'a str) -> PortFuture<'a, ()> {
        self.keeper.hold(name)
    }

    fn resume<'a>(&'a self, name: &'a str) -> PortFuture<'a, ()> {
        self.keeper.resume(name)
    }

    fn list(&self) -> PortFuture<'_, Vec<UnitStatus>> {
        self.keeper.list()
    }

    fn tail<'a>(&'a self, name: &'a str, n: usize) -> PortFuture<'a, Vec<String>> {
        self.keeper.tail(name, n)
    }
}
