//! `roadbed errors`: what went wrong, and what is decided about it.

use host::clock::Timestamp;
use reconcile::Fault;
use serde::Serialize;
use telemetry::{Change, ErrorEvent, Issue, IssueDetails, IssueFilter, NotKept, ReleaseHealth, TelemetryClient};

use crate::cli::errors_args::{Errors, ErrorsVerb, ListErrors};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::cli::token::lasts;
use crate::render::table::Table;

/// What `errors --json` prints: a contract.
#[derive(Serialize)]
struct Issues {
    issues: Vec<Issue>,
    not_kept: Vec<NotKept>,
}

/// What `errors releases --json` prints.
#[derive(Serialize)]
struct Releases {
    releases: Vec<Release>,
}

#[derive(Serialize)]
struct Release {
    #[serde(flatten)]
    health: ReleaseHealth,
    crash_free: Option<f64>,
}

pub(super) async fn run(session: &Session, args: &Errors) -> Result<Exit, Failure> {
    let client = TelemetryClient::new(session.root.clone());
    match args.verb.as_ref() {
        None => list(session, &client, &args.list).await?,
        Some(ErrorsVerb::List(asked)) => list(session, &client, asked).await?,
        Some(ErrorsVerb::Show(one)) => show(session, &client.issue(one.id).await?)?,
        Some(ErrorsVerb::Releases(asked)) => releases(session, client.release_health(asked.app.as_deref(), 0).await?)?,
        Some(ErrorsVerb::Resolve(resolve)) => {
            let release = resolve.release.clone();
            change(session, &client, resolve.id, &Change::Resolve { release }, "is resolved").await?;
        }
        Some(ErrorsVerb::Ignore(one)) => change(session, &client, one.id, &Change::Ignore, "is ignored").await?,
        Some(ErrorsVerb::Reopen(one)) => change(session, &client, one.id, &Change::Open, "is open").await?,
        Some(ErrorsVerb::Snooze(snooze)) => {
            let until = snooze.until.time.as_deref().map(|time| until(session, time)).transpose()?;
            let snoozed = Change::Snooze { until, more_events: snooze.until.events };
            change(session, &client, snooze.id, &snoozed, "is snoozed").await?;
        }
    }
    Ok(Exit::Done)
}

fn until(session: &Session, time: &str) -> Result<i64, Failure> {
    let wrong = || Failure::Work(Fault::new(format!("{time:?} is no time")).hint("write it like 30m, 12h or 7d"));
    let duration = lasts(time).ok_or_else(wrong)?;
    Ok(session.clock.now().after(duration).unix_millis())
}

async fn change(
    session: &Session,
    client: &TelemetryClient,
    id: i64,
    change: &Change,
    done: &str,
) -> Result<(), Failure> {
    client.change_issue(id, change).await?;
    let output = &session.output;
    if output.is_json() {
        output.json(&client.issue(id).await?.issue)
    } else {
        output.line(format!("issue {id} {done}"))
    }
}

async fn list(session: &Session, client: &TelemetryClient, asked: &ListErrors) -> Result<(), Failure> {
    let filter = IssueFilter {
        app: asked.app.clone(),
        status: asked.status.status(),
        release: asked.release.clone(),
        search: asked.search.clone(),
        behind: None,
        limit: Some(asked.limit),
    };
    let issues = client.issues(&filter).await?;
    let health = client.errors_health().await?;
    let output = &session.output;
    if output.is_json() {
        return output.json(&Issues { issues, not_kept: health.not_kept });
    }
    if issues.is_empty() {
        output.note("there is no such error");
    }
    let mut table = Table::new(["ISSUE", "APP", "EVENTS", "LAST SEEN", "RELEASE", "WHAT"]);
    for issue in &issues {
        let back = if issue.regressed_at.is_some() { "back: " } else { "" };
        table.row(vec![
            issue.id.to_string(),
            plain(&issue.app),
            issue.events.to_string(),
            time(issue.last_seen),
            plain(issue.last_release.as_deref().unwrap_or("-")),
            format!("{back}{}", plain(&issue.title)),
        ]);
    }
    if !issues.is_empty() {
        table.lines().iter().try_for_each(|line| output.line(line))?;
    }
    // What apps send and nobody keeps is their own business; what was lost is ours.
    for lost in health.not_kept.iter().filter(|lost| !lost.what.starts_with("item-")) {
        output.complain(format!("{} {}: {} not kept", plain(&lost.app), plain(&lost.what), lost.count));
    }
    Ok(())
}

