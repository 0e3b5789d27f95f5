//! The first page: apps, what runs beside them, what went wrong last, how the promises stand.

use delivery::Deployment;
use host::clock::Timestamp;
use maud::{Markup, html};
use telemetry::Issue;
use telemetry::metrics::Minute;

use crate::backups::Standing;
use crate::charts;
use crate::context::{Context, Place};
use crate::deliveries::state_of;
use crate::errors;
use crate::frame::{self, Shows};
use crate::gate::Gate;
use crate::marks::{self, Mark};
use crate::words::{self, ago};

/// Minutes that the charts show.
const SHOWN: i64 = 60;
/// Minutes that "now" is an average of.
const NOW: i64 = 5;

/// An app as it runs.
#[derive(Clone, Debug)]
pub struct AppState {
    pub name: String,
    pub url: Option<String>,
    /// Instances that run, of those that should; nothing runs where the edge serves files.
    pub running: u32,
    pub wanted: u32,
    pub release: Option<String>,
}

/// A process beside the apps.
#[derive(Clone, Debug)]
pub struct UnitState {
    pub name: String,
    pub state: String,
    pub is_well: bool,
    pub restarts: u32,
}

/// Another environment on this machine.
#[derive(Clone, Debug)]
pub struct Elsewhere {
    pub environment: String,
    /// Its own console, where it has one.
    pub console: Option<String>,
    /// `None`: it does not answer.
    pub apps: Option<Vec<AppState>>,
}

/// All of it. What could not be asked is said, and counts as nothing known.
#[derive(Clone, Debug)]
pub struct Overview {
    pub apps: Vec<AppState>,
    pub minutes: Result<Vec<Minute>, String>,
    pub units: Vec<UnitState>,
    pub issues: Result<Vec<Issue>, String>,
    pub deployments: Vec<Deployment>,
    pub gate: Gate,
    /// `None`: it is not backed up.
    pub backups: Result<Option<Standing>, String>,
    pub elsewhere: Vec<Elsewhere>,
    /// Why it sleeps, changes or cannot be told, if so.
    pub troubles: Vec<String>,
}

/// What was asked of an app lately.
struct Traffic {
    by_minute: Vec<(u64, u64)>,
    per_minute: f64,
    failed: Option<f64>,
    millis: Option<f64>,
}

#[expect(clippy::cast_precision_loss, reason = "requests of an hour are far below 2^52")]
fn traffic(minutes: &[Minute], app: &str, now: Timestamp) -> Traffic {
    let this = now.unix_millis().div_euclid(60_000);
    let mut by_minute = vec![(0, 0); usize::try_from(SHOWN).unwrap_or(0)];
    let (mut requests, mut failed, mut seconds) = (0, 0, 0.0);
    for minute in minutes.iter().filter(|minute| minute.app == app) {
        let age = this - minute.minute;
        if let Some(slot) = usize::try_from(SHOWN - 1 - age).ok().and_then(|at| by_minute.get_mut(at)) {
            *slot = (minute.requests, minute.failed);
        }
        if (0..NOW).contains(&age) {
            requests += minute.requests;
            failed += minute.failed;
            seconds += minute.seconds;
        }
    }
    let whole = (requests > 0).then_some(requests as f64);
    Traffic {
        by_minute,
        per_minute: requests as f64 / NOW as f64,
        failed: whole.map(|whole| failed as f64 / whole * 100.0),
        millis: whole.map(|whole| seconds * 1000.0 / whole),
    }
}

