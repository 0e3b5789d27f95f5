//! Who may reach which port of this environment: what apps need, turned into users of this machine.

use std::collections::{BTreeMap, BTreeSet};

use delivery::{Place, Role};
use manifest::Environment;
use manifest::environment::{App, Need, ServiceName};

use reconcile::ports::CANDIDATE_SOCKET;

use super::addresses::{Addresses, internal_socket};
use super::fleet::Fleet;
use super::media::MEDIA;
use super::migrating::unit_of;
use super::network::{Guarded, Rules};
use super::rest::REST;
use super::telemetry::TELEMETRY;
use stores::objects::UNIT;

/// `users` are those that units have of their own, by unit. Where a unit has none its processes cannot be told from others, and
/// nothing that it may reach can be kept from them.
pub(super) fn rules(
    environment: &Environment,
    fleets: &[Fleet],
    addresses: &Addresses,
    users: &BTreeMap<String, u32>,
) -> Rules {
    let mut guarded = Vec::new();
    if users.is_empty() {
        return Rules { guarded, ..visitors(environment, addresses) };
    }
    let instances = |fleet: &Fleet, app: &App| {
        let ports = addresses.instances(fleet.place, &app.name).len();
        (0..ports).map(|index| fleet.name().instance(&app.name, index)).collect::<Vec<_>>()
    };
    let of_fleet = |fleet: &Fleet, needs: &dyn Fn(&App) -> bool| -> Option<BTreeSet<u32>> {
        let needing = fleet.environment.apps.iter().filter(|app| needs(app));
        let all: Option<BTreeSet<u32>> =
            needing.clone().flat_map(|app| instances(fleet, app)).map(|unit| users.get(&unit).copied()).collect();
        // Who changes data for an app reaches what the app reaches; it has a user from its first start on.
        let migrating = needing.filter_map(|app| users.get(&unit_of(&app.name)).copied());
        all.map(|all| all.into_iter().chain(migrating).collect())
    };
    let of_apps = |needs: &dyn Fn(&App) -> bool| -> Option<BTreeSet<u32>> {
        let all = fleets.iter().map(|fleet| of_fleet(fleet, needs)).collect::<Option<Vec<_>>>()?;
        Some(all.into_iter().flatten().collect())
    };
    let mut guard = |what: &str, port: u16, own: Option<&str>, may: Option<BTreeSet<u32>>| {
        let own = own.map(|unit| users.get(unit).copied());
        let (Some(may), None | Some(Some(_))) = (may, own) else { return };
        let users = may.into_iter().chain(own.flatten()).collect();
        guarded.push(Guarded { what: what.to_owned(), port, users });
    };
    let of_service = |service| of_apps(&|app: &App| app.needs.contains(&Need::Service(service)));
    let users_of =
        |units: &[String]| -> Option<BTreeSet<u32>> { units.iter().map(|unit| users.get(unit).copied()).collect() };
    let apps_and = |service, others: Option<BTreeSet<u32>>| {
        of_service(service).zip(others).map(|(apps, others)| apps.into_iter().chain(others).collect::<BTreeSet<u32>>())
    };
    if let Some(members) = addresses.members() {
        // They tell one another what was written, and who is primary.
        let group: Vec<String> = members.units().collect();
        for (unit, port) in group.iter().zip(members.ports()) {
            guard(unit, *port, Some(unit), apps_and(ServiceName::MongoDb, users_of(&group)));
        }
    }
    // Replicas and sentinels talk to each other, and to their primary.
    let group = addresses.redis.iter().filter(|(redis, _)| redis.is_replicated()).map(|(redis, _)| redis.unit());
    let group: Vec<String> = group.collect();
    for (redis, port) in &addresses.redis {
        let unit = redis.unit();
        let gateway = addresses.rest.filter(|_| redis.rest).map(|_| REST.to_owned());
        let of_group: &[String] = if group.contains(&unit) { &group } else { &[] };
        let others: Vec<String> = of_group.iter().cloned().chain(gateway).collect();
        guard(&unit, *port, Some(&unit), apps_and(ServiceName::Redis, users_of(&others)));
    }
    if let Some(port) = addresses.rest {
        guard(REST, port, Some(REST), of_service(ServiceName::Redis));
    }
    if let Some(ports) = addresses.media {
        let delivery = users_of(&[MEDIA.to_owned()]);
        guard(UNIT, ports.objects, Some(UNIT), apps_and(ServiceName::Media, delivery));
        guard(MEDIA, ports.delivery, Some(MEDIA), of_service(ServiceName::Media));
    }
    guard(TELEMETRY, addresses.telemetry, None, Some(BTreeSet::new()));
    if let Some(port) = addresses.candidate {
        guard(CANDIDATE_SOCKET, port, None, Some(BTreeSet::new()));
    }
    for fleet in fleets {
        for app in &fleet.environment.apps {
            for (unit, port) in instances(fleet, app).into_iter().zip(addresses.instances(fleet.place, &app.name)) {
                guard(&unit, *port, None, Some(BTreeSet::new()));
            }
            if let Some(port) = addresses.internal(fleet.place, &app.name) {
                let needs = |other: &App| other.name == app.name || other.needs.contains(&Need::App(app.name.clone()));
                // Each calls its own: a release never meets the API of another.
                let own = of_fleet(fleet, &needs);
                let trial = fleets.iter().find(|other| other.place == Place::Trial && fleet.role == Role::Live);
                let tried_out = trial.map_or(Some(BTreeSet::new()), |trial| of_fleet(trial, &needs));
                let may = own.zip(tried_out).map(|(own, tried_out)| own.into_iter().chain(tried_out).collect());
                guard(&internal_socket(fleet.place, &app.name), *port, None, may);
            }
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
