//! Every host name has one app in one environment.

use std::collections::{HashMap, HashSet};

use super::meeting::may_meet;
use crate::findings::Findings;
use crate::source::Span;
use crate::tables::{Document, EnvironmentTable};

/// Longest host name there is, RFC 1035.
const LONGEST_HOST: usize = 253;

pub(super) fn check(document: &Document, findings: &mut Findings) {
    let environments = document.environments.in_order();
    let apps = document.apps.in_order();
    let mut claims: HashMap<String, (&str, &str)> = HashMap::new();
    // One mistake shows in every environment; it is told once.
    let mut told: HashSet<Span> = HashSet::new();
    for (environment, table) in &environments {
        for (app, app_table) in &apps {
            for host in &app_table.hosts.value {
                let name = host.on(&table.domain.of(None));
                if host.on(&table.domain.longest()).len() > LONGEST_HOST && told.insert(host.span) {
                    findings
                        .error(
                            host.span,
                            format!(
                                "the host name {name} is longer than the {LONGEST_HOST} characters that DNS allows"
                            ),
                        )
                        .hint("shorten the label, or the domain of the environment");
                }
                match claims.get(&name) {
                    Some((first_app, first)) if *first == environment.as_str() => {
                        if told.insert(host.span) {
                            let message = if *first_app == app.as_str() {
                                format!("\"{}\" names the host \"{}\" twice", app.value, host.value)
                            } else {
                                format!(
                                    "\"{}\" claims the host \"{}\", which \"{first_app}\" has already",
                                    app.value, host.value
                                )
                            };
                            findings
                                .error(host.span, message)
                                .hint("a host name leads to one app: give it another label");
                        }
                    }
                    Some((_, first)) => {
                        if told.insert(table.domain.span) {
                            findings
                                .error(
                                    table.domain.span,
                                    format!("{name} would lead both to {first} and to {}", environment.value),
                                )
                                .hint("give each environment a domain of its own");
                        }
                    }
                    None => {
                        claims.insert(name, (app.as_str(), environment.as_str()));
                    }
                }
            }
        }
    }
    hosts_of_instances(document, findings);
    for (app, table) in &apps {
        if table.hosts.is_empty() {
            findings
                .error(table.hosts.span, format!("\"{}\" has no host", app.value))
                .hint("write what comes before the domain, for example hosts = [\"www\"]");
        }
    }
}

/// A host of one environment must not be what a host of another becomes for some pull request or branch.
fn hosts_of_instances(document: &Document, findings: &mut Findings) {
    let environments = document.environments.in_order();
    let hosts = |table: &EnvironmentTable| -> Vec<String> {
        let domain = table.domain.of(None);
        let apps = document.apps.iter();
        apps.flat_map(|(_, app)| app.hosts.iter().map(|host| host.on(&domain)).collect::<Vec<_>>()).collect()
    };
    for (at, (many, table)) in environments.iter().enumerate().filter(|(_, (_, table))| table.per.is_some()) {
        let instances = hosts(table);
        // Two that have many instances are compared once.
        let others = environments.iter().enumerate().filter(|(other, (_, table))| *other < at || table.per.is_none());
        for (_, (name, other)) in others {
            let shared = hosts(other).into_iter().find(|host| instances.iter().any(|mine| may_meet(mine, host)));
            // What is the same as it stands was told already.
            if let Some(host) = shared.filter(|host| !instances.contains(host)) {
                findings
                    .error(
                        table.domain.span,
                        format!("an instance of {} would have {host}, which is of {}", many.value, name.value),
                    )
                    .hint("give each environment a domain of its own");
            }
        }
    }
}
