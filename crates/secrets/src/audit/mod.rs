//! The audit log: what was done with which secret, by whom and why. Never a value, and no digest of one.
//!
//! ```text
//!   seq  time  actor  origin  via  action  name  version  reason  details  recipient   hash = SHA-256(lp(each field), the hash before)
//!    1    …                                                                            h1
//!    2    …                                                                            h2 ──► head: seq, hash, epoch, signed, twice outside
//! ```
//!
//! A row is written in the transaction of what it tells, and a reading is noted before the value is handed out. The chain alone
//! could be cut or written anew by whoever may write the file; so its end is signed and kept outside of it (`head`). What became of
//! it is found by `verify`.

pub mod note;
pub mod head;
pub mod verify;

use aws_lc_rs::digest;
use host::clock::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;

use crate::SecretName;
use crate::fault::StoreFault;
use crate::seal::prefixed;
use crate::seat::Seat;
pub use note::Note;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Made,
    Read,
    Exported,
    Set,
    Generated,
    Staged,
    Promoted,
    Retired,
    Destroyed,
    Imported,
    Rekeyed,
    RecipientAdded,
    RecipientProved,
    RecipientRemoved,
    /// The host's key was gone, and another was made.
    HostRenewed,
    OperatorRenewed,
    BreakGlassSet,
    TakenOver,
    /// Somebody said who they are, and was believed.
    LoggedIn,
    /// Somebody was given something for a while.
    Lent,
    GivenBack,
    /// Nobody gave it back: whoever had it is gone, or the time is over.
    TakenBack,
    /// A token of the API was made.
    TokenMade,
    TokenRevoked,
    /// A link was made that signs somebody in, once.
    LinkMade,
    /// Somebody may see what is protected.
    SignedIn,
    /// A session or link was ended before its time.
    SessionEnded,
    /// A network is kept out, or never is.
    NetworkListed,
    /// Somebody asked from elsewhere for something that changes the environment.
    AskedFor,
    /// Somebody asked from elsewhere for what they may not.
    Refused,
    /// The log is not the one whose end was signed: something of it is missing or was changed.
    Gap,
}

impl Action {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Read => "read",
            Self::Exported => "exported",
            Self::Set => "set",
            Self::Generated => "generated",
            Self::Staged => "staged",
            Self::Promoted => "promoted",
            Self::Retired => "retired",
            Self::Destroyed => "destroyed",
            Self::Imported => "imported",
            Self::Rekeyed => "rekeyed",
            Self::RecipientAdded => "recipient-added",
            Self::RecipientProved => "recipient-proved",
            Self::RecipientRemoved => "recipient-removed",
            Self::HostRenewed => "host-renewed",
            Self::OperatorRenewed => "operator-renewed",
            Self::BreakGlassSet => "break-glass-set",
            Self::TakenOver => "taken-over",
            Self::LoggedIn => "logged-in",
            Self::Lent => "lent",
            Self::GivenBack => "given-back",
            Self::TakenBack => "taken-back",
            Self::TokenMade => "token-made",
            Self::TokenRevoked => "token-revoked",
            Self::LinkMade => "link-made",
            Self::SignedIn => "signed-in",
            Self::SessionEnded => "session-ended",
            Self::NetworkListed => "network-listed",
            Self::AskedFor => "asked-for",
            Self::Refused => "refused",
            Self::Gap => "gap",
        }
    }
}

/// One row, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    pub seq: u64,
    pub time: Timestamp,
    pub actor: String,
    /// From where: machine, user, and process where that is known.
    pub origin: String,
    pub via: String,
    pub action: String,
    pub environment: String,
    /// The secret, or the recipient that it is about; empty if it is about none.
    pub name: String,
    pub version: Option<u32>,
    pub reason: String,
    /// For how long, and what else there is to say; mostly empty.
    pub details: String,
    /// Whose key opened the store for it.
    pub recipient: String,
    #[serde(skip)]
    pub(crate) previous: Vec<u8>,
    #[serde(skip)]
    pub(crate) hash: Vec<u8>,
}

/// The end of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tip {
    pub(crate) seq: u64,
    pub(crate) hash: Vec<u8>,
}

/// What a row is about.
#[derive(Clone, Copy)]
pub(crate) struct About<'a> {
    pub(crate) action: Action,
    pub(crate) name: &'a str,
    pub(crate) version: Option<u32>,
    pub(crate) recipient: &'a str,
    /// In place of the actor's reason.
    pub(crate) reason: Option<&'a str>,
    /// In place of the seat's own doing.
    pub(crate) note: Option<&'a Note>,
}

impl<'a> About<'a> {
    pub(crate) fn secret(action: Action, name: &'a SecretName, version: u32, recipient: &'a str) -> Self {
        Self { action, name: name.as_str(), version: Some(version), recipient, reason: None, note: None }
    }

    pub(crate) fn store(action: Action, recipient: &'a str) -> Self {
        Self { action, name: "", version: None, recipient, reason: None, note: None }
    }

    pub(crate) fn note(note: &'a Note, recipient: &'a str) -> Self {
        let Note { action, name, version, reason, .. } = note;
        Self { action: *action, name, version: *version, recipient, reason: Some(reason), note: Some(note) }
    }
}

/// Hash before the first row.
const BEGINNING: [u8; 32] = [0; 32];

