//! What people ask for of backups.

use backup::{ClusterTime, Copied, Freed, Naming, Repository, Restored, doomed, put_back};
use reconcile::Fault;

use super::desk::{Desk, Rebuilt, desk, fresh_recovery_key, snapshots};
use super::record::Record;
use super::recovering::recover;
use super::wire::{Answer, Done, Listing, Objectives, Request, ToRestore};
use super::{base, buckets, copying, in_background, keys, masked, rehearse, slice, watched};
use crate::control::Control;
use crate::recovery;

/// Answers.
pub(in crate::control) async fn answer(control: &Control, request: Request) -> Result<Answer, Fault> {
    let desk = desk(control).await?.ok_or_else(|| {
        Fault::new("this environment is not backed up")
            .hint("give it a table [environments.NAME.backup] in roadbed.toml, then `roadbed up`")
    })?;
    let changes = matches!(
        request,
        Request::Now
            | Request::Prune
            | Request::Drill
            | Request::Restore(_)
            | Request::RestoreKeys { .. }
            | Request::RestoreObjects { .. }
            | Request::RestoreMasked(_)
    );
    if changes && recovery::begun(&control.root)?.is_some() {
        return Err(Fault::new("this environment is being begun from a backup, and not all is back")
            .hint("the same `roadbed restore --from` again goes on with it"));
    }
    match request {
        Request::Now => {
            let _turn = control.backing_up.turn.lock().await;
            let taken = base(control, &desk).await?;
            let left_out = taken.contents.left_out();
            Ok(Answer::Taken { snapshot: taken.snapshot, left_out })
        }
        Request::Progress => Ok(Answer::Progress { progress: control.backing_up.progress(control.clock.now()) }),
        Request::List => list(control, &desk).await.map(Answer::List),
        Request::Show { name } => {
            let repository = desk.repository(control).await?;
            let contents = in_background(&repository, move |repository| repository.reader(&name)?.contents()).await?;
            Ok(Answer::Contents { contents: Box::new(contents) })
        }
        Request::Verify => {
            let repository = desk.repository(control).await?;
            let verification = in_background(&repository, |repository| repository.verify(None)).await?;
            let damage = verification.damage.clone();
            Record::change(&control.root, |record| record.damage = damage)?;
            Ok(Answer::Verified { verification })
        }
        Request::Hold { name, is_held } => {
            let _turn = control.backing_up.turn.lock().await;
            let repository = desk.repository(control).await?;
            let snapshot = in_background(&repository, move |repository| repository.hold(&name, is_held)).await?;
            Ok(Answer::Held { snapshot })
        }
        Request::Prune => {
            let _turn = control.backing_up.turn.lock().await;
            let repository = desk.repository(control).await?;
            let _held = repository.lock("roadbed backup prune")?;
            let (keep, now) = (desk.keep(), control.clock.now());
            let pruned = in_background(&repository, move |repository| {
                let over = doomed(&repository.snapshots()?, &keep, now);
                if repository.forget(&over)? == Freed::Refused || repository.prune()? == Freed::Refused {
                    return Err(Fault::new(format!("nothing was taken away from {}", repository.place()))
                        .cause("it takes nothing away with what logs us in")
                        .hint("what is over is taken away there, by who may"));
                }
                Ok(over.len())
            });
            Ok(Answer::Pruned { gone: pruned.await? })
        }
        Request::RecoveryKey => {
            let repository = desk.repository(control).await?;
            let key = fresh_recovery_key()?;
            let added = key.clone();
            in_background(&repository, move |repository| repository.add_key(&added)).await?;
            // Copies get it with the next pass.
            control.backing_up.copies_are_due.notify_one();
            Ok(Answer::RecoveryKey { key })
        }
        Request::Adopt { key } => {
            let _turn = control.backing_up.turn.lock().await;
            let (repository, snapshots) = desk.adopt(key).await?;
            Ok(Answer::Adopted { repository, snapshots })
        }
        Request::Drill => {
            let _turn = control.backing_up.turn.lock().await;
            // As new as can be.
            slice(control, &desk).await?;
            Ok(Answer::Drilled { record: rehearse(control, &desk).await? })
        }
        Request::Objectives => objectives(control, &desk).map(Answer::Objectives),
        Request::Restore(ask) => {
            let _turn = control.backing_up.turn.lock().await;
            restore(control, &desk, &ask).await.map(Answer::Restored)
        }
        Request::RestoreKeys { prefix, at, in_place } => {
            let _turn = control.backing_up.turn.lock().await;
            keys::restore(control, &desk, (&prefix, at), in_place).await.map(Answer::RestoredKeys)
        }
        Request::RestoreObjects { named, at, in_place } => {
            let _turn = control.backing_up.turn.lock().await;
            let restoring = buckets::restore(control, &desk, (&named, at), in_place);
            watched(control, restoring).await.map(Answer::RestoredObjects)
        }
        Request::RestoreMasked(ask) => {
            let _turn = control.backing_up.turn.lock().await;
            masked::restore(control, &desk, &ask).await.map(Answer::RestoredMasked)
        }
        Request::Recover { from, key } => {
            let _turn = control.backing_up.turn.lock().await;
            recover(control, &desk, from, key).await.map(Answer::Recovered)
        }
    }
}

