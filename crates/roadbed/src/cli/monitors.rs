//! `roadbed monitors`: what is watched, and how it stands.

use host::clock::Timestamp;
use monitors::{Health, MonitorDetails, MonitorState, ObjectiveState, Pause, Probe};
use reconcile::Fault;
use serde::Serialize;
use telemetry::{Settings, TelemetryClient};

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::monitors_args::{MonitorsArgs, MonitorsVerb, PauseMonitors};
use crate::cli::session::Session;
use crate::cli::token::lasts;
use crate::render::table::Table;

/// What `monitors --json` prints: a contract.
#[derive(Serialize)]
struct All {
    monitors: Vec<MonitorState>,
    objectives: Vec<ObjectiveState>,
}

pub(super) async fn run(session: &Session, args: &MonitorsArgs) -> Result<Exit, Failure> {
    let client = TelemetryClient::new(session.root.clone());
    match args.verb.as_ref() {
        None | Some(MonitorsVerb::List) => list(session, &client).await?,
        Some(MonitorsVerb::Show(one)) => show(session, &client.monitor(&one.name).await?)?,
        Some(MonitorsVerb::Pause(asked)) => pause(session, &client, asked).await?,
        Some(MonitorsVerb::Resume(some)) => {
            let resumed = client.resume_monitors(some.names.clone()).await?;
            if session.output.is_json() {
                session.output.json(&client.monitors().await?)?;
            } else if resumed == 0 {
                session.output.note("none of them was paused");
            } else {
                session.output.line("what is down is told again")?;
            }
        }
    }
    Ok(Exit::Done)
}

async fn list(session: &Session, client: &TelemetryClient) -> Result<(), Failure> {
    let (monitors, objectives) = (client.monitors().await?, client.objectives().await?);
    let output = &session.output;
    if output.is_json() {
        return output.json(&All { monitors, objectives });
    }
    if monitors.is_empty() {
        output.note("nothing is watched here");
        return Ok(());
    }
    let mut table = Table::new(["MONITOR", "KIND", "STATE", "SINCE", "MS", "DAY", "OWNER", "WHY"]);
    for monitor in &monitors {
        let flapping = if monitor.flapping { ", comes and goes" } else { "" };
        table.row(vec![
            monitor.name.clone(),
            monitor.kind.clone(),
            format!("{}{flapping}", monitor.shown.as_str()),
            time(monitor.since),
            monitor.ms.map_or_else(|| "-".to_owned(), |ms| ms.to_string()),
            percent(monitor.day),
            monitor.owner.clone(),
            monitor.window.clone().or_else(|| monitor.why.clone()).unwrap_or_default(),
        ]);
    }
    table.lines().iter().try_for_each(|line| output.line(line))?;
    for objective in &objectives {
        let burning: Vec<String> = objective
            .burns
            .iter()
            .filter(|burn| burn.fires)
            .map(|burn| format!(", used up {:.1} times too fast by {}", burn.long, burn.by))
            .collect();
        output.line(format!(
            "{}: {} of {} %, {} of what may fail in 30 days is left{}",
            objective.app,
            percent(objective.availability),
            objective.target,
            percent(objective.budget_left),
            burning.concat()
        ))?;
    }
    Ok(())
}

fn show(session: &Session, details: &MonitorDetails) -> Result<(), Failure> {
    let output = &session.output;
    let address = heartbeat(session, &details.state.name)?;
    if output.is_json() {
        return output.json(&Shown { details, address });
    }
    let state = &details.state;
    output.line(format!("{} {} {}", state.name, state.kind, state.target))?;
    output.line(format!("  {} since {}", state.shown.as_str(), time(state.since)))?;
    for (what, text) in [
        ("because", state.why.clone()),
        ("nobody is told:", state.window.clone()),
        ("release", state.release.clone()),
        ("behind", state.parent.clone()),
        ("asked for at", address),
        ("last looked at", state.looked.map(time)),
    ] {
        if let Some(text) = text {
            output.line(format!("  {what} {text}"))?;
        }
    }
    output.line(format!(
        "  owner {}, each {} s, {} in a day",
        state.owner,
        state.every_ms / 1000,
        percent(state.day)
    ))?;
    for change in &details.changes {
        let health = match change.health {
            Health::New => "new",
            Health::Up => "up",
            Health::Down => "down",
        };
        let why = change.why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        output.line(format!("  {} {health}{why}", time(change.at)))?;
    }
    Ok(())
}

/// What `monitors show --json` prints: a contract.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    details: &'a MonitorDetails,
    /// Where a heartbeat is asked for, behind any public host. Without its token, which `roadbed secrets` has.
    address: Option<String>,
}

/// Where somebody says that he lives. The token is in the secret store, and no command shows it by the way.
fn heartbeat(session: &Session, name: &str) -> Result<Option<String>, Failure> {
    let settings =
        Settings::read(&session.root).map_err(|fault| Fault::because("cannot tell where heartbeats arrive", &fault))?;
    let is_one = settings.monitors.monitor(name).is_some_and(|known| matches!(known.probe, Probe::Heartbeat { .. }));
    Ok(is_one.then(|| {
        let path = reconcile::ports::TELEMETRY_PATH;
        format!("https://HOST{path}heartbeat/{name}/TOKEN, with the token of `roadbed secrets get heartbeats/{name}`")
    }))
}

async fn pause(session: &Session, client: &TelemetryClient, asked: &PauseMonitors) -> Result<(), Failure> {
    let wrong = |time: &str| Fault::new(format!("{time:?} is no time")).hint("write it like 30m, 12h or 7d");
    let lasts = asked.time.as_deref().map(|time| lasts(time).ok_or_else(|| wrong(time))).transpose()?;
    let pause = Pause {
        monitors: asked.names.clone(),
        lasts_ms: lasts.map(|lasts| u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX)),
        reason: asked.reason.clone(),
        who: who(),
    };
    client.pause_monitors(&pause).await?;
    if session.output.is_json() {
        return session.output.json(&client.monitors().await?);
    }
    let until = asked
        .time
        .as_deref()
        .map_or_else(|| "until `roadbed monitors resume`".to_owned(), |time| format!("for {time}"));
    session.output.line(format!("nobody is told that they are down, {until}"))
}

/// Who sits here, as the system has it.
pub(super) fn who() -> String {
    host::own::user_name()
}

pub(super) fn time(millis: i64) -> String {
    Timestamp::from_unix_millis(millis).to_string()
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{share:.2} %"))
}
