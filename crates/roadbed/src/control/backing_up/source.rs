//! A repository that is read once, with who logs in there: for a restore that begins where no secret store is.

use std::fmt;

use backup::{Destination, Place};
use reconcile::Fault;
use serde::{Deserialize, Serialize};

use super::desk::authorities;

/// From the command to control, by a socket that only its owner opens.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    pub place: Place,
    /// Who logs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<String>,
}

impl fmt::Debug for Source {
    /// Without who logs in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Source {
    /// How it is reached.
    ///
    /// # Errors
    /// Where it cannot be told which certificates are to be believed.
    pub fn destination(&self) -> Result<Destination, Fault> {
        if let Place::Folder(path) = &self.place {
            return Ok(Destination::folder(path));
        }
        let access = self.access.clone().map(Into::into);
        Ok(Destination { place: self.place.clone(), access, bandwidth: None, authorities: authorities()? })
    }
}
