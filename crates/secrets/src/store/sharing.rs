//! No value in two environments: who may open the one would hold a key of the other.

use rusqlite::OptionalExtension;

use super::schema::SCHEMA;
use crate::fault::StoreFault;
use crate::fingerprint::Fingerprints;
use crate::payment::may_share;
use crate::seat::{Neighbour, Seat};
use crate::{Secret, SecretName};
use host::database;

/// A fingerprint, and the id of the key it was made with.
type PrintAndKey = (Vec<u8>, Vec<u8>);

/// The fingerprint of a sensitive value.
pub(super) fn fingerprint(seat: &Seat, class: &str, secret: &Secret) -> Result<Option<PrintAndKey>, StoreFault> {
    let is_open = ["public", "internal"].contains(&class);
    let (false, Some(path)) = (is_open, seat.keys.fingerprint_key()) else { return Ok(None) };
    let key = Fingerprints::ensure(&path)?;
    Ok(Some((key.of(secret.expose()), key.id)))
}

/// Refuses a value that another environment of this user has or had.
pub(super) fn refuse_shared(seat: &Seat, name: &SecretName, secret: &Secret) -> Result<(), StoreFault> {
    let Some(path) = seat.keys.fingerprint_key() else { return Ok(()) };
    let key = Fingerprints::ensure(&path)?;
    let print = key.of(secret.expose());
    let others = seat.others.iter().filter(|other| !may_share(&seat.environment, &other.environment));
    for other in others {
        // One that cannot be looked at is judged by its own commands, and must not keep others from theirs.
        if let Ok(Some(theirs)) = find(other, &print, &key.id) {
            return Err(StoreFault::Shared { name: name.clone(), environment: other.environment.clone(), theirs });
        }
    }
    Ok(())
}

/// The name under which a store has a value with this fingerprint.
fn find(other: &Neighbour, print: &[u8], key: &[u8]) -> Result<Option<String>, StoreFault> {
    let Some(connection) = database::open_to_read(&other.file, SCHEMA).map_err(StoreFault::of_database)? else {
        return Ok(None);
    };
    let named = connection.query_row(
        "SELECT name FROM versions WHERE fingerprint = ?1 AND fingerprint_key = ?2 AND state <> 'destroyed' LIMIT 1",
        [print, key],
        |row| row.get(0),
    );
    Ok(named.optional()?)
}
