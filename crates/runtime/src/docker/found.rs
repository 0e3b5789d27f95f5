//! What is there: containers that bear the labels of an instance.

use std::collections::HashMap;
use std::net::IpAddr;

use bollard::models::{ContainerInspectResponse, ContainerState, ContainerStateStatusEnum, ContainerSummaryStateEnum};
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptions};

use super::daemon::Daemon;
use crate::fault::RuntimeFault;
use crate::instance::InstanceId;
use crate::labels::{self, Labelled};
use crate::port::{Ended, Holder, Phase, Seen};

#[derive(Debug)]
pub(super) struct Found {
    /// The engine's own id: names may be given anew.
    pub(super) container: String,
    pub(super) labelled: Labelled,
    pub(super) phase: Phase,
    pub(super) address: Option<IpAddr>,
}

impl Found {
    pub(super) fn seen(self) -> Seen {
        let Labelled { id, epoch, revision, .. } = self.labelled;
        Seen { id, epoch, revision, phase: self.phase }
    }
}

/// The container of that name, which must be the instance's.
pub(super) async fn look(daemon: &Daemon, holder: &Holder, id: &InstanceId) -> Result<Option<Found>, RuntimeFault> {
    let name = labels::container(&holder.environment, id);
    let Some(container) = inspect(daemon, &name).await? else { return Ok(None) };
    let found = read(holder, container).filter(|found| found.labelled.id == *id);
    found.map(Some).ok_or(RuntimeFault::Foreign { name: format!("the container {name}") })
}

/// All instances of the environment.
pub(super) async fn all(daemon: &Daemon, holder: &Holder) -> Result<Vec<Found>, RuntimeFault> {
    let label = format!("{}={}", labels::ENVIRONMENT, holder.environment);
    let filters = Some([("label".to_owned(), vec![label])].into());
    let options = ListContainersOptions { all: true, filters, ..ListContainersOptions::default() };
    let listed = daemon.again(|docker| {
        let options = options.clone();
        async move { docker.list_containers(Some(options)).await }
    });
    let listed = listed.await?.map_err(|refusal| refusal.fault("list its containers"))?;
    let mut all = Vec::new();
    for summary in listed {
        let labelled = labels::read(&holder.environment, &summary.labels.unwrap_or_default());
        let (Some(labelled), Some(container)) = (labelled, summary.id) else { continue };
        if summary.state == Some(ContainerSummaryStateEnum::RUNNING) {
            all.push(Found { container, labelled, phase: Phase::Running, address: None });
        } else if let Some(found) = inspect(daemon, &container).await?.and_then(|container| read(holder, container)) {
            // How it ended is not in the list.
            all.push(found);
        }
    }
    all.sort_by(|a, b| a.labelled.id.cmp(&b.labelled.id));
    Ok(all)
}

async fn inspect(daemon: &Daemon, container: &str) -> Result<Option<ContainerInspectResponse>, RuntimeFault> {
    let found = daemon.again(|docker| {
        let container = container.to_owned();
        async move { docker.inspect_container(&container, None::<InspectContainerOptions>).await }
    });
    match found.await? {
        Ok(found) => Ok(Some(found)),
        Err(refusal) if refusal.status == 404 => Ok(None),
        Err(refusal) => Err(refusal.fault(format!("look at {container}"))),
    }
}

fn read(holder: &Holder, container: ContainerInspectResponse) -> Option<Found> {
    let labels: HashMap<String, String> = container.config?.labels?;
    let labelled = labels::read(&holder.environment, &labels)?;
    let network = labels::network(&holder.environment);
    let networks = container.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    // By id it is listed under its name; one that was never started has no address.
    let address = networks.get(&network).and_then(|endpoint| endpoint.ip_address.as_ref()?.parse().ok());
    Some(Found { container: container.id?, labelled, phase: phase(&container.state.unwrap_or_default()), address })
}

fn phase(state: &ContainerState) -> Phase {
    match state.status {
        Some(ContainerStateStatusEnum::CREATED) => Phase::Created,
        Some(ContainerStateStatusEnum::RUNNING) => Phase::Running,
        Some(ContainerStateStatusEnum::EXITED) => Phase::Ended(Ended {
            code: state.exit_code.unwrap_or(-1),
            out_of_memory: state.oom_killed.unwrap_or(false),
        }),
        _ => Phase::Between,
    }
}
