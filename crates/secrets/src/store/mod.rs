//! The sealed store of one environment: a file of SQLite in which no value can be read.
//!
//! ```text
//!   recipients    the host's key, the operator's, people's; two of three break-glass keys
//!     └─ environment key      one age file for all of them; its number is `kver`
//!          └─ key of a version    sealed with the environment's key, bound to everything that its row says
//!               └─ value              sealed with its own key, bound to root, environment, name, version and class
//! ```
//!
//! Another environment key seals the keys of versions anew and touches no value; a destroyed version has lost its key. What is
//! read or changed is noted in the audit log first, in the same transaction. Several threads and processes may work with one
//! store at once.

mod schema;
mod session;
mod rows;
mod values;
mod keys;
mod recipients;
mod trial;
mod sharing;
mod before;
mod adoption;
mod reserve;
#[cfg(test)]
mod tests;

use std::sync::Mutex;

use manifest::environment::Class;
use serde::Serialize;

use crate::audit::verify::Verdict;
use crate::audit::{self, Entry, Note};
use crate::fault::StoreFault;
use crate::payment::Writing;
use crate::seat::Seat;
use crate::{Fingerprint, Secret, SecretName, generate};
pub use recipients::{Challenge, Recipient, RecipientKind};
pub use rows::VersionRow;
pub use schema::refuse_newer;
use session::{Access, Opened, Work};
pub use trial::Opening;

/// Where a version of a value is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum VersionState {
    /// What a process that starts now is given.
    Current,
    /// Servers let it in already; no process was given it.
    Pending,
    /// Servers still let it in, for processes that were started with it.
    Previous,
    /// Nobody is let in with it. It is kept so that it is still found where it should not be.
    Retired,
    /// Its key is gone, and so is the value.
    Destroyed,
}

impl VersionState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Pending => "pending",
            Self::Previous => "previous",
            Self::Retired => "retired",
            Self::Destroyed => "destroyed",
        }
    }

    fn of(text: &str) -> Option<Self> {
        let all = [Self::Current, Self::Pending, Self::Previous, Self::Retired, Self::Destroyed];
        all.into_iter().find(|state| state.as_str() == text)
    }
}

/// A value with the version it has.
#[derive(Debug)]
pub struct Versioned {
    pub secret: Secret,
    pub version: u32,
    pub state: VersionState,
}

/// One of several values that are set at once.
#[derive(Debug)]
pub struct Setting<'a> {
    pub name: SecretName,
    pub writing: Writing<'a>,
    pub secret: Secret,
}

/// The store of one environment. It opens its file when it is first asked for something.
pub struct Store {
    seat: Seat,
    opened: Mutex<Option<Opened>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("file", &self.seat.file).finish_non_exhaustive()
    }
}

impl Store {
    pub fn new(seat: Seat) -> Self {
        Self { seat, opened: Mutex::new(None) }
    }

    pub fn seat(&self) -> &Seat {
        &self.seat
    }

    /// The current value. That it was read is noted first.
    pub fn get(&self, name: &SecretName) -> Result<Option<Versioned>, StoreFault> {
        Ok(self.read(name, |state| state == VersionState::Current, audit::Action::Read)?.into_iter().next())
    }

    /// Every version that a server must let in: the current one first, then the pending, then the previous.
    pub fn accepted(&self, name: &SecretName) -> Result<Vec<Versioned>, StoreFault> {
        self.read(name, |state| state <= VersionState::Previous, audit::Action::Read)
    }

    /// Every version that is not destroyed: what must not be found anywhere it does not belong.
    pub fn held(&self, name: &SecretName) -> Result<Vec<Versioned>, StoreFault> {
        self.read(name, |state| state <= VersionState::Retired, audit::Action::Read)
    }

    /// The current value, to be carried out of the store.
    pub fn export(&self, name: &SecretName) -> Result<Option<Versioned>, StoreFault> {
        Ok(self.read(name, |state| state == VersionState::Current, audit::Action::Exported)?.into_iter().next())
    }

