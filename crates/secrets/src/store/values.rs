//! Values: sealed when they are written, opened when they are read.

use manifest::environment::Class;
use rusqlite::{OptionalExtension, params};
use zeroize::Zeroizing;

use super::rows::{self, Sealed, VersionRow};
use super::session::Work;
use super::{VersionState, Versioned, sharing};
use crate::audit::Action;
use crate::fault::StoreFault;
use crate::payment::{self, Writing};
use crate::seal::{self, Key};
use crate::{Secret, SecretName};

/// A sensitive value that is shorter cannot be told from ordinary text in a log, so it could not be kept out of one.
pub(super) const SHORTEST: usize = 12;

/// 1 MiB. The longest that people need are certificates; a process is handed an eighth of it at most.
pub(super) const LONGEST: usize = 1 << 20;

const VALUE: &str = "value";
const DEK: &str = "dek";

/// What a version's key is bound to besides its name: all that its row says.
fn bound(sealed: &Sealed) -> Vec<Vec<u8>> {
    let row = &sealed.row;
    vec![
        sealed.kver.to_be_bytes().to_vec(),
        row.state.as_str().as_bytes().to_vec(),
        row.created.unix_millis().to_be_bytes().to_vec(),
        row.changed.unix_millis().to_be_bytes().to_vec(),
        sealed.fingerprint.clone().unwrap_or_default(),
        sealed.fingerprint_key.clone().unwrap_or_default(),
    ]
}

fn slices(fields: &[Vec<u8>]) -> Vec<&[u8]> {
    fields.iter().map(Vec::as_slice).collect()
}

fn tampered(row: &VersionRow) -> StoreFault {
    StoreFault::Tampered { what: format!("version {} of {}", row.version, row.name) }
}

/// The key of a version.
pub(super) fn open_dek(work: &Work<'_>, sealed: &Sealed) -> Result<Key, StoreFault> {
    let row = &sealed.row;
    let dek = sealed.dek.as_ref().ok_or_else(|| tampered(row))?;
    let key = match work.key_of(sealed.kver) {
        Ok(key) => key,
        // After another process changed the keys this is seen with them; what is not, was never one of ours.
        Err(fault) if sealed.kver > work.unlocked.active => return Err(fault),
        Err(_) => return Err(tampered(row)),
    };
    let fields = bound(sealed);
    let belonging = work.belonging(&row.name, row.version, &row.class, DEK);
    let plain = seal::open(key, belonging, &slices(&fields), dek).ok_or_else(|| tampered(row))?;
    Key::of(&plain).ok_or_else(|| tampered(row))
}

/// Seals a version's key with the environment's, for the row as it is now.
pub(super) fn close_dek(work: &Work<'_>, sealed: &mut Sealed, dek: &Key) -> Result<(), StoreFault> {
    sealed.kver = work.unlocked.active;
    let fields = bound(sealed);
    let row = &sealed.row;
    let belonging = work.belonging(&row.name, row.version, &row.class, DEK);
    sealed.dek = Some(seal::seal(work.key(), belonging, &slices(&fields), dek.bytes())?);
    Ok(())
}

pub(super) fn open_value(work: &Work<'_>, sealed: &Sealed) -> Result<Secret, StoreFault> {
    let row = &sealed.row;
    let dek = open_dek(work, sealed)?;
    let value: Option<Vec<u8>> = work
        .connection
        .prepare("SELECT sealed FROM sealed_values WHERE name = ?1 AND version = ?2")?
        .query_row(params![row.name, row.version], |row| row.get(0))
        .optional()?;
    let belonging = work.belonging(&row.name, row.version, &row.class, VALUE);
    let plain =
        value.and_then(|value: Vec<u8>| seal::open(&dek, belonging, &[], &value)).ok_or_else(|| tampered(row))?;
    let text = std::str::from_utf8(&plain).map_err(|_| tampered(row))?;
    Ok(Secret::new(text.to_owned()))
}

