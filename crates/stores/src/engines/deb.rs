//! Packages of the distribution, without root and without installing them: found by apt-get, unpacked by `dpkg -x`.
//!
//! apt-get checks the signature of the index and so vouches for each file's digest. The digest is checked here, because it is
//! the promise of `engines.toml` and not of a tool: against the pin where the version is the one that was tried, else against
//! the signed index.
//!
//! The files come by our own download, which goes on where a killed process stopped. `apt-get download` does not: apt 2.6 was
//! seen to ask for the whole file again whether it was ended by SIGTERM or SIGKILL, though the part lay where it puts the file.
//! It still fetches what only it can: from `file:`, `mirror:` and discs, and from where it has a proxy, a certificate or a
//! password of its own for.

use std::path::{Path, PathBuf};

use host::files;
use reconcile::Fault;

use super::apt::{Apt, Offered};
use super::download::{self, Download, DownloadFault, Share};
use super::fetch::{Job, room_for, verify};
use super::network::{Network, PlainHttp, ToolSettings};

/// Lists of one Debian release, unpacked, and the packages.
const ROOM: u64 = 120 << 20;

/// What was added to a stage.
#[derive(Debug)]
pub(crate) struct Added {
    /// Folders with shared libraries, relative to the stage.
    pub(crate) libraries: Vec<String>,
    pub(crate) origin: String,
}

/// Fetches packages and unpacks them into `stage`.
pub(crate) async fn add(job: &Job<'_>, packages: &[String], stage: &Path) -> Result<Added, Fault> {
    room_for(job, ROOM)?;
    let apt = Apt::prepare(job)?;
    apt.refresh(job).await;
    let offered = apt.offered(job, packages).await?;
    let pin = |offer: &Offered| job.source.pins.get(&format!("{} {}", offer.package, offer.version));
    let wanted = |offer: &Offered| pin(offer).unwrap_or(&offer.sha256).clone();

    let fetched = by_address(job, &apt, &offered, wanted).await?;
    let left = &offered[fetched.len()..];
    if !left.is_empty() {
        apt.download(job, left).await?;
    }
    for (n, offer) in offered.iter().enumerate() {
        let file = match fetched.get(n) {
            Some(file) => file.clone(), // Checked when it was fetched.
            None => {
                let file = apt.file_of(offer);
                verify(job, file.clone(), &wanted(offer)).await?;
                file
            }
        };
        apt.unpack(job, &file, stage).await?;
    }
    let libraries = library_folders(stage).map_err(|fault| job.file_fault(&fault))?;
    // The unpacked lists are large, and stale tomorrow.
    apt.remove(job)?;

    let first = &offered[0];
    let checked = match offered.iter().filter(|offer| pin(offer).is_none()).count() {
        0 => "SHA-256 pinned".to_owned(),
        n if n == offered.len() => "SHA-256 from the distribution's signed index".to_owned(),
        n => format!("SHA-256 pinned, {n} of {} from the distribution's signed index", offered.len()),
    };
    let others = match offered.len() - 1 {
        0 => String::new(),
        n => format!(" and {n} more packages"),
    };
    Ok(Added { libraries, origin: format!("fetched as {} {}{others} ({checked})", first.package, first.version) })
}

/// Downloads in the given order until all are there, or until one needs apt-get: it then gets the rest too, for they are mostly
/// on one server.
async fn by_address(
    job: &Job<'_>,
    apt: &Apt,
    offered: &[Offered],
    wanted: impl Fn(&Offered) -> String,
) -> Result<Vec<PathBuf>, Fault> {
    let mut fetched = Vec::with_capacity(offered.len());
    if let Some(setting) = apt.setting_of_its_own(job).await {
        job.say(format!("leaving the download to apt-get: it has {setting} set"));
        return Ok(fetched);
    }
    let folder = download::folder(job)?;
    let mut share = Share { before: 0, total: offered.iter().map(|offer| offer.size).sum() };
    for offer in offered {
        let Some(from) = offer.from.clone() else { break };
        let sha256 = wanted(offer);
        let to = folder.join(&sha256[..16]);
        let network = Network::to(&from, &job.machine.env, &ToolSettings::default(), PlainHttp::AsNamed);
        let result = match network {
            Ok(network) => {
                let download = Download { from, network, size: offer.size, sha256, to: to.clone() };
                download::run(job, download, share).await
            }
            Err(fault) => Err(DownloadFault::from(fault)),
        };
        match result {
            Ok(()) => fetched.push(to),
            Err(fault) if fault.is_for_another_client() => {
                job.say(format!("leaving the download to apt-get, which starts from the beginning: {fault}"));
                break;
            }
            Err(fault) => return Err(fault.of(job)),
        }
        share.before += offer.size;
    }
    Ok(fetched)
}

/// Every folder below the usual places that holds a shared library.
fn library_folders(stage: &Path) -> files::Result<Vec<String>> {
    let mut found = Vec::new();
    for base in ["usr/lib", "lib"] {
        for folder in files::list(&stage.join(base))? {
            let holds_library = files::is_dir(&folder)
                && files::list(&folder)?.iter().any(|file| file.to_string_lossy().contains(".so"));
            if holds_library && let Ok(relative) = folder.strip_prefix(stage) {
                found.push(relative.to_string_lossy().into_owned());
            }
        }
    }
    Ok(found)
}
