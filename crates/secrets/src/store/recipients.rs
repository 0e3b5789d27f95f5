//! Who may open a store.

use std::collections::BTreeMap;

use host::clock::Timestamp;
use rusqlite::{Connection, params};
use serde::Serialize;
use zeroize::Zeroizing;

use super::Store;
use super::keys;
use super::session::{Access, Unlocked, Work, belonging};
use crate::SecretName;
use crate::audit::{self, Action};
use crate::fault::StoreFault;
use crate::identity::{PrivateKey, PublicKey, as_text, wrap};
use crate::seal::{self, Key};
use crate::seat::Seat;

/// The recipient that is this root on this host.
pub(super) const HOST: &str = "host";
/// The recipient that is the user who made the store.
pub(super) const OPERATOR: &str = "operator";

/// What kind of recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecipientKind {
    Host,
    Operator,
    Person,
    /// Opens the store only together with another of its kind.
    BreakGlass,
}

impl RecipientKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Operator => "operator",
            Self::Person => "person",
            Self::BreakGlass => "break-glass",
        }
    }

    fn of(text: &str) -> Option<Self> {
        [Self::Host, Self::Operator, Self::Person, Self::BreakGlass].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Somebody who may open the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recipient {
    pub name: String,
    pub kind: RecipientKind,
    /// The public key.
    pub key: String,
    pub added: Timestamp,
    /// When the key was seen to open something; `None`: never yet.
    pub proved: Option<Timestamp>,
}

/// What somebody must open to prove that the key is theirs: an age file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge(Vec<u8>);

impl Challenge {
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// As a text that survives mail and terminals.
    pub fn to_text(&self) -> String {
        as_text(&self.0).expect("memory takes what is written to it")
    }
}

impl Recipient {
    pub(super) fn public(&self) -> Result<PublicKey, StoreFault> {
        self.key.parse().map_err(|_| tampered(&self.name))
    }

    fn bound(&self, answer: Option<&[u8]>) -> Vec<Vec<u8>> {
        vec![
            self.key.as_bytes().to_vec(),
            self.added.unix_millis().to_be_bytes().to_vec(),
            self.proved.map(|proved| proved.unix_millis().to_be_bytes().to_vec()).unwrap_or_default(),
            answer.map(<[u8]>::to_vec).unwrap_or_default(),
        ]
    }
}

fn tampered(name: &str) -> StoreFault {
    StoreFault::Tampered { what: format!("the recipient {name}") }
}

/// A recipient, and the sealed answer to the challenge that is open.
type WithAnswer = (Recipient, Option<Zeroizing<Vec<u8>>>);

/// All recipients with what they have to answer. A row that nobody wrote who could open the store is refused: otherwise whoever may
/// write the file could have the next key sealed to their own.
pub(super) fn with_answers(
    connection: &Connection,
    seat: &Seat,
    unlocked: &Unlocked,
) -> Result<Vec<WithAnswer>, StoreFault> {
    let mut statement =
        connection.prepare("SELECT name, kind, key, added, proved, answer, tag FROM recipients ORDER BY name")?;
    type Raw = (String, String, String, i64, Option<i64>, Option<Vec<u8>>, Vec<u8>);
    let rows = statement.query_map([], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?))
    })?;
    let rows: Vec<Raw> = rows.collect::<Result<_, _>>()?;
    let key = &unlocked.keys[&unlocked.active];
    let mut all = Vec::new();
    for (name, kind, public, added, proved, answer, tag) in rows {
        let known = RecipientKind::of(&kind).ok_or_else(|| tampered(&name))?;
        let recipient = Recipient {
            kind: known,
            key: public,
            added: Timestamp::from_unix_millis(added),
            proved: proved.map(Timestamp::from_unix_millis),
            name,
        };
        let name = recipient.name.as_str();
        let fields = recipient.bound(answer.as_deref());
        let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
        let place = belonging(seat, name, unlocked.active, &kind, "recipient");
        seal::open(key, place, &fields, &tag).ok_or_else(|| tampered(name))?;
        let answer = match answer {
            None => None,
            Some(sealed) => {
                let place = belonging(seat, name, unlocked.active, &kind, "answer");
                Some(seal::open(key, place, &[], &sealed).ok_or_else(|| tampered(name))?)
            }
        };
        all.push((recipient, answer));
    }
    Ok(all)
}

pub(super) fn all(connection: &Connection, seat: &Seat, unlocked: &Unlocked) -> Result<Vec<Recipient>, StoreFault> {
    Ok(with_answers(connection, seat, unlocked)?.into_iter().map(|(recipient, _)| recipient).collect())
}

