//! Which epoch holds the environment. Each claim is a volume whose name and labels say it: the daemon makes a name once, keeps it over
//! its own crashes, and lists it.

use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::{ListVolumesOptions, RemoveVolumeOptions};

use super::daemon::Daemon;
use super::found;
use crate::fault::RuntimeFault;
use crate::instance::Epoch;
use crate::labels;
use crate::port::Holder;

/// Claims are there, and what the highest is.
pub(super) async fn claim(daemon: &Daemon, holder: &Holder) -> Result<(), RuntimeFault> {
    check(daemon, holder).await?;
    for (name, epoch) in claims(daemon, holder).await? {
        if epoch < holder.epoch {
            remove(daemon, &name).await?;
        }
    }
    Ok(())
}

/// That nobody of a later epoch has claimed it. Containers are asked too: `docker volume prune` takes away claims, and whoever comes
/// next puts theirs back.
pub(super) async fn check(daemon: &Daemon, holder: &Holder) -> Result<(), RuntimeFault> {
    let claims = claims(daemon, holder).await?;
    let containers = found::all(daemon, holder).await?;
    let epochs = claims.iter().map(|(_, epoch)| *epoch).chain(containers.iter().map(|found| found.labelled.epoch));
    let highest = epochs.max();
    if let Some(held) = highest {
        may_touch(holder, held)?;
    }
    if !claims.iter().any(|(_, epoch)| *epoch == holder.epoch) {
        make(daemon, holder).await?;
    }
    Ok(())
}

/// Whether what a certain epoch made may be touched.
pub(super) fn may_touch(holder: &Holder, held: Epoch) -> Result<(), RuntimeFault> {
    if held <= holder.epoch {
        return Ok(());
    }
    Err(RuntimeFault::Fenced { environment: holder.environment.clone(), ours: holder.epoch, held })
}

/// Takes all claims away.
pub(super) async fn lift(daemon: &Daemon, holder: &Holder) -> Result<(), RuntimeFault> {
    for (name, _) in claims(daemon, holder).await? {
        remove(daemon, &name).await?;
    }
    Ok(())
}

async fn make(daemon: &Daemon, holder: &Holder) -> Result<(), RuntimeFault> {
    let request = VolumeCreateRequest {
        name: Some(labels::fence(holder)),
        labels: Some(labels::of_environment(holder)),
        ..VolumeCreateRequest::default()
    };
    let made = daemon.again(|docker| {
        let request = request.clone();
        async move { docker.create_volume(request).await }
    });
    made.await?.map(|_| ()).map_err(|refusal| refusal.fault(format!("claim {}", holder.environment)))
}

async fn claims(daemon: &Daemon, holder: &Holder) -> Result<Vec<(String, Epoch)>, RuntimeFault> {
    let label = format!("{}={}", labels::ENVIRONMENT, holder.environment);
    let options = ListVolumesOptions { filters: Some([("label".to_owned(), vec![label])].into()) };
    let listed = daemon.again(|docker| {
        let options = options.clone();
        async move { docker.list_volumes(Some(options)).await }
    });
    let listed = listed.await?.map_err(|refusal| refusal.fault("list its volumes"))?;
    let of_form = |(name, epoch): &(String, Epoch)| *name == labels::fence(&Holder { epoch: *epoch, ..holder.clone() });
    let claims = listed.volumes.unwrap_or_default().into_iter();
    Ok(claims.filter_map(|volume| Some((volume.name, labels::epoch(&volume.labels)?))).filter(of_form).collect())
}

async fn remove(daemon: &Daemon, name: &str) -> Result<(), RuntimeFault> {
    let removed = daemon.again(|docker| {
        let name = name.to_owned();
        async move { docker.remove_volume(&name, None::<RemoveVolumeOptions>).await }
    });
    match removed.await? {
        Err(refusal) if refusal.status != 404 => Err(refusal.fault(format!("remove the volume {name}"))),
        _ => Ok(()),
    }
}
