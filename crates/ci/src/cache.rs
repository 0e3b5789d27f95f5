//! Results that were had before, by the hash of all that went into them.
//!
//! ```text
//!   FOLDER/trusted/ab/abcd…/         record (with its own digest), log, archive of output files (with its digest)
//!   FOLDER/untrusted/NAME/ab/abcd…/  the same, of code that is not trusted: only runs under that name look here
//!   FOLDER/making/PID-START-N/       what is being written; swept when its process is gone
//! ```
//!
//! An entry gets its name by one rename when it is complete and on disk: who is killed leaves nothing that could be taken for one.
//! Whoever reads holds all of it against its digests; what is damaged is thrown away and made again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use engine::artifact::archive;
use engine::artifact::content::Item;
use host::clock::{Clock, SystemClock};
use host::files::{self, Access, FileFault};
use host::process::{Identity, Process};
use reconcile::Fault;
use serde::{Deserialize, Serialize};

use crate::{hash_of, hex};

/// Results older than this are thrown away: what is needed still is had again.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

const VERSION: u32 = 1;

/// Whose results are read and written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    Trusted,
    /// Results are kept apart under this name; those of trusted runs are read, and never written.
    Untrusted(String),
}

/// Results on this machine.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
    trust: Trust,
}

/// One result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub version: u32,
    pub key: String,
    pub package: String,
    pub task: String,
    pub took_ms: u64,
    pub tests: Option<u64>,
    /// Digest of the archive of its output files, if it has any.
    pub outputs: Option<String>,
    pub files: usize,
    /// Digest of its log.
    pub log: String,
}

/// An entry that was read and is whole, but for its archive, which is held against its digest when it is unpacked.
#[derive(Clone, Debug)]
pub struct Entry {
    pub record: Record,
    pub log: Vec<u8>,
    folder: PathBuf,
}

/// What looking for one came to.
#[derive(Debug)]
pub enum Looked {
    Found(Box<Entry>),
    Nothing,
    /// It was there and is damaged; it is not there any more.
    Damaged(String),
}

impl Cache {
    /// Results in a folder, which is made at need. Also takes away what was left half-made, and what is old.
    pub fn open(folder: &Path, trust: Trust) -> Result<Self, Fault> {
        let cache = Self { folder: folder.to_owned(), trust };
        let cannot = |fault: FileFault| {
            Fault::because("cannot keep results", &fault)
                .hint("see whether the disk is full, or name another folder with --cache")
        };
        files::create_dir(&cache.own(), Access::Owner).map_err(cannot)?;
        files::create_dir(&cache.making(), Access::Owner).map_err(cannot)?;
        cache.sweep().map_err(cannot)?;
        Ok(cache)
    }

    fn own(&self) -> PathBuf {
        match &self.trust {
            Trust::Trusted => self.folder.join("trusted"),
            Trust::Untrusted(name) => self.folder.join("untrusted").join(hex(&hash_of([name.as_bytes()]))),
        }
    }

    fn making(&self) -> PathBuf {
        self.folder.join("making")
    }

    fn place(scope: &Path, key: &str) -> PathBuf {
        scope.join(&key[..2]).join(key)
    }

    fn sweep(&self) -> Result<(), FileFault> {
        for left in files::list(&self.making())? {
            let name = left.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let mut numbers = name.split('-').map(str::parse);
            let (Some(Ok(pid)), Some(Ok(start_time))) = (numbers.next(), numbers.next()) else { continue };
            let identity = Identity { pid: u32::try_from(pid).unwrap_or(0), start_time };
            if Process::find(identity).is_none() {
                files::remove_dir(&left)?;
            }
        }
        let now = SystemClock.now();
        for entry in
            files::list(&self.own())?.iter().map(|folder| files::list(folder)).collect::<Result<Vec<_>, _>>()?.concat()
        {
            // Gone meanwhile, by another run.
            let Ok(changed) = files::metadata(&entry).map(|meta| std::os::unix::fs::MetadataExt::mtime(&meta)) else {
                continue;
            };
            if now.since(host::clock::Timestamp::from_unix_millis(changed * 1000)) > KEPT {
                files::remove_dir(&entry)?;
            }
        }
        Ok(())
    }

    /// Looks for a result; of its own scope first.
    pub fn find(&self, key: &str) -> Result<Looked, Fault> {
        let own = self.own();
        let looked = look(&Self::place(&own, key), key);
        match (&looked, &self.trust) {
            (Looked::Damaged(_), _) => self.forget(key)?,
            (Looked::Nothing, Trust::Untrusted(_)) => {
                return Ok(match look(&Self::place(&self.folder.join("trusted"), key), key) {
                    // Not ours to throw away.
                    Looked::Damaged(_) => Looked::Nothing,
                    other => other,
                });
            }
            _ => {}
        }
        Ok(looked)
    }

