//! Who may reach which port of this environment: what apps need, turned into users of this machine.

use std::collections::{BTreeMap, BTreeSet};

use manifest::Environment;
use manifest::environment::{App, Need, ServiceName};

use super::addresses::{Addresses, internal_socket};
use super::network::{Guarded, Rules};

/// `users` are those that units have of their own, by unit. Where a unit has none its processes cannot be told from others, and
/// nothing that it may reach can be kept from them.
pub(super) fn rules(environment: &Environment, addresses: &Addresses, users: &BTreeMap<String, u32>) -> Rules {
    let mut guarded = Vec::new();
    if users.is_empty() {
        return Rules { guarded, ..visitors(environment, addresses) };
    }
    let instances = |app: &App| {
        let ports = addresses.instances.get(&app.name).map_or(0, Vec::len);
        (0..ports).map(|index| engine::instance::Instances::instance_name(app, index)).collect::<Vec<_>>()
    };
    let of_apps = |needs: &dyn Fn(&App) -> bool| -> Option<BTreeSet<u32>> {
        let needing = environment.apps.iter().filter(|app| needs(app));
        needing.flat_map(instances).map(|unit| users.get(&unit).copied()).collect()
    };
    let mut guard = |what: &str, port: u16, own: Option<&str>, may: Option<BTreeSet<u32>>| {
        let own = own.map(|unit| users.get(unit).copied());
        let (Some(may), None | Some(Some(_))) = (may, own) else { return };
        let users = may.into_iter().chain(own.flatten()).collect();
        guarded.push(Guarded { what: what.to_owned(), port, users });
    };
    let of_service = |service| of_apps(&|app: &App| app.needs.contains(&Need::Service(service)));
    if let Some(port) = addresses.redis {
        guard(stores::redis::UNIT, port, Some(stores::redis::UNIT), of_service(ServiceName::Redis));
    }
    if let Some(members) = &addresses.mongodb {
        // They tell one another what was written, and who is primary.
        let own: Option<BTreeSet<u32>> = members.units().map(|unit| users.get(&unit).copied()).collect();
        let may = of_service(ServiceName::MongoDb).zip(own).map(|(apps, own)| apps.into_iter().chain(own).collect());
        for (unit, port) in members.units().zip(members.ports()) {
            guard(&unit, *port, Some(&unit), may.clone());
        }
    }
    for app in &environment.apps {
        for (unit, port) in instances(app).into_iter().zip(addresses.instances.get(&app.name).into_iter().flatten()) {
            guard(&unit, *port, None, Some(BTreeSet::new()));
        }
        if let Some(port) = addresses.internal.get(&app.name) {
            let needing =
                of_apps(&|other| other.name == app.name || other.needs.contains(&Need::App(app.name.clone())));
            guard(&internal_socket(&app.name), *port, None, needing);
        }
    }
    guarded.sort_by(|left, right| left.what.cmp(&right.what));
    Rules { guarded, ..visitors(environment, addresses) }
}

fn visitors(environment: &Environment, addresses: &Addresses) -> Rules {
    Rules {
        guarded: Vec::new(),
        public_ports: BTreeSet::from([addresses.http, addresses.https]),
        visitors: environment.network.visitors.clone(),
    }
}