/// Opens the versions of `name` in the states that are wanted, in the order of the states.
pub(super) fn open_all(
    work: &Work<'_>,
    name: &SecretName,
    wanted: &dyn Fn(VersionState) -> bool,
) -> Result<Vec<Versioned>, StoreFault> {
    let mut found = rows::of_name(work.connection, name)?;
    found.retain(|sealed| wanted(sealed.row.state));
    found.sort_by_key(|sealed| sealed.row.state);
    let twice =
        found.windows(2).find(|two| two[0].row.state == two[1].row.state && two[0].row.state <= VersionState::Previous);
    if let Some(two) = twice {
        return Err(tampered(&two[0].row));
    }
    found
        .iter()
        .map(|sealed| {
            let secret = open_value(work, sealed)?;
            Ok(Versioned { secret, version: sealed.row.version, state: sealed.row.state })
        })
        .collect()
}

/// What a value must be, whatever the manifest says.
fn refuse_unkeepable(name: &SecretName, class: Class, value: &str) -> Result<(), StoreFault> {
    let (name, length) = (name.clone(), value.len());
    match length {
        0 => Err(StoreFault::Empty { name }),
        _ if length > LONGEST => Err(StoreFault::Long { name, length, most: LONGEST }),
        _ if length < SHORTEST && class.is_sensitive() => Err(StoreFault::Short { name, length, least: SHORTEST }),
        _ => Ok(()),
    }
}

pub(super) fn set(
    work: &mut Work<'_>,
    name: &SecretName,
    writing: Writing<'_>,
    secret: &Secret,
    action: Action,
) -> Result<u32, StoreFault> {
    let all = rows::of_name(work.connection, name)?;
    if let Some(current) = all.iter().find(|sealed| sealed.row.state == VersionState::Current)
        && open_value(work, current)?.matches(secret.expose().as_bytes())
        && current.row.class == writing.class.as_str()
    {
        return Ok(current.row.version);
    }
    refuse_unkeepable(name, writing.class, secret.expose())?;
    payment::allows(work.seat.kind(), writing, secret.expose()).map_err(|why| StoreFault::Forbidden {
        name: name.clone(),
        environment: work.seat.environment.clone(),
        why,
    })?;
    if action == Action::Set && writing.class.is_sensitive() {
        sharing::refuse_shared(work.seat, name, secret)?;
    }
    let version = all.first().map_or(1, |newest| newest.row.version + 1);
    for sealed in all.into_iter().filter(|sealed| sealed.row.state <= VersionState::Previous) {
        become_(work, sealed, VersionState::Retired)?;
    }
    write(work, name, version, writing.class.as_str(), VersionState::Current, secret)?;
    work.note(action, name, version)?;
    work.next_epoch()?;
    Ok(version)
}

pub(super) fn stage(work: &mut Work<'_>, name: &SecretName, secret: &Secret) -> Result<u32, StoreFault> {
    let all = rows::of_name(work.connection, name)?;
    let current = current(&all, name)?;
    if let Some(pending) = all.iter().find(|sealed| sealed.row.state == VersionState::Pending) {
        return Ok(pending.row.version);
    }
    let class = current.row.class.clone();
    let sensitive = Class::ALL.iter().find(|known| known.as_str() == class).copied().unwrap_or(Class::Secret);
    refuse_unkeepable(name, sensitive, secret.expose())?;
    let version = all.first().map_or(1, |newest| newest.row.version + 1);
    write(work, name, version, &class, VersionState::Pending, secret)?;
    work.note(Action::Staged, name, version)?;
    work.next_epoch()?;
    Ok(version)
}

pub(super) fn promote(work: &mut Work<'_>, name: &SecretName) -> Result<u32, StoreFault> {
    let all = rows::of_name(work.connection, name)?;
    let version = current(&all, name)?.row.version;
    if !all.iter().any(|sealed| sealed.row.state == VersionState::Pending) {
        return Ok(version);
    }
    let mut promoted = version;
    for sealed in all {
        match sealed.row.state {
            VersionState::Pending => {
                promoted = sealed.row.version;
                become_(work, sealed, VersionState::Current)?;
            }
            VersionState::Current => become_(work, sealed, VersionState::Previous)?,
            VersionState::Previous => become_(work, sealed, VersionState::Retired)?,
            VersionState::Retired | VersionState::Destroyed => {}
        }
    }
    work.note(Action::Promoted, name, promoted)?;
    work.next_epoch()?;
    Ok(promoted)
}

