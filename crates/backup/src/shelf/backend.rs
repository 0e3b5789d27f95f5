//! What the library of repositories sees of a shelf.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use bytes::Bytes;
use rustic_core::{BytesList, ErrorKind, FileType, Id, ReadBackend, RusticError, RusticResult, WriteBackend};

use super::{Because, Pace, Shelf, Unmet};
use crate::parts::Wholeness;

/// Marks errors of those who refuse to change or take away.
const REFUSED: &str = "refused";

/// Waits between attempts where something passing is in the way: a lost connection, a server that starts.
const PAUSES: [Duration; 3] = [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(4)];

/// A shelf, and whether a snapshot may be written to it.
#[derive(Clone, Debug)]
pub(crate) struct Backend {
    shelf: Arc<dyn Shelf>,
    pace: Arc<Pace>,
    /// The library saves a snapshot also where its source broke off; here it cannot. Absent where there is no source.
    wholeness: Option<Arc<Wholeness>>,
}

/// Whether somebody did not allow it.
pub(crate) fn is_refusal(error: &RusticError) -> bool {
    error.is_code(REFUSED)
}

fn failed(unmet: Unmet) -> Box<RusticError> {
    let error = RusticError::new(ErrorKind::Backend, unmet.why);
    if unmet.because == Because::Refused { error.attach_error_code(REFUSED) } else { error }
}

/// Tries again what may go the next time.
fn patiently<T>(mut attempt: impl FnMut() -> Result<T, Unmet>) -> RusticResult<T> {
    for pause in PAUSES {
        match attempt() {
            Err(unmet) if unmet.because == Because::Passing => sleep(pause),
            outcome => return outcome.map_err(failed),
        }
    }
    attempt().map_err(failed)
}

impl Backend {
    pub(crate) fn new(shelf: Arc<dyn Shelf>, bandwidth: Option<u64>) -> Self {
        Self { shelf, pace: Arc::new(Pace::of(bandwidth)), wholeness: None }
    }

    /// The same shelf, which takes a snapshot only of what is whole.
    pub(crate) fn of_whole(&self, wholeness: Arc<Wholeness>) -> Self {
        Self { wholeness: Some(wholeness), ..self.clone() }
    }

    pub(crate) fn has_repository(&self) -> RusticResult<bool> {
        patiently(|| self.shelf.has_repository())
    }

    /// Writes one file, unless it is there already.
    pub(crate) fn add(&self, kind: FileType, id: &Id, content: &[u8]) -> RusticResult<()> {
        self.write(kind, id, content)
    }

    fn write(&self, kind: FileType, id: &Id, content: &[u8]) -> RusticResult<()> {
        patiently(|| match self.shelf.write(kind, id, content, &self.pace) {
            // An attempt before may have gone, and its answer been lost: who takes nothing twice has it then.
            Err(unmet) if unmet.because == Because::Refused => match self.shelf.read(kind, id, None) {
                Ok(there) if there == content => Ok(()),
                _ => Err(unmet),
            },
            outcome => outcome,
        })
    }
}

impl ReadBackend for Backend {
    fn location(&self) -> String {
        self.shelf.shown()
    }

    fn list_with_size(&self, kind: FileType) -> RusticResult<Vec<(Id, u32)>> {
        patiently(|| self.shelf.list(kind))
    }

    fn read_full(&self, kind: FileType, id: &Id) -> RusticResult<Bytes> {
        patiently(|| self.shelf.read(kind, id, None))
    }

    fn read_partial(&self, kind: FileType, id: &Id, _: bool, offset: u32, length: u32) -> RusticResult<Bytes> {
        patiently(|| {
            let bytes = self.shelf.read(kind, id, Some((offset, length)))?;
            // A server may give more than it was asked for, or less where a file was cut off.
            match bytes.len().cmp(&(length as usize)) {
                std::cmp::Ordering::Less => {
                    let why =
                        format!("{} of {} is shorter than it was written", id.to_hex().as_str(), self.shelf.shown());
                    Err(Unmet::new(why, Because::Else))
                }
                _ => Ok(bytes.slice(..length as usize)),
            }
        })
    }

    fn warmup_path(&self, _: FileType, id: &Id) -> String {
        id.to_hex().as_str().to_owned()
    }
}

impl WriteBackend for Backend {
    fn create(&self) -> RusticResult<()> {
        patiently(|| self.shelf.create())
    }

    fn write_bytes(&self, kind: FileType, id: &Id, _: bool, content: BytesList) -> RusticResult<()> {
        if kind == FileType::Snapshot && self.wholeness.as_ref().is_some_and(|wholeness| !wholeness.is_whole()) {
            return Err(RusticError::new(ErrorKind::InputOutput, "what was to be saved could not be read whole"));
        }
        self.write(kind, id, &content.into_vec().concat())
    }

    fn remove(&self, kind: FileType, id: &Id, _: bool) -> RusticResult<()> {
        patiently(|| self.shelf.remove(kind, id))
    }
}