pub fn overview(context: &Context, all: &Overview) -> String {
    let body = html! {
        h1 { "Overview" }
        @for trouble in &all.troubles {
            p .trouble { (marks::shape(Mark::Warn)) (trouble) }
        }
        (tiles(context, all))
        (apps(context, all))
        div .two {
            section aria-labelledby="latest-errors" {
                header .section { h2 #latest-errors { "Latest errors" } a href="/errors" { "All errors" } }
                @match &all.issues {
                    Ok(issues) if issues.is_empty() => (frame::nothing("No error was reported.", "")),
                    Ok(issues) => (errors::short_list(context, issues)),
                    Err(why) => (unknown(why)),
                }
            }
            section aria-labelledby="latest-deployments" {
                header .section { h2 #latest-deployments { "Deployments" } a href="/deployments" { "All deployments" } }
                @if all.deployments.is_empty() {
                    (frame::nothing("Nothing was deployed yet.", "Apps run as they were built in the project."))
                } @else {
                    ul .plain {
                        @for deployment in all.deployments.iter().take(5) {
                            li data-row {
                                a href={ "/deployments/" (deployment.id) } { (deployment.id) " · " (deployment.release) }
                                " " (state_of(deployment))
                                span .soft { (deployment.asked_by) ", " (ago(deployment.asked_at, context.now)) }
                            }
                        }
                    }
                }
            }
        }
        (beside(all))
        @if !all.elsewhere.is_empty() { (elsewhere(all)) }
    };
    frame::page(context, Some(Place::Overview), Shows::Live, "Overview", &body)
}

/// Who cannot be asked is not well and not ill.
fn unknown(why: &str) -> Markup {
    html! { div .nothing { p { (marks::state(Mark::Idle, "Unknown")) } p .soft { (why) } } }
}

fn tiles(context: &Context, all: &Overview) -> Markup {
    let (holds, broken, unclear) = all.gate.counts();
    let gate = match (holds, broken, unclear) {
        (0, 0, 0) => (Mark::Idle, "Not run".to_owned()),
        (_, 0, 0) => (Mark::Good, "Ready".to_owned()),
        (_, 0, unclear) => (Mark::Warn, format!("{unclear} unclear")),
        (_, broken, _) => (Mark::Bad, format!("{broken} broken")),
    };
    let down = all.apps.iter().filter(|app| app.running < app.wanted).count();
    let ill = all.units.iter().filter(|unit| !unit.is_well).count();
    let health = match down + ill {
        0 => (Mark::Good, "All run".to_owned()),
        some => (Mark::Bad, format!("{some} not well")),
    };
    let day = context.now.unix_millis() - 86_400_000;
    let errors = match &all.issues {
        Err(_) => (Mark::Idle, "Unknown".to_owned()),
        Ok(issues) => match issues.iter().filter(|issue| issue.last_seen >= day).count() {
            0 => (Mark::Good, "None".to_owned()),
            some => (Mark::Warn, format!("{some} open")),
        },
    };
    let backups = match &all.backups {
        Ok(None) => None,
        Ok(Some(standing)) => Some((standing.words(context.now), standing.newest)),
        Err(_) => Some(((Mark::Idle, "Unknown"), None)),
    };
    let live = all.apps.iter().find_map(|app| app.release.clone());
    html! {
        ul .tiles {
            li { a href="/services" { span .what { "Processes" } span .value { (marks::state(health.0, &health.1)) } } }
            li { a href="/errors" { span .what { "Errors of a day" } span .value { (marks::state(errors.0, &errors.1)) } } }
            li { a href="/gate" { span .what { "Gate" } span .value { (marks::state(gate.0, &gate.1)) }
                @if let Some(last) = all.gate.last() { span .soft { (ago(last, context.now)) } } } }
            @if let Some(((mark, word), newest)) = backups {
                li { a href="/backups" { span .what { "Backups" } span .value { (marks::state(mark, word)) }
                    @if let Some(newest) = newest { span .soft { (ago(newest, context.now)) } } } }
            }
            li { a href="/deployments" { span .what { "Release" } span .value .id { (live.as_deref().unwrap_or("of the project")) } } }
        }
    }
}

fn apps(context: &Context, all: &Overview) -> Markup {
    let no_minutes = Vec::new();
    let minutes = all.minutes.as_ref().unwrap_or(&no_minutes);
    html! {
        section aria-labelledby="apps" {
            header .section { h2 #apps { "Apps" } span .soft { "Requests of the last hour; rates of the last five minutes" } }
            @if let Err(why) = &all.minutes { (unknown(why)) }
            div .wide tabindex="0" role="group" aria-labelledby="apps" {
                table {
                    thead { tr {
                        th scope="col" { "App" } th scope="col" { "State" } th scope="col" { "Environment" } th scope="col" { "Release" }
                        th scope="col" { "Requests" } th .number scope="col" { "per min" } th .number scope="col" { "failed" }
                        th .number scope="col" { "average" }
                    } }
                    tbody {
                        @for app in &all.apps {
                            @let traffic = traffic(minutes, &app.name, context.now);
                            tr data-row {
                                th scope="row" {
                                    a href=(words::query("/logs", &[("of", Some(&app.name))])) { (app.name) }
                                    @if let Some(url) = &app.url {
                                        " " a .out href=(url) rel="noreferrer" aria-label={ "Open " (app.name) } { "↗" }
                                    }
                                }
                                td { (health(app)) }
                                td { (marks::environment(&context.environment)) }
                                td .id { (app.release.as_deref().unwrap_or("project")) }
                                td { (charts::bars(&traffic.by_minute, &format!("Requests to {} by the minute", app.name))) }
                                @if all.minutes.is_ok() {
                                    td .number { (format!("{:.1}", traffic.per_minute)) }
                                    td .number .{ (if traffic.failed.is_some_and(|failed| failed > 0.0) { "bad" } else { "" }) } {
                                        (traffic.failed.map_or_else(|| "–".to_owned(), |failed| format!("{failed:.1} %")))
                                    }
                                    td .number { (traffic.millis.map_or_else(|| "–".to_owned(), |millis| format!("{millis:.1} ms"))) }
                                } @else {
                                    td .number { "?" } td .number { "?" } td .number { "?" }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn health(app: &AppState) -> Markup {
    match (app.running, app.wanted) {
        (_, 0) => marks::state(Mark::Good, "served"),
        (running, wanted) if running >= wanted => marks::state(Mark::Good, &format!("{running} of {wanted} run")),
        (0, wanted) => marks::state(Mark::Bad, &format!("0 of {wanted} run")),
        (running, wanted) => marks::state(Mark::Warn, &format!("{running} of {wanted} run")),
    }
}

fn beside(all: &Overview) -> Markup {
    html! {
        section aria-labelledby="beside" {
            header .section { h2 #beside { "Beside the apps" } a href="/services" { "Data services" } }
            ul .chips {
                @for unit in &all.units {
                    li {
                        (marks::state(if unit.is_well { Mark::Good } else { Mark::Bad }, &unit.name))
                        @if !unit.is_well { span .soft { (unit.state) } }
                        @if unit.restarts > 0 { span .soft { (unit.restarts) " restarts" } }
                    }
                }
            }
        }
    }
}

fn elsewhere(all: &Overview) -> Markup {
    html! {
        section aria-labelledby="elsewhere" {
            header .section { h2 #elsewhere { "Other environments on this machine" } }
            ul .plain {
                @for other in &all.elsewhere {
                    li {
                        (marks::environment(&other.environment)) " "
                        @match &other.apps {
                            None => (marks::state(Mark::Idle, "does not answer")),
                            Some(apps) => @for app in apps { span .beside { (app.name) " " (health(app)) } },
                        }
                        @if let Some(console) = &other.console { a href=(console) { "Its console" } }
                    }
                }
            }
        }
    }
}
