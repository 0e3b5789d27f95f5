//! A drill: something that is made to fail, so that one sees that it is noticed and told. It goes the way of everything else, with a
//! monitor and a channel of its own, and takes itself away.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reconcile::Fault;
use secrets::Secret;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::alerts::send;
use crate::book;
use crate::settings::{Channel, ChannelKind, DRILL, Monitor, Probe};
use crate::watch::{Monitors, lock, watch};

/// What is to be tried.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DrillOrder {
    /// Answers 200 while it is well; on this machine.
    pub target: SocketAddr,
    /// Takes the alert as a webhook does; on this machine.
    pub receiver: SocketAddr,
    /// Signs the alert.
    pub secret: String,
    /// From one look to the next, in milliseconds.
    pub every_ms: u64,
    /// It is over after this, whatever becomes of who ordered it, in milliseconds.
    pub ends_ms: u64,
}

/// The longest, in milliseconds: nobody waits longer for a gate.
const LONGEST_MS: u64 = 120_000;

/// One that is on.
#[derive(Debug)]
pub(crate) struct Drill {
    pub(crate) monitor: Monitor,
    pub(crate) channel: Channel,
    pub(crate) secret: Arc<Secret>,
}

impl Monitors {
    /// Begins one. Returns the name of its monitor.
    ///
    /// # Errors
    /// Where what is to be tried is not on this machine.
    pub(crate) fn drill(self: &Arc<Self>, order: &DrillOrder) -> Result<String, Fault> {
        if !order.target.ip().is_loopback() || !order.receiver.ip().is_loopback() {
            return Err(Fault::new("a drill is for this machine alone").hint("give addresses on loopback"));
        }
        let name = format!("{DRILL}{}", self.now());
        let channel = format!("{name}/receiver").replace('/', "-");
        let monitor = Monitor {
            name: name.clone(),
            public: None,
            probe: Probe::Http {
                url: format!("http://{}/", order.target),
                via: None,
                status: vec![(200, 299)],
                contains: None,
                within_ms: None,
            },
            every_ms: order.every_ms.max(100),
            timeout_ms: order.every_ms.max(100),
            failures: 2,
            successes: 1,
            parent: None,
            app: None,
            owner: name.clone(),
            contact: String::new(),
            runbook: None,
        };
        let channel = Channel {
            name: channel,
            kind: ChannelKind::Webhook { url: format!("http://{}/", order.receiver) },
            owners: vec![name.clone()],
            after_ms: 0,
            quiet: None,
        };
        let secret = Arc::new(Secret::new(order.secret.clone()));
        lock(&self.drills).insert(name.clone(), Drill { monitor: monitor.clone(), channel: channel.clone(), secret });
        let watching = tokio::spawn(watch(Arc::clone(self), monitor));
        let telling = tokio::spawn(send::carry_on(Arc::clone(self), channel));
        let (monitors, ended, ends) =
            (Arc::clone(self), name.clone(), Duration::from_millis(order.ends_ms.min(LONGEST_MS)));
        tokio::spawn(async move {
            sleep(ends).await;
            watching.abort();
            telling.abort();
            monitors.end_drill(ended).await;
        });
        Ok(name)
    }

    async fn end_drill(&self, name: String) {
        lock(&self.drills).remove(&name);
        // One that stays is told as nobody's, and goes with what is old.
        let _ = self.book.on(move |book| book::erase(book, &name)).await;
    }
}
