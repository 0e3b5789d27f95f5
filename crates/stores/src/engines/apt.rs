//! apt-get with a state of its own in the cache folder: it knows the system's repositories and their keys, and changes nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use host::files::{self, Access};
use host::process::{self, Finished, Run, Stream};
use reconcile::Fault;

use super::address::Address;
use super::fetch::Job;
use super::wheel::tree_size;

/// The package lists have 10 MB, the packages less.
const DEADLINE: Duration = Duration::from_secs(10 * 60);
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// A line of `apt-get download --print-uris`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offered {
    pub(crate) package: String,
    pub(crate) version: String,
    /// Where it is, if others than apt-get can go there.
    pub(crate) from: Option<Address>,
    file: String,
    pub(crate) size: u64,
    pub(crate) sha256: String,
}

/// An apt-get that has nothing to do with the system's but the list of repositories and their keys.
#[derive(Debug)]
pub(crate) struct Apt {
    folder: PathBuf,
    debs: PathBuf,
    settings: PathBuf,
}

impl Apt {
    pub(crate) fn prepare(job: &Job<'_>) -> Result<Self, Fault> {
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
    pub(crate) async fn refresh(&self, job: &Job<'_>) {
        job.say("refreshing the distribution's package lists");
        if let Ok(finished) = self.apt_get(job, &["update"]).await
            && !finished.success()
        {
            for line in finished.tail.into_iter().filter(|line| line.starts_with("E:") || line.starts_with("W:")) {
                job.say(line);
            }
        }
    }

    pub(crate) async fn offered(&self, job: &Job<'_>, packages: &[String]) -> Result<Vec<Offered>, Fault> {
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

    /// Lets apt-get fetch what was offered.
    pub(crate) async fn download(&self, job: &Job<'_>, offered: &[Offered]) -> Result<(), Fault> {
        let total = offered.iter().map(|offer| offer.size).sum();
        let mut args = vec!["download"];
        args.extend(offered.iter().map(|offer| offer.package.as_str()));
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

    /// Where [`Apt::download`] puts it.
    pub(crate) fn file_of(&self, offer: &Offered) -> PathBuf {
        self.debs.join(&offer.file)
    }

    pub(crate) fn remove(&self, job: &Job<'_>) -> Result<(), Fault> {
        files::remove_dir(&self.folder).map_err(|fault| job.file_fault(&fault))
    }

    /// The name of a setting that makes apt-get reach servers in a way of its own, if there is one. Its value is not looked at:
    /// it may hold a password.
    pub(crate) async fn setting_of_its_own(&self, job: &Job<'_>) -> Option<String> {
        let args = ["-c".to_owned(), self.settings.to_string_lossy().into_owned(), "dump".to_owned()];
        let mut found = None;
        let mut on_line = |_: Stream, line: &str| {
            if let Some(name) = own_way(line) {
                found = Some(name.to_owned());
            }
        };
        match self.run_watched(job, "apt-config", args.to_vec(), &mut on_line).await {
            Ok(finished) if finished.success() => found,
            _ => Some("what apt-config cannot tell".to_owned()),
        }
    }

    pub(crate) async fn unpack(&self, job: &Job<'_>, deb: &Path, stage: &Path) -> Result<(), Fault> {
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
        self.run_watched(job, program, args, &mut |_, _| {}).await
    }

    async fn run_watched(
        &self,
        job: &Job<'_>,
        program: &str,
        args: Vec<String>,
        on_line: &mut (dyn FnMut(Stream, &str) + Send),
    ) -> Result<Finished, Fault> {
        let path = process::find_in_path(program, &job.machine.path)
            .ok_or_else(|| job.fault().cause(format!("there is no {program} in PATH")))?;
        let run = Run { program: path, args, cwd: self.debs.clone(), env: job.machine.env.clone(), deadline: DEADLINE };
        process::run(&run, on_line).await.map_err(|fault| Fault::because(job.fault().message, &fault).retry_safe())
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
    let (uri, rest) = line.strip_prefix('\'')?.split_once("' ")?;
    let mut words = rest.split_whitespace();
    let (file, size, digest) = (words.next()?, words.next()?, words.next()?);
    let mut parts = file.strip_suffix(".deb")?.split('_');
    let (package, version) = (parts.next()?, parts.next()?);
    let sha256 = digest.strip_prefix("SHA256:")?;
    // Both become names in our folders.
    if file.contains('/') || sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some(Offered {
        package: package.to_owned(),
        version: version.replace("%3a", ":"),
        from: Address::parse(uri),
        file: file.to_owned(),
        size: size.parse().ok()?,
        sha256: sha256.to_owned(),
    })
}

/// The name in a line of `apt-config dump`, `Acquire::http::Proxy "http://…";`, if it is for apt-get's way to servers and set.
/// Settings that change how it asks, and not whom, do not matter.
fn own_way(line: &str) -> Option<&str> {
    const HARMLESS: [&str; 6] = ["Pipeline-Depth", "No-Cache", "No-Store", "Max-Age", "Timeout", "User-Agent"];
    let (name, value) = line.split_once(' ')?;
    let option = name.strip_prefix("Acquire::http::").or_else(|| name.strip_prefix("Acquire::https::"))?;
    (value != "\"\";" && !HARMLESS.contains(&option)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_apt_is_read() {
        let sha256 = "784e17b51024ff878fd7d709a68346658fa9b21f6de740cb75e474f28790971c";
        let file = "redis-server_5%3a7.0.15-1~deb12u10_amd64.deb";
        let line = |uri: &str| format!("'{uri}' {file} 73908 SHA256:{sha256}");
        let uri = "http://deb.example/pool/redis-server_7.0.15-1%7edeb12u10_amd64.deb";
        let offer = parse_offer(&line(uri)).unwrap();
        assert_eq!((offer.package.as_str(), offer.version.as_str()), ("redis-server", "5:7.0.15-1~deb12u10"));
        assert_eq!((offer.size, offer.sha256.as_str()), (73908, sha256));
        assert_eq!(offer.from.unwrap().to_string(), uri);
        for other in ["http://user:s3cret@deb.example/a.deb", "file:/srv/a.deb", "mirror+file:/etc/apt/mirrors/a.deb"] {
            assert_eq!(parse_offer(&line(other)).unwrap().from, None, "{other}");
        }
        assert_eq!(parse_offer("Reading package lists..."), None);
        assert_eq!(parse_offer("'http://x' a_1_all.deb 1 MD5Sum:00"), None);
        assert_eq!(parse_offer("'http://x' a_1_all.deb 1 SHA256:00"), None);
        let whole = line(uri);
        for at in 0..whole.len() {
            let _ = (parse_offer(&whole[..at]), parse_offer(&whole[at..]));
        }
    }

    #[test]
    fn settings_for_apts_own_way_to_servers_are_seen() {
        assert_eq!(own_way("Acquire::http::Proxy \"http://user:s3cret@p:3128\";"), Some("Acquire::http::Proxy"));
        let for_one_host = "Acquire::https::Proxy::deb.example";
        assert_eq!(own_way(&format!("{for_one_host} \"DIRECT\";")), Some(for_one_host));
        assert_eq!(own_way("Acquire::https::SslCert \"/etc/apt/client.pem\";"), Some("Acquire::https::SslCert"));
        for line in
            ["Acquire::http \"\";", "Acquire::http::Proxy \"\";", "Acquire::http::Timeout \"20\";", "Dir \"/\";", ""]
        {
            assert_eq!(own_way(line), None, "{line}");
        }
    }
}
