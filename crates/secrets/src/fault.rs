//! What can go wrong with a store.

use std::path::PathBuf;

use host::database::DatabaseFault;
use host::files::FileFault;

use crate::SecretName;
use crate::identity::{CannotWrap, IdentityFault};
use crate::payment::Forbidden;

#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    #[error("cannot use the secret store")]
    File(#[from] FileFault),
    /// The file is there but not whole. Never treated as empty: new credentials would lock the apps out of their data.
    #[error("the secret store {} is damaged: {what}", path.display())]
    Damaged { path: PathBuf, what: String },
    #[error("the secret store {} was written by a newer Roadbed", path.display())]
    Newer { path: PathBuf },
    /// Its log was signed, so it was there.
    #[error("the secret store {} is missing", path.display())]
    Lost { path: PathBuf },
    /// Swapped in from another environment: its values open nothing here, and must not open anything by accident.
    #[error("the secret store {} belongs to another environment's root", path.display())]
    Foreign { path: PathBuf },
    #[error("the secret store {} is older than what was last written to it (state {found}, last seen {seen})", path.display())]
    RolledBack { path: PathBuf, found: u64, seen: u64 },
    #[error("the head of the audit log {} was signed with another key", path.display())]
    StrangeHead { path: PathBuf },
    #[error("{what} in the secret store was changed by something else than Roadbed")]
    Tampered { what: String },
    #[error("none of the keys on this machine opens the secret store {}", path.display())]
    Locked { path: PathBuf },
    #[error("the disk is full: what is read from the secret store is noted first, and there is no room for the note")]
    DiskFull,
    #[error("cannot use the secret store")]
    Database(#[source] DatabaseFault),
    #[error("cannot use the secret store")]
    Sqlite(#[source] rusqlite::Error),
    #[error(transparent)]
    Identity(#[from] IdentityFault),
    #[error(transparent)]
    Wrap(#[from] CannotWrap),
    #[error(
        "there is no place to keep the keys of the secret store: neither HOME nor XDG_CONFIG_HOME and XDG_STATE_HOME are set"
    )]
    NoPlaceForKeys,
    #[error("the secret store has no {name}")]
    Absent { name: SecretName },
    #[error("{name} has no version {version} that can be used")]
    NoVersion { name: SecretName, version: u32 },
    #[error("version {version} of {name} is {state}: only what is no longer in use can be destroyed")]
    InUse { name: SecretName, version: u32, state: &'static str },
    #[error("the value of {name} is empty")]
    Empty { name: SecretName },
    #[error("the value of {name} has {length} bytes: what is shorter than {least} cannot be kept out of logs")]
    Short { name: SecretName, length: usize, least: usize },
    #[error("the value of {name} has {length} bytes, and {most} is the most that is kept")]
    Long { name: SecretName, length: usize, most: usize },
    #[error("the value of {name} is not UTF-8")]
    NotText { name: SecretName },
    #[error("{name} must not have this value in {environment}: {why}")]
    Forbidden { name: SecretName, environment: String, why: Forbidden },
    #[error("{name} must not have this value: {environment} has it as {theirs}")]
    Shared { name: SecretName, environment: String, theirs: String },
    #[error("{} holds other secrets than the sealed store beside it", path.display())]
    TwoStores { path: PathBuf },
    #[error("there is no recipient {name}")]
    NoRecipient { name: String },
    #[error("there is a recipient {name} already")]
    RecipientThere { name: String },
    #[error("{name:?} is no name of a recipient: letters, digits, `-`, `_`, `.`, `@`, 1 to 64 of them")]
    NotAName { name: String },
    #[error("{name} is given by Roadbed and cannot be {action}")]
    Given { name: String, action: &'static str },
    #[error("the answer is not what was sealed to the key of {name}")]
    WrongAnswer { name: String },
    #[error("only {proved} of the recipients are proved able to open the store, and two must be")]
    TooFewProved { proved: usize },
    #[error("cannot get random numbers from the kernel")]
    Random(#[from] getrandom::Error),
    /// Another process changed the keys in between; what was asked for is tried again.
    #[error("the keys of the secret store were changed meanwhile")]
    Stale,
}

impl StoreFault {
    /// What the person at the keyboard can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::RolledBack { .. } => {
                "put back the newest copy of the file; `roadbed up --adopt` goes on with the older one, and says so in its log"
            }
            Self::Locked { .. } => {
                "bring the operator's identity ($XDG_CONFIG_HOME/roadbed/identity) here, or name another recipient's key, or two of the break-glass keys, with --identity"
            }
            Self::Tampered { .. } | Self::StrangeHead { .. } => {
                "restore the file from a backup, and see `roadbed secrets audit verify`"
            }
            Self::Lost { .. } => {
                "restore the file from a backup; `roadbed up --adopt` goes on without it, and with new credentials"
            }
            Self::NoRecipient { .. } | Self::RecipientThere { .. } => {
                "`roadbed secrets recipients list` shows who there is"
            }
            Self::NotAName { .. } => "give another name",
            Self::Given { .. } => "it is this host itself: what runs here could not open the store any more",
            Self::Absent { .. } | Self::NoVersion { .. } => "`roadbed secrets versions` shows what there is",
            Self::Long { .. } => "keep the document elsewhere, and here what opens it",
            Self::Wrap(_) => "name other recipients",
            Self::Stale | Self::Random(_) => "run this again",
            Self::DiskFull => "free some space, then run this again",
            Self::Newer { .. } => "use the Roadbed that wrote it, or a later one",
            Self::NoPlaceForKeys => "set HOME",
            Self::Short { .. } => "give it a longer value, or a class below secret in the manifest",
            Self::Empty { .. } => "give a value, or take the old one away with `roadbed secrets rm NAME`",
            Self::NotText { .. } => "encode it, for example as base64",
            Self::Forbidden { .. } => "give a test key here, and the live one to production alone",
            Self::Shared { .. } => "give each environment a value of its own",
            Self::TwoStores { .. } => "keep the one that is right and move the other away",
            Self::TooFewProved { .. } => "prove another first: `roadbed secrets recipients prove NAME`",
            Self::InUse { .. } => "set another value first",
            Self::WrongAnswer { .. } => "`roadbed secrets recipients list` shows whose challenge is open",
            Self::Identity(IdentityFault::Locked { .. }) => "give a key without a passphrase, or an age identity",
            Self::Identity(IdentityFault::Unknown { .. }) => {
                "restore the file, or move it away: another recipient opens the store and makes it anew"
            }
            Self::Sqlite(_) | Self::Database(DatabaseFault::Sqlite { .. }) => {
                "see whether the disk is full and the file is yours to write"
            }
            _ => "restore the file from a backup: new credentials would lock the apps out of their data",
        }
    }

    pub(crate) fn of_database(fault: DatabaseFault) -> Self {
        match fault {
            DatabaseFault::Damaged { path, what } => Self::Damaged { path, what },
            DatabaseFault::Missing { path } => Self::Damaged { path, what: "it is missing".to_owned() },
            DatabaseFault::Newer { path, .. } => Self::Newer { path },
            DatabaseFault::Foreign { path } => Self::Foreign { path },
            DatabaseFault::Sqlite { source, .. } if is_full(&source) => Self::DiskFull,
            other @ DatabaseFault::Sqlite { .. } => Self::Database(other),
        }
    }
}

impl From<rusqlite::Error> for StoreFault {
    fn from(error: rusqlite::Error) -> Self {
        if is_full(&error) { Self::DiskFull } else { Self::Sqlite(error) }
    }
}

fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
}
