//! What every engine that runs instances can be asked for.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use futures_util::Stream;

use crate::fault::RuntimeFault;
use crate::instance::{Epoch, Given, InstanceId, Name, Spec};

/// What a call of the port returns: boxed, since drivers are chosen at run time.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, RuntimeFault>> + Send + 'a>>;

/// Lines of an instance, oldest first.
pub type Lines = Pin<Box<dyn Stream<Item = Result<Line, RuntimeFault>> + Send>>;

/// An engine, as one control of one environment has it. All calls converge: what is as it should be is left alone, and a call that was
/// cut off, by whose crash ever, is made again.
pub trait Runtime: Send + Sync + fmt::Debug {
    /// Says that from now on this epoch's control is the one. Lower epochs are refused from here on.
    fn claim(&self) -> Answer<'_, ()>;

    /// Makes it, without starting it: the image is there and is the right one, and so is the network.
    fn create<'a>(&'a self, spec: &'a Spec) -> Answer<'a, Made>;

    /// Starts what was created, with its variables. One that ended is started again; one that runs is left alone.
    fn start<'a>(&'a self, id: &'a InstanceId, given: &'a Given) -> Answer<'a, ()>;

    /// Where it is reached. Whether it answers there is [`crate::readiness`]'s question.
    fn address<'a>(&'a self, id: &'a InstanceId) -> Answer<'a, SocketAddr>;

    /// Asks it to end, and ends it when the grace is over. It stays on the list, with how it ended.
    fn stop<'a>(&'a self, id: &'a InstanceId, grace: Duration) -> Answer<'a, ()>;

    /// Takes one away, running or not; what is not there is fine.
    fn remove<'a>(&'a self, id: &'a InstanceId) -> Answer<'a, ()>;

    /// All instances of the environment, of any epoch.
    fn list(&self) -> Answer<'_, Vec<Seen>>;

    /// What it wrote after `from`, or all that the engine still has. Over a restart of the engine no line is lost and none comes twice.
    fn logs<'a>(&'a self, id: &'a InstanceId, from: Option<Cursor>, until: Until) -> Answer<'a, Lines>;

    fn stats<'a>(&'a self, id: &'a InstanceId) -> Answer<'a, Stats>;

    /// Takes away all of the environment that is not to be kept and that no later epoch made, running or not. Returns what went.
    fn collect<'a>(&'a self, keep: &'a BTreeSet<InstanceId>) -> Answer<'a, Vec<InstanceId>>;
}

/// Whose calls they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The environment, by a name that no other root on the same engine has.
    pub environment: Name,
    pub epoch: Epoch,
}

/// What [`Runtime::create`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    New,
    WasThere,
}

/// Up to where lines are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    Now,
    /// And whatever comes, until the instance ends.
    End,
}

/// An instance that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub id: InstanceId,
    /// Who made it.
    pub epoch: Epoch,
    /// [`Spec::revision`] of what it was made by.
    pub revision: String,
    pub phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Created,
    Running,
    Ended(Ended),
    /// On its way in or out, or broken: the engine can say no more.
    Between,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// As a shell says it: 128 and the signal, if a signal did it.
    pub code: i64,
    /// It took more memory than it may.
    pub out_of_memory: bool,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.out_of_memory {
            return f.write_str("it took more memory than it may");
        }
        write!(f, "exit code {}", self.code)
    }
}

/// A place between lines, for whoever comes back for the rest. One for each stream, since only lines of the same stream are sure to
/// be in the order of their times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    pub out: Place,
    pub err: Place,
}

/// Behind which line of a stream; at first before all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When the line was written, by the engine's clock: nanoseconds since the epoch of Unix.
    pub at: i128,
    /// How many lines of that very moment have been had.
    pub nth: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub stream: host::process::Stream,
    /// Without its end. Bytes that are no text are replaced.
    pub text: String,
    /// The place behind it.
    pub cursor: Cursor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Time on processors since it started.
    pub cpu: Duration,
    /// Bytes, without what the kernel would give back at once.
    pub memory: u64,
    pub processes: u64,
}
