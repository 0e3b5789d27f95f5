//! Ports of another environment, tried as whoever our apps run as: the packet filter refuses before there is a login to try.

use std::collections::BTreeSet;

use host::intruder::{Door, Tried, User, may_become_others, own_user, try_all_as};
use host::process::table;
use manifest::Environment;
use manifest::network::Enforce;
use reconcile::Root;

use super::neighbour::Neighbour;
use super::{Cells, Ours};
use crate::world::network;

/// An environment that demands the packet filter has it: `up` saw to that, and somebody may have taken it away since.
pub(super) async fn are_held(root: &Root, environment: &Environment, cells: &mut Cells) {
    if environment.network.enforce == Enforce::Required && network::guarded(root).await.is_empty() {
        cells.bad("network.enforce is \"required\", but no packet filter holds its network rules");
    }
}

/// The other's ports behind its edge refuse our apps, where its network rules are held by the packet filter.
pub(super) async fn try_doors(ours: &Ours<'_>, other: &Neighbour, cells: &mut Cells) {
    let Some(up) = &other.up else { return };
    if up.elsewhere().is_some() {
        return cells.good("its ports are in a network of its own: no address of ours leads to them");
    }
    // What the filter itself says that it guards: what is not among it, passwords guard alone.
    let guarded = network::guarded(&other.root).await;
    if let Some(environment) = &other.environment {
        are_held(&other.root, environment, cells).await;
    }
    let ports: Vec<(&str, u16)> = up
        .ports
        .iter()
        .filter(|(name, _)| guarded.contains(*name))
        .map(|(name, port)| (name.as_str(), *port))
        .collect();
    let users: BTreeSet<User> =
        ours.apps.iter().filter_map(|(_, pid)| table::user(*pid)).filter(|user| user.uid != own_user().uid).collect();
    if ports.is_empty() {
        return cells.good("no packet filter holds its network rules: passwords guard its ports alone");
    }
    if users.is_empty() {
        return cells
            .good("our apps run as we do: the packet filter cannot tell them from us, and passwords guard its ports");
    }
    if !may_become_others() {
        return cells.untried("its ports, as our apps: only root can");
    }
    for user in users {
        let doors: Vec<Door> = ports.iter().map(|(_, port)| Door::Port(*port)).collect();
        match try_all_as(user, &doors) {
            Ok(tried) => judge(user, &ports, &tried, cells),
            Err(error) => cells.untried(format!("its ports, as the user {}: {error}", user.uid)),
        }
    }
}

fn judge(user: User, ports: &[(&str, u16)], tried: &[Tried], cells: &mut Cells) {
    let mut refused = Vec::new();
    for ((name, port), tried) in ports.iter().zip(tried) {
        let door = format!("{name} on port {port}");
        match tried {
            Tried::Refused => refused.push(door),
            Tried::Opened => cells.bad(format!("{door}, as our app's user {}: a connection came about", user.uid)),
            Tried::Absent | Tried::Otherwise(_) => {
                cells.untried(format!("{door}, as our app's user {}: {tried:?}", user.uid));
            }
        }
    }
    if !refused.is_empty() {
        cells.good(format!(
            "as our app's user {}, each refused by the packet filter: {}",
            user.uid,
            refused.join(", ")
        ));
    }
}
