//! `roadbed alerts`: who must know what, and whether they were told.

use std::time::Duration;

use monitors::{Alert, Delivery, DeliveryState};
use reconcile::Fault;
use serde::Serialize;
use telemetry::TelemetryClient;
use tokio::time::{Instant, sleep};

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::monitors::{time, who};
use crate::cli::monitors_args::{AlertsArgs, AlertsVerb};
use crate::cli::session::Session;
use crate::render::table::Table;

/// What `alerts --json` prints: a contract.
#[derive(Serialize)]
struct Alerts {
    alerts: Vec<Alert>,
}

/// What `alerts deliveries --json` prints: a contract.
#[derive(Serialize)]
struct Deliveries {
    deliveries: Vec<Delivery>,
}

/// A program may take half a minute, and telemetry a second to learn the secrets.
const TEST_WITHIN: Duration = Duration::from_secs(40);

const PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn run(session: &Session, args: &AlertsArgs) -> Result<Exit, Failure> {
    let client = TelemetryClient::new(session.root.clone());
    match args.verb.as_ref() {
        None | Some(AlertsVerb::List) => list(session, client.alerts().await?)?,
        Some(AlertsVerb::Ack(one)) => {
            client.acknowledge_alert(one.id, &who()).await?;
            if session.output.is_json() {
                let alerts = client.alerts().await?.into_iter().filter(|alert| alert.id == one.id).collect();
                session.output.json(&Alerts { alerts })?;
            } else {
                session.output.line(format!("alert {} is yours", one.id))?;
            }
        }
        Some(AlertsVerb::Test(one)) => test(session, &client, &one.name).await?,
        Some(AlertsVerb::Deliveries) => deliveries(session, client.deliveries().await?)?,
    }
    Ok(Exit::Done)
}

fn list(session: &Session, alerts: Vec<Alert>) -> Result<(), Failure> {
    let output = &session.output;
    if output.is_json() {
        return output.json(&Alerts { alerts });
    }
    if alerts.is_empty() {
        output.note("there was nothing to tell");
        return Ok(());
    }
    let mut table = Table::new(["ALERT", "STATE", "SINCE", "OWNER", "RELEASE", "WHAT"]);
    for alert in &alerts {
        let state = match (&alert.resolved, &alert.acknowledged_by) {
            (Some(_), _) => "over".to_owned(),
            (None, Some(who)) => format!("{who} sees to it"),
            (None, None) => "open".to_owned(),
        };
        let flapping = if alert.flapping { " (comes and goes)" } else { "" };
        table.row(vec![
            alert.id.to_string(),
            state,
            time(alert.since),
            alert.owner.clone(),
            alert.release.clone().unwrap_or_else(|| "-".to_owned()),
            format!("{}{flapping}: {}", alert.title, alert.why),
        ]);
    }
    table.lines().iter().try_for_each(|line| output.line(line))
}

fn deliveries(session: &Session, deliveries: Vec<Delivery>) -> Result<(), Failure> {
    let output = &session.output;
    if output.is_json() {
        return output.json(&Deliveries { deliveries });
    }
    if deliveries.is_empty() {
        output.note("nobody was told anything");
        return Ok(());
    }
    let mut table = Table::new(["DELIVERY", "ALERT", "CHANNEL", "ABOUT", "STATE", "TRIED", "AT", "WHY NOT"]);
    for delivery in &deliveries {
        table.row(vec![
            delivery.id.to_string(),
            if delivery.alert == 0 { "-".to_owned() } else { delivery.alert.to_string() },
            delivery.channel.clone(),
            delivery.about.clone(),
            word(delivery.state).to_owned(),
            delivery.attempts.to_string(),
            time(delivery.done.unwrap_or(delivery.due)),
            delivery.error.clone().unwrap_or_default(),
        ]);
    }
    table.lines().iter().try_for_each(|line| output.line(line))
}

fn word(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Waiting => "waiting",
        DeliveryState::Done => "done",
        DeliveryState::Spared => "spared",
        DeliveryState::Failed => "failed",
    }
}

/// Says a word, and waits until it was taken or not.
async fn test(session: &Session, client: &TelemetryClient, channel: &str) -> Result<(), Failure> {
    let id = client.test_channel(channel).await?;
    let began = Instant::now();
    let delivery = loop {
        let delivery = client.delivery(id).await?;
        if delivery.state != DeliveryState::Waiting || began.elapsed() >= TEST_WITHIN {
            break delivery;
        }
        sleep(PAUSE).await;
    };
    if delivery.state == DeliveryState::Done {
        if session.output.is_json() {
            return session.output.json(&delivery);
        }
        return session.output.line(format!("{channel} has taken it"));
    }
    let why = delivery
        .error
        .unwrap_or_else(|| "it was not tried: telemetry does not know the channel's secret yet".to_owned());
    let fault = Fault::new(format!("{channel} did not take the test")).cause(why);
    Err(Failure::Work(fault.hint(format!(
        "see [alerts.{channel}] in roadbed.toml; `roadbed secrets set alerts/{channel}` keeps its secret"
    ))))
}
