//! The rows of versions, as they are in the file.

use std::collections::BTreeMap;

use host::clock::Timestamp;
use manifest::environment::Class;
use rusqlite::{Connection, Row, params};
use serde::Serialize;

use super::VersionState;
use crate::fault::StoreFault;
use crate::{Fingerprint, SecretName};

/// A version without its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VersionRow {
    pub name: String,
    pub version: u32,
    pub class: String,
    pub state: VersionState,
    pub created: Timestamp,
    /// When it came to be in this state.
    pub changed: Timestamp,
}

/// A row with what opens it.
pub(super) struct Sealed {
    pub(super) row: VersionRow,
    pub(super) fingerprint: Option<Vec<u8>>,
    pub(super) fingerprint_key: Option<Vec<u8>>,
    pub(super) kver: u32,
    pub(super) dek: Option<Vec<u8>>,
}

const COLUMNS: &str =
    "name, version, class, state, created, changed, fingerprint, fingerprint_key, kver, dek FROM versions";

fn of(row: &Row<'_>) -> rusqlite::Result<Sealed> {
    let state: String = row.get(3)?;
    let unknown = || {
        rusqlite::Error::FromSqlConversionFailure(
            3,
            rusqlite::types::Type::Text,
            format!("{state:?} is no state of a version").into(),
        )
    };
    Ok(Sealed {
        row: VersionRow {
            name: row.get(0)?,
            version: row.get(1)?,
            class: row.get(2)?,
            state: VersionState::of(&state).ok_or_else(unknown)?,
            created: Timestamp::from_unix_millis(row.get(4)?),
            changed: Timestamp::from_unix_millis(row.get(5)?),
        },
        fingerprint: row.get(6)?,
        fingerprint_key: row.get(7)?,
        kver: row.get(8)?,
        dek: row.get(9)?,
    })
}

/// The versions of one name, the newest first.
pub(super) fn of_name(connection: &Connection, name: &SecretName) -> Result<Vec<Sealed>, StoreFault> {
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS} WHERE name = ?1 ORDER BY version DESC"))?;
    let rows = statement.query_map([name.as_str()], of)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Every version, by name and number.
pub(super) fn every(connection: &Connection) -> Result<Vec<Sealed>, StoreFault> {
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS} ORDER BY name, version"))?;
    let rows = statement.query_map([], of)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn all(connection: &Connection) -> Result<Vec<VersionRow>, StoreFault> {
    Ok(every(connection)?.into_iter().map(|sealed| sealed.row).collect())
}

pub(super) fn names(connection: &Connection) -> Result<Vec<SecretName>, StoreFault> {
    let mut statement =
        connection.prepare("SELECT DISTINCT name FROM versions WHERE state = 'current' ORDER BY name")?;
    let names = statement.query_map([], |row| row.get::<_, String>(0).map(SecretName::new))?;
    Ok(names.collect::<Result<_, _>>()?)
}

pub(super) fn current_versions(connection: &Connection) -> Result<BTreeMap<String, u32>, StoreFault> {
    let mut statement = connection.prepare("SELECT name, version FROM versions WHERE state = 'current'")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn fingerprints(connection: &Connection) -> Result<Vec<Fingerprint>, StoreFault> {
    fingerprints_where(connection, "state = 'current'", &[])
}

pub(super) fn fingerprints_of(connection: &Connection, class: Class) -> Result<Vec<Fingerprint>, StoreFault> {
    fingerprints_where(connection, "class = ?1", &[&class.as_str()])
}

fn fingerprints_where(
    connection: &Connection,
    condition: &str,
    given: &[&dyn rusqlite::ToSql],
) -> Result<Vec<Fingerprint>, StoreFault> {
    let mut statement = connection.prepare(&format!(
        "SELECT name, fingerprint, fingerprint_key FROM versions
         WHERE {condition} AND fingerprint IS NOT NULL AND fingerprint_key IS NOT NULL ORDER BY name, version"
    ))?;
    let rows = statement.query_map(given, |row| {
        let name = SecretName::new(row.get::<_, String>(0)?);
        Ok(Fingerprint { name, print: row.get(1)?, key: row.get(2)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Writes a row, in place of the one with the same name and version.
pub(super) fn write(connection: &Connection, sealed: &Sealed) -> Result<(), StoreFault> {
    let row = &sealed.row;
    connection
        .prepare(
            "INSERT OR REPLACE INTO versions
             (name, version, class, state, created, changed, fingerprint, fingerprint_key, kver, dek)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            row.name,
            row.version,
            row.class,
            row.state.as_str(),
            row.created.unix_millis(),
            row.changed.unix_millis(),
            sealed.fingerprint,
            sealed.fingerprint_key,
            sealed.kver,
            sealed.dek,
        ])?;
    Ok(())
}
