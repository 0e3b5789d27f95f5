//! Certificates that an authority issued for our hosts: kept in generations, so that one that is damaged or does not do costs nothing.
//!
//! ```text
//!   tls/issued/00000007.json   {"format":1,"sha256":"…"}\n  and chain, key and who issued it, in one file (0600)
//!   tls/issued/00000006.json   the one before, until it is pushed out by the next that was seen to work
//!   tls/issued/reserve         room for the next one, taken before it is ordered
//!   tls/issued/hosts/NAMES/…   the same for other sets of names, one folder each: see `shelf`
//! ```
//!
//! Control adds, the edge reads. What cannot be read is said aloud, and the generation before is served.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use certificates::{Issued, NotACertificate};
use host::files::{self, Access, FileFault};
use reconcile::Root;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::local_ca::Leaf;

/// Why a certificate cannot be kept or used.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    #[error(transparent)]
    File(#[from] FileFault),
    #[error("cannot use the certificate")]
    Certificate(#[from] NotACertificate),
    #[error("cannot read the chain or the key of the certificate: {0}")]
    Pem(String),
    #[error("the certificate is not for this key, or the key is none")]
    Key(#[source] rustls::Error),
}

/// Chain and key, as they came.
#[derive(Clone, Serialize, Deserialize)]
pub struct Chain {
    /// Address of the directory where it was ordered.
    pub directory: String,
    pub chain_pem: String,
    pub key_pem: Zeroizing<String>,
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// A whole generation.
#[derive(Clone, Debug)]
pub struct Held {
    pub generation: u64,
    pub directory: String,
    /// What it says.
    pub issued: Issued,
    pub chain: Vec<CertificateDer<'static>>,
    certificate: Arc<CertifiedKey>,
}

impl Held {
    /// As it is served.
    pub fn leaf(&self) -> Leaf {
        Leaf::new(&self.issued.hosts, self.certificate.clone())
    }

    pub fn certificate(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certificate)
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
    sha256: String,
}

const FORMAT: u32 = 1;

/// A chain with its key has some 8 KiB; twice that, for both names of an atomic write.
const RESERVE: u64 = 64 * 1024;

/// What a look at a store sees.
#[derive(Debug)]
pub struct Looked {
    /// The newest that is whole.
    pub held: Option<Held>,
    /// Those newer than it, and why they are not whole.
    pub damaged: Vec<(PathBuf, String)>,
}

/// Longest name of a folder that says all names of its certificates.
const LONGEST: usize = 200;

/// The generations of one set of names.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// Of the environment's own hosts.
    pub fn new(root: &Root) -> Self {
        Self { folder: root.tls().join("issued") }
    }

    /// Of other names, which are host names or wildcards, in order.
    pub fn of(root: &Root, names: &[String]) -> Self {
        // `+` and `_` are in no host name, so nothing leads out of the folder, and no two sets to the same.
        let all = names.join("+").to_ascii_lowercase().replace(['*', '/'], "_");
        let folder = if all.len() <= LONGEST { all } else { digest(all.as_bytes()) };
        Self { folder: Self::shelf(root).join(folder) }
    }

    pub(super) fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where every other set of names has a folder.
    pub(super) fn shelf(root: &Root) -> PathBuf {
        root.tls().join("issued").join("hosts")
    }

    /// The folders of all other sets of names.
    pub(super) fn folders(root: &Root) -> Result<Vec<PathBuf>, StoreFault> {
        let shelf = Self::shelf(root);
        if !files::is_dir(&shelf) {
            return Ok(Vec::new());
        }
        Ok(files::list(&shelf)?)
    }

    /// The single hosts that have a folder of their own, whatever is in it.
    pub fn hosts(root: &Root) -> Result<Vec<String>, StoreFault> {
        let name = |folder: PathBuf| Some(folder.file_name()?.to_str()?.to_owned());
        let folders = Self::folders(root)?.into_iter().filter_map(name);
        Ok(folders.filter(|name| name.contains('.') && !name.contains(['+', '_'])).collect())
    }

    /// Takes all generations away, keys first of all, and the folder with them.
    pub fn forget(&self) -> Result<(), StoreFault> {
        for (_, path) in self.generations()? {
            files::wipe(&path)?;
        }
        if files::is_dir(&self.folder) {
            files::remove_dir(&self.folder)?;
        }
        Ok(())
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn reserve_file(&self) -> PathBuf {
        self.folder.join("reserve")
    }

    /// Makes sure that the next one finds room: an order whose certificate could not be kept counts all the same.
    pub fn reserve(&self) -> Result<(), StoreFault> {
        files::create_dir(&self.folder, Access::Owner)?;
        Ok(files::occupy(&self.reserve_file(), RESERVE)?)
    }

    /// The newest that is whole. What is damaged is said aloud.
    pub fn newest(&self) -> Result<Option<Held>, StoreFault> {
        let looked = self.look()?;
        for (path, why) in looked.damaged {
            tracing::error!(path = %path.display(), why, "an issued certificate is damaged: using the one before");
        }
        Ok(looked.held)
    }

    /// The newest that is whole, and what is damaged.
    pub fn look(&self) -> Result<Looked, StoreFault> {
        let mut damaged = Vec::new();
        for (generation, path) in self.generations()?.into_iter().rev() {
            match read(&path, generation) {
                Ok(held) => return Ok(Looked { held: Some(held), damaged }),
                Err(why) => damaged.push((path, why)),
            }
        }
        Ok(Looked { held: None, damaged })
    }

    /// The file of the newest generation, whole or not.
    pub(super) fn newest_file(&self) -> Result<Option<PathBuf>, StoreFault> {
        Ok(self.generations()?.pop().map(|(_, path)| path))
    }

    /// Keeps one more, which must fit its key.
    pub fn add(&self, chain: &Chain) -> Result<Held, StoreFault> {
        // Damaged ones count: a number is not given out twice.
        let generation = self.generations()?.last().map_or(1, |(last, _)| last + 1);
        let held = held(chain, generation)?;
        files::create_dir(&self.folder, Access::Owner)?;
        if files::exists(&self.reserve_file()) {
            files::remove(&self.reserve_file())?;
        }
        files::write_durable(&self.path(generation), &content(chain), Access::Owner)?;
        Ok(held)
    }

    /// Takes one away that does not do: the one before is served again.
    pub fn withdraw(&self, generation: u64) -> Result<(), StoreFault> {
        Ok(files::wipe(&self.path(generation))?)
    }

    /// Forgets what is older than the one before this.
    pub fn settle(&self, generation: u64) -> Result<(), StoreFault> {
        let older: Vec<_> = self.generations()?.into_iter().filter(|(other, _)| *other < generation).collect();
        for (_, path) in older.iter().rev().skip(1) {
            files::wipe(path)?;
        }
        Ok(())
    }

    fn path(&self, generation: u64) -> PathBuf {
        self.folder.join(format!("{generation:08}.json"))
    }

    /// All that are there, the oldest first, whole or not.
    fn generations(&self) -> Result<Vec<(u64, PathBuf)>, StoreFault> {
        if !files::is_dir(&self.folder) {
            return Ok(Vec::new());
        }
        let number = |path: PathBuf| {
            let name = path.file_name()?.to_str()?.strip_suffix(".json")?;
            Some((name.parse().ok()?, path))
        };
        let mut all: Vec<_> = files::list(&self.folder)?.into_iter().filter_map(number).collect();
        all.sort();
        Ok(all)
    }
}

/// As it lies on the disk.
pub(super) fn content(chain: &Chain) -> Zeroizing<Vec<u8>> {
    let body = Zeroizing::new(serde_json::to_vec(chain).expect("texts encode"));
    let header = Header { format: FORMAT, sha256: digest(&body) };
    let mut content = Zeroizing::new(serde_json::to_vec(&header).expect("texts encode"));
    content.push(b'\n');
    content.extend_from_slice(&body);
    content
}

fn read(path: &Path, generation: u64) -> Result<Held, String> {
    let bytes = Zeroizing::new(files::read(path).map_err(|fault| fault.to_string())?);
    let end = bytes.iter().position(|&byte| byte == b'\n').ok_or("it has no header line")?;
    let header: Header = serde_json::from_slice(&bytes[..end]).map_err(|error| error.to_string())?;
    let body = &bytes[end + 1..];
    if header.format != FORMAT || digest(body) != header.sha256 {
        return Err("its content does not fit its digest".to_owned());
    }
    let chain: Chain = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    held(&chain, generation).map_err(|fault| fault.to_string())
}

fn held(chain: &Chain, generation: u64) -> Result<Held, StoreFault> {
    let issued = Issued::read(&chain.chain_pem)?;
    let pem = |error: rustls::pki_types::pem::Error| StoreFault::Pem(error.to_string());
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(chain.chain_pem.as_bytes()).collect::<Result<_, _>>().map_err(pem)?;
    let key = PrivateKeyDer::from_pem_slice(chain.key_pem.as_bytes()).map_err(pem)?;
    // It compares both: a key of another certificate is refused.
    let certificate = CertifiedKey::from_der(certificates.clone(), key, &super::provider()).map_err(StoreFault::Key)?;
    Ok(Held {
        generation,
        directory: chain.directory.clone(),
        issued,
        chain: certificates,
        certificate: Arc::new(certificate),
    })
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use certificates::{Authority, Purpose, Subject};
    use host::clock::Timestamp;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_795_000_000_000);

    fn chain(name: &str) -> Chain {
        let authority = Authority::make(name, NOW, Duration::from_hours(24 * 100)).unwrap();
        let hosts = ["shop.example".to_owned()];
        let subject = Subject { common_name: "x", organization: None, hosts: &hosts, purposes: &[Purpose::Server] };
        let leaf = authority.issue(&subject, NOW, Duration::from_hours(24 * 90)).unwrap();
        Chain { directory: "https://ca.example/".into(), chain_pem: leaf.chain_pem, key_pem: leaf.key_pem }
    }

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(&Root::new(folder.path().to_owned()));
        (folder, store)
    }

    fn newest(store: &Store) -> Option<u64> {
        store.newest().unwrap().map(|held| held.generation)
    }

    #[test]
    fn the_generation_before_serves_when_the_newest_is_damaged_or_withdrawn() {
        let (_folder, store) = store();
        assert_eq!(newest(&store), None);
        for number in 1..=4 {
            store.reserve().unwrap();
            assert_eq!(store.add(&chain("An authority")).unwrap().generation, number);
            store.settle(number).unwrap();
        }
        assert_eq!(store.generations().unwrap().len(), 2, "two are kept");
        let mode = files::metadata(&store.path(4)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let mut bytes = files::read(&store.path(4)).unwrap();
        let last = bytes.len() - 20;
        bytes[last] ^= 1;
        files::write(&store.path(4), &bytes, Access::Owner).unwrap();
        assert_eq!(newest(&store), Some(3));
        assert_eq!(store.add(&chain("Another")).unwrap().generation, 5, "no number is given out twice");
        store.withdraw(5).unwrap();
        assert_eq!(newest(&store), Some(3));
        files::write(&store.path(3), b"", Access::Owner).unwrap();
        assert_eq!(newest(&store), None);
    }

    #[test]
    fn a_certificate_of_another_key_is_not_kept() {
        let (_folder, store) = store();
        let mixed = Chain { key_pem: chain("One").key_pem, ..chain("Other") };
        assert!(matches!(store.add(&mixed), Err(StoreFault::Key(_))));
        assert_eq!(newest(&store), None);
        assert!(!format!("{mixed:?}").contains("PRIVATE"));
    }
}