async fn list(control: &Control, desk: &Desk) -> Result<Listing, Fault> {
    let repository: Repository = desk.repository(control).await?;
    let all = snapshots(&repository).await?;
    let record = Record::read(&control.root)?;
    let (backups, slices): (Vec<_>, Vec<_>) = all.into_iter().partition(backup::Snapshot::is_base);
    Ok(Listing {
        repository: repository.place().to_string(),
        backups,
        slices: slices.len(),
        covered: record.covered.map(|(to, _)| to.time()),
        drill: record.drill.clone(),
        trouble: control.backing_up.trouble(),
        copies: copying::listed(desk, &record.copies),
    })
}

fn objectives(control: &Control, desk: &Desk) -> Result<Objectives, Fault> {
    let (record, now) = (Record::read(&control.root)?, control.clock.now());
    Ok(Objectives {
        rpo: desk.backup.rpo,
        rto: desk.backup.rto,
        unsaved: record.covered.map(|(_, seen)| now.since(seen)),
        has_changes: desk.database().is_some(),
        age: record.base.map(|taken| now.since(taken)),
        drill: record.drill,
    })
}

/// In a scratch server first, compared there; then put where it is wanted.
async fn restore(control: &Control, desk: &Desk, ask: &ToRestore) -> Result<Done, Fault> {
    desk.database().ok_or_else(Desk::no_mongodb)?;
    // Of before what is backed up now: or the newest would be what is there anyhow.
    let until = desk.until(control, ask.at).await?;
    // Whatever the restore makes of it, what is there now can be had again.
    let before = if ask.in_place { Some(base(control, desk).await?.snapshot.name) } else { None };
    watched(control, into_place(control, desk, ask, until)).await.map(|(restored, collections)| Done {
        restored,
        collections,
        before,
    })
}

async fn into_place(
    control: &Control,
    desk: &Desk,
    ask: &ToRestore,
    until: Option<ClusterTime>,
) -> Result<(Restored, Vec<Copied>), Fault> {
    let database = desk.database().ok_or_else(Desk::no_mongodb)?;
    let Rebuilt { scratch, client, restored } = desk.rebuilt(control, until).await?;
    let naming = if ask.in_place {
        Naming::InPlace
    } else {
        let time = ask.at.unwrap_or_else(|| restored.at.time()).to_string().replace([':', '.'], "");
        Naming::Beside { suffix: format!("-{time}") }
    };
    let living = desk.restorer().await?;
    let collections =
        put_back((&client, &restored.database), (&living, &database), ask.collection.as_deref(), &naming).await?;
    scratch.end().await?;
    Ok((restored, collections))
}