pub(super) fn retire(work: &mut Work<'_>, name: &SecretName) -> Result<(), StoreFault> {
    let all = rows::of_name(work.connection, name)?;
    current(&all, name)?;
    for sealed in all.into_iter().filter(|sealed| sealed.row.state == VersionState::Previous) {
        let version = sealed.row.version;
        become_(work, sealed, VersionState::Retired)?;
        work.note(Action::Retired, name, version)?;
        work.next_epoch()?;
    }
    Ok(())
}

pub(super) fn destroy(work: &mut Work<'_>, name: &SecretName, version: u32) -> Result<(), StoreFault> {
    let mut all = rows::of_name(work.connection, name)?;
    let missing = || StoreFault::NoVersion { name: name.clone(), version };
    let at = all.iter().position(|sealed| sealed.row.version == version).ok_or_else(missing)?;
    let sealed = all.swap_remove(at);
    match sealed.row.state {
        VersionState::Destroyed => Ok(()),
        VersionState::Retired => shred(work, name, sealed),
        state => Err(StoreFault::InUse { name: name.clone(), version, state: state.as_str() }),
    }
}

pub(super) fn remove(work: &mut Work<'_>, name: &SecretName) -> Result<(), StoreFault> {
    let all = rows::of_name(work.connection, name)?;
    let left: Vec<Sealed> = all.into_iter().filter(|sealed| sealed.row.state != VersionState::Destroyed).collect();
    if left.is_empty() {
        return Err(StoreFault::Absent { name: name.clone() });
    }
    left.into_iter().try_for_each(|sealed| shred(work, name, sealed))
}

/// Drops a version's key, and with it the value, in this file and in every copy that is opened with a later key.
fn shred(work: &mut Work<'_>, name: &SecretName, mut sealed: Sealed) -> Result<(), StoreFault> {
    let version = sealed.row.version;
    work.connection
        .execute("DELETE FROM sealed_values WHERE name = ?1 AND version = ?2", params![name.as_str(), version])?;
    sealed.row.state = VersionState::Destroyed;
    sealed.row.changed = work.seat.clock.now();
    (sealed.dek, sealed.fingerprint, sealed.fingerprint_key) = (None, None, None);
    rows::write(work.connection, &sealed)?;
    work.note(Action::Destroyed, name, version)?;
    work.next_epoch()
}

fn current<'a>(all: &'a [Sealed], name: &SecretName) -> Result<&'a Sealed, StoreFault> {
    all.iter()
        .find(|sealed| sealed.row.state == VersionState::Current)
        .ok_or_else(|| StoreFault::Absent { name: name.clone() })
}

/// Another state is sealed with the version's key, so that nobody else can give it one.
fn become_(work: &Work<'_>, mut sealed: Sealed, state: VersionState) -> Result<(), StoreFault> {
    let dek = open_dek(work, &sealed)?;
    sealed.row.state = state;
    sealed.row.changed = work.seat.clock.now();
    close_dek(work, &mut sealed, &dek)?;
    rows::write(work.connection, &sealed)
}

/// Seals a value under a fresh key.
pub(super) fn write(
    work: &Work<'_>,
    name: &SecretName,
    version: u32,
    class: &str,
    state: VersionState,
    secret: &Secret,
) -> Result<(), StoreFault> {
    let now = work.seat.clock.now();
    let row = VersionRow {
        name: name.as_str().to_owned(),
        version,
        class: class.to_owned(),
        state,
        created: now,
        changed: now,
    };
    let fingerprint = sharing::fingerprint(work.seat, class, secret)?;
    let (fingerprint, fingerprint_key) = fingerprint.unzip();
    write_row(work, Sealed { row, fingerprint, fingerprint_key, kver: 0, dek: None }, secret)
}

pub(super) fn write_row(work: &Work<'_>, mut sealed: Sealed, secret: &Secret) -> Result<(), StoreFault> {
    let dek = Key::fresh()?;
    let plain = Zeroizing::new(secret.expose().as_bytes().to_vec());
    let row = &sealed.row;
    let value = seal::seal(&dek, work.belonging(&row.name, row.version, &row.class, VALUE), &[], &plain)?;
    work.connection
        .prepare("INSERT OR REPLACE INTO sealed_values (name, version, sealed) VALUES (?1, ?2, ?3)")?
        .execute(params![row.name, row.version, value])?;
    close_dek(work, &mut sealed, &dek)?;
    rows::write(work.connection, &sealed)
}
