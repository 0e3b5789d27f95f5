//! A user's keys and the roots of some environments, in a folder of their own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use host::clock::SystemClock;
use manifest::environment::Class;
use secrets::{Actor, Seat, Secret, SecretName, Store, StoreFault, UserKeys, Via};

pub(crate) struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn seat(&self) -> Seat {
        seat(self.folder.path())
    }

    pub(crate) fn store(&self) -> Store {
        Store::new(self.seat())
    }
}

/// The root `local` of the user whose keys are in `folder`, with a person at work.
pub(crate) fn seat(folder: &Path) -> Seat {
    let root = folder.join("root");
    std::fs::create_dir_all(&root).unwrap();
    let keys = UserKeys { state: Some(folder.join("user-state")), config: Some(folder.join("user-config")) };
    let actor = Actor { user: "ann".to_owned(), origin: "here".to_owned(), via: Via::Cli, reason: String::new() };
    Seat { keys, actor, ..Seat::standalone(&root, Arc::new(SystemClock)) }
}

pub(crate) fn service(seat: Seat) -> Seat {
    Seat {
        actor: Actor { user: "svc".to_owned(), origin: "here".to_owned(), via: Via::Control, reason: String::new() },
        ..seat
    }
}

pub(crate) fn name(text: &str) -> SecretName {
    SecretName::new(text)
}

pub(crate) fn set(store: &Store, of: &str, value: &str) -> Result<u32, StoreFault> {
    store.set(&name(of), Class::Secret, &Secret::new(value.to_owned()))
}

pub(crate) fn value(store: &Store, of: &str) -> Result<Option<String>, StoreFault> {
    Ok(store.get(&name(of))?.map(|found| found.secret.expose().to_owned()))
}
