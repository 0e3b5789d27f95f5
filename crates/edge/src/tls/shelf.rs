//! The certificates of single hosts, as many as there are: found by name in one look, a wildcard in two.
//!
//! ```text
//!   tls/issued/hosts/shop.seller.example/00000002.json   as `issued` keeps them, each set of names in a folder of its own
//! ```
//!
//! One that is damaged costs no other anything: its generation before is served, or what was in memory, and it is told by its place.
//! What has not changed on the disk is not read again, so that one more host does not cost as much as all that are there.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use host::clock::Timestamp;
use host::files::{self, Stamp};
use reconcile::Root;
use rustls::sign::CertifiedKey;

use super::issued::{Store, StoreFault};

/// Reading is work for the processor, most of it the check that key and certificate fit.
const READERS: usize = 4;

/// What is there to show.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    /// By folder.
    kept: BTreeMap<PathBuf, Arc<Kept>>,
    /// By name, lower case; a wildcard by `*.` and what is behind it.
    by_name: HashMap<String, Arc<CertifiedKey>>,
    damaged: Vec<Damaged>,
}

#[derive(Debug)]
struct Kept {
    /// Of the newest file, when it was read.
    stamp: Option<Stamp>,
    names: Vec<String>,
    end: Timestamp,
    certificate: Arc<CertifiedKey>,
}

/// A file that holds no certificate any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    pub path: PathBuf,
    pub why: String,
}

enum Read {
    Whole(Arc<Kept>, Vec<Damaged>),
    /// Nothing that could be served.
    Nothing(Vec<Damaged>),
}

impl Shelf {
    /// Reads what is on disk, but for what `before` has already.
    pub fn load(root: &Root, before: Option<&Self>) -> Result<Self, StoreFault> {
        let folders = Store::folders(root)?;
        let readers = thread::available_parallelism().map_or(1, NonZero::get).min(READERS);
        let share = folders.len().div_ceil(readers).max(1);
        let read: Vec<(PathBuf, Read)> = thread::scope(|scope| {
            let part = |part: &'_ [PathBuf]| {
                let part = part.to_vec();
                scope.spawn(move || part.into_iter().map(|folder| (folder.clone(), read(&folder, before))).collect())
            };
            let parts: Vec<_> = folders.chunks(share).map(part).collect();
            parts.into_iter().flat_map(|part| part.join().unwrap_or_else(|_| Vec::new())).collect()
        });
        let mut shelf = Self::default();
        for (folder, read) in read {
            let (kept, damaged) = match read {
                Read::Whole(kept, damaged) => (Some(kept), damaged),
                Read::Nothing(damaged) => (None, damaged),
            };
            for damaged in &damaged {
                tracing::error!(path = %damaged.path.display(), why = damaged.why, "an issued certificate is damaged");
            }
            shelf.damaged.extend(damaged);
            if let Some(kept) = kept {
                shelf.kept.insert(folder, kept);
            }
        }
        // Where two name the same, the one that holds longer.
        let mut all: Vec<_> = shelf.kept.values().collect();
        all.sort_by_key(|kept| kept.end);
        let named = all.into_iter().flat_map(|kept| kept.names.iter().map(|name| (name.clone(), &kept.certificate)));
        shelf.by_name = named.map(|(name, certificate)| (name, Arc::clone(certificate))).collect();
        Ok(shelf)
    }

    /// The certificate for a host: by its name, else by a wildcard for what is above it.
    pub fn of(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        if self.by_name.is_empty() {
            return None;
        }
        let host = host.to_ascii_lowercase();
        let exact = self.by_name.get(&host);
        let found = exact.or_else(|| self.by_name.get(&format!("*.{}", host.split_once('.')?.1)));
        found.map(Arc::clone)
    }

    pub fn names(&self, host: &str) -> bool {
        self.of(host).is_some()
    }

    /// How many certificates there are.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Files that could not be read with this look, whether or not another generation is served in their place.
    pub fn damaged(&self) -> &[Damaged] {
        &self.damaged
    }
}

fn read(folder: &Path, before: Option<&Shelf>) -> Read {
    let known = before.and_then(|before| before.kept.get(folder));
    let store = Store::at(folder.to_owned());
    let told = |path: &Path, why: String| Damaged { path: path.to_owned(), why };
    let newest = match store.newest_file() {
        Ok(Some(newest)) => newest,
        Ok(None) => return Read::Nothing(Vec::new()),
        // What cannot be looked at is not gone.
        Err(fault) => return lost(known, vec![told(folder, fault.to_string())]),
    };
    let stamp = files::stamp(&newest).ok().flatten();
    if let Some(known) = known.filter(|known| stamp.is_some() && known.stamp == stamp) {
        return Read::Whole(Arc::clone(known), Vec::new());
    }
    match store.look() {
        Ok(looked) => {
            let damaged: Vec<_> = looked.damaged.into_iter().map(|(path, why)| told(&path, why)).collect();
            let Some(held) = looked.held else { return lost(known, damaged) };
            // A damaged newest is looked at again each time, so that it is told for as long as it is there.
            let stamp = stamp.filter(|_| damaged.is_empty());
            let certificate = held.certificate();
            Read::Whole(
                Arc::new(Kept { stamp, names: held.issued.hosts, end: held.issued.life.end, certificate }),
                damaged,
            )
        }
        Err(fault) => lost(known, vec![told(folder, fault.to_string())]),
    }
}

fn lost(known: Option<&Arc<Kept>>, damaged: Vec<Damaged>) -> Read {
    match known {
        Some(known) => Read::Whole(Arc::new(Kept { stamp: None, ..Kept::again(known) }), damaged),
        None => Read::Nothing(damaged),
    }
}

