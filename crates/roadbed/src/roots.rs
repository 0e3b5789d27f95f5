//! The roots that this user has on this machine: so that a copy of a root is known for one, and so that the environments of one
//! product can try each other's doors.
//!
//! ```text
//!   ~/.local/state/roadbed/roots/ID.json    one small file for each root, written by whoever brings it up
//!   ~/.local/state/roadbed/machine          which machine this is, where the system itself does not say
//! ```
//!
//! The list is a hint and never the truth: a root is what its own `environment.json` says, and an entry whose root has gone, or
//! is another one by now, is no entry.

use std::path::{Path, PathBuf};

use host::files::{self, Access};
use reconcile::{Fault, Root};
use secrets::UserKeys;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::control::identity::{self, Identity};

/// Where they are listed.
#[derive(Clone, Debug)]
pub struct Roots {
    /// `None`: this user keeps no state anywhere.
    state: Option<PathBuf>,
    /// Where this user's settings lie: the operator's identity is one.
    config: Option<PathBuf>,
}

/// One root, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    id: String,
    path: PathBuf,
}

/// Another root of the same product.
#[derive(Clone, Debug)]
pub struct Other {
    pub root: Root,
    pub identity: Identity,
}

impl Roots {
    /// `state` is where this user's state of Roadbed lies, `config` where the settings do.
    pub fn new(state: Option<PathBuf>, config: Option<PathBuf>) -> Self {
        Self { state, config }
    }

    /// Where this user's keys of secret stores are.
    pub fn keys(&self) -> UserKeys {
        UserKeys { state: self.state.clone(), config: self.config.clone() }
    }

    /// Lists a root, or notes where it is by now.
    pub fn note(&self, root: &Root, identity: &Identity) -> Result<(), Fault> {
        let Some(folder) = self.folder() else { return Ok(()) };
        let entry = Entry { id: identity.id.clone(), path: place_of(root) };
        let json = serde_json::to_vec_pretty(&entry).expect("an entry is plain data");
        files::create_dir(&folder, Access::Owner)
            .and_then(|()| files::write_if_changed(&folder.join(format!("{}.json", entry.id)), &json, Access::Owner))
            .map(drop)
            .map_err(|fault| {
                Fault::because("cannot note that there is this root", &fault)
                    .hint("see whether the folder is yours, or name another with XDG_STATE_HOME")
            })
    }

    /// The other roots of the same product, in the order of their environments' names.
    pub fn others(&self, than: &Identity) -> Result<Vec<Other>, Fault> {
        let Some(folder) = self.folder() else {
            return Err(Fault::new("cannot tell which other environments there are")
                .cause("neither HOME nor XDG_STATE_HOME is set, so they are listed nowhere"));
        };
        let cannot = |fault: files::FileFault| Fault::because("cannot tell which other environments there are", &fault);
        let mut others = Vec::new();
        for path in files::list(&folder).map_err(cannot)? {
            let Some(bytes) = files::read_if_exists(&path).map_err(cannot)? else { continue };
            // One that is damaged lists nothing, and is written anew when its root comes up.
            let Ok(entry) = serde_json::from_slice::<Entry>(&bytes) else { continue };
            if entry.id == than.id || !entry.path.is_absolute() {
                continue;
            }
            let root = Root::new(entry.path);
            match identity::read(&root) {
                Ok(Some(identity)) if identity.id == entry.id && identity.product == than.product => {
                    others.push(Other { root, identity });
                }
                // It has gone, or another one lies there now.
                Ok(None) => files::remove(&path).map_err(cannot)?,
                _ => {}
            }
        }
        others.sort_by(|a, b| (&a.identity.environment, a.root.path()).cmp(&(&b.identity.environment, b.root.path())));
        Ok(others)
    }

    /// Which machine this is: a digest, since the system's own number is not to be shown around.
    pub fn machine(&self) -> Result<String, Fault> {
        let id = match host::machine::id() {
            Some(id) => id,
            None => self.own_number()?,
        };
        let digest = Sha256::digest(format!("roadbed machine {id}"));
        Ok(digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect())
    }

    /// A number that was drawn here once, where the system has none.
    fn own_number(&self) -> Result<String, Fault> {
        let Some(state) = &self.state else { return Ok("unknown".to_owned()) };
        let cannot = |fault: files::FileFault| Fault::because("cannot tell which machine this is", &fault);
        let path = state.join("machine");
        if let Some(bytes) = files::read_if_exists(&path).map_err(cannot)? {
            return Ok(String::from_utf8_lossy(&bytes).into_owned());
        }
        let fresh = uuid::Uuid::new_v4().to_string();
        files::create_dir(state, Access::Owner).map_err(cannot)?;
        files::write_durable(&path, fresh.as_bytes(), Access::Owner).map_err(cannot)?;
        Ok(fresh)
    }

    fn folder(&self) -> Option<PathBuf> {
        self.state.as_ref().map(|state| state.join("roots"))
    }
}

/// However a root was named, this is where it lies.
pub fn place_of(root: &Root) -> PathBuf {
    files::canonical(root.path()).unwrap_or_else(|_| root.path().to_owned())
}

/// Whether what lies at `path` is the root with this id.
pub fn is_root(path: &Path, id: &str) -> bool {
    match identity::read(&Root::new(path.to_owned())) {
        Ok(found) => found.is_some_and(|found| found.id == id),
        // It cannot be read, so it is there; nobody can say that it is another one.
        Err(_) => true,
    }
}
