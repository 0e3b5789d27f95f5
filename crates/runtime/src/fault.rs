//! Why an engine could not be made to run something.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use crate::instance::{Epoch, InstanceId, Name};
use crate::port::Ended;

/// What an engine, or the way to it, says is in the way.
pub type Cause = Box<dyn Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum RuntimeFault {
    #[error("{} did not answer within {} s", socket.display(), patience.as_secs())]
    Unreachable {
        socket: PathBuf,
        patience: Duration,
        #[source]
        source: Cause,
    },
    #[error("the engine would not {what}")]
    Refused {
        what: String,
        #[source]
        source: Cause,
    },
    #[error("{environment} is held by epoch {held}, and this is epoch {ours}")]
    Fenced { environment: Name, ours: Epoch, held: Epoch },
    #[error("there is no {0}")]
    Absent(InstanceId),
    #[error("{0} runs, and not as it is to run now")]
    Differs(InstanceId),
    #[error("{name} is there and bears none of our labels")]
    Foreign { name: String },
    #[error("the image {wanted} is not what {} holds{}", layout.display(), found.as_ref().map(|id| format!(": that is {id}")).unwrap_or_default())]
    Tampered { wanted: String, layout: PathBuf, found: Option<String> },
    #[error("cannot hand the image {image} to the engine")]
    Image {
        image: String,
        #[source]
        source: Cause,
    },
    #[error("{id} has ended: {ended}")]
    Ended { id: InstanceId, ended: Ended },
    #[error("{0} does not run, so it has no address")]
    NotRunning(InstanceId),
    #[error("{id} was not ready within {} s: {last}", within.as_secs())]
    NotReady { id: InstanceId, within: Duration, last: String },
    #[error("{0} would not end, whatever it was sent")]
    WouldNotEnd(InstanceId),
    #[error("the engine said something that makes no sense: {0}")]
    Nonsense(String),
}

impl RuntimeFault {
    /// A command to run or an edit to make.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "see whether dockerd runs, and whether this user may open its socket",
            Self::Refused { .. } | Self::Nonsense(_) => "the log of the engine has more: `journalctl -u docker`",
            Self::Fenced { .. } => "another control took over: this one must stop",
            Self::Absent(_) => "create it first",
            Self::Differs(_) => "give what runs differently another instance, and collect this one",
            Self::Foreign { .. } => "rename or remove it: Roadbed touches nothing that it did not make",
            Self::Tampered { .. } => "remove that folder: the image is assembled again from the artifact",
            Self::Image { .. } => "see whether the disk is full",
            Self::Ended { .. } | Self::NotReady { .. } => "its log says why",
            Self::NotRunning(_) => "start it first",
            Self::WouldNotEnd(_) => "it hangs in the kernel: see `dmesg`",
        }
    }

    /// Whether the same call may help later.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::NotReady { .. })
    }
}
