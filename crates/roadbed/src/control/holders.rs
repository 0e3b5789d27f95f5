//! Who still holds a version that is to be taken away: units, and commands that were lent it. The one place where that is asked.

use std::collections::BTreeSet;

use engine::instance::is_instance_of;
use reconcile::Fault;
use reconcile::loaded::{self, Holders};
use reconcile::ports::{UnitKind, UnitStatus, Units};
use secrets::{SecretName, VersionRow, VersionState};
use stores::leases::{Lease, book};

use super::Control;
use crate::rotation::{Behind, Subject};

/// One look at everybody.
pub(super) struct Everybody {
    units: Vec<UnitStatus>,
    leases: Vec<Lease>,
}

impl Everybody {
    pub(super) async fn look(control: &Control) -> Result<Self, Fault> {
        // What is lent from now on is current, which nobody takes away: between a promotion and this lies a convergence, and a
        // command that was given the version before is in the book within milliseconds.
        let units = control.keeper.list().await?;
        Ok(Self { units, leases: book::read(&control.root)? })
    }

    /// Units that hold a version of `subject` which is to be taken away, by name.
    pub(super) fn units_with_previous(&self, subject: &Subject, rows: &[VersionRow]) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for secret in &subject.secrets {
            let Holders { by_version, unknown } = loaded::holders(&self.units, secret.as_str());
            let is_leaving = |version: u32| is_leaving(subject, rows, secret.as_str(), version);
            let held = by_version.into_iter().filter(|(version, _)| is_leaving(*version));
            names.extend(held.flat_map(|(_, units)| units));
            // Who was started by an earlier Roadbed holds what its app is given.
            let is_given = |unit: &&String| subject.apps().iter().any(|app| is_instance_of(app, unit));
            names.extend(unknown.iter().filter(is_given).filter(|_| has_leaving(subject, rows)).cloned());
        }
        names
    }

    /// Whether anybody holds a version, or may.
    pub(super) fn hold(&self, secret: &str, version: u32) -> bool {
        let is_app = |unit: &&UnitStatus| unit.kind == UnitKind::App;
        let apps: Vec<UnitStatus> = self.units.iter().filter(is_app).cloned().collect();
        !loaded::holders(&apps, secret).of(version).is_empty()
            || self.leases.iter().any(|lease| lease.loaded.get(secret) == Some(&version))
    }

    /// As [`Self::units_with_previous`], and the commands that were lent one, in words.
    pub(super) fn with_previous(&self, subject: &Subject, rows: &[VersionRow]) -> Vec<String> {
        let mut who: Vec<String> = self.units_with_previous(subject, rows).into_iter().collect();
        let holds = |lease: &&Lease| {
            let held = |secret: &SecretName| lease.loaded.get(secret.as_str()).copied();
            let mut all = subject.secrets.iter().filter_map(|secret| Some((secret, held(secret)?)));
            all.any(|(secret, version)| is_leaving(subject, rows, secret.as_str(), version))
        };
        who.extend(self.leases.iter().filter(holds).map(in_words));
        who
    }
}

/// Whether a version is one that must not be in use before the next step: the one before the current one; of an authority, whom
/// to trust without the newest, since its certificates are what servers show next.
fn is_leaving(subject: &Subject, rows: &[VersionRow], secret: &str, version: u32) -> bool {
    match subject.behind {
        Behind::Variable(_) | Behind::OwnPassword => {
            let mut rows = subject.versions(rows);
            rows.any(|row| row.name == secret && row.version == version && row.state == VersionState::Previous)
        }
        Behind::Authority { .. } => subject.versions(rows).any(|row| row.version > version),
    }
}

/// Whether there is such a version.
fn has_leaving(subject: &Subject, rows: &[VersionRow]) -> bool {
    subject.versions(rows).any(|row| is_leaving(subject, rows, &row.name, row.version))
}

fn in_words(lease: &Lease) -> String {
    let (name, pid) = (&lease.holder.name, lease.holder.process.pid);
    format!("a command of {name} (process {pid}, lent as {})", lease.id)
}