/// Writes a recipient, in place of the one with the same name.
pub(super) fn write(
    connection: &Connection,
    seat: &Seat,
    unlocked: &Unlocked,
    recipient: &Recipient,
    answer: Option<&[u8]>,
) -> Result<(), StoreFault> {
    let key = &unlocked.keys[&unlocked.active];
    let place = |kind| belonging(seat, &recipient.name, unlocked.active, recipient.kind.as_str(), kind);
    let answer = answer.map(|answer| seal::seal(key, place("answer"), &[], answer)).transpose()?;
    let fields = recipient.bound(answer.as_deref());
    let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
    let tag = seal::seal(key, place("recipient"), &fields, b"")?;
    connection.execute(
        "INSERT OR REPLACE INTO recipients (name, kind, key, added, proved, answer, tag) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            recipient.name,
            recipient.kind.as_str(),
            recipient.key,
            recipient.added.unix_millis(),
            recipient.proved.map(Timestamp::unix_millis),
            answer,
            tag,
        ],
    )?;
    Ok(())
}

/// Whose key this is, by name.
pub(super) fn whose(all: &[Recipient], identity: &PrivateKey) -> String {
    let opens = |one: &&Recipient| {
        let public = one.public().ok();
        let wrapped = public.and_then(|public| wrap(&[&public], b"whose").ok());
        wrapped.is_some_and(|wrapped| identity.unwrap(&wrapped).is_some())
    };
    let by_key = identity.public().and_then(|public| {
        let public = public.to_string();
        all.iter().find(|one| one.key == public)
    });
    by_key.or_else(|| all.iter().find(opens)).map_or_else(|| "unknown".to_owned(), |one| one.name.clone())
}

/// Seals the environment's key for each pair of break-glass recipients: an age file for the one that holds one for the other.
pub(super) fn wrap_break_glass(connection: &Connection, all: &[Recipient], key: &Key) -> Result<(), StoreFault> {
    connection.execute("DELETE FROM break_glass", [])?;
    let three: Vec<&Recipient> = all.iter().filter(|one| one.kind == RecipientKind::BreakGlass).collect();
    for (at, first) in three.iter().enumerate() {
        for second in &three[at + 1..] {
            let inner = wrap(&[&second.public()?], key.bytes())?;
            let outer = wrap(&[&first.public()?], &inner)?;
            connection.execute(
                "INSERT INTO break_glass (first, second, wrapped) VALUES (?1, ?2, ?3)",
                params![first.name, second.name, outer],
            )?;
        }
    }
    Ok(())
}

/// Opens the environment's key with two of the break-glass keys.
pub(super) fn open_break_glass(connection: &Connection, keys: &[&PrivateKey]) -> Result<Option<Key>, StoreFault> {
    let mut statement = connection.prepare("SELECT wrapped FROM break_glass")?;
    let pairs: Vec<Vec<u8>> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let opened = pairs.iter().find_map(|outer| {
        let inner = keys.iter().find_map(|key| key.unwrap(outer))?;
        keys.iter().find_map(|key| Key::of(&key.unwrap(&inner)?))
    });
    Ok(opened)
}

/// Bytes of the number that a challenge asks for.
const NONCE: usize = 16;

fn refuse_name(name: &str) -> Result<(), StoreFault> {
    let is_good = |letter: char| letter.is_ascii_alphanumeric() || "-_.@".contains(letter);
    match (1..=64).contains(&name.len()) && name.chars().all(is_good) {
        true => Ok(()),
        false => Err(StoreFault::NotAName { name: name.to_owned() }),
    }
}

fn refuse_taken(all: &[Recipient], name: &str) -> Result<(), StoreFault> {
    refuse_name(name)?;
    match all.iter().any(|one| one.name == name) {
        true => Err(StoreFault::RecipientThere { name: name.to_owned() }),
        false => Ok(()),
    }
}

impl Store {
    pub fn recipients(&self) -> Result<Vec<Recipient>, StoreFault> {
        let all = |work: &mut Work<'_>| all(work.connection, work.seat, work.unlocked);
        Ok(self.with_keys(Access::Existing, all)?.unwrap_or_default())
    }

