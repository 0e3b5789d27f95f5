//! Why a command could not do its work, and the exit code that says so. Told once, by `cli::main`.

use host::files::FileFault;
use manifest::{Diagnostic, Source};
use reconcile::Fault;

use crate::cli::command_lock::Holder;
use crate::cli::exit::Exit;

/// The end of a command that did not come through.
#[derive(Debug)]
pub enum Failure {
    /// The work failed.
    Work(Fault),
    /// The command line asks for something that is not there.
    Usage(Fault),
    /// The manifest has errors.
    Manifest { source: Source, diagnostics: Vec<Diagnostic> },
    /// Another command holds the root.
    Held { root: String, holder: Holder },
    /// Whoever read our output has gone, as in `roadbed logs | head`. Not worth a word.
    NobodyReads,
}

impl Failure {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Work(_) => Exit::Failed,
            Self::Usage(_) | Self::Manifest { .. } => Exit::Usage,
            Self::Held { .. } => Exit::Held,
            Self::NobodyReads => Exit::Done,
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Work(fault)
    }
}

impl From<FileFault> for Failure {
    fn from(fault: FileFault) -> Self {
        let cause = fault.source.to_string();
        Self::Work(Fault::new(fault.to_string()).cause(cause))
    }
}
