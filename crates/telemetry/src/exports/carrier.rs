//! Carries the parcels of one export to its receiver, one after the other.

use std::sync::Arc;
use std::time::Duration;

use monitors::Outbound;
use secrets::Secret;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::answer::{Outcome, judge, pause};
use super::{ExportKind, Parcel, Source, Standings, Told};

/// Between two looks where there was nothing: what happens is elsewhere within a second.
const LOOK: Duration = Duration::from_millis(500);

/// While a receiver is away, what waits is looked after so often.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// Works for one export.
pub(super) struct Carrier {
    pub(super) name: String,
    pub(super) kind: ExportKind,
    pub(super) told: watch::Receiver<Told>,
    pub(super) stopped: watch::Receiver<bool>,
    pub(super) standings: Arc<Standings>,
    pub(super) outbound: Outbound,
}

type Owned = Box<dyn Source>;

impl Carrier {
    /// Until the role stops.
    pub(super) async fn carry_on(mut self, source: Owned) {
        let mut stopped = self.stopped.clone();
        let mut source = Some(source);
        tokio::select! {
            () = self.work(&mut source) => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
        // Where it is gone a thread had it when the role was told to stop: then the cursor is where it was.
        if let Some(mut source) = source {
            let closed = tokio::task::spawn_blocking(move || source.close()).await;
            if let Ok(Err(why)) = closed {
                tracing::warn!(export = self.name, why, "how far an export is, is not noted: something is sent twice");
            }
        }
    }

    async fn work(&mut self, source: &mut Option<Owned>) {
        let mut failed = 0_u32;
        loop {
            let Some(secret) = self.secret() else {
                // Samples are taken all the same, and bounds held.
                self.wait(source, Instant::now() + LOOK_AFTER).await;
                continue;
            };
            let of_source = secret.clone();
            let looked = on(source, move |source| {
                let dropped = source.look_after()?;
                Ok((dropped, source.next(of_source.as_deref())?, source.waiting()))
            });
            match looked.await {
                Ok((dropped, parcel, waiting)) => {
                    self.standings.dropped(&self.name, "bound", dropped);
                    self.standings.waits(&self.name, waiting);
                    match parcel {
                        Some(parcel) => self.deliver(source, parcel, secret.as_deref(), &mut failed).await,
                        None => sleep(LOOK).await,
                    }
                }
                Err(why) => {
                    failed = failed.saturating_add(1);
                    self.is_in_trouble(&why);
                    self.wait(source, Instant::now() + pause(failed, share())).await;
                }
            }
        }
    }

    async fn deliver(&mut self, source: &mut Option<Owned>, parcel: Parcel, secret: Option<&Secret>, failed: &mut u32) {
        let items = parcel.items;
        let outcome = match self.outbound.post(&parcel.url, &parcel.headers, parcel.body).await {
            Ok(reply) => judge(self.kind, &reply).without(secret),
            Err(why) => Outcome::Later { after: Duration::ZERO, why },
        };
        let (rejected, wait) = match outcome {
            Outcome::Taken { rejected, pause } => {
                let rejected = rejected.min(items);
                self.standings.sent(&self.name, items - rejected);
                if self.standings.is_well(&self.name) {
                    tracing::info!(export = self.name, "what is exported is taken again");
                }
                (rejected, pause)
            }
            Outcome::Later { after, why } => {
                *failed = failed.saturating_add(1);
                self.is_in_trouble(&why);
                self.wait(source, Instant::now() + after.max(pause(*failed, share()))).await;
                return;
            }
            Outcome::TooLarge { why } => {
                if on(source, |source| Ok(source.shrink())).await == Ok(true) {
                    return;
                }
                tracing::warn!(export = self.name, why, items, "what is exported is too large for the receiver");
                (items, Duration::ZERO)
            }
            Outcome::Refused { why } => {
                tracing::warn!(export = self.name, why, items, "the receiver of an export refuses what it is sent");
                (items, Duration::ZERO)
            }
        };
        *failed = 0;
        self.standings.dropped(&self.name, "refused", rejected);
        if let Err(why) = on(source, |source| source.done()).await {
            // It is sent again: better twice than never.
            self.is_in_trouble(&why);
            self.wait(source, Instant::now() + LOOK_AFTER).await;
        } else if !wait.is_zero() {
            self.is_in_trouble("the receiver wants nothing for a while");
            self.wait(source, Instant::now() + wait).await;
        }
    }

    /// Waits for a moment; another secret, which may be the right one, ends it.
    async fn wait(&mut self, source: &mut Option<Owned>, until: Instant) {
        while Instant::now() < until {
            tokio::select! {
                () = sleep_until(until.min(Instant::now() + LOOK_AFTER)) => {}
                changed = self.told.changed() => if changed.is_ok() { return },
            }
            let looked = on(source, |source| Ok((source.look_after()?, source.waiting()))).await;
            if let Ok((dropped, waiting)) = looked {
                self.standings.dropped(&self.name, "bound", dropped);
                self.standings.waits(&self.name, waiting);
            }
        }
    }

    /// What opens the receiver, if anything; `None`: control has not told yet.
    fn secret(&mut self) -> Option<Option<Arc<Secret>>> {
        let told = self.told.borrow_and_update();
        told.as_ref().map(|told| told.get(&self.name).cloned())
    }

    fn is_in_trouble(&self, why: &str) {
        if self.standings.trouble(&self.name, why) {
            tracing::warn!(export = self.name, why, "what is exported waits");
        }
    }
}

/// Asks the source, in a thread that may wait.
async fn on<T: Send + 'static>(
    source: &mut Option<Owned>,
    ask: impl FnOnce(&mut dyn Source) -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let mut owned = source.take().ok_or("what is exported cannot be read any more")?;
    let asked = tokio::task::spawn_blocking(move || {
        let answer = ask(&mut *owned);
        (owned, answer)
    });
    let (owned, answer) = asked.await.map_err(|error| format!("reading what is exported ended: {error}"))?;
    *source = Some(owned);
    answer
}

/// Of 0 to 1, and another one each time: no two exports come back at once.
fn share() -> f64 {
    f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 255.0
}
