//! Our certificates, host names and passwords at another environment's edge.

use std::time::Duration;

use acme::Trust;
use manifest::environment::{Access, App};
use secrets::SecretName;

use super::neighbour::Neighbour;
use super::{Cells, Ours};
use crate::checks::Visitor;
use crate::world::access;

/// A visitor is gone after this long.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn try_doors(ours: &Ours<'_>, other: &Neighbour, cells: &mut Cells) {
    let Some(up) = &other.up else { return cells.good("it is down: none of its doors is open") };
    let Some(theirs) = &other.environment else { return };
    if up.elsewhere().is_some() {
        return cells
            .good("its edge is in a network of its own, where our visitors are none: there was no door to try");
    }
    let port = |name: &str| up.ports.get(name).or_else(|| up.ports.get(&format!("{name}-rehearsal"))).copied();
    let (Some(https), Some(http)) = (port("https"), port("http")) else {
        return cells.good("its edge does not listen");
    };
    let by = |root: &reconcile::Root| Visitor::new(&Trust::read(Some(&root.ca_certificate()))?, None, http, https);
    let (by_ours, by_theirs) = match (by(ours.root), by(&other.root)) {
        (Ok(by_ours), Ok(by_theirs)) => (by_ours, by_theirs),
        (Err(fault), _) | (_, Err(fault)) => return cells.untried(format!("its edge: {fault}")),
    };
    if let Some(host) = first_host(&theirs.apps) {
        match by_ours.get(host, "/", PATIENCE).await {
            Err(why) if why.contains("certificate") => {
                cells.good(format!("its certificate for {host} by our authority: refused ({why})"));
            }
            Err(why) => cells.untried(format!("its certificate for {host} by our authority: {why}")),
            Ok(_) => cells.bad(format!("its certificate for {host} is good by our authority")),
        }
    }
    let is_theirs = |host: &str| theirs.apps.iter().any(|app| app.hosts.iter().any(|theirs| theirs == host));
    if let Some(host) = first_host(&ours.environment.apps).filter(|host| !is_theirs(host)) {
        match by_theirs.get(host, "/", PATIENCE).await {
            Err(why) => cells.good(format!("our {host} at its edge: refused ({why})")),
            Ok(answer) if (400..500).contains(&answer.status) => {
                cells.good(format!("our {host} at its edge: refused ({})", answer.status));
            }
            Ok(answer) => cells.bad(format!("its edge answered {} for our {host}", answer.status)),
        }
    }
    for app in theirs.apps.iter().filter(|app| app.access == Access::Protected) {
        let Some(host) = app.hosts.first() else { continue };
        // Where ours is open to everybody there is no password of ours to try.
        let name = SecretName::new(format!("access/{}", app.name));
        let Ok(Some(password)) = ours.secrets.get(&name) else { continue };
        match by_theirs.get_as(host, "/", access::USER, &password.secret, PATIENCE).await {
            Ok(answer) if answer.status == 401 => {
                cells.good(format!("its {} with our password: refused (401)", app.name));
            }
            Ok(answer) => cells.bad(format!("its {} answered {} to our password", app.name, answer.status)),
            Err(why) => cells.untried(format!("its {} with our password: {why}", app.name)),
        }
    }
}

fn first_host(apps: &[App]) -> Option<&str> {
    apps.iter().find_map(|app| app.hosts.first()).map(String::as_str)
}
