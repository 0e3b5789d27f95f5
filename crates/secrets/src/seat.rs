//! Where a store is and whose it is: everything that it is told from outside. The store reads no variable, no clock and no name of
//! a user by itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use host::clock::Clock;

/// A store, its place, its keys and who works with it.
#[derive(Clone, Debug)]
pub struct Seat {
    /// The store's file.
    pub file: PathBuf,
    /// The file of 0600 that Roadbed kept secrets in before; taken over and wiped where it is found.
    pub before: PathBuf,
    /// Folder in the root where the head of the audit log is kept.
    pub state: PathBuf,
    /// Id of the root that the store belongs to.
    pub install: String,
    /// The environment, as people write it: `production`, `preview/pr-7`.
    pub environment: String,
    pub keys: UserKeys,
    /// Further private keys that may open the store: `--identity`.
    pub identities: Vec<PathBuf>,
    /// Stores of this user's other environments: the same value is not to be in two.
    pub others: Vec<Neighbour>,
    pub actor: Actor,
    pub clock: Arc<dyn Clock>,
}

/// Where this user keeps keys, outside every root: a copy of a root, or a backup of it, opens nothing.
#[derive(Clone, Debug, Default)]
pub struct UserKeys {
    /// `$XDG_STATE_HOME/roadbed`: identities of hosts and heads of audit logs. `None` if this user has none.
    pub state: Option<PathBuf>,
    /// `$XDG_CONFIG_HOME/roadbed`: the operator's identity.
    pub config: Option<PathBuf>,
}

/// Another environment of this user.
#[derive(Clone, Debug)]
pub struct Neighbour {
    pub environment: String,
    pub file: PathBuf,
}

/// Who does something with the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The Unix user.
    pub user: String,
    /// From where they do it: the machine, and the number of the user.
    pub origin: String,
    pub via: Via,
    /// Why, in the person's own words; empty for services.
    pub reason: String,
}

/// By which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// Control, for the environment's own needs. It goes on when the disk is full, and each version it reads is noted once.
    Control,
    /// A person at the command line. Each reading is noted, and without a note there is none.
    Cli,
}

impl Via {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Cli => "cli",
        }
    }
}

/// What kind of environment it is, by its name. It decides what may be kept in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvironmentKind {
    Production,
    /// Shared and long-lived, without customers.
    Staging,
    /// One per pull request or branch: whoever opens one runs code in it.
    Preview,
    Local,
}

impl EnvironmentKind {
    pub fn of(environment: &str) -> Self {
        match environment {
            "production" => Self::Production,
            "local" => Self::Local,
            name if name.contains('/') => Self::Preview,
            _ => Self::Staging,
        }
    }
}

impl Seat {
    /// A store with all that belongs to it in one folder, and control at work: for tests of what stands on a store.
    pub fn standalone(folder: &Path, clock: Arc<dyn Clock>) -> Self {
        Self {
            file: folder.join("store.db"),
            before: folder.join("store.json"),
            state: folder.to_owned(),
            // A name of its own: what one test read is not noted for another.
            install: folder.to_string_lossy().replace('/', "-"),
            environment: "local".to_owned(),
            keys: UserKeys { state: Some(folder.join("user-state")), config: Some(folder.join("user-config")) },
            identities: Vec::new(),
            others: Vec::new(),
            actor: Actor { user: "nobody".to_owned(), origin: String::new(), via: Via::Control, reason: String::new() },
            clock,
        }
    }

    pub fn kind(&self) -> EnvironmentKind {
        EnvironmentKind::of(&self.environment)
    }

    /// The identity of this root on this host.
    pub(crate) fn host_identity(&self) -> Option<PathBuf> {
        self.keys.host_identity(&self.install)
    }

    /// The head of the audit log, in both places where it is kept.
    pub(crate) fn heads(&self) -> Vec<PathBuf> {
        let outside = self.keys.state.as_ref().map(|state| state.join("heads").join(&self.install));
        std::iter::once(self.state.join("audit-head.json")).chain(outside).collect()
    }
}

impl UserKeys {
    /// The identity of one root on this host.
    pub fn host_identity(&self, install: &str) -> Option<PathBuf> {
        self.host_identities().map(|folder| folder.join(install))
    }

    /// Where the identities of this user's roots on this host lie, each by the id of its root.
    pub fn host_identities(&self) -> Option<PathBuf> {
        self.state.as_ref().map(|state| state.join("identities"))
    }

    pub(crate) fn operator_identity(&self) -> Option<PathBuf> {
        self.config.as_ref().map(|config| config.join("identity"))
    }

    pub(crate) fn fingerprint_key(&self) -> Option<PathBuf> {
        self.config.as_ref().map(|config| config.join("fingerprint-key"))
    }
}
