//! The network of an environment: a bridge of its own. No port is published; the edge reaches addresses on it directly.

use bollard::models::{Network, NetworkCreateRequest};
use bollard::query_parameters::ListNetworksOptions;

use super::daemon::Daemon;
use crate::fault::RuntimeFault;
use crate::labels;
use crate::port::Holder;

/// Where instances may connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Egress {
    /// Wherever the machine can.
    Open,
    /// Each other and this machine.
    Closed,
}

/// The id of the environment's network, which is there when this returns. By id, since names are not unique to the engine.
pub(super) async fn ensure(daemon: &Daemon, holder: &Holder, egress: Egress) -> Result<String, RuntimeFault> {
    let internal = egress == Egress::Closed;
    let name = labels::network(&holder.environment);
    loop {
        let there = ours(daemon, holder).await?;
        // Of several that were made at once all take the oldest.
        let Some(first) = there.first() else {
            make(daemon, holder, &name, internal).await?;
            continue;
        };
        let id = first.id.clone().unwrap_or_default();
        if first.internal.unwrap_or(false) == internal {
            for surplus in &there[1..] {
                remove_one(daemon, surplus.id.as_deref().unwrap_or_default(), Used::Leave).await?;
            }
            return Ok(id);
        }
        // The manifest says otherwise now. In use it is not removed, and that is told.
        remove_one(daemon, &id, Used::Tell).await?;
    }
}

/// Takes it away.
pub(super) async fn remove(daemon: &Daemon, holder: &Holder) -> Result<(), RuntimeFault> {
    for network in ours(daemon, holder).await? {
        remove_one(daemon, network.id.as_deref().unwrap_or_default(), Used::Tell).await?;
    }
    Ok(())
}

/// Oldest first.
async fn ours(daemon: &Daemon, holder: &Holder) -> Result<Vec<Network>, RuntimeFault> {
    let name = labels::network(&holder.environment);
    // The filter finds parts of names too.
    let options = ListNetworksOptions { filters: Some([("name".to_owned(), vec![name.clone()])].into()) };
    let listed = daemon.again(|docker| {
        let options = options.clone();
        async move { docker.list_networks(Some(options)).await }
    });
    let listed = listed.await?.map_err(|refusal| refusal.fault("list its networks"))?;
    let mut there: Vec<_> = listed.into_iter().filter(|network| network.name.as_ref() == Some(&name)).collect();
    let is_ours = |network: &Network| {
        let of = network.labels.as_ref().and_then(|all| all.get(labels::ENVIRONMENT));
        of.is_some_and(|of| of == holder.environment.as_str())
    };
    if !there.iter().all(is_ours) {
        return Err(RuntimeFault::Foreign { name: format!("the network {name}") });
    }
    there.sort_by(|a, b| (&a.created, &a.id).cmp(&(&b.created, &b.id)));
    Ok(there)
}

async fn make(daemon: &Daemon, holder: &Holder, name: &str, internal: bool) -> Result<(), RuntimeFault> {
    let request = NetworkCreateRequest {
        name: name.to_owned(),
        driver: Some("bridge".to_owned()),
        internal: Some(internal),
        labels: Some(labels::of_environment(holder)),
        ..NetworkCreateRequest::default()
    };
    let made = daemon.again(|docker| {
        let request = request.clone();
        async move { docker.create_network(request).await }
    });
    match made.await? {
        // 409: there is one of that name by now.
        Err(refusal) if refusal.status != 409 => Err(refusal.fault(format!("make the network {name}"))),
        _ => Ok(()),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Used {
    Leave,
    Tell,
}

async fn remove_one(daemon: &Daemon, id: &str, used: Used) -> Result<(), RuntimeFault> {
    let removed = daemon.again(|docker| {
        let id = id.to_owned();
        async move { docker.remove_network(&id).await }
    });
    match removed.await? {
        Err(refusal) if refusal.status != 404 && used == Used::Tell => {
            Err(refusal.fault(format!("remove the network {id}")))
        }
        _ => Ok(()),
    }
}
