//! What was kept before there was a sealed store: a file of 0600 with the values in clear. It is taken in, then wiped.
//!
//! ```text
//!   read ─► sealed, in one transaction with the first opening ─► renamed to `….wiping` ─► written over with zeros ─► removed
//! ```
//!
//! Cut off anywhere, the next opening goes on: a file that is still there with values that the store has is wiped, one with other
//! values is refused and touched by nobody.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use host::files;
use manifest::environment::Class;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::session::Work;
use super::{VersionState, rows, values};
use crate::audit::Action;
use crate::fault::StoreFault;
use crate::seat::Seat;
use crate::{Secret, SecretName};

const VERSION: u32 = 1;

#[derive(Deserialize, Serialize)]
struct OnDisk {
    version: u32,
    /// Id of the root that the values belong to.
    #[serde(default)]
    root: Option<String>,
    values: BTreeMap<String, Entry>,
}

#[derive(Deserialize, Serialize)]
struct Entry {
    #[serde(flatten)]
    current: Value,
    #[serde(default)]
    pending: Option<Value>,
    #[serde(default)]
    previous: Option<Value>,
}

#[derive(Deserialize, Serialize)]
struct Value {
    version: u32,
    value: String,
}

impl Drop for Value {
    fn drop(&mut self) {
        self.value.zeroize();
    }
}

/// Whether there is something to wipe once the transaction is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    Nothing,
    TakenIn,
}

/// Seals what is in the file of before, if there is one.
pub(super) fn take_in(work: &mut Work<'_>) -> Result<Before, StoreFault> {
    let path = &work.seat.before;
    let Some(disk) = read(path)? else { return Ok(Before::Nothing) };
    if disk.root.as_ref().is_some_and(|root| *root != work.seat.install) {
        return Err(StoreFault::Foreign { path: path.clone() });
    }
    let is_fresh = rows::all(work.connection)?.is_empty();
    for (name, entry) in &disk.values {
        let name = SecretName::new(name.as_str());
        let states = [
            (entry.previous.as_ref(), VersionState::Previous),
            (entry.pending.as_ref(), VersionState::Pending),
            (Some(&entry.current), VersionState::Current),
        ];
        for (value, state) in states {
            let Some(value) = value else { continue };
            let secret = Secret::new(value.value.clone());
            if is_fresh {
                values::write(work, &name, value.version, Class::Secret.as_str(), state, &secret)?;
                work.note(Action::Imported, &name, value.version)?;
            } else if !has(work, &name, &secret)? {
                return Err(StoreFault::TwoStores { path: path.clone() });
            }
        }
    }
    if is_fresh {
        work.next_epoch()?;
    }
    Ok(Before::TakenIn)
}

fn has(work: &Work<'_>, name: &SecretName, secret: &Secret) -> Result<bool, StoreFault> {
    let known = values::open_all(work, name, &|state| state <= VersionState::Retired)?;
    Ok(known.iter().any(|known| known.secret.matches(secret.expose().as_bytes())))
}

fn read(path: &Path) -> Result<Option<OnDisk>, StoreFault> {
    let Some(bytes) = files::read_if_exists(path)?.map(Zeroizing::new) else { return Ok(None) };
    let damaged = |what: String| StoreFault::Damaged { path: path.to_owned(), what };
    // What the parser says of a value is its place and never its text.
    let disk: OnDisk = serde_json::from_slice(&bytes)
        .map_err(|error| damaged(format!("line {}, column {}", error.line(), error.column())))?;
    match disk.version {
        VERSION => Ok(Some(disk)),
        _ => Err(StoreFault::Newer { path: path.to_owned() }),
    }
}

fn wiping(path: &Path) -> PathBuf {
    path.with_extension("json.wiping")
}

/// Wipes what was taken in, and what an earlier wiping left.
pub(super) fn wipe(seat: &Seat, before: Before) -> Result<(), StoreFault> {
    let path = wiping(&seat.before);
    if before == Before::TakenIn && files::exists(&seat.before) {
        files::rename(&seat.before, &path)?;
    }
    if files::exists(&path) {
        files::wipe(&path)?;
    }
    Ok(())
}

/// Gives the file of before to the root that is adopted with it.
pub(super) fn rebind(seat: &Seat) -> Result<(), StoreFault> {
    let Some(disk) = read(&seat.before)? else { return Ok(()) };
    let disk = OnDisk { root: Some(seat.install.clone()), ..disk };
    let bytes = Zeroizing::new(serde_json::to_vec(&disk).expect("what was read can be written"));
    Ok(files::write_durable(&seat.before, &bytes, files::Access::Owner)?)
}
