//! Packages of the distribution, without root and without installing them: `apt-get download` with a state of its own in the
//! cache folder, then `dpkg -x`.
//!
//! apt-get checks the signature of the index and the digest of each file. The digest is checked here again, because it is the
//! promise of `engines.toml` and not of a tool: against the pin where the version is the one that was tried, else against the
//! signed index.

use std::path::{Path, PathBuf};
use std::time::Duration;

use host::files::{self, Access};
use host::process::{self, Finished, Run};
use reconcile::Fault;

use super::fetch::{Job, room_for, verify};
use super::wheel::tree_size;

/// The package lists have 10 MB, the packages less.
const DEADLINE: Duration = Duration::from_secs(10 * 60);
const PROGRESS_EVERY: Duration = Duration::from_millis(250);
/// Lists of one Debian release, unpacked, and the packages.
const ROOM: u64 = 120 << 20;

/// What was added to a stage.
#[derive(Debug)]
pub(crate) struct Added {
    /// Folders with shared libraries, relative to the stage.
    pub(crate) libraries: Vec<String>,
    pub(crate) origin: String,
}

/// A line of `apt-get download --print-uris`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Offered {
    package: String,
    version: String,
    file: String,
    size: u64,
    sha256: String,
}

/// Fetches packages and unpacks them into `stage`.
pub(crate) async fn add(job: &Job<'_>, packages: &[String], stage: &Path) -> Result<Added, Fault> {
    room_for(job, ROOM)?;
    let apt = Apt::prepare(job)?;
    apt.refresh(job).await;
    let offered = apt.offered(job, packages).await?;
    apt.download(job, packages, offered.iter().map(|offer| offer.size).sum()).await?;
    let mut unpinned = 0_usize;
    for offer in &offered {
        let pin = job.source.pins.get(&format!("{} {}", offer.package, offer.version));
        unpinned += usize::from(pin.is_none());
        let file = apt.debs.join(&offer.file);
        verify(job, file.clone(), pin.unwrap_or(&offer.sha256)).await?;
        apt.unpack(job, &file, stage).await?;
    }
    let libraries = library_folders(stage).map_err(|fault| job.file_fault(&fault))?;
    // The unpacked lists are large, and stale tomorrow.
    files::remove_dir(&apt.folder).map_err(|fault| job.file_fault(&fault))?;

    let first = &offered[0];
    let checked = match unpinned {
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

/// An apt-get that has nothing to do with the system's but the list of repositories and their keys.
#[derive(Debug)]
struct Apt {
    folder: PathBuf,
    debs: PathBuf,
    settings: PathBuf,
}

impl Apt {
    fn prepare(job: &Job<'_>) -> Result<Self, Fault> {
        let folder = job.workshop().join("apt");
        let debs = folder.join("debs");
        let settings = folder.join("apt.conf");
        let fault = |fault| job.file_fault(&fault);
        files::remove_dir(&folder).map_err(fault)?;
        for sub in ["debs", "state/lists/partial", "cache/archives/partial", "log"] {
            files::create_dir(&folder.join(sub), Access::Everyone).map_err(fault)?;
        }
        files::write_durable(&settings, configuration(&folder).as_bytes(), Access::Everyone).map_err(fault)?;
        Ok(Self { folder, debs, settings })
    }

    /// Gets the package lists. One repository of several may be out of reach, so a failure shows later: as a missing package.
    async fn refresh(&self, job: &Job<'_>) {
        job.say("refreshing the distribution's package lists");
        if let Ok(finished) = self.apt_get(job, &["update"]).await
            && !finished.success()
        {
            for line in finished.tail.into_iter().filter(|line| line.starts_with("E:") || line.starts_with("W:")) {
                job.say(line);
            }
        }
    }

    async fn offered(&self, job: &Job<'_>, packages: &[String]) -> Result<Vec<Offered>, Fault> {
        let mut args = vec!["download", "--print-uris"];
        args.extend(packages.iter().map(String::as_str));
        let finished = self.succeed(job, &args).await?;
        let offered: Vec<Offered> = finished.tail.iter().filter_map(|line| parse_offer(line)).collect();
        // Kept in the order that was asked for: the first is the one that people know.
        packages
            .iter()
            .map(|package| {
                offered.iter().find(|offer| &offer.package == package).cloned().ok_or_else(|| {
                    job.fault()
                        .cause(format!("the distribution offers no package {package}"))
                        .output(finished.tail.clone())
                })
            })
            .collect()
    }

    async fn download(&self, job: &Job<'_>, packages: &[String], total: u64) -> Result<(), Fault> {
        let mut args = vec!["download"];
        args.extend(packages.iter().map(String::as_str));
        let running = self.succeed(job, &args);
        tokio::pin!(running);
        let mut tick = tokio::time::interval(PROGRESS_EVERY);
        loop {
            tokio::select! {
                finished = &mut running => {
                    finished?;
                    break;
                }
                _ = tick.tick() => job.bytes(tree_size(&self.debs), total),
            }
        }
        job.bytes(total, total);
        Ok(())
    }

    async fn unpack(&self, job: &Job<'_>, deb: &Path, stage: &Path) -> Result<(), Fault> {
        let args = vec!["-x".to_owned(), deb.to_string_lossy().into_owned(), stage.to_string_lossy().into_owned()];
        self.run(job, "dpkg", args).await.and_then(|finished| must_succeed(job, "dpkg", finished)).map(|_| ())
    }

    async fn succeed(&self, job: &Job<'_>, args: &[&str]) -> Result<Finished, Fault> {
        must_succeed(job, "apt-get", self.apt_get(job, args).await?)
    }

    async fn apt_get(&self, job: &Job<'_>, args: &[&str]) -> Result<Finished, Fault> {
        let settings = self.settings.to_string_lossy().into_owned();
        let all =
            ["-c".to_owned(), settings, "-q".to_owned()].into_iter().chain(args.iter().map(|&arg| arg.to_owned()));
        self.run(job, "apt-get", all.collect()).await
    }

    async fn run(&self, job: &Job<'_>, program: &str, args: Vec<String>) -> Result<Finished, Fault> {
        let path = process::find_in_path(program, &job.machine.path)
            .ok_or_else(|| job.fault().cause(format!("there is no {program} in PATH")))?;
        let run = Run { program: path, args, cwd: self.debs.clone(), env: job.machine.env.clone(), deadline: DEADLINE };
        process::run(&run, &mut |_, _| {})
            .await
            .map_err(|fault| Fault::because(job.fault().message, &fault).retry_safe())
    }
}

fn must_succeed(job: &Job<'_>, program: &str, finished: Finished) -> Result<Finished, Fault> {
    if finished.success() {
        return Ok(finished);
    }
    let said = finished.tail.iter().rev().find(|line| line.starts_with("E:")).or(finished.tail.last());
    Err(job
        .fault()
        .cause(format!("{program} failed: {}", said.map_or("it said nothing", String::as_str)))
        .hint("check the network and the repositories in /etc/apt, or install the engine yourself")
        .output(finished.tail)
        .retry_safe())
}

/// What makes apt-get leave the system alone: own lists and cache, no hooks, no change of user.
fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        r#"#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Post-Invoke;
Dir::State "{folder}/state";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "{folder}/cache";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Dir::Log "{folder}/log";
// As root, apt would fetch as user _apt, who may not write here.
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-small::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-large::DefaultEnabled "false";
Acquire::AllowInsecureRepositories "false";
APT::Get::AllowUnauthenticated "false";
Acquire::Retries "3";
"#
    )
}