impl Kept {
    fn again(known: &Self) -> Self {
        Self { stamp: None, names: known.names.clone(), end: known.end, certificate: Arc::clone(&known.certificate) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use certificates::{Authority, Issued, Purpose, Subject};
    use host::files::Access;

    use super::super::issued::{self, Chain};
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_795_000_000_000);
    const DAY: Duration = Duration::from_hours(24);

    struct Stage {
        _folder: tempfile::TempDir,
        root: Root,
        authority: Authority,
    }

    impl Stage {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let root = Root::new(folder.path().to_owned());
            Self { _folder: folder, root, authority: Authority::make("An authority", NOW, DAY * 300).unwrap() }
        }

        fn chain(&self, hosts: &[String], days: u32) -> Chain {
            let subject = Subject { common_name: "x", organization: None, hosts, purposes: &[Purpose::Server] };
            let leaf = self.authority.issue(&subject, NOW, DAY * days).unwrap();
            Chain { directory: "https://ca.example/".into(), chain_pem: leaf.chain_pem, key_pem: leaf.key_pem }
        }

        fn add(&self, hosts: &[&str], days: u32) -> Store {
            let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
            let store = Store::of(&self.root, &hosts);
            store.add(&self.chain(&hosts, days)).unwrap();
            store
        }

        fn load(&self, before: Option<&Shelf>) -> Shelf {
            Shelf::load(&self.root, before).unwrap()
        }
    }

    /// Whose certificate it is that a host gets.
    fn leaf(shelf: &Shelf, host: &str) -> Vec<u8> {
        shelf.of(host).unwrap().cert[0].to_vec()
    }

    #[test]
    fn a_name_goes_before_a_wildcard_and_a_wildcard_is_for_one_label() {
        let stage = Stage::new();
        assert!(stage.load(None).is_empty());
        stage.add(&["*.seller.example", "seller.example"], 90);
        stage.add(&["shop.seller.example"], 30);
        let shelf = stage.load(None);
        assert_eq!(shelf.len(), 2);
        assert_eq!(leaf(&shelf, "a.seller.example"), leaf(&shelf, "Seller.Example"));
        assert_ne!(leaf(&shelf, "a.seller.example"), leaf(&shelf, "SHOP.seller.example"));
        for none in ["a.b.seller.example", "example", "other.example", ""] {
            assert!(!shelf.names(none), "{none}");
        }
    }

    #[test]
    fn a_damaged_certificate_is_named_its_generation_before_served_and_no_other_suffers() {
        let stage = Stage::new();
        let first = stage.add(&["one.example"], 30);
        let before = leaf(&stage.load(None), "one.example");
        stage.add(&["one.example"], 60);
        let alone = stage.add(&["two.example"], 30);
        stage.add(&["three.example"], 30);
        let running = stage.load(None);
        assert_ne!(leaf(&running, "one.example"), before);
        for store in [&first, &alone] {
            files::write(&store.newest_file().unwrap().unwrap(), b"{}", Access::Owner).unwrap();
        }
        // As an edge that starts finds it.
        let started = stage.load(None);
        assert_eq!(leaf(&started, "one.example"), before);
        assert!(!started.names("two.example"), "there is no generation before");
        assert!(started.names("three.example"));
        let named: Vec<_> = started.damaged().iter().map(|damaged| damaged.path.display().to_string()).collect();
        assert_eq!(named.len(), 2, "{named:?}");
        assert!(named.iter().any(|path| path.ends_with("hosts/one.example/00000002.json")), "{named:?}");
        assert!(named.iter().any(|path| path.ends_with("hosts/two.example/00000001.json")), "{named:?}");
        // One that runs goes on with what it has in memory.
        let went_on = stage.load(Some(&running));
        assert!(went_on.names("two.example"));
        assert_eq!((went_on.damaged().len(), stage.load(Some(&went_on)).damaged().len()), (2, 2));
        // And nothing is kept of what was taken away.
        files::remove_dir(alone.folder()).unwrap();
        assert!(!stage.load(Some(&went_on)).names("two.example"));
    }

    #[test]
    fn a_thousand_are_found_by_name_and_only_what_changed_is_read_again() {
        let stage = Stage::new();
        for number in 0..1_000 {
            let hosts = vec![format!("shop-{number}.example")];
            let store = Store::of(&stage.root, &hosts);
            // Not durably, which takes most of the time and proves nothing here.
            files::create_dir(store.folder(), Access::Owner).unwrap();
            let content = issued::content(&stage.chain(&hosts, 30));
            files::write(&store.folder().join("00000001.json"), &content, Access::Owner).unwrap();
        }
        let shelf = stage.load(None);
        assert_eq!(shelf.len(), 1_000);
        for number in 0..1_000 {
            let host = format!("shop-{number}.example");
            let found = Issued::of(&shelf.of(&host).unwrap().cert[0]).unwrap();
            assert_eq!(found.hosts, [host]);
        }
        let again = stage.load(Some(&shelf));
        let is_same = |(folder, kept): (&PathBuf, &Arc<Kept>)| Arc::ptr_eq(kept, &shelf.kept[folder]);
        assert!(again.kept.iter().all(is_same), "nothing was read again");
        stage.add(&["shop-7.example"], 90);
        let again = stage.load(Some(&again));
        assert_eq!(again.kept.iter().filter(|one| !is_same(*one)).count(), 1);
        assert_ne!(leaf(&again, "shop-7.example"), leaf(&shelf, "shop-7.example"));
    }
}
