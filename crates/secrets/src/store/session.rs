//! The open file of a store, and one transaction in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use host::database::{self, Journalling, Presence};
use host::files::{self, Stamp};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::schema::SCHEMA;
use super::{Store, before, keys, reserve};
use crate::SecretName;
use crate::audit::{self, About, Action, Note, Tip, head};
use crate::fault::StoreFault;
use crate::seal::{Belonging, Key};
use crate::seat::{Seat, Via};

/// Whether a store is made where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Existing,
    Make,
}

/// An open file.
pub(super) struct Opened {
    connection: Connection,
    /// How the file was when we last had our hands on it. Another one, or one that was written over, is opened and judged anew:
    /// SQLite itself would go on with what it remembers.
    stamp: Option<Stamp>,
    unlocked: Option<Unlocked>,
}

/// The keys of an open store: unwrapped once.
pub(super) struct Unlocked {
    pub(super) keys: BTreeMap<u32, Key>,
    pub(super) active: u32,
    pub(super) signer: Ed25519KeyPair,
    /// The recipient whose key opened it.
    pub(super) by: String,
}

/// One transaction, by somebody who could open the store.
pub(super) struct Work<'a> {
    pub(super) connection: &'a Connection,
    pub(super) seat: &'a Seat,
    pub(super) unlocked: &'a mut Unlocked,
    tip: Option<Tip>,
    read: Vec<(String, String, u32)>,
}

/// What this process has read for the environment's own needs, and noted: root, name and version. Once is enough for what is
/// looked at every few seconds.
static NOTED: Mutex<BTreeSet<(String, String, u32)>> = Mutex::new(BTreeSet::new());

/// How often something is tried again after another process changed the keys in between.
const ATTEMPTS: usize = 5;

impl<'a> Work<'a> {
    pub(super) fn of(connection: &'a Connection, seat: &'a Seat, unlocked: &'a mut Unlocked) -> Self {
        Self { connection, seat, unlocked, tip: None, read: Vec::new() }
    }
}

impl Work<'_> {
    /// Notes what is done with a version.
    pub(super) fn note(&mut self, action: Action, name: &SecretName, version: u32) -> Result<(), StoreFault> {
        if action == Action::Read && self.seat.actor.via == Via::Control {
            let key = (self.seat.install.clone(), name.as_str().to_owned(), version);
            if NOTED.lock().unwrap_or_else(PoisonError::into_inner).contains(&key) {
                return Ok(());
            }
            self.read.push(key);
        }
        let by = self.unlocked.by.clone();
        self.log(About::secret(action, name, version, &by))
    }

    /// Notes what is done with the store or a recipient.
    pub(super) fn note_of_store(&mut self, action: Action, name: &str) -> Result<(), StoreFault> {
        let by = self.unlocked.by.clone();
        self.log(About { name, ..About::store(action, &by) })
    }

    /// Notes what was done by somebody else than whoever the store is opened for.
    pub(super) fn note_by_others(&mut self, note: &Note) -> Result<(), StoreFault> {
        let by = self.unlocked.by.clone();
        self.log(About::note(note, &by))
    }

    fn log(&mut self, about: About<'_>) -> Result<(), StoreFault> {
        self.tip = Some(audit::append(self.connection, self.seat, about)?);
        Ok(())
    }

    /// Values or keys are other ones from now on.
    pub(super) fn next_epoch(&self) -> Result<(), StoreFault> {
        self.connection.execute("UPDATE store SET epoch = epoch + 1", [])?;
        Ok(())
    }

    pub(super) fn epoch(&self) -> Result<u64, StoreFault> {
        epoch(self.connection)
    }

    pub(super) fn key(&self) -> &Key {
        &self.unlocked.keys[&self.unlocked.active]
    }

    pub(super) fn key_of(&self, kver: u32) -> Result<&Key, StoreFault> {
        self.unlocked.keys.get(&kver).ok_or(StoreFault::Stale)
    }

    pub(super) fn signer_key(&self) -> &[u8] {
        self.unlocked.signer.public_key().as_ref()
    }

    /// What something in this store belongs to.
    pub(super) fn belonging<'b>(&'b self, name: &'b str, version: u32, class: &'b str, kind: &'b str) -> Belonging<'b> {
        belonging(self.seat, name, version, class, kind)
    }
}

pub(super) fn belonging<'b>(
    seat: &'b Seat,
    name: &'b str,
    version: u32,
    class: &'b str,
    kind: &'b str,
) -> Belonging<'b> {
    Belonging { install: &seat.install, environment: &seat.environment, name, version, class, kind }
}

pub(super) fn epoch(connection: &Connection) -> Result<u64, StoreFault> {
    let epoch: i64 = connection.query_row("SELECT epoch FROM store", [], |row| row.get(0))?;
    Ok(u64::try_from(epoch).unwrap_or(0))
}

