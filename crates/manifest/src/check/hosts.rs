//! Every host name has one app in one environment.

use std::collections::{HashMap, HashSet};

use crate::findings::Findings;
use crate::source::Span;
use crate::tables::Document;

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
    for (app, table) in &apps {
        if table.hosts.is_empty() {
            findings
                .error(table.hosts.span, format!("\"{}\" has no host", app.value))
                .hint("write what comes before the domain, for example hosts = [\"www\"]");
        }
    }
}