    /// Adds a person by public key. The store opens for them from now on; they count as proved once they have answered the
    /// challenge that is returned.
    pub fn add_recipient(&self, name: &str, key: &PublicKey) -> Result<Challenge, StoreFault> {
        self.change(|work| {
            let before = all(work.connection, work.seat, work.unlocked)?;
            refuse_taken(&before, name)?;
            let mut nonce = [0_u8; NONCE];
            getrandom::fill(&mut nonce)?;
            let answer = Zeroizing::new(audit::head::hex(&nonce).into_bytes());
            let added = work.seat.clock.now();
            let recipient = Recipient {
                name: name.to_owned(),
                kind: RecipientKind::Person,
                key: key.to_string(),
                added,
                proved: None,
            };
            write(work.connection, work.seat, work.unlocked, &recipient, Some(&answer))?;
            keys::wrap_for_all(work.connection, work.seat, work.unlocked)?;
            work.note_of_store(Action::RecipientAdded, name)?;
            work.next_epoch()?;
            Ok(Challenge(wrap(&[key], &[answer.as_slice(), b"\n"].concat())?))
        })
    }

    /// Takes the answer to a challenge.
    pub fn prove_recipient(&self, name: &str, answer: &str) -> Result<(), StoreFault> {
        self.change(|work| {
            let all = with_answers(work.connection, work.seat, work.unlocked)?;
            let found = all.into_iter().find(|(recipient, _)| recipient.name == name);
            let (recipient, expected) = found.ok_or_else(|| StoreFault::NoRecipient { name: name.to_owned() })?;
            let wrong = || StoreFault::WrongAnswer { name: name.to_owned() };
            let expected = expected.ok_or_else(wrong)?;
            if !crate::Secret::new(answer.trim().to_owned()).matches(&expected) {
                return Err(wrong());
            }
            let proved = Recipient { proved: Some(work.seat.clock.now()), ..recipient };
            write(work.connection, work.seat, work.unlocked, &proved, None)?;
            work.note_of_store(Action::RecipientProved, name)
        })
    }

    /// Takes a recipient away: another environment key that is not sealed to them, and every version that their key ever read,
    /// which they may still know.
    pub fn remove_recipient(&self, name: &str) -> Result<Vec<(SecretName, u32)>, StoreFault> {
        self.change(|work| {
            let all = all(work.connection, work.seat, work.unlocked)?;
            let found = all.iter().find(|one| one.name == name);
            let recipient = found.ok_or_else(|| StoreFault::NoRecipient { name: name.to_owned() })?;
            if recipient.kind == RecipientKind::Host {
                return Err(StoreFault::Given { name: name.to_owned(), action: "removed" });
            }
            work.connection.execute("DELETE FROM recipients WHERE name = ?1", [name])?;
            work.note_of_store(Action::RecipientRemoved, name)?;
            keys::rekey(work, Action::Rekeyed)?;
            audit::read_by(work.connection, name)
        })
    }

    /// Puts this user's identity in the place of the operator's: after that was lost.
    pub fn renew_operator(&self) -> Result<(), StoreFault> {
        self.change(|work| {
            let path = work.seat.keys.operator_identity().ok_or(StoreFault::NoPlaceForKeys)?;
            let identity = PrivateKey::ensure(&path)?;
            let public = identity.public().ok_or(StoreFault::NoPlaceForKeys)?.to_string();
            let now = work.seat.clock.now();
            let name = OPERATOR.to_owned();
            let operator =
                Recipient { name, kind: RecipientKind::Operator, key: public, added: now, proved: Some(now) };
            write(work.connection, work.seat, work.unlocked, &operator, None)?;
            work.note_of_store(Action::OperatorRenewed, OPERATOR)?;
            // The key that was lost may be in somebody's hands.
            keys::rekey(work, Action::Rekeyed).map(drop)
        })
    }

    /// Names the three keys of which any two open the store, in place of those before.
    pub fn set_break_glass(&self, three: &[PublicKey; 3]) -> Result<(), StoreFault> {
        self.change(|work| {
            work.connection.execute("DELETE FROM recipients WHERE kind = ?1", [RecipientKind::BreakGlass.as_str()])?;
            let distinct: BTreeMap<String, ()> = three.iter().map(|key| (key.to_string(), ())).collect();
            if distinct.len() < three.len() {
                return Err(StoreFault::RecipientThere { name: "break-glass".to_owned() });
            }
            for (number, key) in three.iter().enumerate() {
                let name = format!("break-glass-{}", number + 1);
                let added = work.seat.clock.now();
                let recipient =
                    Recipient { name, kind: RecipientKind::BreakGlass, key: key.to_string(), added, proved: None };
                write(work.connection, work.seat, work.unlocked, &recipient, None)?;
            }
            work.note_of_store(Action::BreakGlassSet, "")?;
            // What the three before could open is to be over.
            keys::rekey(work, Action::Rekeyed).map(drop)
        })
    }
}
