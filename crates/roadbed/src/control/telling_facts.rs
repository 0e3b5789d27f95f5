//! What of the environment is a number: units, the disk, certificates and backups.
//!
//! Of what ends or was done at a time there are both, the time and how long that is from now: the first is right whoever reads it and
//! when, the second can be read by a person.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use certificates::Issued;
use edge::tls::local_ca;
use host::clock::Timestamp;
use host::files;
use manifest::Environment;
use reconcile::Fault;
use reconcile::ports::{Certificates, UnitState, Units};
use telemetry::metrics::Fact;

use super::Control;
use super::backing_up::record::Record;
use super::renewing;
use crate::wanted::{self, Wanted};
use crate::world;

const DAY_MS: f64 = 24.0 * 60.0 * 60.0 * 1000.0;

/// Certificates for hosts of others that are told of: those that end first.
const MOST_OF_OTHERS: usize = 100;

/// Numbers, as they are found.
#[derive(Default)]
struct Facts(Vec<Fact>);

impl Facts {
    fn add(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: f64) {
        let labels: BTreeMap<String, String> =
            labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.0.push(Fact { name: name.to_owned(), help: help.to_owned(), labels, value });
    }

    fn certificate(&mut self, host: &str, end: Timestamp, now: Timestamp) {
        let labels = [("host", host)];
        let help = "Days until the certificate that is served for a host ends; less than 0: it has.";
        self.add("roadbed_certificate_days_left", help, &labels, millis_from(now, end) / DAY_MS);
        let help = "When that is, in seconds since 1970.";
        self.add("roadbed_certificate_not_after_timestamp_seconds", help, &labels, seconds(end));
    }

    fn backup(&mut self, of: &str, at: Timestamp, now: Timestamp) {
        let labels = [("of", of)];
        let help = "How long ago it was done: a base, changes that were saved since, a rehearsal of a restore, a copy.";
        self.add("roadbed_backup_age_seconds", help, &labels, (millis_from(at, now) / 1000.0).max(0.0));
        let help = "When that was, in seconds since 1970.";
        self.add("roadbed_backup_timestamp_seconds", help, &labels, seconds(at));
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 have room in a double")]
fn millis_from(from: Timestamp, to: Timestamp) -> f64 {
    to.unix_millis() as f64 - from.unix_millis() as f64
}

fn seconds(at: Timestamp) -> f64 {
    millis_from(Timestamp::from_unix_millis(0), at) / 1000.0
}

/// All of them. What cannot be found out is left out, and said in the log of whoever looks after it.
pub(super) async fn facts(control: &Control, want: Option<&Wanted>) -> Result<Vec<Fact>, Fault> {
    let mut facts = Facts::default();
    for unit in control.keeper.list().await? {
        let is_up = matches!(unit.state, UnitState::Running | UnitState::Adopted);
        let labels = [("unit", unit.name.as_str())];
        facts.add("roadbed_unit_up", "1 while a process of the unit runs.", &labels, f64::from(u8::from(is_up)));
        let help = "How often the keeper started the unit again.";
        facts.add("roadbed_unit_restarts_total", help, &labels, f64::from(unit.restarts));
    }
    #[expect(clippy::cast_precision_loss, reason = "a sample of Prometheus is a double")]
    if let Ok(free) = files::free_bytes(control.root.path()) {
        facts.add("roadbed_disk_free_bytes", "What the environment's disk has left.", &[], free as f64);
    }
    let converged = control.convergences.load(Ordering::Relaxed);
    #[expect(clippy::cast_precision_loss, reason = "a sample of Prometheus is a double")]
    facts.add("roadbed_convergences_total", "How often this control has converged.", &[], converged as f64);
    if let Some(want) = want {
        let environment = wanted::resolve(want)?;
        certificates(control, &environment, want, &mut facts);
        if environment.backup.is_some() {
            let record = Record::read(&control.root).unwrap_or_default();
            backups(&record, control.clock.now(), &mut facts);
        }
    }
    Ok(facts.0)
}

fn certificates(control: &Control, environment: &Environment, want: &Wanted, facts: &mut Facts) {
    let (root, now) = (&control.root, control.clock.now());
    if world::certificates_of(environment, want) == Certificates::Local {
        let leaf = local_ca::load(root).ok().flatten();
        if let Some(issued) = leaf.and_then(|leaf| Issued::of(leaf.certificate.cert.first()?).ok()) {
            issued.hosts.iter().for_each(|host| facts.certificate(host, issued.life.end, now));
        }
        return;
    }
    let status = renewing::status(root, environment, want, now).ok().flatten().unwrap_or_default();
    if let Some(end) = status.not_after {
        status.hosts.iter().for_each(|host| facts.certificate(host, end, now));
    }
    if environment.tls.on_demand.is_some() {
        let mut others: Vec<(Timestamp, String)> = renewing::of_others(root, environment, now)
            .unwrap_or_default()
            .into_iter()
            .filter_map(|other| Some((other.not_after?, other.host)))
            .collect();
        others.sort();
        others.iter().take(MOST_OF_OTHERS).for_each(|(end, host)| facts.certificate(host, *end, now));
    }
}

fn backups(record: &Record, now: Timestamp, facts: &mut Facts) {
    if let Some(base) = record.base {
        facts.backup("base", base, now);
    }
    if let Some((_, seen)) = record.covered {
        facts.backup("changes", seen, now);
    }
    if let Some(drill) = &record.drill {
        facts.backup("drill", drill.began, now);
        let help = "1 where the last rehearsal of a restore brought back all that it should.";
        facts.add("roadbed_backup_drill_good", help, &[], f64::from(u8::from(drill.bad.is_empty())));
    }
    for (name, copy) in &record.copies {
        if let Some(complete) = copy.complete {
            facts.backup(&format!("copy/{name}"), complete, now);
        }
    }
    let help = "What the last look at the repository found damaged.";
    #[expect(clippy::cast_precision_loss, reason = "a sample of Prometheus is a double")]
    facts.add("roadbed_backup_damage", help, &[], record.damage.len() as f64);
}

#[cfg(test)]
mod tests {
    use super::super::backing_up::record::OfCopy;
    use super::*;

    #[test]
    fn ages_and_days_are_told_beside_the_times_that_they_follow_from() {
        let at = |hours: i64| Timestamp::from_unix_millis(hours * 3_600_000);
        let mut facts = Facts::default();
        facts.certificate("shop.example", at(36), at(0));
        let complete = OfCopy { complete: Some(at(1)), ..OfCopy::default() };
        let copies = [("offsite".to_owned(), complete)].into();
        backups(&Record { base: Some(at(2)), copies, ..Record::default() }, at(3), &mut facts);
        let told: Vec<String> =
            facts.0.iter().map(|fact| format!("{}{:?} {}", fact.name, fact.labels.values(), fact.value)).collect();
        assert_eq!(
            told,
            [
                "roadbed_certificate_days_left[\"shop.example\"] 1.5",
                "roadbed_certificate_not_after_timestamp_seconds[\"shop.example\"] 129600",
                "roadbed_backup_age_seconds[\"base\"] 3600",
                "roadbed_backup_timestamp_seconds[\"base\"] 7200",
                "roadbed_backup_age_seconds[\"copy/offsite\"] 7200",
                "roadbed_backup_timestamp_seconds[\"copy/offsite\"] 3600",
                "roadbed_backup_damage[] 0",
            ]
        );
    }
}