/// Appends a row to the log, in the transaction that `connection` is in.
pub(crate) fn append(connection: &Connection, seat: &Seat, about: About<'_>) -> Result<Tip, StoreFault> {
    let last = tip(connection)?.unwrap_or(Tip { seq: 0, hash: BEGINNING.to_vec() });
    let own = (&seat.actor.user, &seat.actor.origin, seat.actor.via.as_str(), "");
    let (actor, origin, via, details) = match about.note {
        Some(note) => (&note.actor, &note.origin, note.via.as_str(), note.details.as_str()),
        None => own,
    };
    let mut entry = Entry {
        seq: last.seq + 1,
        time: seat.clock.now(),
        actor: actor.clone(),
        origin: origin.clone(),
        via: via.to_owned(),
        action: about.action.as_str().to_owned(),
        environment: seat.environment.clone(),
        name: about.name.to_owned(),
        version: about.version,
        reason: about.reason.unwrap_or(&seat.actor.reason).to_owned(),
        details: details.to_owned(),
        recipient: about.recipient.to_owned(),
        previous: last.hash,
        hash: Vec::new(),
    };
    entry.hash = hash_of(&entry);
    connection
        .prepare(
            "INSERT INTO audit (seq, time, actor, origin, via, action, environment, name, version, reason, details, recipient,
                                previous, hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )?
        .execute(params![
            i64::try_from(entry.seq).unwrap_or(i64::MAX),
            entry.time.unix_millis(),
            entry.actor,
            entry.origin,
            entry.via,
            entry.action,
            entry.environment,
            entry.name,
            entry.version,
            entry.reason,
            entry.details,
            entry.recipient,
            entry.previous,
            entry.hash,
        ])?;
    Ok(Tip { seq: entry.seq, hash: entry.hash })
}

/// Each field with its length before it: no two rows have the same bytes.
fn hash_of(entry: &Entry) -> Vec<u8> {
    let mut bytes = b"rb1-audit".to_vec();
    prefixed(&mut bytes, &entry.seq.to_be_bytes());
    prefixed(&mut bytes, &entry.time.unix_millis().to_be_bytes());
    for field in [&entry.actor, &entry.via, &entry.action, &entry.environment, &entry.name] {
        prefixed(&mut bytes, field.as_bytes());
    }
    // No version is another thing than version 0.
    prefixed(&mut bytes, entry.version.map(u32::to_be_bytes).as_ref().map_or(&[], |version| version.as_slice()));
    for field in [&entry.reason, &entry.recipient] {
        prefixed(&mut bytes, field.as_bytes());
    }
    prefixed(&mut bytes, &entry.previous);
    // Rows that were written before there were these two are hashed as they were.
    if !entry.origin.is_empty() || !entry.details.is_empty() {
        for field in [&entry.origin, &entry.details] {
            prefixed(&mut bytes, field.as_bytes());
        }
    }
    digest::digest(&digest::SHA256, &bytes).as_ref().to_vec()
}

pub(crate) fn tip(connection: &Connection) -> Result<Option<Tip>, StoreFault> {
    let tip = |row: &Row<'_>| Ok(Tip { seq: unsigned(row.get(0)?), hash: row.get(1)? });
    Ok(connection.query_row("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1", [], tip).optional()?)
}

/// The hash of row `seq`, if there is one.
pub(crate) fn hash_at(connection: &Connection, seq: u64) -> Result<Option<Vec<u8>>, StoreFault> {
    let seq = i64::try_from(seq).unwrap_or(i64::MAX);
    Ok(connection.query_row("SELECT hash FROM audit WHERE seq = ?1", [seq], |row| row.get(0)).optional()?)
}

/// All rows, the oldest first.
pub(crate) fn entries(connection: &Connection) -> Result<Vec<Entry>, StoreFault> {
    let mut statement = connection.prepare(
        "SELECT seq, time, actor, origin, via, action, environment, name, version, reason, details, recipient,
                previous, hash
         FROM audit ORDER BY seq",
    )?;
    let entries = statement.query_map([], |row| {
        Ok(Entry {
            seq: unsigned(row.get(0)?),
            time: Timestamp::from_unix_millis(row.get(1)?),
            actor: row.get(2)?,
            origin: row.get(3)?,
            via: row.get(4)?,
            action: row.get(5)?,
            environment: row.get(6)?,
            name: row.get(7)?,
            version: row.get(8)?,
            reason: row.get(9)?,
            details: row.get(10)?,
            recipient: row.get(11)?,
            previous: row.get(12)?,
            hash: row.get(13)?,
        })
    })?;
    Ok(entries.collect::<Result<_, _>>()?)
}

/// What a recipient's key read or carried away: `name`, `version`.
pub(crate) fn read_by(connection: &Connection, recipient: &str) -> Result<Vec<(SecretName, u32)>, StoreFault> {
    let mut statement = connection.prepare(
        "SELECT DISTINCT name, version FROM audit
         WHERE recipient = ?1 AND version IS NOT NULL AND action IN ('read', 'exported', 'set', 'staged', 'generated')
         ORDER BY name, version",
    )?;
    let read = statement
        .query_map([recipient], |row| Ok((SecretName::new(row.get::<_, String>(0)?), row.get::<_, u32>(1)?)))?;
    Ok(read.collect::<Result<_, _>>()?)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
