//! Why the edge could not start, publish or speak to itself.

use std::io;
use std::path::PathBuf;

use host::files::FileFault;

#[derive(Debug, thiserror::Error)]
pub enum EdgeFault {
    #[error("cannot serve the socket {name:?}: the edge knows `https`, `http` and `<app>-internal`")]
    UnknownSocket { name: String },
    #[error("cannot listen on the socket {name:?}")]
    Listen {
        name: String,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    File(#[from] FileFault),
    #[error("cannot start the writer of the access log")]
    LogWriter(#[source] io::Error),
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
    #[error(transparent)]
    Authority(#[from] crate::tls::local_ca::CaFault),
    #[error(transparent)]
    Rejected(#[from] crate::snapshot::Rejected),
    #[error("cannot encode the route table")]
    Encode(#[source] serde_json::Error),
    #[error("cannot make the certificate that proves {host:?} to be ours: {why}")]
    Proof { host: String, why: String },
    #[error("cannot read {}: {why}", path.display())]
    Damaged { path: PathBuf, why: String },
}

impl EdgeFault {
    /// One thing to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Authority(fault) => fault.hint(),
            Self::Damaged { .. } => Some("`roadbed up` publishes the routes again"),
            _ => None,
        }
    }
}
