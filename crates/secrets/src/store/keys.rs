//! The environment's key: made, wrapped for recipients, unwrapped by whoever is one, exchanged.

use std::collections::BTreeMap;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use rusqlite::{Connection, params};

use super::recipients::{self, HOST, OPERATOR, Recipient, RecipientKind};
use super::session::{Unlocked, Work, active, belonging, epoch};
use super::{rows, values};
use crate::audit::head::{self, Found};
use crate::audit::{self, About, Action, Tip};
use crate::fault::StoreFault;
use crate::identity::{PrivateKey, wrap};
use crate::seal::{self, Key};
use crate::seat::Seat;

/// How many recipients must be proved able to open a store before anything is sealed to them: one that is lost is no loss then.
const PROVED: usize = 2;

const SIGNER: &str = "signer";

/// Gives a new store its keys: the environment's, the one that signs the log, and the host's and the operator's identity, made
/// where there are none. Both are seen to open it before anything is kept in it.
pub(super) fn lay(connection: &Connection, seat: &Seat) -> Result<Unlocked, StoreFault> {
    if head::tells_of(seat)? {
        return Err(StoreFault::Lost { path: seat.file.clone() });
    }
    let (key, seed) = (Key::fresh()?, Key::fresh()?);
    let unlocked =
        Unlocked { signer: signer_of(&seed)?, keys: BTreeMap::from([(1, key)]), active: 1, by: HOST.to_owned() };
    write_store(connection, seat, &unlocked, &seed)?;
    for (name, kind, identity) in own_identities(seat)? {
        let public = identity.public().ok_or(StoreFault::NoPlaceForKeys)?.to_string();
        let now = Some(seat.clock.now());
        let recipient = Recipient { name: name.to_owned(), kind, key: public, added: seat.clock.now(), proved: now };
        recipients::write(connection, seat, &unlocked, &recipient, None)?;
    }
    wrap_for_all(connection, seat, &unlocked)?;
    audit::append(connection, seat, About::store(Action::Made, HOST))?;
    Ok(unlocked)
}

