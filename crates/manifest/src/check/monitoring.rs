//! Monitors that look at nothing, and channels by which nobody is told.

use super::{known_app, known_environments, known_owner};
use crate::findings::Findings;
use crate::monitoring::{ChannelTable, ChannelType, MonitorTable, Watched};
use crate::source::At;
use crate::tables::Document;

pub(super) fn check(document: &Document, findings: &mut Findings) {
    for (name, table) in document.monitors.in_order() {
        monitor(name.value.as_str(), name.span, table, document, findings);
    }
    for (name, table) in document.alerts.in_order() {
        channel(name.value.as_str(), name.span, table, document, findings);
    }
}

fn monitor(name: &str, span: crate::Span, table: &MonitorTable, document: &Document, findings: &mut Findings) {
    let watched = table.watched();
    if watched.len() != 1 {
        findings
            .error(span, format!("the monitor \"{name}\" looks at {} things", watched.len()))
            .hint("give it one of http, tcp, tls, dns and heartbeat");
    }
    if let Some(app) = &table.app {
        known_app(&app.value, app.span, document, findings);
    }
    match &table.owner {
        Some(owner) => known_owner(owner, document, findings),
        None if table.app.is_none() => {
            findings.error(span, format!("nobody answers for the monitor \"{name}\"")).hint("name an app or an owner");
        }
        None => {}
    }
    if let (Some(Watched::Http(address)), Some(place)) = (watched.first(), &table.http) {
        let is_path = address.starts_with('/');
        if is_path && table.app.is_none() {
            findings.error(place.span, "a path of which app?").hint("name the app, or write the whole address");
        }
        if !is_path && !address.starts_with("https://") && !address.starts_with("http://") {
            findings
                .error(place.span, "this is neither a path nor an address")
                .hint("write \"/health\" or \"https://…\"");
        }
    }
    if let (Some(Watched::Tcp(address)), Some(place)) = (watched.first(), &table.tcp)
        && !address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    {
        findings.error(place.span, "there is no port in it").hint("write \"HOST:PORT\"");
    }
    known_environments(table.environments.iter().flat_map(|all| &all.value), &document.environments, findings);
}

fn channel(name: &str, span: crate::Span, table: &ChannelTable, document: &Document, findings: &mut Findings) {
    let mut needs = |key: &str, is_there: bool| {
        if !is_there {
            let kind = table.r#type.value.as_str();
            findings
                .error(span, format!("the channel \"{name}\" has no `{key}`, and {kind} goes nowhere without"))
                .hint(format!("add {key} = \"…\""));
        }
    };
    match table.r#type.value {
        ChannelType::Webhook => needs("url", table.url.is_some()),
        ChannelType::Slack => {}
        ChannelType::Smtp => {
            needs("server", table.server.is_some());
            needs("from", table.from.is_some());
        }
        ChannelType::Exec => needs("command", table.command.is_some()),
    }
    if let Some(url) = &table.url {
        address(url, table.r#type.value, findings);
    }
    table.owners.iter().for_each(|owner| known_owner(owner, document, findings));
    known_environments(table.environments.iter().flat_map(|all| &all.value), &document.environments, findings);
}

/// A secret in an address is in every copy of the manifest.
fn address(url: &At<String>, kind: ChannelType, findings: &mut Findings) {
    if kind == ChannelType::Slack {
        findings
            .error(url.span, "who has this address can write there: it is a secret")
            .hint("take it out, and keep it with `roadbed secrets set alerts/NAME`");
    } else if url::Url::parse(&url.value).map_or(true, |url| !matches!(url.scheme(), "http" | "https")) {
        findings.error(url.span, "this is no address of HTTP").hint("write \"https://…\"");
    } else if url::Url::parse(&url.value).is_ok_and(|url| url.password().is_some()) {
        findings
            .error(url.span, "there is a password in this address")
            .hint("take it out: what is sent is signed with the secret alerts/NAME");
    }
}
