//! Data services that somebody else runs: what has no meaning there, and where there can be none.

use crate::driver::Driver;
use crate::findings::Findings;
use crate::id::EnvName;
use crate::managed::{atlas_table, upstash_table};
use crate::resolve::{driver_of_cache, driver_of_mongodb, driver_of_redis};
use crate::sample::Seed;
use crate::source::{At, Span};
use crate::tables::{Document, EnvironmentTable};

pub(super) fn check(document: &Document, findings: &mut Findings) {
    let environments = document.environments.in_order();
    if let Some(table) = &document.services.mongodb {
        let own_drivers = table.r#in.iter().filter_map(|(_, own)| own.driver.as_ref());
        let all: Vec<&At<Driver>> = std::iter::once(&table.driver).chain(own_drivers).collect();
        certificates_of_nobody("mongodb", &all, table.ca.as_ref().map(|ca| ca.span), findings);
        for (name, environment) in &environments {
            let own = table.r#in.get(&name.value);
            if driver_of_mongodb(table, &name.value) == Driver::Process {
                own.and_then(|own| own.ca.as_ref()).inspect(|ca| of_a_process(ca.span, &name.value, findings));
                continue;
            }
            let driver = own.and_then(|own| own.driver.as_ref()).unwrap_or(&table.driver);
            ordered_there(driver, atlas_table(table, &name.value).is_some(), MONGODB, name, findings);
            let driver = driver.span;
            once(name, environment, driver, findings);
            if environment.per.is_none() && environment.seed() == Seed::Sample {
                findings
                    .error(
                        driver,
                        format!("the MongoDB of {} is somebody else's: no sample is put into it", name.value),
                    )
                    .hint("take `seed` away there, or let Roadbed run it: driver = \"process\"");
            }
            let Some(own) = own else { continue };
            let set = [
                ("program", own.program.is_some()),
                ("cache", own.cache.is_some()),
                ("oplog", own.oplog.is_some()),
                ("members", own.members.is_some()),
            ];
            without_meaning("MongoDB", name, driver, &set, findings);
        }
    }
    if let Some(table) = &document.services.redis {
        let own_drivers = table.r#in.iter().filter_map(|(_, own)| own.driver.as_ref());
        let caches = table.r#in.iter().filter_map(|(_, own)| own.cache.as_ref()).chain(&table.cache);
        let caches = caches.map(|cache| &cache.value.driver);
        let all: Vec<&At<Driver>> = std::iter::once(&table.driver).chain(own_drivers).chain(caches).collect();
        certificates_of_nobody("redis", &all, table.ca.as_ref().map(|ca| ca.span), findings);
        for (name, environment) in &environments {
            let own = table.r#in.get(&name.value);
            let of_cache = driver_of_cache(table, &name.value).filter(|driver| driver.value.is_elsewhere());
            of_cache.inspect(|driver| once(name, environment, driver.span, findings));
            let driver = driver_of_redis(table, &name.value);
            let is_told = upstash_table(table, &name.value).is_some();
            for driver in of_cache.into_iter().chain([driver]) {
                ordered_there(driver, is_told, REDIS, name, findings);
            }
            if driver.value == Driver::Process {
                let ca = own.and_then(|own| own.ca.as_ref()).filter(|_| of_cache.is_none());
                ca.inspect(|ca| of_a_process(ca.span, &name.value, findings));
                continue;
            }
            once(name, environment, driver.span, findings);
            let Some(own) = own else { continue };
            let set = [("program", own.program.is_some()), ("replicas", own.replicas.is_some())];
            without_meaning("Redis", name, driver.span, &set, findings);
        }
    }
}

/// Who can be asked to run a service, what it is called, and the table that says what is ordered there.
const MONGODB: (Driver, &str, &str) = (Driver::Atlas, "MongoDB", "[services.mongodb.atlas]");
const REDIS: (Driver, &str, &str) = (Driver::Upstash, "Redis", "[services.redis.upstash]");

/// Each provider has one kind of service, and is told what to make.
fn ordered_there(
    driver: &At<Driver>,
    is_told: bool,
    (provider, service, table): (Driver, &str, &str),
    name: &At<EnvName>,
    findings: &mut Findings,
) {
    match driver.value {
        Driver::Process | Driver::External => {}
        ordered if ordered != provider => {
            findings
                .error(driver.span, format!("{} of {} cannot be ordered at {}", service, name.value, ordered))
                .hint(format!("write driver = \"{provider}\", or \"external\" with an address of yours"));
        }
        _ if is_told => {}
        ordered => {
            findings
                .error(driver.span, format!("nothing says which {service} of {} is ordered at {ordered}", name.value))
                .hint(format!("write the table {table}"));
        }
    }
}

/// What is purged with an environment of many would stay at somebody else's.
fn once(name: &At<EnvName>, environment: &EnvironmentTable, driver: Span, findings: &mut Findings) {
    if let Some(per) = &environment.per {
        let message = format!(
            "{} exists once per {}, and what it leaves on somebody else's server would stay there",
            name.value,
            per.value.words()
        );
        findings.error(driver, message).hint("leave its data services to Roadbed: driver = \"process\"");
    }
}

fn without_meaning(service: &str, name: &At<EnvName>, driver: Span, set: &[(&str, bool)], findings: &mut Findings) {
    for (key, _) in set.iter().filter(|(_, is_set)| *is_set) {
        findings
            .error(driver, format!("\"{key}\" of {} has no meaning: its {service} is somebody else's", name.value))
            .hint(format!("take \"{key}\" away; what the provider decides is not set here"));
    }
}

fn of_a_process(ca: Span, name: &EnvName, findings: &mut Findings) {
    findings
        .error(
            ca,
            format!("\"ca\" of {name} has no meaning: what Roadbed runs shows certificates of its own authority"),
        )
        .hint("take it away, or add driver = \"external\"");
}

fn certificates_of_nobody(service: &str, drivers: &[&At<Driver>], ca: Option<Span>, findings: &mut Findings) {
    if let Some(ca) = ca.filter(|_| drivers.iter().all(|driver| driver.value == Driver::Process)) {
        findings
            .error(ca, format!("\"ca\" has no meaning: no environment has an external {service}"))
            .hint("take it away, or add driver = \"external\"");
    }
}
