//! How an instance becomes a container: what it is given, and what is taken from it.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, ResourcesUlimits, RestartPolicy,
    RestartPolicyNameEnum,
};
use bollard::query_parameters::{CreateContainerOptions, InspectContainerOptions, RemoveContainerOptions};

use super::daemon::{Daemon, Refusal};
use super::given;
use crate::fault::RuntimeFault;
use crate::image::USER;
use crate::instance::{Limits, Spec};
use crate::labels;
use crate::port::Holder;

/// What the engine keeps of an instance's output: whoever collects it reads it within seconds, so this bridges an outage.
const LOG_FILE: &str = "16m";
const LOG_FILES: &str = "4";

pub(super) async fn create(
    daemon: &Daemon,
    holder: &Holder,
    spec: &Spec,
    name: &str,
    image: &str,
    network: &str,
) -> Result<Result<(), Refusal>, RuntimeFault> {
    let body = body(holder, spec, image, network);
    let options = CreateContainerOptions { name: Some(name.to_owned()), platform: String::new() };
    let made = daemon.again(|docker| {
        let (options, body) = (options.clone(), body.clone());
        async move { docker.create_container(Some(options), body).await }
    });
    Ok(made.await?.map(|_| ()))
}

/// Replaces a container by one of the same name that is made in the same way.
pub(super) async fn make_anew(daemon: &Daemon, container: &str) -> Result<(), RuntimeFault> {
    let found = daemon
        .again(|docker| async move { docker.inspect_container(container, None::<InspectContainerOptions>).await });
    let found = found.await?.map_err(|refusal| refusal.fault(format!("look at {container}")))?;
    let nonsense = |error: serde_json::Error| RuntimeFault::Nonsense(error.to_string());
    // What is shown of a container has the form of what it is made by.
    let mut shown = serde_json::to_value(&found.config).map_err(nonsense)?;
    shown["HostConfig"] = serde_json::to_value(&found.host_config).map_err(nonsense)?;
    let body: ContainerCreateBody = serde_json::from_value(shown).map_err(nonsense)?;
    let name = found.name.unwrap_or_default().trim_start_matches('/').to_owned();
    let options = RemoveContainerOptions { v: true, force: true, link: false };
    let removed = daemon.again(|docker| {
        let options = options.clone();
        async move { docker.remove_container(container, Some(options)).await }
    });
    match removed.await? {
        Err(refusal) if !matches!(refusal.status, 404 | 409) => return Err(refusal.fault(format!("remove {name}"))),
        _ => {}
    }
    let options = CreateContainerOptions { name: Some(name.clone()), platform: String::new() };
    let made = daemon.again(|docker| {
        let (options, body) = (options.clone(), body.clone());
        async move { docker.create_container(Some(options), body).await }
    });
    match made.await? {
        // 409: by a call before, whose answer was lost.
        Err(refusal) if refusal.status != 409 => Err(refusal.fault(format!("make {name} anew"))),
        _ => Ok(()),
    }
}

fn body(holder: &Holder, spec: &Spec, image: &str, network: &str) -> ContainerCreateBody {
    let variables = given::with_receiver(&spec.shown);
    ContainerCreateBody {
        hostname: Some(host_name(spec)),
        user: Some(format!("{USER}:{USER}")),
        env: Some(variables.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        cmd: Some(spec.command.clone()),
        // An image of somebody else may have one.
        entrypoint: Some(Vec::new()),
        // Readiness is asked by whoever sends requests, over the way that they take.
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }),
        image: Some(image.to_owned()),
        working_dir: Some(spec.cwd.clone()),
        labels: Some(labels::of_instance(holder, spec)),
        attach_stdin: Some(true),
        open_stdin: Some(true),
        // Closed when whoever speaks is gone, also when they were killed.
        stdin_once: Some(true),
        stop_signal: Some("SIGTERM".to_owned()),
        host_config: Some(confined(&spec.limits, network)),
        ..ContainerCreateBody::default()
    }
}

fn confined(limits: &Limits, network: &str) -> HostConfig {
    let memory = limits.memory.map(signed);
    let limit =
        |name: &str, most: i64| ResourcesUlimits { name: Some(name.to_owned()), soft: Some(most), hard: Some(most) };
    let files = limits.open_files.map(|most| limit("nofile", i64::from(most)));
    let log = [("max-size", LOG_FILE), ("max-file", LOG_FILES)];
    HostConfig {
        network_mode: Some(network.to_owned()),
        init: Some(true),
        // Who restarts decides; the engine alone would start what another epoch has given up.
        restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }),
        readonly_rootfs: Some(true),
        tmpfs: Some(HashMap::from([(
            "/tmp".to_owned(),
            format!("rw,nosuid,nodev,noexec,mode=1777,size={}", limits.temporary),
        )])),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
        privileged: Some(false),
        ipc_mode: Some("private".to_owned()),
        memory,
        // As much as memory: so none at all.
        memory_swap: memory,
        pids_limit: limits.processes.map(i64::from),
        nano_cpus: limits.cpu.map(|thousandths| i64::from(thousandths) * 1_000_000),
        ulimits: Some(files.into_iter().chain([limit("core", 0)]).collect()),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(log.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
        }),
        ..HostConfig::default()
    }
}

fn host_name(spec: &Spec) -> String {
    let whole = format!("{}-{}", spec.id.app, spec.id.instance);
    // 63: a label of the name service. Names are of one byte a letter.
    whole[..whole.len().min(63)].trim_end_matches('-').to_owned()
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
