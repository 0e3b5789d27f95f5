//! What each page is made from: control's own books, and what telemetry is asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use delivery::{Role as SlotRole, State};
use futures_util::future::join_all;
use futures_util::join;
use http::StatusCode;
use manifest::environment::Runs;
use reconcile::Fault;
use reconcile::ports::{UnitKind, UnitState};
use telemetry::logs::{ACCESS, Filter, Level, Question, Record};
use telemetry::traces::{Span, at_edge};
use telemetry::{Behind, IssueFilter, IssueStatus, TelemetryClient};
use tokio::time::timeout;
use url::form_urlencoded;
use web_console::{
    AppState, AskedErrors, AskedLogs, Delivered, Elsewhere, Errors, Gate, Logs, Noted, Overview, Released, Request,
    SecretState, ServiceState, UnitState as UnitShown, Way,
};

use super::service_figures::figures;
use super::visitor::Visitor;
use super::{Shown, Told, backups};
use crate::control::api::gate_run;
use crate::control::client::ControlClient;
use crate::control::delivering::{self, ToRollBack};
use crate::control::lending::Peer;
use crate::control::rotating::{store, store_fault};
use crate::control::wire::{Status, Unit};
use crate::control::{Control, convergence, identity, sleeping, statistics};
use crate::roots::Roots;

/// Issues and lines on a page: 100 kB of HTML.
const ISSUES: u32 = 100;
const LINES: usize = 100;
/// Lines of one request: more is no request that somebody reads.
const LINES_OF_REQUEST: usize = 150;
const ROWS_OF_AUDIT: usize = 200;
const HOUR: i64 = 60;

/// Another environment that does not answer in this time is told so.
const ELSEWHERE_PATIENCE: Duration = Duration::from_millis(400);
/// A data service that hangs holds no page up.
const FULL_PATIENCE: Duration = Duration::from_secs(3);

type Query = BTreeMap<String, String>;

pub(super) async fn page(
    control: &Arc<Control>,
    visitor: &Visitor,
    path: &str,
    query: Option<&str>,
) -> Result<Shown, Told> {
    let query: Query = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().take(16).collect();
    let said = |name: &str| query.get(name).map(|text| text.trim().to_owned()).unwrap_or_default();
    let parts: Vec<String> = path
        .trim_matches('/')
        .split('/')
        .map(|part| percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned())
        .collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let context = &visitor.context;
    let page = match parts[..] {
        [""] => web_console::overview(context, &overview(control, visitor).await?),
        ["errors"] => web_console::errors(context, &errors(control, visitor, &query).await?),
        ["errors", id] => {
            let id: i64 = id.parse().map_err(|_| Told::nothing("such error"))?;
            let telemetry = TelemetryClient::new(control.root.clone());
            let found = telemetry.issue(id).await.map_err(|fault| Told::new(StatusCode::NOT_FOUND, fault))?;
            web_console::issue(context, &found)
        }
        ["requests", id] => web_console::request(context, &request(control, id).await),
        ["search"] => return Ok(Shown::Elsewhere(found_by(&said("q")))),
        ["logs"] => web_console::logs(context, &logs(control, visitor, &query).await?),
        ["gate"] => web_console::gate(context, &gate(control)?),
        ["deployments"] => web_console::deliveries(context, &delivered(control, visitor)?),
        ["deployments", id] => {
            let id = id.parse().map_err(|_| Told::nothing("such deployment"))?;
            let known = control.delivering.find(id)?.ok_or_else(|| Told::nothing("such deployment"))?;
            let happening = delivering::happening(control, known.id, 0)?;
            let may_approve = visitor.person.is_some() && happening.deployment.state == State::AwaitingApproval;
            web_console::deployment(context, &happening.deployment, &happening.release, &happening.lines, may_approve)
        }
        ["releases", id, "rollback"] => web_console::way_back(context, &way_back(control, visitor, id)?),
        ["services"] => {
            let status = convergence::status(control).await?;
            web_console::services(context, &services(&status), &full(control).await)
        }
        ["backups"] => web_console::backups(context, &backups::all(control, visitor).await),
        ["backups", name] => {
            let (found, known) = backups::one(control, visitor, name).await?;
            web_console::backup(context, &found, known.as_ref())
        }
        ["secrets"] => web_console::secrets(context, &secrets(control, visitor).await?),
        ["audit"] => {
            let (rows, all) = audit(control, visitor).await?;
            web_console::audit(context, &rows, all)
        }
        _ => return Err(Told::nothing("such page")),
    };
    Ok(Shown::Page(StatusCode::OK, page))
}

