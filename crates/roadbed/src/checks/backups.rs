//! T13: what is saved is young and whole, and was restored.

use std::sync::Arc;
use std::time::Duration;

use backup::{Keep, Repository};
use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact, Outcome};
use host::clock::{Clock, Timestamp};
use manifest::Backup;
use reconcile::{Fault, Root};
use secrets::{SecretName, Store};
use tokio::time::sleep;

use crate::control::backing_up::record::Record;
use crate::control::backing_up::{self, KEY, READ_BY_LOT};
use crate::recovery;
use crate::render::span;
use crate::wanted::Wanted;

use super::backup_copies::CopiesAreElsewhere;

pub(super) const YOUNG: Claim = Claim {
    task: "T13",
    id: "a-backup-is-young",
    claim: "Everything was backed up when it was due, and changes since are saved",
    hint: "`roadbed backup list` shows what there is and why the last attempt failed; `roadbed backup now` takes one",
    impact: Impact::Observes,
};

pub(super) const WHOLE: Claim = Claim {
    task: "T13",
    id: "backups-are-whole",
    claim: "The repository of backups is whole, read and decrypted by lot",
    hint: "`roadbed backup verify` reads all of it and names what is damaged; then `roadbed backup now` saves what is missing",
    impact: Impact::Observes,
};

pub(super) const RESTORED: Claim = Claim {
    task: "T13",
    id: "the-newest-backup-was-restored",
    claim: "A backup was restored in a rehearsal, equal by count and digest, within the promised times",
    hint: "`roadbed drill` rehearses now and shows what differs; a backup that was not restored is unproven",
    impact: Impact::Observes,
};

/// What is due may be under way: so long after it is late, or as long as the period, where that is shorter.
pub(super) const GRACE: Duration = Duration::from_secs(15 * 60);

fn late_after(period: Duration) -> Duration {
    period + GRACE.min(period)
}

/// An environment that was just brought up takes its first backup: it is waited for.
const PAUSE: Duration = Duration::from_millis(250);

/// Between two looks at changes the machine may be busy.
const CHANGES_GRACE: Duration = Duration::from_secs(10);

/// What the three promises look at.
#[derive(Clone, Debug)]
pub struct Backups {
    pub root: Root,
    pub backup: Backup,
    pub wanted: Wanted,
    pub secrets: Arc<Store>,
    pub clock: Arc<dyn Clock>,
    /// Whether there is a MongoDB, whose changes are saved.
    pub has_changes: bool,
}

impl Backups {
    /// All three, and a fourth where there are copies.
    pub fn checks(self) -> Vec<Box<dyn Check>> {
        let mut all: Vec<Box<dyn Check>> = vec![
            Box::new(BackupIsYoung(self.clone())),
            Box::new(BackupsAreWhole(self.clone())),
            Box::new(BackupWasRestored(self.clone())),
        ];
        if !self.backup.copies.is_empty() {
            all.push(Box::new(CopiesAreElsewhere(self)));
        }
        all
    }

    pub(super) fn keep(&self) -> Keep {
        let Backup { hourly, daily, weekly, monthly, any_second, .. } = self.backup;
        Keep { hourly, daily, weekly, monthly, any_second }
    }

    pub(super) fn open(&self, destination: &manifest::Destination) -> Result<Repository, Fault> {
        let destination = backing_up::destination(&self.root, &self.wanted, destination, &self.secrets)?;
        let absent = || Fault::new(format!("there is no repository in {}", destination.place));
        let key = self.secrets.get(&SecretName::new(KEY));
        let key = key.map_err(|fault| Fault::because("cannot use the key of the repository", &fault))?;
        Repository::open_at(&destination, key.ok_or_else(absent)?.secret.expose())?.ok_or_else(absent)
    }

    /// The record, once `is_there` says that it has what is looked for; as it is when the time is over.
    pub(super) async fn record(&self, cx: &CheckCx, is_there: impl Fn(&Record) -> bool) -> Result<Record, Fault> {
        let deadline = self.clock.instant() + cx.budget * 4 / 5;
        loop {
            let record = Record::read(&self.root)?;
            if is_there(&record) || self.clock.instant() >= deadline {
                return Ok(record);
            }
            sleep(PAUSE).await;
        }
    }

    pub(super) fn repository(&self) -> Result<Repository, Fault> {
        self.open(&self.backup.repository)
    }
}

pub(super) fn told(fault: Fault) -> Outcome {
    Outcome::fails(std::iter::once(fault.message).chain(fault.causes).collect())
}

