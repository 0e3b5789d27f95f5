//! What no table shows alone: names that refer to each other, and rules across tables.

mod abuse;
mod api;
mod apps;
mod backup;
mod cache;
mod collections;
mod rollout;
mod drivers;
mod environments;
mod exports;
mod github;
mod hosts;
mod incidents;
mod media;
mod meeting;
mod monitoring;
mod network;
mod oidc;
mod preview;
mod rate_limit;
mod protection;
mod references;
mod rotation;
pub(crate) mod sample;
mod services;
mod scan;
mod console;
mod sign_in;
mod tls;
mod variables;
pub(crate) mod values;
mod workflows;

use crate::findings::Findings;
use crate::id::{AppName, EnvName, OwnerName, PersonName};
use crate::shape::Table;
use crate::source::At;
use crate::tables::Document;

pub(crate) fn check(document: &Document, findings: &mut Findings) {
    environments::check(document, findings);
    hosts::check(document, findings);
    apps::check(document, findings);
    services::check(document, findings);
    media::check(document, findings);
    drivers::check(document, findings);
    sample::check(document, findings);
    rollout::check(document, findings);
    tls::check(document, findings);
    network::check(document, findings);
    rate_limit::check(document, findings);
    api::check(document, findings);
    oidc::check(document, findings);
    console::check(document, findings);
    sign_in::check(document, findings);
    abuse::check(document, findings);
    backup::check(document, findings);
    monitoring::check(document, findings);
    exports::check(document, findings);
    preview::check(document, findings);
    variables::check(document, findings);
    references::check(document, findings);
    scan::check(document, findings);
    workflows::check(document, findings);
    protection::check(document, findings);
    github::check(document, findings);
    incidents::check(document, findings);
    unused_owners(document, findings);
    keys_of_two_people(document, findings);
}

/// Whoever signs with it would be either.
fn keys_of_two_people(document: &Document, findings: &mut Findings) {
    let mut seen: Vec<(&str, &PersonName)> = Vec::new();
    for (name, person) in document.people.in_order() {
        for key in &person.ssh {
            // The comment at the end is no part of the key.
            let Some(body) = key.value.0.split(' ').nth(1) else { continue };
            match seen.iter().find(|(other, _)| *other == body) {
                Some((_, owner)) => {
                    findings
                        .error(key.span, format!("this key of \"{}\" is one of \"{owner}\" already", name.value))
                        .hint("a key tells who somebody is: give each person their own");
                }
                None => seen.push((body, &name.value)),
            }
        }
    }
}

/// An owner that answers for nothing is mostly a name that was changed elsewhere.
fn unused_owners(document: &Document, findings: &mut Findings) {
    let of_apps = document.apps.iter().map(|(_, app)| &app.owner.value);
    let of_variables = document.variables.iter().map(|(_, variable)| &variable.owner.value);
    let of_patterns = document.patterns.iter().map(|(_, pattern)| &pattern.owner.value);
    let incidents = &document.incidents;
    let of_promises = incidents.promises.iter().map(|(_, owner)| owner);
    let called = incidents.lead.iter().chain(&incidents.escalation).chain(of_promises).map(|owner| &owner.value);
    let of_monitors =
        document.monitors.iter().filter_map(|(_, monitor)| monitor.owner.as_ref()).map(|owner| &owner.value);
    let named: std::collections::BTreeSet<&OwnerName> =
        of_apps.chain(of_variables).chain(of_patterns).chain(called).chain(of_monitors).collect();
    for (name, _) in document.owners.iter().filter(|(name, _)| !named.contains(&name.value)) {
        findings
            .warning(name.span, format!("the owner \"{}\" answers for nothing", name.value))
            .hint("name it as the owner of an app or a variable, or remove it");
    }
}

fn known_environment<V>(name: &At<EnvName>, environments: &Table<EnvName, V>, findings: &mut Findings) -> bool {
    let known = environments.has(&name.value);
    if !known {
        let candidates = environments.in_order();
        findings.absence(name.span, format!("there is no environment \"{}\"", name.value)).did_you_mean(
            name.as_str(),
            candidates.iter().map(|(name, _)| name.as_str()),
            "the environments are",
        );
    }
    known
}

fn known_environments<'a, V>(
    names: impl IntoIterator<Item = &'a At<EnvName>>,
    environments: &Table<EnvName, V>,
    findings: &mut Findings,
) {
    for name in names {
        known_environment(name, environments, findings);
    }
}

fn known_owner(name: &At<OwnerName>, document: &Document, findings: &mut Findings) {
    if !document.owners.has(&name.value) {
        let candidates = document.owners.in_order();
        findings.absence(name.span, format!("there is no owner \"{}\"", name.value)).did_you_mean(
            name.as_str(),
            candidates.iter().map(|(name, _)| name.as_str()),
            "the owners are",
        );
    }
}

fn known_app(name: &AppName, span: crate::Span, document: &Document, findings: &mut Findings) -> bool {
    let known = document.apps.has(name);
    if !known {
        let candidates = document.apps.in_order();
        findings.absence(span, format!("there is no app \"{name}\"")).did_you_mean(
            name.as_str(),
            candidates.iter().map(|(name, _)| name.as_str()),
            "the apps are",
        );
    }
    known
}

/// Tells every item that stands in a list for the second time.
fn no_repetition<T: PartialEq + std::fmt::Display>(items: &[At<T>], findings: &mut Findings) {
    for (at, item) in items.iter().enumerate() {
        if items[..at].iter().any(|earlier| earlier.value == item.value) {
            findings.error(item.span, format!("\"{}\" stands twice in this list", item.value)).hint("remove one");
        }
    }
}
