//! Tells one channel, one word after another, until each was taken.

use std::sync::Arc;
use std::time::Duration;

use super::channel::{Sender, tell};
use super::message::{Message, Told};
use super::{Delivery, DeliveryState, plan, record};
use crate::settings::Channel;
use crate::watch::Monitors;

/// Between two looks at what is to be told. A word may be a second late.
const PERIOD: Duration = Duration::from_millis(250);

/// A channel of its own task each: one that hangs keeps no other waiting.
pub(crate) async fn carry_on(monitors: Arc<Monitors>, channel: Channel) {
    let mut told = None;
    loop {
        tokio::time::sleep(PERIOD).await;
        let trouble = once(&monitors, &channel).await.err().map(|fault| fault.to_string());
        if trouble != told
            && let Some(why) = &trouble
        {
            tracing::warn!("cannot see what to tell {}: {why}", channel.name);
        }
        told = trouble;
    }
}

async fn once(monitors: &Arc<Monitors>, channel: &Channel) -> Result<(), reconcile::Fault> {
    let now = monitors.now();
    let name = channel.name.clone();
    let waiting = monitors
        .book
        .on(move |book| {
            let mut waiting = Vec::new();
            for delivery in record::waiting(book, &name, now)? {
                let made = record::made(book, delivery.id)?;
                let alert = record::one(book, delivery.alert)?;
                waiting.push((delivery, made, alert));
            }
            Ok(waiting)
        })
        .await?;
    if waiting.is_empty() {
        return Ok(());
    }
    let secret = monitors.secret_of(channel);
    // Whoever was just started is told the secrets within a second; until then there is nothing to try.
    if channel.needs_secret() && secret.is_none() && !monitors.knows_secrets() {
        return Ok(());
    }
    let words = waiting.iter().map(|(delivery, _, alert)| match alert {
        Some(alert) => Told::new(delivery, alert, &monitors.settings),
        None => Told::test(delivery, now),
    });
    let message = Message::new(&monitors.settings, &monitors.environment, &channel.name, words.collect());
    let sender = Sender {
        trusted: &monitors.settings.trusted,
        secret: secret.as_deref(),
        folder: &monitors.folder,
        now: now / 1000,
    };
    let outcome = tell(channel, &message, &sender).await;
    let now = monitors.now();
    if let Err(why) = &outcome {
        tracing::warn!("cannot tell {}: {why}", channel.name);
    }
    let all: Vec<(Delivery, i64)> = waiting.into_iter().map(|(delivery, made, _)| (delivery, made)).collect();
    monitors
        .book
        .on(move |book| match &outcome {
            Ok(()) => record::was_taken(book, &all.iter().map(|(delivery, _)| delivery.id).collect::<Vec<_>>(), now),
            Err(why) => all.iter().try_for_each(|(delivery, made)| {
                // A test says at once how it went.
                let is_over = delivery.about == "test" || now - made >= plan::PATIENCE_MS;
                let state = if is_over { DeliveryState::Failed } else { DeliveryState::Waiting };
                record::was_not_taken(book, delivery, why, (now, state))
            }),
        })
        .await
}
