//! The changes of the store that a rotation consists of, each in the journal.

use journal::Ended;
use reconcile::{Event, Fault, Progress};
use secrets::{SecretName, VersionState};

use super::holders::Everybody;
use super::rotating::{Look, store, store_fault};
use super::{Control, fresh_value, state_fault};
use crate::rotation::{Subject, keeping};

pub(super) async fn stage(
    control: &Control,
    look: &Look,
    subject: &Subject,
    progress: &dyn Progress,
) -> Result<(), Fault> {
    let store = store(control, &look.want);
    for secret in &subject.secrets {
        let row = look.rows.iter().find(|row| row.name == secret.as_str() && row.state == VersionState::Current);
        // Nobody has it yet: the first value is made where it is needed.
        let Some(row) = row else { continue };
        let version = row.version + 1;
        let step = format!("make version {version} of {secret}");
        journalled(control, subject, &step, progress, async {
            let value = fresh_value::make(subject, version, &look.want, control.clock.now()).await?;
            store.stage(secret, &value).map(drop).map_err(|fault| store_fault(&fault))
        })
        .await?;
    }
    Ok(())
}

pub(super) async fn retire(
    control: &Control,
    look: &Look,
    subject: &Subject,
    progress: &dyn Progress,
) -> Result<(), Fault> {
    let store = store(control, &look.want);
    for secret in &subject.secrets {
        let accepted = store.accepted(secret).map_err(|fault| store_fault(&fault))?;
        let Some(previous) = accepted.into_iter().find(|version| version.state == VersionState::Previous) else {
            continue;
        };
        let step = format!("retire version {} of {secret}", previous.version);
        journalled(control, subject, &step, progress, async {
            fresh_value::revoke(subject, previous.version, &previous.secret, &look.want).await?;
            store.retire(secret).map_err(|fault| store_fault(&fault))
        })
        .await?;
    }
    Ok(())
}

pub(super) async fn promote(
    control: &Control,
    look: &Look,
    subject: &Subject,
    progress: &dyn Progress,
) -> Result<(), Fault> {
    let store = store(control, &look.want);
    for secret in &subject.secrets {
        let step = format!("hand out the new version of {secret}");
        journalled(control, subject, &step, progress, async {
            store.promote(secret).map(drop).map_err(|fault| store_fault(&fault))
        })
        .await?;
    }
    Ok(())
}

/// Destroys retired values that are older or more than are kept, except what somebody holds all the same.
pub(super) async fn destroy_old(control: &Control, look: &Look) -> Result<(), Fault> {
    // By the clock itself: one that was set ahead once must not cost values.
    let old = keeping::beyond(&look.rows, control.clock.now());
    if old.is_empty() {
        return Ok(());
    }
    let (everybody, store) = (Everybody::look(control).await?, store(control, &look.want));
    for (name, version) in old.into_iter().filter(|(name, version)| !everybody.hold(name, *version)) {
        tracing::info!(name, version, "destroying a value that was retired long ago");
        store.destroy(&SecretName::new(name), version).map_err(|fault| store_fault(&fault))?;
    }
    Ok(())
}

/// Does a step that the journal knows of, while nobody else changes or looks at the world.
async fn journalled(
    control: &Control,
    subject: &Subject,
    step: &str,
    progress: &dyn Progress,
    work: impl Future<Output = Result<(), Fault>>,
) -> Result<(), Fault> {
    let _turn = control.turn.lock().await;
    let resource = format!("secret/{}", subject.name());
    progress.emit(Event::Step { resource: resource.clone(), step: step.to_owned() });
    let begun = control.journal.begin(&resource, step).map_err(|fault| state_fault(&fault))?;
    let done = work.await;
    let ended = done.as_ref().map_or_else(|fault| Ended::Failed(fault.message.clone()), |()| Ended::Done);
    control.journal.end(begun, &ended).map_err(|fault| state_fault(&fault))?;
    done
}
