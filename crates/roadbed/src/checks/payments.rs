//! T7: nothing that moves money is in an environment of a pull request or a branch, where whoever opens one runs code.
//!
//! ```text
//!   manifest ──► each preview resolved: no variable of class payment, so neither its apps nor `env exec` get one
//!   a preview ─► its store and its processes: nothing of that class, nothing that another environment keeps under it
//!   others ────► no preview's key opens their store
//! ```

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact, Outcome};
use host::files;
use host::process::table;
use manifest::environment::Class;
use manifest::{EnvRef, Environment, Manifest};
use reconcile::ports::{UnitKind, UnitStatus, Units};
use reconcile::{Fault, Root};
use secrets::identity::PrivateKey;
use secrets::payment::looks_live;
use secrets::{EnvironmentKind, Fingerprint, Fingerprints, Store, StoreFault, VersionState};

use crate::control::identity;
use crate::roots::{Other, Roots};
use crate::seats;
use crate::wanted::{self, Wanted};

pub(crate) const CLAIM: Claim = Claim {
    task: "T7",
    id: "payments-stay-out-of-previews",
    claim: "No preview is given, keeps or can open what moves money",
    hint: "leave previews out of `environments` of each payment variable; `roadbed secrets rm NAME` takes a value out of a preview, then rotate it",
    impact: Impact::Observes,
};

/// Looks at every preview of the manifest, and at this environment for what it is.
#[derive(Debug)]
pub struct PaymentsStayOutOfPreviews {
    pub root: Root,
    /// The manifest is read as it is now: the next preview is made of it.
    pub wanted: Wanted,
    /// What runs.
    pub environment: Arc<Environment>,
    pub secrets: Arc<Store>,
    pub units: Arc<dyn Units>,
}

impl Check for PaymentsStayOutOfPreviews {
    fn claim(&self) -> &Claim {
        &CLAIM
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(async {
            let mut findings = Findings::default();
            match wanted::manifest_as_edited(&self.wanted) {
                Ok(manifest) => previews_of(&manifest, &mut findings),
                Err(fault) => std::iter::once(fault.message).chain(fault.causes).for_each(|why| findings.bad(why)),
            }
            match self.look(&mut findings).await {
                Ok(()) => findings.outcome(),
                Err(fault) => Outcome::inconclusive(format!("{fault}: {}", fault.causes.join(": "))),
            }
        })
    }
}

/// Every environment that exists once for each pull request or branch, resolved for one that could come.
fn previews_of(manifest: &Manifest, findings: &mut Findings) {
    let mut previews = 0;
    for name in manifest::matrix(manifest).environments {
        let instances = ["pr-1", "any"].map(|instance| format!("{name}/{instance}").parse::<EnvRef>());
        for preview in instances.into_iter().flatten().filter_map(|instance| manifest.resolve(&instance).ok()) {
            previews += 1;
            given(&preview, findings);
        }
    }
    if previews == 0 {
        findings.good("the manifest has no environment of pull requests or branches");
    }
}

fn given(preview: &Environment, findings: &mut Findings) {
    let name = preview.reference();
    let payment = |variable: &&manifest::environment::Variable| variable.class == Class::Payment;
    let of_class: Vec<&str> = preview.variables.iter().filter(payment).map(|variable| variable.name.as_str()).collect();
    match of_class.is_empty() {
        true => {
            findings.good(format!("nothing of class payment is in {name}: neither its apps nor `env exec` get any"))
        }
        false => findings.bad(format!("{} of class payment is in {name}", of_class.join(", "))),
    }
}

impl PaymentsStayOutOfPreviews {
    async fn look(&self, findings: &mut Findings) -> Result<(), Fault> {
        let ours = identity::read(&self.root)?.ok_or_else(|| Fault::new("this root has lost its identity"))?;
        let roots = Roots::new(self.wanted.state.clone(), self.wanted.config.clone());
        let others = roots.others(&ours)?;
        let cannot = |fault: StoreFault| Fault::because("cannot look for what moves money", &fault);
        if self.secrets.seat().kind() != EnvironmentKind::Preview {
            return opens_for_no_preview(&self.secrets, &others, findings).map_err(cannot);
        }
        given(&self.environment, findings);
        let known = Known::of(&others, &roots, findings)?;
        self.in_store(&known, findings).map_err(cannot)?;
        self.in_processes(&known, &self.units.list().await?, findings).map_err(cannot)
    }

    fn in_store(&self, known: &Known, findings: &mut Findings) -> Result<(), StoreFault> {
        let rows = self.secrets.versions()?;
        let kept = rows.iter().filter(|row| row.state != VersionState::Destroyed);
        let mut is_bad = false;
        for row in kept.clone().filter(|row| row.class == Class::Payment.as_str()) {
            is_bad = true;
            findings.bad(format!("the store keeps {} version {}, of class payment", row.name, row.version));
        }
        for class in Class::ALL {
            for print in self.secrets.fingerprints_of(*class)? {
                for (environment, theirs) in known.prints.iter().filter(|(_, one)| one.is_of_the_same_value_as(&print))
                {
                    is_bad = true;
                    findings.bad(format!("the store keeps {} of {environment} as {}", theirs.name, print.name));
                }
            }
        }
        for name in self.secrets.names()? {
            if self.secrets.held(&name)?.iter().any(|found| looks_live(found.secret.expose())) {
                is_bad = true;
                findings.bad(format!("the store keeps {name}, which looks like a key that moves money"));
            }
        }
        if !is_bad {
            findings.good(format!("none of {} versions in the store moves money", kept.count()));
        }
        Ok(())
    }

