//! A store that is taken over with the root that it lies in: by whoever can open it.

use rusqlite::TransactionBehavior;

use host::database::{self, Journalling, Presence};
use host::files;

use super::keys::{self, own_identities, signer_of};
use super::recipients::{self, HOST, OPERATOR, Recipient, RecipientKind};
use super::schema::SCHEMA;
use super::session::{Unlocked, epoch};
use super::{Store, before, rows, values};
use crate::audit::{self, About, Action, head};
use crate::fault::StoreFault;
use crate::seal::Key;
use crate::seat::Seat;
use crate::store::session::Work;

/// Binds everything in the store to the new root: values, keys, recipients. Versions and values stay. One transaction, so that a store
/// is the one root's or the other's.
pub(super) fn take_over(store: &Store) -> Result<(), StoreFault> {
    let seat = &store.seat;
    let mut opened = store.opened.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    *opened = None;
    drop(opened);
    before::rebind(seat)?;
    if !files::exists(&seat.file) {
        return Ok(());
    }
    let mut connection = database::open_with(&seat.file, SCHEMA, Presence::MustExist, Journalling::Behind)
        .map_err(StoreFault::of_database)?;
    connection.pragma_update(None, "secure_delete", "on")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let Some((install, environment)) = owner(&transaction)? else { return Ok(()) };
    if install == seat.install && environment == seat.environment {
        return Ok(());
    }
    // As the root that had it: its host key may be here too, its heads are not ours to judge by.
    let theirs = Seat { install, environment, state: seat.state.join("taken-over"), ..seat.clone() };
    let mut unlocked = keys::unlock_without_heads(&transaction, &theirs)?;
    let mut opened = Vec::new();
    let mut answers = recipients::with_answers(&transaction, &theirs, &unlocked)?;
    let seed;
    {
        let work = Work::of(&transaction, &theirs, &mut unlocked);
        for sealed in rows::every(&transaction)? {
            let secret = match sealed.dek {
                Some(_) => Some(values::open_value(&work, &sealed)?),
                None => None,
            };
            opened.push((sealed, secret));
        }
        seed = Key::fresh()?;
    }
    unlocked = Unlocked {
        keys: [(unlocked.active + 1, Key::fresh()?)].into(),
        active: unlocked.active + 1,
        signer: signer_of(&seed)?,
        by: unlocked.by,
    };
    let now = seat.clock.now();
    for (name, kind, identity) in own_identities(seat)? {
        let key = identity.public().ok_or(StoreFault::NoPlaceForKeys)?.to_string();
        let at = answers.iter().position(|(one, _)| one.name == name);
        let before = at.map(|at| answers.remove(at).0);
        // Another user's operator stays a recipient: taking over is not taking away.
        if let Some(before) = before.filter(|before| name == OPERATOR && before.key != key) {
            let name = format!("operator-{}", &theirs.install[..theirs.install.len().min(8)]);
            answers.push((Recipient { name, kind: RecipientKind::Person, ..before }, None));
        }
        answers.push((Recipient { name: name.to_owned(), kind, key, added: now, proved: Some(now) }, None));
    }
    transaction.execute("DELETE FROM recipients", [])?;
    transaction.execute("DELETE FROM keys", [])?;
    {
        let work = Work::of(&transaction, seat, &mut unlocked);
        keys::reseal_store(&work, &seed)?;
        for (sealed, secret) in opened {
            match secret {
                Some(secret) => values::write_row(&work, sealed, &secret)?,
                None => rows::write(&transaction, &sealed)?,
            }
        }
    }
    for (recipient, answer) in answers {
        recipients::write(&transaction, seat, &unlocked, &recipient, answer.as_deref().map(Vec::as_slice))?;
    }
    keys::wrap_for_all(&transaction, seat, &unlocked)?;
    transaction.execute("UPDATE store SET epoch = epoch + 1", [])?;
    let about = About { name: HOST, ..About::store(Action::TakenOver, &unlocked.by) };
    let tip = audit::append(&transaction, seat, about)?;
    let epoch = epoch(&transaction)?;
    // The head in the root is the old root's.
    files::remove(&seat.state.join("audit-head.json"))?;
    transaction.commit()?;
    head::write(seat, &unlocked.signer, &tip, epoch)
}

fn owner(connection: &rusqlite::Connection) -> Result<Option<(String, String)>, StoreFault> {
    use rusqlite::OptionalExtension;
    let owner = connection
        .query_row("SELECT install, environment FROM store", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(owner)
}
