//! Going in good order: everybody hears that it is time, and whoever still works is waited for.

use tokio::sync::{mpsc, watch};

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Serving,
    /// Nothing new is accepted; answers tell their clients to connect anew.
    LameDuck,
    /// Idle connections close, busy ones after their last answer.
    Closing,
    /// The deadline passed: close whatever is open.
    Over,
}

/// The one who decides and waits.
#[derive(Debug)]
pub struct Drain {
    phase: watch::Sender<Phase>,
    watch: Option<Watch>,
    gone: mpsc::Receiver<()>,
}

/// Held by everything that must be waited for, for as long as it works.
#[derive(Clone, Debug)]
pub struct Watch {
    phase: watch::Receiver<Phase>,
    // Never sent on: the receiver sees its last clone go.
    _alive: mpsc::Sender<()>,
}

impl Drain {
    pub fn new() -> Self {
        let (phase, seen) = watch::channel(Phase::Serving);
        let (alive, gone) = mpsc::channel(1);
        Self { phase, watch: Some(Watch { phase: seen, _alive: alive }), gone }
    }

    pub fn watch(&self) -> Watch {
        self.watch.clone().expect("nobody joins while the end is waited for")
    }

    pub fn enter(&self, phase: Phase) {
        // Fails only when nobody listens any more, and then nobody needs to know.
        let _ = self.phase.send(phase);
    }

    /// Waits until all watches are gone. Cancel safe.
    pub async fn finished(&mut self) {
        self.watch = None;
        let _ = self.gone.recv().await;
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl Watch {
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Ends when the phase has come (or gone by).
    pub async fn reached(&mut self, phase: Phase) {
        // An error says that the drain was dropped, which is the end as well.
        let _ = self.phase.wait_for(|now| *now >= phase).await;
    }
}