/// Where what was typed into the one field leads: an id is looked up, words are searched in the logs.
fn found_by(text: &str) -> String {
    let is_id = text.len() >= 16
        && text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    let encoded: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
    match text {
        "" => "/".to_owned(),
        _ if is_id => format!("/requests/{encoded}"),
        _ => format!("/logs?since=1d&text={encoded}"),
    }
}

/// A fault in one line.
pub(super) fn line(fault: &Fault) -> String {
    let causes = fault.causes.iter().map(|cause| format!(": {cause}")).collect::<String>();
    format!("{}{causes}", fault.message)
}

fn is_well(state: UnitState) -> bool {
    matches!(state, UnitState::Running | UnitState::Adopted)
}

fn state(state: UnitState) -> &'static str {
    match state {
        UnitState::Running | UnitState::Adopted => "running",
        UnitState::Backoff => "died, starts again",
        UnitState::CrashLoop => "dies again and again",
        UnitState::Stopping => "stopping",
        UnitState::Held => "stopped on request",
        UnitState::Lost => "died, waits for control",
    }
}

/// Apps with the instances that the keeper has of them.
fn apps(status: &Status, names: impl Iterator<Item = (String, bool)>, release: Option<&str>) -> Vec<AppState> {
    let app = |(name, is_static): (String, bool)| {
        let prefix = format!("{name}-");
        let of_app = |unit: &&Unit| {
            let rest = unit.name.strip_prefix(&prefix);
            let numbered = rest.map(|rest| rest.strip_prefix("blue-").or(rest.strip_prefix("green-")).unwrap_or(rest));
            unit.kind == UnitKind::App
                && numbered.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let units: Vec<&Unit> = status.units.iter().filter(of_app).collect();
        let count = |some: usize| u32::try_from(some).unwrap_or(u32::MAX);
        AppState {
            url: status.urls.get(&name).cloned(),
            running: count(units.iter().filter(|unit| is_well(unit.state)).count()),
            // What is static is served by the edge; a process of which nobody knows is missing.
            wanted: if units.is_empty() { u32::from(!is_static) } else { count(units.len()) },
            release: release.map(str::to_owned),
            name,
        }
    };
    names.map(app).collect()
}

async fn overview(control: &Arc<Control>, visitor: &Visitor) -> Result<Overview, Fault> {
    let telemetry = TelemetryClient::new(control.root.clone());
    let filter = IssueFilter { status: Some(IssueStatus::Open), limit: Some(50), ..IssueFilter::default() };
    let now = visitor.context.now;
    let since = now.unix_millis().div_euclid(60_000) - HOUR;
    let (status, minutes, issues, elsewhere) = join!(
        convergence::status(control),
        telemetry.minutes_since(since),
        telemetry.issues(&filter),
        others(control, visitor)
    );
    let status = status?;
    let releases = delivering::releases(control)?;
    let live = releases.iter().find(|listed| listed.role == Some(SlotRole::Live)).map(|listed| listed.release.name());
    let names =
        visitor.environment.apps.iter().map(|app| (app.name.to_string(), matches!(app.runs, Runs::Static { .. })));
    let beside = status.units.iter().filter(|unit| unit.kind != UnitKind::App);
    Ok(Overview {
        apps: apps(&status, names, live.as_deref()),
        minutes: minutes.map_err(|fault| line(&fault)),
        units: beside
            .map(|unit| UnitShown {
                name: unit.name.clone(),
                state: state(unit.state).to_owned(),
                is_well: is_well(unit.state),
                restarts: unit.restarts,
            })
            .collect(),
        issues: issues.map_err(|fault| line(&fault)),
        deployments: delivering::list(control)?,
        gate: gate(control)?,
        backups: backups::standing(control, visitor).map_err(|fault| line(&fault)),
        elsewhere,
        troubles: troubles(&status),
    })
}

/// What `status` tells beside processes.
fn troubles(status: &Status) -> Vec<String> {
    let drift = status.drift.iter().map(|drift| format!("{} is not as the manifest says", drift.resource));
    let overdue = status.overdue.iter().map(|secret| format!("{} is overdue since {}", secret.name, secret.since));
    let trouble = status.trouble.iter().map(line);
    let sleep = status.sleep.iter().map(|_| "It sleeps: the next visitor wakes it".to_owned());
    let certificate = status.certificate.iter().filter_map(|certificate| certificate.trouble.as_ref());
    let certificate = certificate.map(|trouble| format!("The certificate is not renewed: {}", trouble.why));
    trouble.chain(sleep).chain(drift).chain(overdue).chain(certificate).collect()
}

/// Other environments of this product that this user has on this machine.
async fn others(control: &Control, visitor: &Visitor) -> Vec<Elsewhere> {
    let roots = Roots::new(visitor.want.state.clone(), visitor.want.config.clone());
    let Ok(Some(ours)) = identity::read(&control.root) else { return Vec::new() };
    let ask = |other: crate::roots::Other| async move {
        let asked = timeout(ELSEWHERE_PATIENCE, ControlClient::new(other.root).status()).await;
        let environment = other.identity.environment;
        match asked {
            Ok(Ok(status)) => {
                let names: Vec<(String, bool)> = status.urls.keys().map(|name| (name.clone(), true)).collect();
                let apps = apps(&status, names.into_iter(), None);
                Elsewhere { environment, console: status.console, apps: Some(apps) }
            }
            _ => Elsewhere { environment, console: None, apps: None },
        }
    };
    join_all(roots.others(&ours).unwrap_or_default().into_iter().take(20).map(ask)).await
}

async fn errors(control: &Control, visitor: &Visitor, query: &Query) -> Result<Errors, Fault> {
    let said = |name: &str| query.get(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let all = [IssueStatus::Open, IssueStatus::Resolved, IssueStatus::Ignored, IssueStatus::Snoozed];
    let status = match said("status").as_deref() {
        Some("all") => None,
        Some(word) => all.into_iter().find(|status| status.as_str() == word),
        None => Some(IssueStatus::Open),
    };
    let asked = AskedErrors {
        app: said("app"),
        status,
        search: said("q").unwrap_or_default(),
        behind: said("behind").as_deref().and_then(Behind::read),
    };
    let filter = IssueFilter {
        app: asked.app.clone(),
        status,
        release: said("release"),
        search: Some(asked.search.clone()).filter(|text| !text.is_empty()),
        behind: asked.behind,
        limit: Some(ISSUES + 1),
    };
    let telemetry = TelemetryClient::new(control.root.clone());
    let (issues, health) = join!(telemetry.issues(&filter), telemetry.errors_health());
    let (mut issues, health) = (issues?, health?);
    let has_more = issues.len() > ISSUES as usize;
    issues.truncate(ISSUES as usize);
    Ok(Errors {
        asked,
        issues,
        has_more,
        apps: visitor.environment.apps.iter().map(|app| app.name.to_string()).collect(),
        events: health.events,
        all: health.issues,
        // What apps send and nobody keeps is their own business; what was lost is ours.
        lost: health.not_kept.into_iter().filter(|lost| !lost.what.starts_with("item-")).take(10).collect(),
    })
}

/// All that is known by the number of a request, or of a trace.
async fn request(control: &Control, id: &str) -> Request {
    let telemetry = TelemetryClient::new(control.root.clone());
    let is_trace = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut troubles = Vec::new();
    let mut lines = lines_of(&telemetry, id, Kind::Request, &mut troubles).await;
    if lines.is_empty() && is_trace {
        lines = lines_of(&telemetry, &id.to_ascii_lowercase(), Kind::Trace, &mut troubles).await;
    }
    let of_trace = lines.iter().find_map(|record| record.trace_id.clone());
    let trace = of_trace.or_else(|| is_trace.then(|| id.to_ascii_lowercase()));
    let (mut access, mut spans) = (Vec::new(), Vec::new());
    let mut events = found(telemetry.error_events(&format!("request:{id}")).await, &mut troubles);
    if let Some(trace) = &trace {
        // What the edge saw of all requests of the trace: an app's call to another is one of its own.
        let whole = lines_of(&telemetry, trace, Kind::Trace, &mut troubles).await;
        spans = whole.iter().filter_map(at_edge).collect();
        for record in whole {
            if !lines.contains(&record) {
                lines.push(record);
            }
        }
        spans.extend(found(telemetry.trace(trace).await, &mut troubles));
        spans.sort_by_key(|span: &Span| (span.start, std::cmp::Reverse(span.micros)));
        if events.is_empty() {
            events = found(telemetry.error_events(&format!("trace:{trace}")).await, &mut troubles);
        }
    }
    lines.sort_by_key(|record| record.time);
    let (of_edge, mut said): (Vec<Record>, Vec<Record>) =
        lines.into_iter().partition(|record| record.source.unit == ACCESS);
    // The one that was asked for first; the others of its trace stand in the waterfall.
    access.extend(of_edge.iter().find(|record| record.request_id.as_deref() == Some(id)).or(of_edge.first()).cloned());
    said.truncate(LINES_OF_REQUEST);
    troubles.dedup();
    Request { id: id.to_owned(), access, lines: said, spans, events, troubles }
}

#[derive(Clone, Copy)]
enum Kind {
    Request,
    Trace,
}

fn found<T>(asked: Result<Vec<T>, Fault>, troubles: &mut Vec<String>) -> Vec<T> {
    asked.unwrap_or_else(|fault| {
        troubles.push(line(&fault));
        Vec::new()
    })
}

async fn lines_of(telemetry: &TelemetryClient, id: &str, kind: Kind, troubles: &mut Vec<String>) -> Vec<Record> {
    let filter = match kind {
        Kind::Request => Filter { request: Some(id.to_owned()), ..Filter::default() },
        Kind::Trace => Filter { trace: Some(id.to_owned()), ..Filter::default() },
    };
    let asked = telemetry.logs(&Question { filter, limit: LINES_OF_REQUEST, after: None }).await;
    found(asked.map(|answer| answer.lines), troubles)
}

async fn logs(control: &Control, visitor: &Visitor, query: &Query) -> Result<Logs, Fault> {
    let said = |name: &str| query.get(name).map(|text| text.trim().to_owned()).unwrap_or_default();
    let known = |span: &str| AskedLogs::SPANS.iter().any(|(word, ..)| *word == span);
    let asked = AskedLogs {
        text: said("text"),
        of: said("of"),
        level: Level::ALL.into_iter().find(|level| level.as_str() == said("level")),
        request: said("request"),
        since: Some(said("since")).filter(|span| known(span)).unwrap_or_else(|| AskedLogs::SPANS[0].0.to_owned()),
        until: said("until").parse().ok(),
    };
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let now = visitor.context.now;
    let filter = Filter {
        since: asked.minutes().map(|minutes| {
            let millis = i64::try_from(minutes * 60_000).unwrap_or(i64::MAX);
            host::clock::Timestamp::from_unix_millis(now.unix_millis() - millis)
        }),
        until: asked.until.map(host::clock::Timestamp::from_unix_millis),
        level: asked.level,
        request: some(&asked.request),
        text: some(&asked.text),
        names: some(&asked.of).map(|name| vec![name]),
        ..Filter::default()
    };
    let telemetry = TelemetryClient::new(control.root.clone());
    let question = Question { filter, limit: LINES, after: None };
    let (answer, units) = join!(telemetry.logs(&question), convergence::status(control));
    let answer = answer?;
    let mut names: Vec<String> = visitor.environment.apps.iter().map(|app| app.name.to_string()).collect();
    let units = units.map(|status| status.units).unwrap_or_default();
    names.extend(units.into_iter().filter(|unit| unit.kind != UnitKind::App).map(|unit| unit.name));
    names.extend(["keeper", "control", ACCESS].map(str::to_owned));
    let mut told = Vec::new();
    names.retain(|name| {
        let is_new = !told.contains(name);
        told.push(name.clone());
        is_new
    });
    Ok(Logs { asked, lines: answer.lines, names, is_partial: answer.is_partial, damaged: answer.damaged, limit: LINES })
}

fn gate(control: &Control) -> Result<Gate, Fault> {
    let newest = control.ledger.newest_of_each();
    let newest = newest.map_err(|fault| Fault::because("cannot read the evidence", &fault))?;
    let (is_running, trouble) = gate_run::under_way(control);
    Ok(Gate { newest, is_running, trouble: trouble.as_ref().map(line) })
}

fn delivered(control: &Control, visitor: &Visitor) -> Result<Delivered, Fault> {
    let releases = delivering::releases(control)?;
    Ok(Delivered {
        deployments: delivering::list(control)?,
        releases: releases.into_iter().map(|listed| Released { release: listed.release, role: listed.role }).collect(),
        may_approve: visitor.person.is_some(),
    })
}

fn way_back(control: &Control, visitor: &Visitor, id: &str) -> Result<Way, Told> {
    let to: delivery::ReleaseId = id.parse().map_err(|_| Told::nothing("such release"))?;
    let ask = ToRollBack { to: Some(to), by: visitor.to_string(), token: None, rehearse: true, across_contract: false };
    let peer = Peer { uid: host::own::user(), pid: host::own::pid() };
    let way = delivering::roll_back(control, &ask, peer)?;
    let release = delivering::releases(control)?.into_iter().find(|listed| listed.release.id == way.to);
    let release = release.ok_or_else(|| Told::nothing("such release"))?;
    Ok(Way { from: way.from, to: release.release, is_warm: way.warm })
}

fn services(status: &Status) -> Vec<ServiceState> {
    let member = |name: &str| {
        status.mongodb.iter().find(|member| member.unit == name).and_then(|member| {
            let told = serde_json::to_value(member).ok()?;
            told["state"].as_str().or(told["role"].as_str()).map(str::to_owned)
        })
    };
    let of = |unit: &Unit| ServiceState {
        name: unit.name.clone(),
        kind: if unit.kind == UnitKind::Store { "data service" } else { "role of Roadbed" },
        state: state(unit.state).to_owned(),
        is_well: is_well(unit.state),
        role: unit.role.map(|role| format!("{role:?}").to_lowercase()).or_else(|| member(&unit.name)),
        pid: unit.pid,
        restarts: unit.restarts,
    };
    let mut all: Vec<&Unit> = status.units.iter().filter(|unit| unit.kind != UnitKind::App).collect();
    all.sort_by_key(|unit| unit.kind != UnitKind::Store);
    all.into_iter().map(of).collect()
}

async fn full(control: &Control) -> Result<super::service_figures::Figures, String> {
    if sleeping::read(&control.root).is_some() {
        // Who looks wakes nobody.
        return Err("the environment sleeps".to_owned());
    }
    match timeout(FULL_PATIENCE, statistics::statistics(control)).await {
        Ok(Ok(all)) => Ok(figures(&all)),
        Ok(Err(fault)) => Err(line(&fault)),
        Err(_) => Err(format!("a data service did not answer within {} s", FULL_PATIENCE.as_secs())),
    }
}

async fn secrets(control: &Control, visitor: &Visitor) -> Result<Vec<SecretState>, Fault> {
    let kept = store(control, &visitor.want);
    let rows = tokio::task::spawn_blocking(move || kept.versions()).await;
    let rows = rows.map_err(|error| Fault::because("cannot read the names of secrets", &error))?;
    let rows = rows.map_err(|fault| store_fault(&fault))?;
    let overdue = crate::control::rotation_request::overdue(control).unwrap_or_default();
    let mut all: BTreeMap<String, SecretState> = BTreeMap::new();
    for row in rows {
        let secret = all.entry(row.name.clone()).or_insert_with(|| SecretState {
            is_overdue: overdue.iter().any(|one| row.name == one.name || row.name.ends_with(&format!("/{}", one.name))),
            name: row.name.clone(),
            class: row.class.clone(),
            version: None,
            since: None,
            others: Vec::new(),
        });
        match row.state.as_str() {
            "current" => (secret.version, secret.since) = (Some(row.version), Some(row.created)),
            told @ ("pending" | "previous") => secret.others.push((row.version, told.to_owned())),
            _ => {}
        }
    }
    Ok(all.into_values().collect())
}

async fn audit(control: &Control, visitor: &Visitor) -> Result<(Vec<Noted>, usize), Fault> {
    let kept = store(control, &visitor.want);
    let rows = tokio::task::spawn_blocking(move || kept.audit()).await;
    let rows = rows.map_err(|error| Fault::because("cannot read the audit log", &error))?;
    let rows = rows.map_err(|fault| store_fault(&fault))?;
    let all = rows.len();
    let newest = rows.into_iter().rev().take(ROWS_OF_AUDIT).map(|entry| Noted {
        number: entry.seq,
        at: entry.time,
        actor: entry.actor,
        action: entry.action,
        name: entry.name,
        version: entry.version,
        origin: entry.origin,
        details: if entry.details.is_empty() { entry.reason } else { entry.details },
    });
    Ok((newest.collect(), all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_looked_up_and_words_are_searched() {
        assert_eq!(found_by("0190f3c4-7c1e-7a8b-9d2f-1234567890ab"), "/requests/0190f3c4-7c1e-7a8b-9d2f-1234567890ab");
        assert_eq!(found_by("0af7651916cd43dd8448eb211c80319c"), "/requests/0af7651916cd43dd8448eb211c80319c");
        assert_eq!(found_by("payment declined"), "/logs?since=1d&text=payment+declined");
        assert_eq!(
            found_by("https://evil.example/1234567"),
            "/logs?since=1d&text=https%3A%2F%2Fevil.example%2F1234567"
        );
        assert_eq!(found_by(""), "/");
    }
}