    fn in_processes(&self, known: &Known, units: &[UnitStatus], findings: &mut Findings) -> Result<(), StoreFault> {
        let payment = Class::Payment.as_str();
        let rows = self.secrets.versions()?;
        let of_class: BTreeSet<&str> =
            rows.iter().filter(|row| row.class == payment).map(|row| row.name.as_str()).collect();
        for unit in units.iter().filter(|unit| unit.kind == UnitKind::App) {
            let Some(pid) = unit.pid else { continue };
            let name = &unit.name;
            for loaded in unit.loaded.iter().flatten().filter(|(name, _)| of_class.contains(name.as_str())) {
                findings.bad(format!("{name} was started with {} version {}, of class payment", loaded.0, loaded.1));
            }
            let values = values_of(pid);
            for (variable, value) in &values {
                if let Some(what) = known.recognises(value) {
                    findings.bad(format!("{name} was given {what} as {variable}"));
                }
            }
            findings.good(match values.is_empty() {
                false => format!("{name}: {} variables and files looked at", values.len()),
                true => {
                    format!("{name}: its variables are not to be read any more; what it was started with, as noted")
                }
            });
        }
        Ok(())
    }
}

/// What moves money on this machine, as far as this user's environments keep it.
struct Known {
    /// By the environment that keeps it.
    prints: Vec<(String, Fingerprint)>,
    /// `None`: nothing was ever compared here.
    user: Option<Fingerprints>,
}

impl Known {
    fn of(others: &[Other], roots: &Roots, findings: &mut Findings) -> Result<Self, Fault> {
        let cannot =
            |fault: &(dyn std::error::Error + 'static)| Fault::because("cannot look for what moves money", fault);
        let mut prints = Vec::new();
        for Other { root, identity } in others {
            let theirs = Store::new(seats::of_root(root, identity, roots));
            let found = theirs.fingerprints_of(Class::Payment).map_err(|fault| cannot(&fault))?;
            prints.extend(found.into_iter().map(|print| (identity.environment.clone(), print)));
        }
        findings.good(format!(
            "compared with {} payment values of {} other environments of this user",
            prints.len(),
            others.len()
        ));
        let user = Fingerprints::of_user(&roots.keys()).map_err(|fault| cannot(&fault))?;
        Ok(Self { prints, user })
    }

    /// What a value is, if it moves money.
    fn recognises(&self, value: &str) -> Option<String> {
        let by_print = self.user.as_ref().and_then(|user| {
            let known = self.prints.iter().find(|(_, print)| user.is_value_of(value, print));
            known.map(|(environment, print)| format!("{} of {environment}", print.name))
        });
        by_print.or_else(|| looks_live(value).then(|| "what looks like a key that moves money".to_owned()))
    }
}

/// What a process was given: its variables, and those that it was handed as files in memory.
fn values_of(pid: u32) -> Vec<(String, String)> {
    let mut values: Vec<(String, String)> = table::environment(pid).into_iter().collect();
    let handed: Vec<(String, String)> = values
        .iter()
        .filter_map(|(name, path)| {
            // As the process sees it: `/proc/self/fd/7`.
            let number = path.strip_prefix("/proc/self/fd/").filter(|_| name.ends_with("_FILE"))?;
            let bytes = files::read(&PathBuf::from(format!("/proc/{pid}/fd/{number}"))).ok()?;
            Some((format!("the file of {name}"), String::from_utf8_lossy(&bytes).into_owned()))
        })
        .collect();
    values.extend(handed);
    values
}

/// The keys of previews open nothing here.
fn opens_for_no_preview(store: &Store, others: &[Other], findings: &mut Findings) -> Result<(), StoreFault> {
    let previews =
        others.iter().filter(|other| EnvironmentKind::of(&other.identity.environment) == EnvironmentKind::Preview);
    let mut tried = 0;
    for Other { identity, .. } in previews {
        let Some(path) = store.seat().keys.host_identity(&identity.id) else { continue };
        let Some(key) = PrivateKey::read(&path)? else { continue };
        tried += 1;
        let opening = store.opens_for(&key)?;
        match opening.opened {
            0 => findings.good(format!("the key of {} opens 0 of {} versions here", identity.environment, opening.of)),
            opened => {
                findings
                    .bad(format!("the key of {} opens {opened} of {} versions here", identity.environment, opening.of));
            }
        }
    }
    if tried == 0 {
        findings.good("this user has no preview on this machine whose key could be tried here");
    }
    Ok(())
}
