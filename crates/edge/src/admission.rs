//! Who is let in beyond what the routes say: by which key sessions are signed, which were ended, and which networks are kept out.
//!
//! ```text
//!   control's book ──► PUT /admission ──► edge/admission.json, then memory ──► each request
//! ```
//!
//! It holds no secret, so it lies on the edge's disk: an edge that starts while control is away goes on where the one before was. A
//! file that is damaged, or of another root, lets no session hold and is said aloud; control tells it anew within a second.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use host::files::{self, Access};
use reconcile::Root;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::abuse::lists::{Listed, Lists};
use crate::access::session::Sessions;
use crate::fault::EdgeFault;

/// What control tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// The key that verifies sessions, in hexadecimal. `None`: nobody signs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Sessions that would hold and were ended. Control signs no more at a time than it could end.
    #[serde(default)]
    pub revoked: BTreeSet<String>,
    /// Networks that are kept out, and those that never are.
    #[serde(default)]
    pub lists: Vec<Listed>,
}

impl Admission {
    /// By which control sees whether an edge knows this already.
    pub fn fingerprint(&self) -> String {
        hexadecimal(&Sha256::digest(serde_json::to_vec(self).expect("plain data encodes")))[..16].to_owned()
    }
}

/// The same, made ready to be asked on every request.
#[derive(Debug, Default)]
pub struct Admitted {
    pub fingerprint: String,
    pub sessions: Sessions,
    pub lists: Lists,
}

impl Admitted {
    fn of(admission: &Admission) -> Self {
        Self {
            fingerprint: admission.fingerprint(),
            sessions: Sessions::new(admission.key.as_deref(), admission.revoked.clone()),
            lists: Lists::of(&admission.lists),
        }
    }
}

/// The only writer of it, on disk and in memory.
#[derive(Debug)]
pub struct Admissions {
    path: PathBuf,
    root: Root,
    now: ArcSwap<Admitted>,
    turn: Mutex<()>,
}

/// The file.
#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    root: PathBuf,
    sha256: String,
    admission: Admission,
}

const FORMAT: u32 = 1;

impl Admissions {
    /// What is on disk, as far as it can be trusted.
    pub fn resume(root: &Root) -> Self {
        let path = root.routes().join("admission.json");
        let admission = read(root, &path).unwrap_or_else(|fault| {
            tracing::error!(%fault, "nobody who signed in is let in until control tells it again");
            Admission::default()
        });
        let now = ArcSwap::from_pointee(Admitted::of(&admission));
        Self { path, root: root.clone(), now, turn: Mutex::default() }
    }

    pub fn now(&self) -> Arc<Admitted> {
        self.now.load_full()
    }

    /// A look at it that lasts for no wait.
    pub fn now_of<T>(&self, look: impl FnOnce(&Admitted) -> T) -> T {
        look(&self.now.load())
    }

    pub fn fingerprint(&self) -> String {
        self.now.load().fingerprint.clone()
    }

    /// What another edge has written meanwhile. One that cannot be read changes nothing.
    pub fn look_again(&self) {
        if let Ok(admission) = read(&self.root, &self.path)
            && admission.fingerprint() != self.fingerprint()
        {
            self.now.store(Arc::new(Admitted::of(&admission)));
        }
    }

    /// Makes it durable, then lets it count. Blocks on the disk: not for the request path.
    pub fn take(&self, admission: Admission) -> Result<(), EdgeFault> {
        let _turn = self.turn.lock().expect("no holder panics");
        let stored = Stored {
            format: FORMAT,
            root: place(&self.root),
            sha256: admission.fingerprint(),
            admission: admission.clone(),
        };
        let text = serde_json::to_vec_pretty(&stored).map_err(EdgeFault::Encode)?;
        files::write_durable(&self.path, &text, Access::Owner)?;
        self.now.store(Arc::new(Admitted::of(&admission)));
        Ok(())
    }
}

fn read(root: &Root, path: &std::path::Path) -> Result<Admission, EdgeFault> {
    let Some(bytes) = files::read_if_exists(path)? else { return Ok(Admission::default()) };
    let damaged = |why: String| EdgeFault::Damaged { path: path.to_owned(), why };
    let stored: Stored = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    if stored.format != FORMAT {
        return Err(damaged(format!("it has format {}, and this edge reads {FORMAT}", stored.format)));
    }
    if stored.root != place(root) {
        return Err(damaged(format!("it was written for {}", stored.root.display())));
    }
    if stored.sha256 != stored.admission.fingerprint() {
        return Err(damaged("its content does not fit its digest".to_owned()));
    }
    Ok(stored.admission)
}

/// However the root was named, this is where it lies.
fn place(root: &Root) -> PathBuf {
    files::canonical(root.path()).unwrap_or_else(|_| root.path().to_owned())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_not_an_empty_one_and_lets_nobody_in() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().canonicalize().unwrap());
        files::create_dir(&root.routes(), Access::Owner).unwrap();
        let told = Admission { key: Some("00".repeat(32)), revoked: ["s1".to_owned()].into(), ..Admission::default() };
        let admissions = Admissions::resume(&root);
        assert_eq!(admissions.fingerprint(), Admission::default().fingerprint());
        admissions.take(told.clone()).unwrap();
        assert_eq!(Admissions::resume(&root).fingerprint(), told.fingerprint());
        let path = root.routes().join("admission.json");
        let text = files::read_string(&path).unwrap();
        for damaged in [text.replace("s1", "s2"), text.replace("\"format\": 1", "\"format\": 2"), text[..20].to_owned()]
        {
            files::write_durable(&path, damaged.as_bytes(), Access::Owner).unwrap();
            assert!(read(&root, &path).is_err(), "{damaged}");
            assert_eq!(Admissions::resume(&root).fingerprint(), Admission::default().fingerprint());
        }
        // Copied to another root, it is that one's.
        files::write_durable(&path, text.as_bytes(), Access::Owner).unwrap();
        let other = tempfile::tempdir().unwrap();
        let other = Root::new(other.path().canonicalize().unwrap());
        assert!(read(&other, &path).is_err());
    }
}