/// `'http://…' redis-server_5%3a7.0.15-1_amd64.deb 73908 SHA256:784e…`
fn parse_offer(line: &str) -> Option<Offered> {
    let mut words = line.strip_prefix('\'')?.split_whitespace();
    let (_uri, file, size, digest) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let mut parts = file.strip_suffix(".deb")?.split('_');
    let (package, version) = (parts.next()?, parts.next()?);
    // The name is joined to our folder.
    if file.contains('/') {
        return None;
    }
    Some(Offered {
        package: package.to_owned(),
        version: version.replace("%3a", ":"),
        file: file.to_owned(),
        size: size.parse().ok()?,
        sha256: digest.strip_prefix("SHA256:")?.to_owned(),
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_apt_is_read() {
        let line = "'http://deb.example/pool/redis-server_7.0.15-1%7edeb12u10_amd64.deb' \
                    redis-server_5%3a7.0.15-1~deb12u10_amd64.deb 73908 SHA256:784e17b5";
        let offer = parse_offer(line).unwrap();
        assert_eq!((offer.package.as_str(), offer.version.as_str()), ("redis-server", "5:7.0.15-1~deb12u10"));
        assert_eq!((offer.size, offer.sha256.as_str()), (73908, "784e17b5"));
        assert_eq!(parse_offer("Reading package lists..."), None);
        assert_eq!(parse_offer("'http://x' a_1_all.deb 1 MD5Sum:00"), None);
    }
}