fn show(session: &Session, details: &IssueDetails) -> Result<(), Failure> {
    let output = &session.output;
    if output.is_json() {
        return output.json(details);
    }
    let issue = &details.issue;
    output.line(plain(&issue.title))?;
    let handled = if issue.unhandled { ", nobody caught it" } else { "" };
    output.line(format!("  {} · {} · {}{handled}", plain(&issue.app), issue.level, issue.status.as_str()))?;
    output.line(format!("  {}", plain(&issue.culprit)))?;
    output.line(format!(
        "  {} events from {} to {}, {} kept",
        issue.events,
        time(issue.first_seen),
        time(issue.last_seen),
        issue.kept
    ))?;
    for release in &details.releases {
        output.line(format!(
            "  {}: {} events since {}",
            plain(&release.release),
            release.events,
            time(release.first_seen)
        ))?;
    }
    for event in &details.events {
        output.line(event_line(event))?;
    }
    details.events.first().map_or(Ok(()), |newest| frames(newest).iter().try_for_each(|line| output.line(line)))
}

fn event_line(event: &ErrorEvent) -> String {
    let by = |name: &str, value: &Option<String>| {
        value.as_ref().map(|value| format!(" {name} {}", plain(value))).unwrap_or_default()
    };
    let (request, trace) = (by("request", &event.request_id), by("trace", &event.trace_id));
    format!(
        "  {} {} {}{}{request}{trace}",
        time(event.at),
        event.event_id,
        event.environment,
        by("release", &event.release)
    )
}

/// The stack of what was thrown, the innermost first, as the sources have it where that is known.
fn frames(event: &ErrorEvent) -> Vec<String> {
    let Some(body) = &event.body else { return Vec::new() };
    let values = &body["exception"];
    let values = values["values"].as_array().or_else(|| values.as_array());
    let Some(exception) = values.and_then(|values| values.last()) else { return Vec::new() };
    let located = event.sources.as_ref().and_then(|sources| sources.as_array()?.last()?.as_array());
    let Some(frames) = exception["stacktrace"]["frames"].as_array() else { return Vec::new() };
    let line = |(index, frame): (usize, &serde_json::Value)| {
        let place =
            located.and_then(|located| located.get(index)).map(|one| &one["place"]).filter(|place| place.is_object());
        let text = |value: &serde_json::Value| value.as_str().map(plain);
        match place {
            Some(place) => format!(
                "    at {} ({}:{}:{})",
                text(&place["function"]).unwrap_or_else(|| "?".into()),
                text(&place["source"]).unwrap_or_default(),
                place["line"],
                place["column"]
            ),
            None => format!(
                "    at {} ({}:{}:{})",
                text(&frame["function"]).unwrap_or_else(|| "?".into()),
                text(&frame["filename"]).unwrap_or_default(),
                frame["lineno"],
                frame["colno"]
            ),
        }
    };
    frames.iter().enumerate().rev().take(30).map(line).collect()
}

fn releases(session: &Session, found: Vec<ReleaseHealth>) -> Result<(), Failure> {
    let output = &session.output;
    if output.is_json() {
        let releases = found.into_iter().map(|health| Release { crash_free: health.crash_free(), health }).collect();
        return output.json(&Releases { releases });
    }
    let mut table = Table::new(["APP", "RELEASE", "SESSIONS", "ERRORED", "CRASHED", "CRASH-FREE"]);
    for health in &found {
        let free = health.crash_free().map_or_else(|| "-".to_owned(), |free| format!("{:.2} %", free * 100.0));
        let numbers = [health.sessions, health.errored, health.crashed].map(|number| number.to_string());
        table.row([plain(&health.app), plain(&health.release)].into_iter().chain(numbers).chain([free]).collect());
    }
    table.lines().iter().try_for_each(|line| output.line(line))
}

fn time(millis: i64) -> String {
    Timestamp::from_unix_millis(millis).to_string()
}

/// What strangers wrote moves no cursor and turns no text around.
pub(super) fn plain(text: &str) -> String {
    let is_shown = |letter: char| {
        !letter.is_control()
            && !matches!(letter, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|letter| if is_shown(letter) { letter } else { '\u{fffd}' }).collect()
}
