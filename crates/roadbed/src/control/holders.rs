//! Who still holds a version that is to be taken away: units, and commands that were lent it. The one place where that is asked.

use std::collections::BTreeSet;

use engine::instance::is_instance_of;
use reconcile::Fault;
use reconcile::loaded::{self, Holders};
use reconcile::ports::{UnitKind, UnitStatus, Units};
use secrets::{VersionRow, VersionState};
use stores::leases::{Lease, book};

use super::Control;
use crate::rotation::Subject;

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

    /// Units that hold a previous version of `subject`, by name.
    pub(super) fn units_with_previous(&self, subject: &Subject, rows: &[VersionRow]) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for (secret, version) in previous(subject, rows) {
            let Holders { by_version, unknown } = loaded::holders(&self.units, secret);
            names.extend(by_version.get(&version).into_iter().flatten().cloned());
            // Who was started by an earlier Roadbed holds what its app is given.
            let is_given = |unit: &&String| subject.variable.consumers.iter().any(|app| is_instance_of(app, unit));
            names.extend(unknown.iter().filter(is_given).cloned());
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
            previous(subject, rows).any(|(secret, version)| lease.loaded.get(secret) == Some(&version))
        };
        who.extend(self.leases.iter().filter(holds).map(in_words));
        who
    }
}

fn previous<'a>(subject: &'a Subject, rows: &'a [VersionRow]) -> impl Iterator<Item = (&'a str, u32)> {
    let is_previous = |row: &&VersionRow| row.state == VersionState::Previous;
    subject.versions(rows).filter(is_previous).map(|row| (row.name.as_str(), row.version))
}

fn in_words(lease: &Lease) -> String {
    let (name, pid) = (&lease.holder.name, lease.holder.process.pid);
    format!("a command of {name} (process {pid}, lent as {})", lease.id)
}
