//! What machines noted that an incident's line of time is put together from. What cannot be read is said and left out: it is not the
//! hour to fail for it.

use std::collections::BTreeMap;

use gate::{Evidence, Ledger, Verdict};
use host::clock::Timestamp;
use host::database::Presence;
use incidents::{Event, Origin};
use secrets::Store;
use telemetry::{IssueFilter, TelemetryClient};

use crate::cli::session::Session;
use crate::control::{delivering, identity, proof};
use crate::seats;

/// So many kinds of errors are looked at: more is no line of time any more.
const ERRORS: u32 = 200;

pub(super) async fn noted(session: &Session) -> Vec<Event> {
    let mut all = Vec::new();
    let mut of = |what: &str, events: Result<Vec<Event>, String>| match events {
        Ok(events) => all.extend(events),
        Err(why) => session.output.note(format!("without {what}: {why}")),
    };
    of("deployments", deployments(session));
    of("promises", promises(session));
    of("errors", errors(session).await);
    of("alerts", alerts(session).await);
    of("the audit log", audit(session));
    all
}

fn deployments(session: &Session) -> Result<Vec<Event>, String> {
    let happened = delivery::Book::history(&delivering::path(&session.root)).map_err(|fault| fault.to_string())?;
    // What is done in a state is told by `deploy follow`; here it would hide the rest.
    let event = |(id, line): (delivery::DeploymentId, delivery::deployment::Happened)| {
        let text = match (line.what.as_str(), line.state) {
            ("", state) => format!("{id}: {state}"),
            (what, delivery::State::Queued) => format!("{id}: {what}"),
            _ => return None,
        };
        Some(Event { at: line.at, origin: Origin::Deployment, text })
    };
    Ok(happened.into_iter().filter_map(event).collect())
}

/// Where a promise ceased to hold, or holds again.
fn promises(session: &Session) -> Result<Vec<Event>, String> {
    let path = proof::ledger_path(&session.root);
    if !host::files::exists(&path) {
        return Ok(Vec::new());
    }
    let ledger = Ledger::open(&path, Presence::MustExist).map_err(|fault| fault.to_string())?;
    let mut known: BTreeMap<String, Verdict> = BTreeMap::new();
    let mut events = Vec::new();
    let walked = ledger.rows(|row| {
        if let Ok(Evidence { task, id, verdict, observed, at, .. }) = serde_json::from_str(&row.body) {
            let before = known.insert(id.clone(), verdict);
            let text = match (before, verdict) {
                (Some(before), now) if before == now => None,
                (None, Verdict::Holds) => None,
                (_, Verdict::Holds) => Some(format!("{task} {id} holds again")),
                (_, Verdict::Fails) => {
                    let broken = observed.iter().find(|seen| seen.starts_with("BROKEN")).or(observed.first());
                    Some(format!("{task} {id} fails: {}", broken.map(String::as_str).unwrap_or_default()))
                }
                (_, Verdict::Inconclusive) => Some(format!("{task} {id} could not be told")),
            };
            events.extend(text.map(|text| Event { at, origin: Origin::Promise, text }));
        }
        std::ops::ControlFlow::Continue(())
    });
    walked.map_err(|fault| fault.to_string())?;
    Ok(events)
}

async fn errors(session: &Session) -> Result<Vec<Event>, String> {
    let client = TelemetryClient::new(session.root.clone());
    let filter =
        IssueFilter { app: None, status: None, release: None, search: None, behind: None, limit: Some(ERRORS) };
    let issues = client.issues(&filter).await.map_err(|fault| fault.to_string())?;
    let event = |issue: telemetry::Issue| {
        let at = issue.regressed_at.unwrap_or(issue.first_seen);
        let how = if issue.regressed_at.is_some() { "is back" } else { "is seen for the first time" };
        let text = format!("{}: {} {how} ({} events by now, issue {})", issue.app, issue.title, issue.events, issue.id);
        Event { at: Timestamp::from_unix_millis(at), origin: Origin::Error, text }
    };
    Ok(issues.into_iter().map(event).collect())
}

/// What is watched, as somebody was told of it or would have been: since when it was bad, who took it on, when it was good again.
async fn alerts(session: &Session) -> Result<Vec<Event>, String> {
    let client = TelemetryClient::new(session.root.clone());
    let alerts = client.alerts().await.map_err(|fault| fault.to_string())?;
    let events = alerts.into_iter().flat_map(|alert| {
        let monitors::Alert { id, title, why, owner, .. } = alert;
        let taken = alert.acknowledged.zip(alert.acknowledged_by);
        let told = [
            Some((alert.since, format!("{title}: {why} (alert {id}, {owner} answers)"))),
            taken.map(|(at, who)| (at, format!("{title}: {who} sees to it (alert {id})"))),
            alert.resolved.map(|at| (at, format!("{title}: it is over (alert {id})"))),
        ];
        told.into_iter().flatten()
    });
    let event = |(at, text)| Event { at: Timestamp::from_unix_millis(at), origin: Origin::Alert, text };
    Ok(events.map(event).collect())
}

fn audit(session: &Session) -> Result<Vec<Event>, String> {
    let identity = identity::read(&session.root).map_err(|fault| fault.to_string())?;
    let Some(identity) = identity.filter(|identity| identity.has_secrets) else { return Ok(Vec::new()) };
    let store = Store::new(seats::of_root(&session.root, &identity, &session.roots()));
    let rows = store.audit().map_err(|fault| fault.to_string())?;
    let event = |row: secrets::audit::Entry| {
        let reason = if row.reason.is_empty() { String::new() } else { format!(" ({})", row.reason) };
        let text = format!("{} {} {} by {}{reason}", row.actor, row.action, row.name, row.via);
        Event { at: row.time, origin: Origin::Audit, text }
    };
    // What control reads for its own work is nobody's doing.
    Ok(rows.into_iter().filter(|row| row.via != "control").map(event).collect())
}
