//! A promise and the way to test it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::Outcome;

/// A promise in one sentence, and what a person on call needs to know about it.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// The task of the requirements, `T1` to `T15`.
    pub task: &'static str,
    /// Stable, short, unique.
    pub id: &'static str,
    /// The promise, a sentence without full stop.
    pub claim: &'static str,
    /// What to look at when it does not hold.
    pub hint: &'static str,
    pub impact: Impact,
}

/// What running the check does to the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Impact {
    /// Only looks; may run beside any other check.
    Observes,
    /// Breaks something for a moment and watches it heal; runs alone.
    Disrupts,
}

/// What every check is given.
#[derive(Debug)]
pub struct CheckCx {
    /// The check must have its answer by then; a check that takes longer is *inconclusive*.
    pub budget: Duration,
}

pub type CheckFuture<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// One promise that can be tested on the live system.
pub trait Check: Send + Sync + fmt::Debug {
    fn claim(&self) -> &Claim;
    fn run<'a>(&'a self, cx: &'a CheckCx) -> CheckFuture<'a>;
}
