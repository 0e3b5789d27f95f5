//! The running environment, as the verbs see it: what they need of keeper and control, and what a test can stand in for.

use reconcile::Fault;

use crate::control::wire::{Message, ReadyRequest, RotateRequest, SmokeRequest, Status};
use crate::wanted::Wanted;

/// Where the lines of a long answer go.
pub type OnMessage<'a> = &'a mut (dyn FnMut(Message) + Send);

/// Starts, asks and stops one environment.
#[expect(async_fn_in_trait, reason = "one thread awaits these; none of them is spawned")]
pub trait Conductor {
    /// Whether a keeper lives.
    async fn is_up(&self) -> bool;
    /// Whether processes may be alive though no keeper is: it was not stopped on purpose.
    fn is_meant_to_be_up(&self) -> bool;
    /// Makes keeper and control run.
    async fn ensure_running(&self, wanted: &Wanted) -> Result<(), Fault>;
    /// From control; from the keeper alone while control is away.
    async fn status(&self) -> Result<Status, Fault>;
    async fn converge(&self, wanted: &Wanted, on: OnMessage<'_>) -> Result<(), Fault>;
    async fn plan(&self, wanted: &Wanted, on: OnMessage<'_>) -> Result<(), Fault>;
    async fn ready(&self, request: &ReadyRequest, on: OnMessage<'_>) -> Result<(), Fault>;
    async fn rotate(&self, request: &RotateRequest, on: OnMessage<'_>) -> Result<(), Fault>;
    async fn smoke(&self, request: &SmokeRequest, on: OnMessage<'_>) -> Result<(), Fault>;
    async fn restart(&self, unit: &str) -> Result<(), Fault>;
    /// Stops every unit gracefully, in order, then the keeper.
    async fn stop(&self) -> Result<(), Fault>;
    /// Ends every process now.
    async fn kill(&self) -> Result<(), Fault>;
}