    /// Throws a result away.
    pub fn forget(&self, key: &str) -> Result<(), Fault> {
        let aside = self.making().join(scratch());
        let gone = match files::rename(&Self::place(&self.own(), key), &aside) {
            Err(fault) if fault.is_not_found() => Ok(()),
            other => other,
        };
        gone.and_then(|()| files::remove_dir(&aside))
            .map_err(|fault| Fault::because("cannot throw away a damaged result", &fault))
    }

    /// Keeps a result. Of two runs that had the same one, one keeps it.
    pub fn keep(&self, mut record: Record, log: &[u8], items: &[Item]) -> Result<(), Fault> {
        let cannot = |fault: &(dyn std::error::Error + 'static)| {
            Fault::because("cannot keep a result", fault)
                .hint("see whether the disk is full, or name another folder with --cache")
        };
        let making = self.making().join(scratch());
        files::create_dir(&making, Access::Owner).map_err(|fault| cannot(&fault))?;
        record.version = VERSION;
        record.log = hex(&hash_of([log]));
        record.files = items.len();
        record.outputs = match items {
            [] => None,
            items => {
                let packed = archive::pack(items, &making.join(OUTPUTS)).map_err(|fault| cannot(&fault))?;
                Some(packed.digest.to_string())
            }
        };
        let packed = zstd::encode_all(log, 3).map_err(|error| cannot(&error))?;
        files::write_durable(&making.join(LOG), &packed, Access::Owner).map_err(|fault| cannot(&fault))?;
        let text = serde_json::to_string(&record).expect("a record can be written");
        let text = format!("{text}\n{}\n", hex(&hash_of([text.as_bytes()])));
        files::write_durable(&making.join(RECORD), text.as_bytes(), Access::Owner).map_err(|fault| cannot(&fault))?;
        let place = Self::place(&self.own(), &record.key);
        let folder = place.parent().unwrap_or(&place);
        files::create_dir(folder, Access::Owner).map_err(|fault| cannot(&fault))?;
        match files::rename(&making, &place) {
            Err(fault)
                if matches!(fault.source.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) =>
            {
                files::remove_dir(&making).map_err(|fault| cannot(&fault))
            }
            other => other.and_then(|()| files::sync_dir(folder)).map_err(|fault| cannot(&fault)),
        }
    }
}

const RECORD: &str = "record.json";
const LOG: &str = "log.zst";
const OUTPUTS: &str = "outputs.tar.zst";

impl Entry {
    /// Unpacks its output files into a folder that does not exist yet, and holds them against their digest.
    pub fn unpack(&self, folder: &Path) -> Result<(), Fault> {
        let Some(digest) = &self.record.outputs else { return Ok(()) };
        let cannot = |fault: &(dyn std::error::Error + 'static)| Fault::because("a kept result is damaged", fault);
        let digest = digest.parse().map_err(|fault: engine::artifact::NoDigest| cannot(&fault))?;
        archive::unpack(&self.folder.join(OUTPUTS), &digest, folder).map_err(|fault| cannot(&fault))
    }
}

fn look(place: &Path, key: &str) -> Looked {
    let damaged = |why: &str| Looked::Damaged(why.to_owned());
    let text = match files::read_if_exists(&place.join(RECORD)) {
        Ok(Some(text)) => text,
        Ok(None) if files::exists(place) => return damaged("it has no record"),
        Ok(None) => return Looked::Nothing,
        Err(fault) => return Looked::Damaged(fault.to_string()),
    };
    let text = String::from_utf8_lossy(&text);
    let Some((written, rest)) = text.split_once('\n') else { return damaged("its record is cut off") };
    if rest.trim_end() != hex(&hash_of([written.as_bytes()])) {
        return damaged("its record has another digest");
    }
    let Ok(record) = serde_json::from_str::<Record>(written) else { return damaged("its record cannot be read") };
    if record.key != key {
        return damaged("it is another's");
    }
    // Another version of this program wrote it.
    if record.version != VERSION {
        return damaged("it is of another format");
    }
    let log = files::read(&place.join(LOG)).ok().and_then(|packed| zstd::decode_all(packed.as_slice()).ok());
    let Some(log) = log.filter(|log| hex(&hash_of([log.as_slice()])) == record.log) else {
        return damaged("its log is damaged");
    };
    if record.outputs.is_some() && !files::exists(&place.join(OUTPUTS)) {
        return damaged("its files are gone");
    }
    Looked::Found(Box::new(Entry { record, log, folder: place.to_owned() }))
}

/// A name that says whose it is, so that what is left of a dead process is found.
fn scratch() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    match Process::open(host::own::pid()) {
        Ok(own) => format!("{}-{}-{number}", own.identity().pid, own.identity().start_time),
        Err(_) => format!("{}-0-{number}", host::own::pid()),
    }
}
