//! T13: what was saved is somewhere else too, and stays there whoever breaks in here.

use backup::absent;
use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact, Outcome};
use host::clock::Timestamp;
use manifest::BackupCopy;
use reconcile::Fault;

use super::backups::{Backups, ago, told};
use crate::control::backing_up::record::Record;

pub(super) const ELSEWHERE: Claim = Claim {
    task: "T13",
    id: "a-copy-is-elsewhere",
    claim: "Every second repository has what was saved, and those that take nothing away refuse when asked to",
    hint: "`roadbed backup list` shows each copy and why the last attempt failed; see whether it answers and who logs in there",
    impact: Impact::Observes,
};

/// Whether each copy has everything that is older than it may be late, by its own word and not by ours.
#[derive(Debug)]
pub(super) struct CopiesAreElsewhere(pub(super) Backups);

/// One copy, looked at.
struct Seen {
    snapshots: usize,
    place: String,
    /// When the oldest was taken that is not there.
    absent_since: Option<Timestamp>,
    refuses: bool,
}

impl Check for CopiesAreElsewhere {
    fn claim(&self) -> &Claim {
        &ELSEWHERE
    }

    fn run<'a>(&'a self, cx: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(async move { self.look(cx).await.unwrap_or_else(told) })
    }
}

impl CopiesAreElsewhere {
    async fn look(&self, cx: &CheckCx) -> Result<Outcome, Fault> {
        let backups = &self.0;
        let all = &backups.backup.copies;
        let is_there = |record: &Record| {
            all.iter().all(|copy| record.copies.get(copy.name.as_str()).is_some_and(|of| of.complete.is_some()))
        };
        let record = backups.record(cx, is_there).await?;
        let now = backups.clock.now();
        let mut findings = Findings::default();
        for copy in all {
            let (looked_for, of) = (backups.clone(), copy.clone());
            let seen = tokio::task::spawn_blocking(move || seen(&looked_for, &of, now)).await;
            let seen = seen.unwrap_or_else(|error| Err(Fault::because("cannot look at a copy", &error)));
            match seen {
                Ok(seen) => judge(copy, &seen, now, &mut findings),
                Err(fault) => {
                    let why = fault.causes.iter().fold(fault.message.clone(), |text, cause| text + ": " + cause);
                    findings.bad(format!("{}: {why}", copy.name));
                }
            }
            let noted = record.copies.get(copy.name.as_str());
            for damage in noted.iter().flat_map(|of| &of.unreadable) {
                findings.bad(format!("{}: {damage}", copy.name));
            }
        }
        Ok(findings.outcome())
    }
}

fn seen(backups: &Backups, copy: &BackupCopy, now: Timestamp) -> Result<Seen, Fault> {
    let second = backups.open(&copy.destination)?;
    let there = second.snapshots()?;
    // Where the first is lost, another row says so: that the second has all that it ever had is no fault of it.
    let first = backups.repository().and_then(|first| first.snapshots()).unwrap_or_default();
    Ok(Seen {
        absent_since: absent(&first, &there, &backups.keep(), now).first().map(|snapshot| snapshot.taken),
        snapshots: there.len(),
        place: second.place().to_string(),
        refuses: second.refuses_deletes()?,
    })
}

fn judge(copy: &BackupCopy, seen: &Seen, now: Timestamp, findings: &mut Findings) {
    let name = &copy.name;
    match seen.absent_since {
        Some(since) if now.since(since) > copy.late => findings.bad(format!(
            "{name}: what was saved at {since} is not in {} after {}; it may be late by {}",
            seen.place,
            ago(now.since(since)),
            ago(copy.late)
        )),
        _ if seen.snapshots == 0 => findings.bad(format!("{name}: there is no backup in {}", seen.place)),
        Some(since) => findings.good(format!("{name}: {} snapshots, all that is older than {since}", seen.snapshots)),
        None => findings.good(format!("{name}: all {} snapshots are in {}", seen.snapshots, seen.place)),
    }
    match (copy.is_append_only, seen.refuses) {
        (true, true) => findings.good(format!("{name}: it refused to have anything taken away")),
        (true, false) => findings.bad(format!(
            "{name}: with what logs us in backups can be taken away from {}, against append_only = true",
            seen.place
        )),
        (false, _) => {}
    }
}
