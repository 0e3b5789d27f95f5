//! Whether the audit log is whole: nothing cut, changed, put in another order or put back.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use rusqlite::Connection;
use serde::Serialize;

use super::head::{self, Found};
use super::{Action, BEGINNING, Entry, entries, hash_of};
use crate::fault::StoreFault;
use crate::seat::Seat;

/// What is wrong with the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "kebab-case")]
pub enum Finding {
    /// Row numbers do not follow each other.
    Missing {
        after: u64,
        next: u64,
    },
    /// A row's content is not what was hashed.
    Changed {
        seq: u64,
    },
    /// A row does not continue the one before it.
    Unlinked {
        seq: u64,
    },
    /// The signed end is beyond the log's.
    Cut {
        head: PathBuf,
        signed: u64,
        last: u64,
    },
    /// The row at the signed end is another one.
    Rewritten {
        head: PathBuf,
        seq: u64,
    },
    /// The store is older than its head.
    RolledBack {
        head: PathBuf,
        signed: u64,
        store: u64,
    },
    HeadMissing {
        head: PathBuf,
    },
    HeadDamaged {
        head: PathBuf,
    },
    HeadStrange {
        head: PathBuf,
    },
    /// Noted when it was first seen.
    Gap {
        seq: u64,
        reason: String,
    },
    /// The newest version that is in use is not the one that was last made so.
    Version {
        name: String,
        logged: u32,
        kept: Option<u32>,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { after, next } => write!(f, "rows between {after} and {next} are missing"),
            Self::Changed { seq } => write!(f, "row {seq} was changed"),
            Self::Unlinked { seq } => write!(f, "row {seq} does not follow the row before it"),
            Self::Cut { head, signed, last } => {
                write!(f, "the log ends at row {last}, but {} was signed at row {signed}", head.display())
            }
            Self::Rewritten { head, seq } => {
                write!(f, "row {seq} is not the one that was signed in {}", head.display())
            }
            Self::RolledBack { head, signed, store } => {
                write!(f, "the store is at state {store}, but {} was signed at state {signed}", head.display())
            }
            Self::HeadMissing { head } => write!(f, "the signed end {} is missing", head.display()),
            Self::HeadDamaged { head } => write!(f, "the signed end {} is damaged", head.display()),
            Self::HeadStrange { head } => write!(f, "the signed end {} was signed with another key", head.display()),
            Self::Gap { seq, reason } => write!(f, "row {seq} notes that the log before it is not whole: {reason}"),
            Self::Version { name, logged, kept } => match kept {
                Some(kept) => write!(f, "{name} is at version {kept}, but the log says version {logged}"),
                None => write!(f, "{name} has no value, but the log says version {logged}"),
            },
        }
    }
}

/// What `audit verify` says.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    pub rows: usize,
    pub findings: Vec<Finding>,
}

pub(crate) fn verify(
    connection: &Connection,
    seat: &Seat,
    key: &[u8],
    epoch: u64,
    current: &BTreeMap<String, u32>,
) -> Result<Verdict, StoreFault> {
    let rows = entries(connection)?;
    let mut findings = chain(&rows);
    for path in seat.heads() {
        let head = match head::read(&path, key, &seat.install)? {
            Found::Head(head) => head,
            Found::Missing => {
                findings.push(Finding::HeadMissing { head: path });
                continue;
            }
            Found::Damaged => {
                findings.push(Finding::HeadDamaged { head: path });
                continue;
            }
            Found::Strange | Found::Foreign => {
                findings.push(Finding::HeadStrange { head: path });
                continue;
            }
        };
        if head.epoch > epoch {
            findings.push(Finding::RolledBack { head: path.clone(), signed: head.epoch, store: epoch });
        }
        let last = rows.last().map_or(0, |row| row.seq);
        match rows.iter().find(|row| row.seq == head.seq) {
            None if head.seq > last => findings.push(Finding::Cut { head: path, signed: head.seq, last }),
            Some(row) if head::hex(&row.hash) != head.hash => {
                findings.push(Finding::Rewritten { head: path, seq: head.seq });
            }
            _ => {}
        }
    }
    findings.extend(versions(&rows, current));
    Ok(Verdict { rows: rows.len(), findings })
}

fn chain(rows: &[Entry]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (mut seq, mut hash) = (0, BEGINNING.to_vec());
    for row in rows {
        if row.seq != seq + 1 {
            findings.push(Finding::Missing { after: seq, next: row.seq });
        } else if row.previous != hash {
            findings.push(Finding::Unlinked { seq: row.seq });
        }
        if hash_of(row) != row.hash {
            findings.push(Finding::Changed { seq: row.seq });
        }
        if row.action == Action::Gap.as_str() {
            findings.push(Finding::Gap { seq: row.seq, reason: row.reason.clone() });
        }
        (seq, hash) = (row.seq, row.hash.clone());
    }
    findings
}

/// One row put back to an older version passes every seal; the log knows which version came last.
fn versions(rows: &[Entry], current: &BTreeMap<String, u32>) -> Vec<Finding> {
    let mut logged: BTreeMap<&str, Option<u32>> = BTreeMap::new();
    let makes = [Action::Set, Action::Generated, Action::Promoted, Action::Imported].map(Action::as_str);
    for row in rows {
        if makes.contains(&row.action.as_str()) {
            logged.insert(&row.name, row.version);
        } else if row.action == Action::Destroyed.as_str() && logged.get(row.name.as_str()) == Some(&row.version) {
            logged.insert(&row.name, None);
        }
    }
    let differs = |(name, logged): (&str, Option<u32>)| {
        let (logged, kept) = (logged?, current.get(name).copied());
        (kept != Some(logged)).then(|| Finding::Version { name: name.to_owned(), logged, kept })
    };
    logged.into_iter().filter_map(differs).collect()
}
