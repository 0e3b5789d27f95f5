//! What the pages about backups are made from: the same answers as `roadbed backup list` and `show` print.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use backup::{Contents, DrillRecord, Kind, Snapshot};
use reconcile::Fault;
use tokio::time::timeout;
use web_console::{BackedUp, Backups, BackupsTold, CopyState, Counted, InBackup, Promised, Proof, Rehearsal, Standing};

use super::Told;
use super::pages::line;
use super::visitor::Visitor;
use crate::control::backing_up::record::Record;
use crate::control::backing_up::wire::{Answer, Listing, Request};
use crate::control::{Control, backing_up, sleeping};
use crate::render::span::bytes;

/// A repository elsewhere that hangs holds no page up.
const PATIENCE: Duration = Duration::from_secs(5);

/// How they stand, by what control noted: the repository is not asked for a page that many have open.
pub(super) fn standing(control: &Control, visitor: &Visitor) -> Result<Option<Standing>, Fault> {
    let Some(backup) = &visitor.environment.backup else { return Ok(None) };
    let record = Record::read(&control.root)?;
    Ok(Some(Standing {
        newest: record.base,
        rehearsed: record.drill.map(|drill| (drill.began, drill.passed())),
        has_failed: control.backing_up.trouble().is_some(),
        every: backup.every,
        drill: backup.drill,
    }))
}

/// All of it, by the repository's own word. Who looks wakes nobody.
pub(super) async fn all(control: &Control, visitor: &Visitor) -> Backups {
    let Some(backup) = &visitor.environment.backup else { return Backups::Unwanted };
    if sleeping::read(&control.root).is_some() {
        return Backups::Unknown("the environment sleeps".to_owned());
    }
    let listing = match timeout(PATIENCE, backing_up::answer(control, Request::List)).await {
        Ok(Ok(Answer::List(listing))) => listing,
        Ok(Ok(_)) => return Backups::Unknown("it was told something else".to_owned()),
        Ok(Err(fault)) => return Backups::Unknown(line(&fault)),
        Err(_) => return Backups::Unknown(format!("the repository did not answer within {} s", PATIENCE.as_secs())),
    };
    let promised = Promised {
        every: backup.every,
        drill: backup.drill,
        rpo: backup.rpo,
        rto: backup.rto,
        any_second: backup.any_second,
    };
    Backups::Told(Box::new(told(listing, promised, control.backing_up.under_way())))
}

fn told(listing: Listing, promised: Promised, under_way: Option<String>) -> BackupsTold {
    let Listing { repository, backups, slices, covered, drill, trouble, copies } = listing;
    BackupsTold {
        repository,
        all: backups.iter().rev().map(|one| backed_up(one, drill.as_ref())).collect(),
        slices,
        covered,
        rehearsal: drill.map(rehearsal),
        promised,
        copies: copies
            .into_iter()
            .map(|copy| CopyState {
                name: copy.name,
                repository: copy.repository,
                is_append_only: copy.append_only,
                complete: copy.complete,
                trouble: copy.trouble,
            })
            .collect(),
        under_way,
        trouble,
    }
}

fn backed_up(snapshot: &Snapshot, drill: Option<&DrillRecord>) -> BackedUp {
    let proof = match drill {
        Some(drill) if drill.base.as_ref() == Some(&snapshot.name) => {
            if drill.passed() {
                Proof::Restored
            } else {
                Proof::Failed
            }
        }
        _ => Proof::Unproven,
    };
    let at = match snapshot.kind {
        Kind::Base { at } => at,
        Kind::Oplog { to, .. } => Some(to),
    };
    BackedUp {
        name: snapshot.name.clone(),
        taken: snapshot.taken,
        at: at.map(backup::ClusterTime::time),
        size: bytes(snapshot.bytes),
        is_held: snapshot.held,
        proof,
    }
}

fn rehearsal(drill: DrillRecord) -> Rehearsal {
    let DrillRecord { began, base, good, bad, took, lost, bytes: restored } = drill;
    Rehearsal { began, base, took, lost, size: bytes(restored), good, bad }
}

/// One backup, and how it stands among all.
pub(super) async fn one(
    control: &Control,
    visitor: &Visitor,
    name: &str,
) -> Result<(InBackup, Option<BackedUp>), Told> {
    let all = match all(control, visitor).await {
        Backups::Told(told) => told.all,
        Backups::Unwanted => return Err(Told::nothing("such backup")),
        Backups::Unknown(why) => return Err(Fault::new("The backup cannot be read now").cause(why).into()),
    };
    let Some(known) = all.into_iter().find(|known| known.name == name) else {
        return Err(Told::nothing("such backup"));
    };
    let asked = timeout(PATIENCE, backing_up::answer(control, Request::Show { name: name.to_owned() })).await;
    match asked {
        Ok(answer) => match answer? {
            Answer::Contents { contents } => Ok((in_backup(name, &contents), Some(known))),
            _ => Err(Told::nothing("such backup")),
        },
        Err(_) => Err(Fault::new("The backup cannot be read now")
            .cause(format!("the repository did not answer within {} s", PATIENCE.as_secs()))
            .into()),
    }
}

fn in_backup(name: &str, contents: &Contents) -> InBackup {
    let collections = contents.mongodb.iter().flat_map(|of| &of.collections).map(|of| Counted {
        kind: if of.kind == "view" { "view" } else { "collection" },
        name: of.name.clone(),
        many: of.digest.documents,
        of: "documents",
        indexes: Some(of.indexes),
        size: Some(bytes(of.digest.bytes)),
    });
    let redis = contents.redis.iter().map(|of| Counted {
        kind: "Redis",
        name: of.unit.clone(),
        many: of.keys.0,
        of: "keys that stay",
        indexes: None,
        size: Some(bytes(of.files.iter().map(|file| file.bytes).sum())),
    });
    let buckets = contents.objects.iter().flat_map(|of| &of.buckets).map(|of| Counted {
        kind: "bucket",
        name: of.name.clone(),
        many: of.digest.documents,
        of: "objects",
        indexes: None,
        size: Some(bytes(of.bytes)),
    });
    InBackup {
        name: name.to_owned(),
        of: format!("{} {}", contents.product, contents.environment),
        taken: contents.taken,
        counted: collections.chain(redis).chain(buckets).collect(),
        files: contents.files.len(),
    }
}

/// What a form may ask for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    BackUp,
    Rehearse,
}

impl Order {
    pub(super) fn of(form: &BTreeMap<String, String>) -> Result<Self, Told> {
        match form.get("what").map(String::as_str) {
            Some("now") => Ok(Self::BackUp),
            Some("drill") => Ok(Self::Rehearse),
            _ => Err(Told::nothing("such form")),
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::BackUp => "back up",
            Self::Rehearse => "rehearse a restore",
        }
    }
}

/// Begins it, in a task of its own: it takes longer than a page may.
pub(super) fn begin(control: &Arc<Control>, order: Order) -> Result<(), Fault> {
    if control.backing_up.under_way().is_some() {
        return Err(Fault::new("That was not begun").cause("something is being done with the backups already"));
    }
    let control = control.clone();
    let request = match order {
        Order::BackUp => Request::Now,
        Order::Rehearse => Request::Drill,
    };
    tokio::spawn(async move {
        // What a rehearsal finds is in its own record; that it could not be begun is told as a failed backup is.
        if let Err(fault) = backing_up::answer(&control, request).await {
            control.backing_up.note_trouble(order.words(), Err(&fault));
        }
    });
    Ok(())
}
