//! The environment that really runs: keeper and control of one root.

use std::collections::BTreeMap;

use reconcile::{Fault, Root};

use crate::cli::conductor::{Conductor, OnMessage};
use crate::control::wire::{ReadyRequest, Status, Wanted};

/// Keeper and control of one root.
#[derive(Debug)]
pub struct Live {
    root: Root,
}

impl Live {
    pub fn new(root: Root) -> Self {
        Self { root }
    }
    fn away<T>(&self) -> Result<T, Fault> {
        Err(Fault::new(format!("nothing runs in {}", self.root.path().display())))
    }
}

impl Conductor for Live {
    async fn is_up(&self) -> bool {
        false
    }
    async fn ensure_running(&self, _: &str, _: &BTreeMap<String, String>) -> Result<(), Fault> {
        self.away()
    }
    async fn status(&self) -> Result<Status, Fault> {
        self.away()
    }
    async fn converge(&self, _: &Wanted, _: OnMessage<'_>) -> Result<(), Fault> {
        self.away()
    }
    async fn plan(&self, _: &Wanted, _: OnMessage<'_>) -> Result<(), Fault> {
        self.away()
    }
    async fn ready(&self, _: &ReadyRequest, _: OnMessage<'_>) -> Result<(), Fault> {
        self.away()
    }
    async fn restart(&self, _: &str) -> Result<(), Fault> {
        self.away()
    }
    async fn stop(&self) -> Result<(), Fault> {
        self.away()
    }
    async fn kill(&self) -> Result<(), Fault> {
        self.away()
    }
}
