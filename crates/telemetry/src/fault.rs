//! What keeps the role from its work.

use std::io;
use std::path::PathBuf;

use host::files::FileFault;

/// Why telemetry cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryFault {
    #[error(transparent)]
    File(#[from] FileFault),
    #[error("cannot listen on {place}")]
    Listen {
        place: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    #[error("cannot read the settings in {}", path.display())]
    Settings {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
}

impl TelemetryFault {
    /// What a person can do.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::File(_) => Some("see whether the disk is full"),
            Self::Listen { .. } => Some("see who has the port with `ss -ltnp`; `roadbed up` chooses another"),
            Self::Thread(_) => Some("see how many processes and threads the user may have with `ulimit -u`"),
            Self::Settings { .. } => Some("`roadbed up` writes them anew"),
        }
    }
}
