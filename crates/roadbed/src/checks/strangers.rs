//! T7: the secret store opens for its own root on this host, and for no other key of this machine.

use std::path::Path;
use std::sync::Arc;

use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact, Outcome};
use host::files::{self, FileFault};
use reconcile::{Fault, Root};
use secrets::identity::{IdentityFault, PrivateKey};
use secrets::{Opening, RecipientKind, Store, StoreFault, UserKeys};

use crate::control::identity;
use crate::roots::Roots;
use crate::wanted::Wanted;

pub(crate) const CLAIM: Claim = Claim {
    task: "T7",
    id: "store-opens-for-its-own",
    claim: "Nobody else's key on this machine opens the secret store",
    hint: "`roadbed secrets recipients` shows whom it opens for; `roadbed secrets recipients remove NAME` makes it another key",
    impact: Impact::Observes,
};

/// Tries every other root's key of this user, and one that was made up, with every value of the store.
#[derive(Debug)]
pub struct StoreOpensForItsOwn {
    pub root: Root,
    pub wanted: Wanted,
    pub secrets: Arc<Store>,
}

impl Check for StoreOpensForItsOwn {
    fn claim(&self) -> &Claim {
        &CLAIM
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        let (root, wanted, secrets) = (self.root.clone(), self.wanted.clone(), self.secrets.clone());
        Box::pin(async move {
            match tokio::task::spawn_blocking(move || look(&root, &wanted, &secrets)).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(fault)) => Outcome::inconclusive(format!("{fault}: {}", fault.causes.join(": "))),
                Err(panic) => Outcome::inconclusive(format!("the trial broke off: {panic}")),
            }
        })
    }
}

/// Why a key cannot be tried.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
enum TrialFault {
    Store(#[from] StoreFault),
    Identity(#[from] IdentityFault),
    File(#[from] FileFault),
}

fn look(root: &Root, wanted: &Wanted, store: &Store) -> Result<Outcome, Fault> {
    let ours = identity::read(root)?.ok_or_else(|| Fault::new("this root has lost its identity"))?;
    let roots = Roots::new(wanted.state.clone(), wanted.config.clone());
    let names = roots.others(&ours)?.into_iter().map(|other| (other.identity.id, other.identity.environment)).collect();
    let mut findings = Findings::default();
    let tried = with_own_key(store, &ours.id, &mut findings)
        .and_then(|()| with_others(store, &ours.id, &names, &mut findings))
        .and_then(|()| told_recipients(store, &mut findings));
    tried.map_err(|fault| Fault::because("cannot try who opens the secret store", &fault))?;
    Ok(findings.outcome())
}

/// Where nothing opened with the right key, that nothing opens with a wrong one proves nothing.
fn with_own_key(store: &Store, id: &str, findings: &mut Findings) -> Result<(), TrialFault> {
    let path = store.seat().keys.host_identity(id);
    match path.as_deref().map_or(Ok(None), PrivateKey::read)? {
        None => findings.bad("this root has lost its key on this host: its store opens with the operator's alone"),
        Some(key) => match store.opens_for(&key)? {
            Opening { opened, of } if opened == of => findings.good(format!("our own key opens all {of} versions")),
            Opening { opened, of } => findings.bad(format!("our own key opens {opened} of {of} versions")),
        },
    }
    Ok(())
}

type Names = std::collections::BTreeMap<String, String>;

fn with_others(store: &Store, ours: &str, names: &Names, findings: &mut Findings) -> Result<(), TrialFault> {
    let Opening { opened, of } = store.opens_for(&PrivateKey::of_a_stranger())?;
    match opened {
        0 => findings.good(format!("a stranger's key opens 0 of {of} versions")),
        _ => findings.bad(format!("a stranger's key opens {opened} of {of} versions")),
    }
    for path in others(&store.seat().keys, ours)? {
        let id = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let whose = names.get(&id).map_or_else(|| format!("root {id}"), Clone::clone);
        // One that is damaged opens nothing, and whoever cannot read one cannot use it either.
        let key = match PrivateKey::read(&path) {
            Ok(Some(key)) => key,
            Ok(None) => continue,
            Err(fault) => {
                findings.good(format!("the key of {whose} is no key: {fault}"));
                continue;
            }
        };
        match store.opens_for(&key)? {
            Opening { opened: 0, of } => findings.good(format!("the key of {whose} opens 0 of {of} versions")),
            Opening { opened, of } => findings.bad(format!("the key of {whose} opens {opened} of {of} versions")),
        }
    }
    Ok(())
}

/// The keys of this user's other roots on this host, of whatever product.
pub(super) fn others(keys: &UserKeys, ours: &str) -> Result<Vec<std::path::PathBuf>, FileFault> {
    let Some(folder) = keys.host_identities() else { return Ok(Vec::new()) };
    let mut paths = files::list(&folder)?;
    paths.retain(|path| !is_of(path, ours));
    Ok(paths)
}

fn is_of(path: &Path, id: &str) -> bool {
    path.file_name().is_some_and(|name| name == id)
}

/// Whom else it opens for, and is meant to.
fn told_recipients(store: &Store, findings: &mut Findings) -> Result<(), TrialFault> {
    let recipients = store.recipients()?;
    let of = |kind| recipients.iter().filter(|one| one.kind == kind).map(|one| one.name.as_str()).collect::<Vec<_>>();
    let people = of(RecipientKind::Person);
    if !people.is_empty() {
        findings.good(format!("it is meant to open for {}", people.join(", ")));
    }
    Ok(())
}