impl Store {
    /// Looks at what can be read without a key. `none` is the answer where there is no store.
    pub(super) fn look<T>(
        &self,
        work: impl Fn(&Connection) -> Result<T, StoreFault>,
        none: impl Fn() -> T,
    ) -> Result<T, StoreFault> {
        // What was kept before the store is part of what is in it.
        if files::exists(&self.seat.before) {
            return Ok(self.with_keys(Access::Make, |open| work(open.connection))?.unwrap_or_else(none));
        }
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.ensure_open(&mut opened, Access::Existing)? {
            return Ok(none());
        }
        let Some(open) = opened.as_mut() else { return Ok(none()) };
        match is_laid(&open.connection, &self.seat)? {
            true => work(&open.connection),
            false => Ok(none()),
        }
    }

    /// Does `work` in one transaction, all of it or nothing. `None`: there is no store, and none is to be made.
    pub(super) fn with_keys<T>(
        &self,
        access: Access,
        work: impl Fn(&mut Work<'_>) -> Result<T, StoreFault>,
    ) -> Result<Option<T>, StoreFault> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let access = if files::exists(&self.seat.before) { Access::Make } else { access };
        for _ in 0..ATTEMPTS {
            if !self.ensure_open(&mut opened, access)? {
                return Ok(None);
            }
            let Some(open) = opened.as_mut() else { return Ok(None) };
            match open.attempt(&self.seat, access, &work) {
                Err(StoreFault::Stale) => *opened = None,
                Err(fault) => {
                    // Whatever went wrong, the next one is to begin with what is on the disk.
                    *opened = None;
                    return Err(fault);
                }
                done => return done,
            }
        }
        Err(StoreFault::Tampered { what: "the number of a key".to_owned() })
    }

    /// Opens the file unless it is open and unchanged. `false`: there is none.
    fn ensure_open(&self, opened: &mut Option<Opened>, access: Access) -> Result<bool, StoreFault> {
        let now = files::stamp(&self.seat.file)?;
        if let Some(open) = opened
            && now.is_some()
            && open.stamp == now
        {
            return Ok(true);
        }
        *opened = None;
        let presence = match (now, access) {
            (None, Access::Existing) => return Ok(false),
            (None, Access::Make) => Presence::MayBeNew,
            (Some(_), _) => Presence::MustExist,
        };
        let connection = database::open_with(&self.seat.file, SCHEMA, presence, Journalling::Behind)
            .map_err(StoreFault::of_database)?;
        // What is deleted is written over with zeros: the key of a destroyed version is gone from the file.
        connection.pragma_update(None, "secure_delete", "on")?;
        *opened = Some(Opened { connection, stamp: files::stamp(&self.seat.file)?, unlocked: None });
        Ok(true)
    }
}

impl Opened {
    fn attempt<T>(
        &mut self,
        seat: &Seat,
        access: Access,
        work: &impl Fn(&mut Work<'_>) -> Result<T, StoreFault>,
    ) -> Result<Option<T>, StoreFault> {
        // At once the only writer: what is read is still so when it is written.
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut tip = None;
        if !is_laid(&transaction, seat)? {
            if access == Access::Existing {
                return Ok(None);
            }
            self.unlocked = Some(keys::lay(&transaction, seat)?);
            tip = audit::tip(&transaction)?;
        }
        if self.unlocked.is_none() {
            let (unlocked, noted) = keys::unlock(&transaction, seat)?;
            self.unlocked = Some(unlocked);
            tip = noted;
        }
        let unlocked = self.unlocked.as_mut().expect("it was unlocked just now");
        if unlocked.active != active(&transaction)? {
            return Err(StoreFault::Stale);
        }
        let mut work_now = Work { connection: &transaction, seat, unlocked, tip, read: Vec::new() };
        let taken_over = before::take_in(&mut work_now)?;
        let result = work(&mut work_now)?;
        let (tip, read) = (work_now.tip.take(), std::mem::take(&mut work_now.read));
        let epoch = epoch(&transaction)?;
        transaction.commit()?;
        NOTED.lock().unwrap_or_else(PoisonError::into_inner).extend(read);
        if let Some(tip) = tip {
            let unlocked = self.unlocked.as_ref().expect("it was unlocked above");
            match (head::write(seat, &unlocked.signer, &tip, epoch), seat.actor.via) {
                (Err(fault), Via::Cli) => return Err(fault),
                // A head that is behind is caught up with by the next one.
                (Err(_), Via::Control) | (Ok(()), _) => {}
            }
        }
        before::wipe(seat, taken_over)?;
        reserve::keep(seat);
        self.stamp = files::stamp(&seat.file)?;
        Ok(Some(result))
    }
}

/// Whether the store has been given its keys; refuses one that is another root's.
fn is_laid(connection: &Connection, seat: &Seat) -> Result<bool, StoreFault> {
    let owner = connection
        .query_row("SELECT install, environment FROM store", [], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        })
        .optional()?;
    match owner {
        None => Ok(false),
        Some((install, environment)) if install == seat.install && environment == seat.environment => Ok(true),
        Some(_) => Err(StoreFault::Foreign { path: seat.file.clone() }),
    }
}

pub(super) fn active(connection: &Connection) -> Result<u32, StoreFault> {
    Ok(connection.query_row("SELECT kver FROM store", [], |row| row.get(0))?)
}
