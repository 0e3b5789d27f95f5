//! Certificates that nobody could order, and promises to browsers that would not be taken.

use std::time::Duration;

use super::known_app;
use crate::environment::Protocol;
use crate::findings::Findings;
use crate::id::EnvName;
use crate::source::At;
use crate::tables::{Document, Kind};
use crate::tls::{ChallengeKind, Issuer, OnDemandTable, TlsTable};

/// What the list that browsers are shipped with asks for.
const PRELOADED_FOR: Duration = Duration::from_hours(24 * 365);

pub(super) fn check(document: &Document, findings: &mut Findings) {
    for (name, environment) in document.environments.iter() {
        let tls = &environment.tls;
        let is_local = environment.domain.is_localhost();
        if tls.issuer.value == Issuer::Acme && is_local {
            findings
                .error(
                    tls.issuer.span,
                    format!("no authority signs for the hosts of {}: they end with localhost", name.value),
                )
                .hint("write issuer = \"local\", or give it a domain of yours");
        }
        if tls.issuer.value == Issuer::Local
            && let Some(authority) = tls.acme.first()
        {
            findings
                .error(
                    authority.directory.span,
                    format!("nothing is ordered there: the issuer of {} is local", name.value),
                )
                .hint("write issuer = \"acme\" beside it");
        }
        if tls.challenges.is_empty() {
            findings
                .error(tls.challenges.span, format!("there is no way left to prove the names of {}", name.value))
                .hint("name one, such as \"http-01\"");
        }
        let by_dns = tls.challenges.iter().find(|kind| kind.value == ChallengeKind::Dns01);
        match (by_dns, &tls.dns) {
            (Some(by_dns), None) => {
                findings
                    .error(by_dns.span, format!("nobody takes records of {} for dns-01", name.value))
                    .hint("add dns = { server = \"ns1.shop.example\", key = \"roadbed.shop.example\" }");
            }
            (None, Some(dns)) => {
                findings
                    .error(dns.server.span, format!("no name of {} is proved by records", name.value))
                    .hint("add \"dns-01\" to challenges, or leave `dns` out");
            }
            _ => {}
        }
        if tls.wildcard.value && by_dns.is_none() {
            findings
                .error(tls.wildcard.span, "no authority signs for a wildcard that is not proved by dns-01".to_owned())
                .hint("add challenges = [\"dns-01\"] and `dns` beside it");
        }
        if let Some(on_demand) = &tls.on_demand {
            check_on_demand(on_demand, tls, &name.value, document, findings);
        }
        let Some(hsts) = &tls.hsts else { continue };
        if hsts.preload.value && (hsts.max_age.0 < PRELOADED_FOR || !hsts.subdomains) {
            findings
                .error(
                    hsts.preload.span,
                    "browsers are not shipped with less than a year and all subdomains".to_owned(),
                )
                .hint("write max_age = \"365d\" and subdomains = true beside it, or leave `preload` out");
        }
        if hsts.preload.value && is_local {
            findings
                .error(hsts.preload.span, "no browser is shipped with a promise about localhost".to_owned())
                .hint("leave `preload` out");
        }
    }
}

/// A rule by which nobody could be permitted, or nothing be proved.
fn check_on_demand(
    on_demand: &At<OnDemandTable>,
    tls: &TlsTable,
    environment: &EnvName,
    document: &Document,
    findings: &mut Findings,
) {
    if tls.issuer.value == Issuer::Local {
        findings
            .error(on_demand.span, format!("nobody else believes the issuer of {environment}, which is local"))
            .hint("write issuer = \"acme\" beside it, or leave `on_demand` out");
    }
    if !tls.challenges.is_empty() && tls.challenges.iter().all(|kind| kind.value == ChallengeKind::Dns01) {
        findings
            .error(on_demand.span, "hosts of others are in nobody's zone of ours, so no record proves them")
            .hint("add \"http-01\" or \"tls-alpn-01\" to challenges");
    }
    known_app(&on_demand.app.value, on_demand.app.span, document, findings);
    let asked = &on_demand.ask;
    if !known_app(&asked.value, asked.span, document, findings) {
        return;
    }
    let Some(app) = document.apps.get(&asked.value) else { return };
    if app.kind == Kind::Static {
        findings
            .error(asked.span, format!("\"{}\" is static: nobody there could answer", asked.value))
            .hint("name the app that knows which hosts are permitted");
    }
    if app.protocol.as_ref().is_some_and(|protocol| protocol.value == Protocol::H2c) {
        findings
            .error(asked.span, format!("\"{}\" speaks h2c, and is asked by HTTP/1.1", asked.value))
            .hint("name an app that speaks http1");
    }
    let path = &on_demand.path;
    if path.value.0.contains('?') {
        findings.error(path.span, "the host is put behind it as a query, and it has one").hint("leave the query out");
    }
}