    /// Sets a value; setting the value it already has changes nothing. What was current, pending or previous is retired.
    pub fn set<'w>(
        &self,
        name: &SecretName,
        writing: impl Into<Writing<'w>>,
        secret: &Secret,
    ) -> Result<u32, StoreFault> {
        let writing = writing.into();
        self.change(|work| values::set(work, name, writing, secret, audit::Action::Set))
    }

    /// Sets several values, all or none, and says their versions.
    pub fn set_all(&self, all: &[Setting<'_>]) -> Result<Vec<u32>, StoreFault> {
        let set = |work: &mut Work<'_>, one: &Setting<'_>| {
            values::set(work, &one.name, one.writing, &one.secret, audit::Action::Set)
        };
        self.change(|work| all.iter().map(|one| set(work, one)).collect())
    }

    /// The version of the current value, which is not opened for it.
    pub fn current_version(&self, name: &SecretName) -> Result<Option<u32>, StoreFault> {
        let rows = self.look(rows::current_versions, Default::default)?;
        Ok(rows.get(name.as_str()).copied())
    }

    /// The value under `name`, generated and kept first if there is none. Two who ask at once get one value.
    pub fn get_or_generate(&self, name: &SecretName, class: Class) -> Result<Versioned, StoreFault> {
        match self.get(name)? {
            Some(found) => Ok(found),
            None => self.get_or_keep(name, class, &generate::credential()?),
        }
    }

    /// The value under `name`; if there is none, `fresh` is it from now on. Two who ask at once get one value.
    pub fn get_or_keep(&self, name: &SecretName, class: Class, fresh: &Secret) -> Result<Versioned, StoreFault> {
        self.change(|work| {
            if let Some(found) =
                values::open_all(work, name, &|state| state == VersionState::Current)?.into_iter().next()
            {
                work.note(audit::Action::Read, name, found.version)?;
                return Ok(found);
            }
            let version = values::set(work, name, class.into(), fresh, audit::Action::Generated)?;
            Ok(Versioned { secret: fresh.duplicate(), version, state: VersionState::Current })
        })
    }

    /// Keeps a value that is to follow the current one, and says its version. One that is pending already stays, whatever
    /// `secret` is: a rotation that was killed goes on with what servers may have learnt. It has the class of the current one.
    pub fn stage(&self, name: &SecretName, secret: &Secret) -> Result<u32, StoreFault> {
        self.change(|work| values::stage(work, name, secret))
    }

    /// The pending version becomes the current one, which becomes the previous. Without a pending one nothing changes.
    pub fn promote(&self, name: &SecretName) -> Result<u32, StoreFault> {
        self.change(|work| values::promote(work, name))
    }

    /// The previous version is let in no more: no process has it.
    pub fn retire(&self, name: &SecretName) -> Result<(), StoreFault> {
        self.change(|work| values::retire(work, name))
    }

    /// Destroys one version that is no longer in use: its key is gone, and with it the value.
    pub fn destroy(&self, name: &SecretName, version: u32) -> Result<(), StoreFault> {
        self.change(|work| values::destroy(work, name, version))
    }

    /// Destroys every version of a value.
    pub fn remove(&self, name: &SecretName) -> Result<(), StoreFault> {
        self.change(|work| values::remove(work, name))
    }

    /// Sees whether the store is whole, is this root's and opens with a key that is here. One that is not there is fine.
    pub fn judge(&self) -> Result<(), StoreFault> {
        self.with_keys(Access::Existing, |_| Ok(())).map(drop)
    }

    /// Names that have a current value, in order.
    pub fn names(&self) -> Result<Vec<SecretName>, StoreFault> {
        self.look(rows::names, Vec::new)
    }

    /// All versions of all values, without the values.
    pub fn versions(&self) -> Result<Vec<VersionRow>, StoreFault> {
        self.look(rows::all, Vec::new)
    }

    /// The fingerprints of what is current here, to be compared with those of another environment; no value is opened.
    pub fn fingerprints(&self) -> Result<Vec<Fingerprint>, StoreFault> {
        self.look(rows::fingerprints, Vec::new)
    }

    /// The fingerprints of all values of a class that are not destroyed: of those before the current ones too. Nothing is opened.
    pub fn fingerprints_of(&self, class: Class) -> Result<Vec<Fingerprint>, StoreFault> {
        self.look(|connection| rows::fingerprints_of(connection, class), Vec::new)
    }

    /// The audit log, the oldest first.
    pub fn audit(&self) -> Result<Vec<Entry>, StoreFault> {
        self.look(audit::entries, Vec::new)
    }

    /// Notes what people were lent and the like, all or nothing. Where there is no store there is nothing to note.
    pub fn note(&self, notes: &[Note]) -> Result<(), StoreFault> {
        let note = |work: &mut Work<'_>| notes.iter().try_for_each(|note| work.note_by_others(note));
        self.with_keys(Access::Existing, note).map(drop)
    }

    /// Whether the audit log is whole, and says what the store says.
    pub fn verify(&self) -> Result<Verdict, StoreFault> {
        let verify = |work: &mut Work<'_>| {
            let current = rows::current_versions(work.connection)?;
            audit::verify::verify(work.connection, work.seat, work.signer_key(), work.epoch()?, &current)
        };
        let none = || Verdict { rows: 0, findings: Vec::new() };
        Ok(self.with_keys(Access::Existing, verify)?.unwrap_or_else(none))
    }

    /// Another environment key: seals the keys of all versions anew and touches no value. Says how many.
    pub fn rekey(&self) -> Result<usize, StoreFault> {
        self.change(|work| keys::rekey(work, audit::Action::Rekeyed))
    }

    /// Takes over what another root wrote: for a root that is adopted with all that lies in it.
    pub fn take_over(&self) -> Result<(), StoreFault> {
        adoption::take_over(self)
    }

    fn read(
        &self,
        name: &SecretName,
        wanted: impl Fn(VersionState) -> bool,
        action: audit::Action,
    ) -> Result<Vec<Versioned>, StoreFault> {
        let work = |work: &mut Work<'_>| {
            let found = values::open_all(work, name, &wanted)?;
            for one in &found {
                work.note(action, name, one.version)?;
            }
            Ok(found)
        };
        let attempt = || self.with_keys(Access::Existing, work).map(Option::unwrap_or_default);
        match attempt() {
            // Services go on, and what they read is still noted: that is what the reserve is for.
            Err(StoreFault::DiskFull) if reserve::release(&self.seat)? => attempt(),
            done => done,
        }
    }

    fn change<T>(&self, work: impl Fn(&mut Work<'_>) -> Result<T, StoreFault>) -> Result<T, StoreFault> {
        Ok(self.with_keys(Access::Make, work)?.expect("a store that is made where there is none is there"))
    }
}
