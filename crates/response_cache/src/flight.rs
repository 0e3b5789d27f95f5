//! One question to the app for all who ask the same at once.
//!
//! Whoever is first asks; others wait until the answer is kept, or is known not to be for them. Nobody waits for ever: who has waited
//! for long enough asks himself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::key::Key;
use crate::vary::Selected;

/// An address, and what is known to make a difference there.
pub(crate) type Name = (Key, Selected);

/// How a question ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landed {
    Kept,
    /// The answer is for who asked alone: whoever waits asks himself.
    NotKept,
    /// Whoever asked left: the next one asks.
    Abandoned,
}

/// Who asks.
#[derive(Debug)]
pub enum Boarded {
    /// The app is asked by whoever holds this.
    First(Ticket),
    /// Somebody has asked.
    Joined(Waiting),
    /// Answers to this were for nobody else lately: waiting would be in vain.
    Alone,
}

#[derive(Debug)]
pub struct Waiting(watch::Receiver<Option<Landed>>);

impl Waiting {
    /// `None`: it took too long.
    pub async fn landed(mut self, longest: Duration) -> Option<Landed> {
        let landed = tokio::time::timeout(longest, self.0.wait_for(Option::is_some)).await.ok()?;
        Some(landed.map_or(Landed::Abandoned, |landed| landed.unwrap_or(Landed::Abandoned)))
    }
}

#[derive(Debug, Default)]
pub(crate) struct Flights(Mutex<HashMap<Name, watch::Receiver<Option<Landed>>>>);

impl Flights {
    pub(crate) fn board(self: &Arc<Self>, name: Name) -> Boarded {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(receiver) = under_way.get(&name) {
            return Boarded::Joined(Waiting(receiver.clone()));
        }
        let (sender, receiver) = watch::channel(None);
        under_way.insert(name.clone(), receiver);
        Boarded::First(Ticket { flights: Arc::clone(self), name, sender, landed: Landed::Abandoned })
    }
}

/// Held by whoever asks. Dropped, it lets go who waits.
#[derive(Debug)]
pub struct Ticket {
    flights: Arc<Flights>,
    name: Name,
    sender: watch::Sender<Option<Landed>>,
    landed: Landed,
}

impl Ticket {
    pub fn land(mut self, landed: Landed) {
        self.landed = landed;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // First off the list, so that whoever comes now begins anew.
        self.flights.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
        self.sender.send_replace(Some(self.landed));
    }
}
