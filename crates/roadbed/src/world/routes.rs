//! The route table that an environment wants.

use std::path::Path;

use engine::instance::Instances;
use engine::site;
use manifest::Environment;
use manifest::environment::{Access, Runs};
use reconcile::ports::{RouteTable, Site, SiteAccess, Target, Upstream};
use reconcile::{Fault, Root};

use super::addresses::{Addresses, internal_socket};
use super::facts::LocalFacts;
use super::{EDGE_IDLE, Running};

/// Puts together what the edge must serve, as builds stand now.
pub(super) fn table(
    root: &Root,
    project: &Path,
    environment: &Environment,
    running: &[Running],
    addresses: &Addresses,
    facts: &LocalFacts,
) -> Result<RouteTable, Fault> {
    let sites = running
        .iter()
        .map(|one| {
            let app = &one.app;
            let target = target(root, project, one, addresses)?;
            Ok(Site {
                app: app.name.to_string(),
                hosts: app.hosts.clone(),
                target,
                access: match app.access {
                    Access::Public => SiteAccess::Public,
                    Access::Protected => {
                        SiteAccess::Protected { credentials_file: credentials_file(root, app.name.as_str()) }
                    }
                },
                config: match app.runs {
                    Runs::Static { .. } => Some(config(project, environment, one, facts)?),
                    Runs::Server(_) => None,
                },
                key_set: facts.key_set(&app.name)?,
                internal_socket: addresses.internal.contains_key(&app.name).then(|| internal_socket(&app.name)),
            })
        })
        .collect::<Result<_, Fault>>()?;
    Ok(RouteTable { environment: environment.reference().to_string(), https_port: addresses.https, sites, candidate: None })
}

/// Where the digests of an app's credentials lie.
pub(super) fn credentials_file(root: &Root, app: &str) -> std::path::PathBuf {
    root.routes().join(format!("credentials-{app}"))
}

fn target(root: &Root, project: &Path, one: &Running, addresses: &Addresses) -> Result<Target, Fault> {
    let app = &one.app;
    if let (Runs::Static { spa_fallback }, None) = (&app.runs, &one.dev) {
        let folder = site::folder(project, root, app)?
            .ok_or_else(|| Fault::new(format!("cannot route to {}: it is not built", app.name)))?;
        return Ok(Target::Files { folder, spa_fallback: spa_fallback.clone() });
    }
    let first_byte = one.server().map_or(EDGE_IDLE, |server| server.request_deadline);
    let ports = addresses.instances.get(&app.name).map_or(&[][..], Vec::as_slice);
    let upstreams = ports
        .iter()
        .enumerate()
        .map(|(index, port)| Upstream { instance: Instances::instance_name(app, index), port: *port })
        .collect();
    let millis = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Ok(Target::Instances { upstreams, first_byte_ms: millis(first_byte), idle_ms: millis(EDGE_IDLE) })
}

/// What a static app reads at run time.
fn config(
    project: &Path,
    environment: &Environment,
    one: &Running,
    facts: &LocalFacts,
) -> Result<std::collections::BTreeMap<String, String>, Fault> {
    let mut config = engine::variables::public_config(environment, &one.app.name, facts)?;
    let release = match &one.dev {
        Some(_) => Some("dev".to_owned()),
        None => engine::build::built_from(project, &one.app)?,
    };
    let release = release.unwrap_or_default();
    config.insert("ROADBED_ENVIRONMENT".into(), environment.name.to_string());
    config.insert("ROADBED_RELEASE".into(), release.get(..12).unwrap_or(&release).to_owned());
    Ok(config)
}