/// The identities that Roadbed makes by itself.
pub(super) fn own_identities(seat: &Seat) -> Result<[(&'static str, RecipientKind, PrivateKey); 2], StoreFault> {
    let host = seat.host_identity().ok_or(StoreFault::NoPlaceForKeys)?;
    let operator = seat.keys.operator_identity().ok_or(StoreFault::NoPlaceForKeys)?;
    Ok([
        (HOST, RecipientKind::Host, PrivateKey::ensure(&host)?),
        (OPERATOR, RecipientKind::Operator, PrivateKey::ensure(&operator)?),
    ])
}

pub(super) fn signer_of(seed: &Key) -> Result<Ed25519KeyPair, StoreFault> {
    Ed25519KeyPair::from_seed_unchecked(seed.bytes())
        .map_err(|_| StoreFault::Tampered { what: "the key that signs the audit log".to_owned() })
}

fn write_store(connection: &Connection, seat: &Seat, unlocked: &Unlocked, seed: &Key) -> Result<(), StoreFault> {
    let key = &unlocked.keys[&unlocked.active];
    let sealed = seal::seal(key, belonging(seat, "", unlocked.active, "", SIGNER), &[], seed.bytes())?;
    let public = unlocked.signer.public_key().as_ref();
    connection.execute(
        "INSERT INTO store (only, install, environment, epoch, kver, signer, signer_public) VALUES (1, ?1, ?2, 1, ?3, ?4, ?5)
         ON CONFLICT (only) DO UPDATE SET install = ?1, environment = ?2, kver = ?3, signer = ?4, signer_public = ?5",
        params![seat.install, seat.environment, unlocked.active, sealed, public],
    )?;
    Ok(())
}

/// Seals the environment's key to all recipients. Refused unless two are proved; whichever of them have their keys on this
/// machine are seen to open it before it counts.
pub(super) fn wrap_for_all(connection: &Connection, seat: &Seat, unlocked: &Unlocked) -> Result<(), StoreFault> {
    let all = recipients::all(connection, seat, unlocked)?;
    let everyday: Vec<&Recipient> = all.iter().filter(|one| one.kind != RecipientKind::BreakGlass).collect();
    let proved = everyday.iter().filter(|one| one.proved.is_some()).count();
    if proved < PROVED {
        return Err(StoreFault::TooFewProved { proved });
    }
    let key = &unlocked.keys[&unlocked.active];
    let public = everyday.iter().map(|one| one.public()).collect::<Result<Vec<_>, _>>()?;
    let wrapped = wrap(&public.iter().collect::<Vec<_>>(), key.bytes())?;
    let mut opens = 0;
    for (identity, _) in identities(seat)? {
        let known = identity.public().map(|public| public.to_string());
        let is_recipient = everyday.iter().any(|one| Some(&one.key) == known.as_ref());
        match identity.unwrap(&wrapped) {
            Some(found) if *found == key.bytes() => opens += 1,
            _ if is_recipient => return Err(StoreFault::TooFewProved { proved: opens }),
            _ => {}
        }
    }
    connection
        .execute("INSERT OR REPLACE INTO keys (kver, wrapped) VALUES (?1, ?2)", params![unlocked.active, wrapped])?;
    recipients::wrap_break_glass(connection, &all, key)
}

/// The private keys that are on this machine, with what they are for: the host's, the operator's, and those that were named.
fn identities(seat: &Seat) -> Result<Vec<(PrivateKey, Option<RecipientKind>)>, StoreFault> {
    let own = [
        (seat.host_identity(), Some(RecipientKind::Host)),
        (seat.keys.operator_identity(), Some(RecipientKind::Operator)),
    ];
    let own = own.into_iter().filter_map(|(path, kind)| Some((path?, kind)));
    let mut found = Vec::new();
    for (path, kind) in own {
        // One that is damaged opens nothing; another may.
        if let Ok(Some(key)) = PrivateKey::read(&path) {
            found.push((key, kind));
        }
    }
    for path in &seat.identities {
        // What was named by hand is to be there.
        match PrivateKey::read(path)? {
            Some(key) => found.push((key, None)),
            None => return Err(StoreFault::Identity(crate::identity::IdentityFault::Unknown { path: path.clone() })),
        }
    }
    Ok(found)
}

/// Opens the environment's key with whatever key is on this machine. What is noted of it is the second answer.
pub(super) fn unlock(connection: &Connection, seat: &Seat) -> Result<(Unlocked, Option<Tip>), StoreFault> {
    let unlocked = unlock_without_heads(connection, seat)?;
    let mut tip = check_heads(connection, seat, &unlocked)?;
    if unlocked.by == OPERATOR
        && let Some(renewed) = renew_host(connection, seat, &unlocked)?
    {
        tip = Some(renewed);
    }
    Ok((unlocked, tip))
}

/// As [`unlock`], for a store whose heads are another root's.
pub(super) fn unlock_without_heads(connection: &Connection, seat: &Seat) -> Result<Unlocked, StoreFault> {
    let identities = identities(seat)?;
    unlock_with(connection, seat, &identities.iter().map(|(key, _)| key).collect::<Vec<_>>())
}

/// As [`unlock_without_heads`], with these keys and no others.
pub(super) fn unlock_with(connection: &Connection, seat: &Seat, keys: &[&PrivateKey]) -> Result<Unlocked, StoreFault> {
    let kver = active(connection)?;
    let wrapped: Vec<u8> = connection
        .query_row("SELECT wrapped FROM keys WHERE kver = ?1", [kver], |row| row.get(0))
        .map_err(|_| StoreFault::Tampered { what: "the number of the key".to_owned() })?;
    let by_one = keys.iter().find_map(|identity| Some((Key::of(&identity.unwrap(&wrapped)?)?, *identity)));
    let (key, with) = match by_one {
        Some((key, identity)) => (key, Some(identity)),
        None => match recipients::open_break_glass(connection, keys)? {
            Some(key) => (key, None),
            None => return Err(StoreFault::Locked { path: seat.file.clone() }),
        },
    };
    let (sealed, public): (Vec<u8>, Vec<u8>) =
        connection.query_row("SELECT signer, signer_public FROM store", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let changed = || StoreFault::Tampered { what: "the key that signs the audit log".to_owned() };
    let seed = seal::open(&key, belonging(seat, "", kver, "", SIGNER), &[], &sealed).ok_or_else(changed)?;
    let signer = signer_of(&Key::of(&seed).ok_or_else(changed)?)?;
    if signer.public_key().as_ref() != public {
        return Err(changed());
    }
    let mut unlocked = Unlocked { keys: BTreeMap::from([(kver, key)]), active: kver, signer, by: String::new() };
    let all = recipients::all(connection, seat, &unlocked)?;
    unlocked.by = match with {
        Some(identity) => recipients::whose(&all, identity),
        None => "break-glass".to_owned(),
    };
    Ok(unlocked)
}

/// Refuses a store that is older than the one whose head was signed. A log that is not the one that was signed is gone on with, and
/// that is noted in it for good.
fn check_heads(connection: &Connection, seat: &Seat, unlocked: &Unlocked) -> Result<Option<Tip>, StoreFault> {
    let epoch = epoch(connection)?;
    let last = audit::tip(connection)?.map_or(0, |tip| tip.seq);
    let mut gaps = Vec::new();
    for path in seat.heads() {
        match head::read(&path, unlocked.signer.public_key().as_ref(), &seat.install)? {
            Found::Head(head) if head.epoch > epoch => {
                return Err(StoreFault::RolledBack { path: seat.file.clone(), found: epoch, seen: head.epoch });
            }
            Found::Head(head) => {
                let there = audit::hash_at(connection, head.seq)?.map(|hash| head::hex(&hash));
                if there.as_ref() != Some(&head.hash) {
                    gaps.push(format!(
                        "row {} was signed with hash {}, and the log ended at row {last}",
                        head.seq, head.hash
                    ));
                }
            }
            Found::Strange => return Err(StoreFault::StrangeHead { path }),
            // What is not there or not ours says nothing of this store; the next head takes its place.
            Found::Missing | Found::Damaged | Found::Foreign => {}
        }
    }
    gaps.dedup();
    let mut tip = None;
    for gap in gaps {
        let about = About { reason: Some(&gap), ..About::store(Action::Gap, &unlocked.by) };
        tip = Some(audit::append(connection, seat, about)?);
    }
    Ok(tip)
}

/// Makes another identity for this host in place of one that was lost.
fn renew_host(connection: &Connection, seat: &Seat, unlocked: &Unlocked) -> Result<Option<Tip>, StoreFault> {
    let all = recipients::all(connection, seat, unlocked)?;
    let Some(path) = seat.host_identity() else { return Ok(None) };
    let Some(public) = PrivateKey::ensure(&path)?.public().map(|public| public.to_string()) else { return Ok(None) };
    let Some(host) = all.iter().find(|one| one.name == HOST && one.key != public) else { return Ok(None) };
    let renewed = Recipient { key: public, proved: Some(seat.clock.now()), ..host.clone() };
    recipients::write(connection, seat, unlocked, &renewed, None)?;
    wrap_for_all(connection, seat, unlocked)?;
    let about = About { name: HOST, ..About::store(Action::HostRenewed, &unlocked.by) };
    Ok(Some(audit::append(connection, seat, about)?))
}

/// Another environment key. The keys of all versions are sealed with it, no value is touched, and the old one is forgotten.
pub(super) fn rekey(work: &mut Work<'_>, action: Action) -> Result<usize, StoreFault> {
    let before = work.unlocked.active;
    let mut opened = Vec::new();
    for sealed in rows::every(work.connection)?.into_iter().filter(|sealed| sealed.dek.is_some()) {
        let dek = values::open_dek(work, &sealed)?;
        opened.push((sealed, dek));
    }
    let answers = recipients::with_answers(work.connection, work.seat, work.unlocked)?;
    let seed = open_seed(work)?;
    work.unlocked.keys.insert(before + 1, Key::fresh()?);
    work.unlocked.active = before + 1;
    for (sealed, dek) in &mut opened {
        values::close_dek(work, sealed, dek)?;
        rows::write(work.connection, sealed)?;
    }
    write_store(work.connection, work.seat, work.unlocked, &seed)?;
    for (recipient, answer) in answers {
        recipients::write(work.connection, work.seat, work.unlocked, &recipient, answer.as_deref().map(Vec::as_slice))?;
    }
    wrap_for_all(work.connection, work.seat, work.unlocked)?;
    work.connection.execute("DELETE FROM keys WHERE kver <> ?1", [work.unlocked.active])?;
    work.unlocked.keys.remove(&before);
    work.note_of_store(action, "")?;
    work.next_epoch()?;
    Ok(opened.len())
}

fn open_seed(work: &Work<'_>) -> Result<Key, StoreFault> {
    let changed = || StoreFault::Tampered { what: "the key that signs the audit log".to_owned() };
    let sealed: Vec<u8> = work.connection.query_row("SELECT signer FROM store", [], |row| row.get(0))?;
    let place = belonging(work.seat, "", work.unlocked.active, "", SIGNER);
    let seed = seal::open(work.key(), place, &[], &sealed).ok_or_else(changed)?;
    Key::of(&seed).ok_or_else(changed)
}

/// Seals the seed of the signing key for the store as it is now: after the store became another root's.
pub(super) fn reseal_store(work: &Work<'_>, seed: &Key) -> Result<(), StoreFault> {
    write_store(work.connection, work.seat, work.unlocked, seed)
}
