//! Backs up by itself: everything every so often, changes of MongoDB all the time, and rehearsals of what was saved.
//!
//! No resource, on purpose: a repository that is away must fail no `up`, and a backup takes longer than anybody should hold the
//! turn. What goes wrong is told by the gate, and tried again.

mod answers;
mod buckets;
mod copying;
mod desk;
mod keys;
mod masked;
pub mod record;
mod recovering;
mod releases;
mod telemetry;
mod source;
pub mod wire;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backup::{ClusterTime, Course, Freed, Kind, Repository, SliceTaken, Taken, append, chain_end, doomed};
use host::clock::Timestamp;
use reconcile::Fault;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::Control;
use crate::recovery;
use crate::render::span::bytes;
pub(super) use answers::answer;
use desk::{Desk, desk};
pub(crate) use desk::{KEY, destination};
pub(super) use masked::begin;
use record::Record;
pub use source::Source;

/// Between two looks whether anything is due.
const LOOK: Duration = Duration::from_secs(1);

/// What failed is tried again after this.
const PAUSE: Duration = Duration::from_secs(15);

/// How much of a repository is read by lot after each backup. All of it is read in each rehearsal, and by `backup verify`.
pub(crate) const READ_BY_LOT: u64 = 64 << 20;

/// Backups of one environment, as control does them.
#[derive(Debug, Default)]
pub struct BackingUp {
    /// One at a time: a base, a rehearsal, a restore, or space being freed.
    turn: tokio::sync::Mutex<()>,
    /// One slice after the other.
    chain: tokio::sync::Mutex<Option<Chain>>,
    /// Opened once: its key is stretched for a second.
    repository: Mutex<Option<Repository>>,
    /// How far what is being done is.
    going: Mutex<Option<Going>>,
    /// Another repository was opened than before: the chain is what it has.
    reopened: AtomicBool,
    /// The oplog did not reach back.
    base_is_due: Notify,
    /// Archives of releases that are known to be whole.
    held: releases::Held,
    /// Something was saved that the copies have not.
    copies_are_due: Notify,
    /// Why the last attempt came to nothing.
    trouble: Mutex<Option<String>>,
}

/// What is being done.
#[derive(Clone, Debug)]
struct Going {
    course: Arc<Course>,
    began: Timestamp,
    is_backup: bool,
}

/// Notes that something is going on for as long as this lives.
struct Seen<'c> {
    control: &'c Control,
    /// What it is a part of.
    before: Option<Going>,
}

impl<'c> Seen<'c> {
    fn begin(control: &'c Control, course: &Arc<Course>, is_backup: bool) -> Self {
        let going = Going { course: course.clone(), began: control.clock.now(), is_backup };
        let before = control.backing_up.going();
        control.backing_up.set_going(Some(going));
        Self { control, before }
    }
}

impl Drop for Seen<'_> {
    fn drop(&mut self) {
        self.control.backing_up.set_going(self.before.take());
    }
}

/// Restores, so that others may see how far it is.
async fn watched<T>(control: &Control, work: impl Future<Output = T>) -> T {
    let course = Arc::new(Course::default());
    let _seen = Seen::begin(control, &course, false);
    backup::watched(course, work).await
}

/// Where the chain of changes stands.
#[derive(Clone, Copy, Debug)]
struct Chain {
    /// Where the last slice ended.
    end: ClusterTime,
    /// Nothing that was not saved happened until then.
    through: ClusterTime,
}