pub(super) fn ago(duration: Duration) -> String {
    span::time(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// When everything was backed up, by the repository's own word.
#[derive(Debug)]
pub(super) struct BackupIsYoung(Backups);

impl Check for BackupIsYoung {
    fn claim(&self) -> &Claim {
        &YOUNG
    }

    fn run<'a>(&'a self, cx: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(async move { self.look(cx).await.unwrap_or_else(told) })
    }
}

impl BackupIsYoung {
    async fn look(&self, cx: &CheckCx) -> Result<Outcome, Fault> {
        let Backups { backup, clock, has_changes, .. } = &self.0;
        let is_there = |record: &Record| record.base.is_some() && (record.covered.is_some() || !has_changes);
        let record = self.0.record(cx, is_there).await?;
        let looked_for = self.0.clone();
        let newest = tokio::task::spawn_blocking(move || newest_base(&looked_for)).await;
        let newest = newest.unwrap_or_else(|error| Err(Fault::because("cannot read the repository", &error)))?;
        let now = clock.now();
        let mut findings = Findings::default();
        match newest {
            Some(taken) if now.since(taken) <= late_after(backup.every) => {
                findings.good(format!("everything was backed up at {taken}, {} ago", ago(now.since(taken))));
            }
            Some(taken) => findings.bad(format!(
                "everything was backed up at {taken}, {} ago; it is due every {}",
                ago(now.since(taken)),
                ago(backup.every)
            )),
            None => findings.bad("there is no backup in the repository".to_owned()),
        }
        if recovery::begun(&self.0.root)?.is_some() {
            findings.bad(
                "a restore was begun here, and not all is back: the same `roadbed restore --from` goes on".to_owned(),
            );
        }
        if record.gap {
            findings.bad("changes were overwritten before they were saved, and no backup was taken since".to_owned());
        }
        if *has_changes {
            match record.covered {
                Some((to, seen)) if now.since(seen) <= backup.rpo.max(backup.changes + CHANGES_GRACE) => {
                    findings.good(format!("all changes up to {to} are saved, as seen {} ago", ago(now.since(seen))));
                }
                Some((to, seen)) => findings.bad(format!(
                    "changes after {to} are not saved: {} ago was the last look, promised are {}",
                    ago(now.since(seen)),
                    ago(backup.rpo)
                )),
                None => findings.bad("no change was saved yet".to_owned()),
            }
        }
        Ok(findings.outcome())
    }
}

fn newest_base(backups: &Backups) -> Result<Option<Timestamp>, Fault> {
    let all = backups.repository()?.snapshots()?;
    Ok(all.iter().rev().find(|snapshot| snapshot.is_base()).map(|base| base.taken))
}

/// Whether what is in the repository can be read and is what was written.
#[derive(Debug)]
pub(super) struct BackupsAreWhole(Backups);

impl Check for BackupsAreWhole {
    fn claim(&self) -> &Claim {
        &WHOLE
    }

    fn run<'a>(&'a self, cx: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(async move { self.look(cx).await.unwrap_or_else(told) })
    }
}

impl BackupsAreWhole {
    async fn look(&self, cx: &CheckCx) -> Result<Outcome, Fault> {
        let record = self.0.record(cx, |record| record.base.is_some()).await?;
        let backups = self.0.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let repository = backups.repository()?;
            let snapshots = repository.snapshots()?.len();
            Ok((repository.verify(Some(READ_BY_LOT))?, snapshots, repository.place().to_string()))
        });
        let looked: Result<_, Fault> = looked.await.unwrap_or_else(|error| Err(Fault::because("cannot look", &error)));
        let (verification, snapshots, place) = looked?;
        let mut findings = Findings::default();
        for damage in verification.damage.iter().chain(&record.damage) {
            findings.bad(damage.clone());
        }
        if verification.damage.is_empty() && record.damage.is_empty() {
            findings.good(format!("{snapshots} snapshots in {place}: index, trees and data are whole"));
        }
        Ok(findings.outcome())
    }
}

/// Whether the last rehearsal is young, passed, and kept the promised times.
#[derive(Debug)]
pub(super) struct BackupWasRestored(Backups);

impl Check for BackupWasRestored {
    fn claim(&self) -> &Claim {
        &RESTORED
    }

    fn run<'a>(&'a self, cx: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(async move { self.look(cx).await.unwrap_or_else(told) })
    }
}

impl BackupWasRestored {
    async fn look(&self, cx: &CheckCx) -> Result<Outcome, Fault> {
        let Backups { backup, clock, .. } = &self.0;
        let record = self.0.record(cx, |record| record.drill.is_some()).await?;
        let mut findings = Findings::default();
        let Some(drill) = record.drill else {
            findings.bad("no backup was restored in a rehearsal yet: all of them are unproven".to_owned());
            return Ok(findings.outcome());
        };
        let now = clock.now();
        if now.since(drill.began) > late_after(backup.drill) {
            findings.bad(format!(
                "the last rehearsal was {} ago; it is due every {}",
                ago(now.since(drill.began)),
                ago(backup.drill)
            ));
        }
        drill.bad.iter().for_each(|bad| findings.bad(bad.clone()));
        if drill.passed() {
            let base = drill.base.as_deref().unwrap_or("nothing");
            findings.good(format!("{base} was restored at {}", drill.began));
            drill.good.iter().for_each(|good| findings.good(good.clone()));
            findings.good(format!("it took {} (RTO), promised are {}", ago(drill.took), ago(backup.rto)));
            if let Some(lost) = drill.lost {
                findings.good(format!(
                    "changes of {} would have been lost (RPO), promised are {}",
                    ago(lost),
                    ago(backup.rpo)
                ));
            }
        }
        Ok(findings.outcome())
    }
}