impl BackingUp {
    /// Notes why an attempt came to nothing, or that one came to something.
    pub(super) fn note_trouble(&self, what: &str, outcome: Result<(), &Fault>) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(()) => *trouble = None,
            Err(fault) => {
                tracing::warn!(causes = ?fault.causes, "cannot {what}: {fault}");
                *trouble = Some(fault.causes.iter().fold(fault.message.clone(), |text, cause| text + ": " + cause));
            }
        }
    }

    fn set_going(&self, going: Option<Going>) {
        *self.going.lock().unwrap_or_else(PoisonError::into_inner) = going;
    }

    fn going(&self) -> Option<Going> {
        self.going.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How far the base is that is being taken, or the restore.
    fn progress(&self, now: Timestamp) -> Option<wire::Progress> {
        self.going().map(|Going { course, began, .. }| wire::Progress {
            bytes: course.done(),
            expected: Some(course.expected()).filter(|expected| *expected > 0),
            seconds: now.since(began).as_secs(),
            waits: course.waits(),
        })
    }

    /// What is being done with them, in words; `None`: nothing for which others would wait.
    pub(super) fn under_way(&self) -> Option<String> {
        match self.going() {
            Some(Going { course, is_backup: true, .. }) => {
                Some(format!("A backup is being taken: {}", bytes(course.done())))
            }
            Some(Going { course, .. }) => {
                Some(format!("A rehearsal or a restore is under way: {}", bytes(course.done())))
            }
            None => self.turn.try_lock().is_err().then(|| "A rehearsal or a restore is under way".to_owned()),
        }
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Looks until the task is aborted.
pub(super) async fn carry_on(control: Arc<Control>) {
    tokio::join!(bases(&control), changes(&control), copying::carry_on(&control));
}

async fn bases(control: &Control) {
    loop {
        let mut wait = LOOK;
        match due(control).await {
            Ok(()) => {}
            Err(fault) => {
                control.backing_up.note_trouble("back up", Err(&fault));
                wait = PAUSE;
            }
        }
        tokio::select! {
            () = sleep(wait) => {}
            () = control.backing_up.base_is_due.notified() => {}
        }
    }
}

async fn changes(control: &Control) {
    loop {
        let wait = match desk(control).await {
            Ok(Some(desk)) => match slice(control, &desk).await {
                Ok(()) => desk.backup.changes,
                Err(fault) => {
                    control.backing_up.note_trouble("save the changes of MongoDB", Err(&fault));
                    desk.backup.changes.max(LOOK)
                }
            },
            // Whoever is asleep or going changes nothing.
            Ok(None) | Err(_) => LOOK * 2,
        };
        sleep(wait).await;
    }
}

/// Does what is due of bases and rehearsals.
async fn due(control: &Control) -> Result<(), Fault> {
    // What is there yet is not worth a backup.
    if recovery::begun(&control.root)?.is_some() {
        return Ok(());
    }
    let Some(desk) = desk(control).await? else { return Ok(()) };
    let _turn = control.backing_up.turn.lock().await;
    let now = control.clock.now();
    let mut record = Record::read(&control.root)?;
    let is_young = |last: Timestamp, most: Duration| now.since(last) < most && last <= now.after(LOOK);
    let live = control.delivering.settled()?.map(|live| live.map(|live| live.to_string()));
    let is_other_release = live.is_some_and(|live| live != record.live);
    if record.base.is_none_or(|base| !is_young(base, desk.backup.every)) || record.gap || is_other_release {
        base(control, &desk).await?;
        record = Record::read(&control.root)?;
    }
    let is_rehearsed = record.drill.as_ref().is_some_and(|drill| is_young(drill.began, desk.backup.drill));
    if !is_rehearsed {
        rehearse(control, &desk).await?;
    }
    Ok(())
}

/// Takes a base; then what is over goes, and some of what was written is read again.
async fn base(control: &Control, desk: &Desk) -> Result<Taken, Fault> {
    let repository = desk.repository(control).await?;
    let _held = repository.lock("roadbed backup")?;
    // Before the book is read: one that goes live meanwhile is worth another backup.
    let live = control.delivering.live()?.map(|live| live.to_string());
    let sources = desk.sources(control).await?;
    let now = control.clock.now();
    let before = desk::snapshots(&repository).await?.iter().rev().find(|one| one.is_base()).map_or(0, |one| one.bytes);
    let course = Arc::new(Course::new(desk.backup.patience));
    course.expects(before);
    let seen = Seen::begin(control, &course, true);
    let taken = backup::take_along(&repository, sources, now, &course).await;
    drop(seen);
    let taken = taken?;
    tracing::info!(name = taken.snapshot.name, bytes = taken.snapshot.bytes, "backed up");
    for what in taken.contents.left_out() {
        tracing::warn!(name = taken.snapshot.name, "not in the backup: {what}");
    }
    let keep = desk.keep();
    let over = in_background(&repository, move |repository| {
        let over = doomed(&repository.snapshots()?, &keep, now);
        let forgotten = repository.forget(&over)?;
        let verified = repository.verify(Some(READ_BY_LOT))?;
        Ok((forgotten == Freed::Done && !over.is_empty(), verified))
    });
    let (is_gone, verified) = over.await?;
    if is_gone {
        in_background(&repository, Repository::prune).await?;
    }
    Record::change(&control.root, |record| {
        record.base = Some(now);
        record.live = live;
        record.gap = false;
        record.damage = verified.damage;
    })?;
    control.backing_up.note_trouble("back up", Ok(()));
    control.backing_up.copies_are_due.notify_one();
    Ok(taken)
}

/// Saves what changed in MongoDB since the last time.
async fn slice(control: &Control, desk: &Desk) -> Result<(), Fault> {
    let Some(database) = desk.database() else { return Ok(()) };
    let mut chain = control.backing_up.chain.lock().await;
    if Record::read(&control.root)?.base.is_none() || recovery::begun(&control.root)?.is_some() {
        return Ok(());
    }
    let repository = desk.repository(control).await?;
    if control.backing_up.reopened.swap(false, Ordering::AcqRel) {
        *chain = None;
    }
    let stands = match *chain {
        Some(stands) => stands,
        None => {
            let snapshots = in_background(&repository, Repository::snapshots).await?;
            let Some(end) = chain_end(&snapshots) else { return Ok(()) };
            Chain { end, through: end }
        }
    };
    let client = desk.oplog_reader().await?;
    let taken = append(&repository, &client, &database, (stands.end, stands.through), control.clock.now()).await?;
    match taken {
        SliceTaken::Through { to, saved } => {
            let end = match saved.map(|snapshot| snapshot.kind) {
                Some(Kind::Oplog { to, .. }) => {
                    control.backing_up.copies_are_due.notify_one();
                    to
                }
                _ => stands.end,
            };
            *chain = Some(Chain { end, through: to });
            Record::change(&control.root, |record| record.covered = Some((to, control.clock.now())))
        }
        SliceTaken::Gap { oldest } => {
            *chain = None;
            tracing::warn!(%oldest, "the oplog was overwritten before it was saved: everything is backed up anew");
            Record::change(&control.root, |record| record.gap = true)?;
            control.backing_up.base_is_due.notify_one();
            Ok(())
        }
    }
}

/// Restores the newest backup where it harms nobody, and notes what came of it.
async fn rehearse(control: &Control, desk: &Desk) -> Result<backup::DrillRecord, Fault> {
    let repository = desk.repository(control).await?;
    let engines = desk.engines(control).await?;
    let covered = Record::read(&control.root)?.covered.map(|(to, _)| to).unwrap_or_default();
    let folder = desk::rehearsal(&control.root);
    let probes = desk.probes()?;
    let drill = backup::Drill { repository: &repository, engines: &engines, folder: &folder, covered, probes: &probes };
    let mut drilled = watched(control, backup::rehearse(drill, control.clock.as_ref())).await;
    if let Some(lost) = drilled.lost.filter(|lost| *lost > desk.backup.rpo) {
        let most = desk.backup.rpo.as_secs();
        drilled.bad.push(format!("changes of {} s would have been lost, promised are {most} s", lost.as_secs()));
    }
    if drilled.took > desk.backup.rto {
        let (took, most) = (drilled.took.as_secs(), desk.backup.rto.as_secs());
        drilled.bad.push(format!("it took {took} s, promised are {most} s"));
    }
    tracing::info!(passed = drilled.passed(), bad = ?drilled.bad, took = ?drilled.took, "rehearsed a restore");
    let noted = drilled.clone();
    Record::change(&control.root, |record| record.drill = Some(noted))?;
    Ok(drilled)
}

/// What reads and writes the repository waits for disks and unpacks.
async fn in_background<T: Send + 'static>(
    repository: &Repository,
    work: impl FnOnce(&Repository) -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let repository = repository.clone();
    let done = tokio::task::spawn_blocking(move || work(&repository)).await;
    done.unwrap_or_else(|error| Err(Fault::because("cannot use the repository", &error)))
}
