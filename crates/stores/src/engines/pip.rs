//! The user's pip: which one, what it is told, and where it would fetch a file from.

use std::path::{Path, PathBuf};
use std::time::Duration;

use host::files::{self, Access};
use host::process::{self, Finished, Run, Stream};
use reconcile::Fault;
use tokio::sync::oneshot;

use super::address::Address;
use super::fetch::Job;
use super::network::ToolSettings;
use super::version::Version;
use super::wheel::{Wheel, tree_size};

/// 42 MB at 100 KB/s take 7 minutes; whoever has less should use another way.
const DOWNLOAD_DEADLINE: Duration = Duration::from_secs(20 * 60);
/// pip's interpreter starts slowly from a cold disk.
const PROBE_DEADLINE: Duration = Duration::from_secs(60);
const PROGRESS_EVERY: Duration = Duration::from_millis(250);
/// The first pip that goes on with a broken download.
const RESUMING_PIP: Version = Version { major: 25, minor: 1, patch: 0 };

#[derive(Debug)]
pub(crate) struct Pip {
    program: PathBuf,
    first_args: Vec<String>,
    version: Version,
}

impl Pip {
    pub(crate) async fn find(job: &Job<'_>) -> Result<Self, Fault> {
        let candidates: [(&str, &[&str]); 3] = [("python3", &["-m", "pip"]), ("pip3", &[]), ("pip", &[])];
        for (name, first_args) in candidates {
            let Some(program) = process::find_in_path(name, &job.machine.path) else { continue };
            let first_args = first_args.iter().map(|&arg| arg.to_owned()).collect();
            let mut pip = Self { program, first_args, version: Version { major: 0, minor: 0, patch: 0 } };
            if let Some(finished) = pip.probe(job, &["--version"]).await {
                // `pip 23.2.1 from /usr/lib/python3/dist-packages/pip (python 3.11)`
                let version = finished.tail.iter().find_map(|line| Version::parse(line.strip_prefix("pip ")?).ok());
                pip.version = version.unwrap_or(pip.version);
                return Ok(pip);
            }
        }
        Err(job.fault().cause("there is no pip: tried `python3 -m pip`, pip3 and pip").hint(
            "install pip (Debian: `apt-get install python3-pip`), or install MongoDB and set `program` of mongodb in roadbed.toml",
        ))
    }

    /// Where pip would fetch the file from. `None` where it does not tell an address that others can use; it may then have
    /// fetched the file into `folder` already.
    ///
    /// pip has a report for this (`install --dry-run --report`), but writes it only after it has fetched a wheel whose index does
    /// not offer the metadata apart, and this one's does not. So pip is told to download, names the link that it found before
    /// it takes the first byte, and is stopped there. What it says is no contract: if it ever says it otherwise, the download
    /// that it was told to do goes on. A wrong link would not pass the SHA-256.
    pub(crate) async fn address(
        &self,
        job: &Job<'_>,
        wheel: &Wheel<'_>,
        folder: &Path,
    ) -> Result<Option<Address>, Fault> {
        let (tell, told) = oneshot::channel();
        let mut tell = Some(tell);
        let mut on_line = |_: Stream, line: &str| {
            if let Some(address) = address_in(line, wheel.file)
                && let Some(tell) = tell.take()
            {
                // Nobody listens once pip has ended.
                let _ = tell.send(address);
            }
        };
        // The lines of a talkative pip may name tokens in addresses, so its failure is not told: the next one says it again.
        let running = self.run_download(job, wheel, folder, &["-vv"], &mut on_line);
        tokio::select! {
            Ok(address) = told => Ok(Some(address)),
            finished = running => finished.map(|_| None),
        }
    }

    /// Lets pip fetch the file into `folder`.
    pub(crate) async fn download(&self, job: &Job<'_>, wheel: &Wheel<'_>, folder: &Path) -> Result<(), Fault> {
        let resume: &[&str] = if self.version >= RESUMING_PIP { &["--resume-retries", "5"] } else { &[] };
        let finished = self.run_download(job, wheel, folder, resume, &mut |_, _| {}).await?;
        if finished.success() && files::exists(&folder.join(wheel.file)) {
            return Ok(());
        }
        Err(job
            .fault()
            .cause(finished.tail.last().cloned().unwrap_or_else(|| "pip said nothing".to_owned()))
            .hint("check the network and pip's settings (`pip config list`), then try again")
            .output(finished.tail)
            .retry_safe())
    }

    async fn run_download(
        &self,
        job: &Job<'_>,
        wheel: &Wheel<'_>,
        folder: &Path,
        more: &[&str],
        on_line: &mut (dyn FnMut(Stream, &str) + Send),
    ) -> Result<Finished, Fault> {
        let temporary = job.workshop().join("tmp");
        files::remove_dir(&temporary)
            .and_then(|()| files::create_dir(&temporary, Access::Owner))
            .map_err(|fault| job.file_fault(&fault))?;
        let mut run = self.run(job, &["download"], DOWNLOAD_DEADLINE);
        // Only this file, and never the code of a source package.
        let fixed = ["--no-deps", "--only-binary", ":all:", "--no-input", "--progress-bar", "off"];
        run.args.extend(fixed.iter().chain(more).map(|&arg| arg.to_owned()));
        run.args.extend(["--dest".to_owned(), folder.to_string_lossy().into_owned(), wheel.package.to_owned()]);
        // Where pip puts the growing file: there we can watch it.
        run.env.insert("TMPDIR".to_owned(), temporary.to_string_lossy().into_owned());

        let running = process::run(&run, on_line);
        tokio::pin!(running);
        let mut tick = tokio::time::interval(PROGRESS_EVERY);
        loop {
            tokio::select! {
                finished = &mut running => {
                    return finished.map_err(|fault| Fault::because(job.fault().message, &fault).retry_safe());
                }
                _ = tick.tick() => match tree_size(&temporary) {
                    0 => {} // It is looking yet, and we may have a part of the file.
                    done => job.bytes(done, wheel.size),
                },
            }
        }
    }

    /// The settings that concern the way to a server, from pip's files and variables. Its answer is not kept: it may hold
    /// passwords.
    pub(crate) async fn settings(&self, job: &Job<'_>) -> ToolSettings {
        let finished = self.probe(job, &["config", "list"]).await;
        let lines = finished.map(|finished| finished.tail).unwrap_or_default();
        let requests = job.machine.env.get("REQUESTS_CA_BUNDLE").cloned();
        ToolSettings { proxy: setting(&lines, "proxy"), certificates: setting(&lines, "cert").or(requests) }
    }

    async fn probe(&self, job: &Job<'_>, args: &[&str]) -> Option<Finished> {
        let run = self.run(job, args, PROBE_DEADLINE);
        process::run(&run, &mut |_, _| {}).await.ok().filter(Finished::success)
    }

    fn run(&self, job: &Job<'_>, args: &[&str], deadline: Duration) -> Run {
        Run {
            program: self.program.clone(),
            args: self.first_args.iter().cloned().chain(args.iter().map(|&arg| arg.to_owned())).collect(),
            cwd: PathBuf::from("/"),
            env: job.machine.env.clone(),
            deadline,
        }
    }
}

/// `  Found link https://…/x-1.0-py3-none-any.whl (from https://…/simple/x/), version: 1.0`
fn address_in(line: &str, file: &str) -> Option<Address> {
    let link = line.trim_start().strip_prefix("Found link ")?.split_whitespace().next()?;
    Address::parse(link).filter(|address| address.file_name() == file)
}

/// One value out of `pip config list`: variables go before the section of the command, and that before the common one.
fn setting(lines: &[String], name: &str) -> Option<String> {
    [":env:", "download", "global"].iter().find_map(|section| {
        let value = lines
            .iter()
            .find_map(|line| line.strip_prefix(section)?.strip_prefix('.')?.strip_prefix(name)?.strip_prefix('='))?;
        Some(value.trim().trim_matches(['\'', '"']).to_owned()).filter(|value| !value.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "engine-1.0-py3-none-any.whl";

    #[test]
    fn a_link_that_pip_found_is_read() {
        let found = |line: &str| address_in(line, FILE).map(|address| address.to_string());
        let url = format!("https://files.example/packages/93/{FILE}");
        let line = format!("  Found link {url}#sha256=00 (from https://example/simple/engine/), version: 1.0");
        assert_eq!(found(&line), Some(url.clone()));
        for other in [
            format!("  Skipping link: none of the wheel's tags are compatible: {url}"),
            format!("  Found link {url}.metadata (from https://example/simple/engine/)"),
            format!("  Found link https://****@files.example/{FILE} (from https://****@example/simple/engine/)"),
            format!("  Found link file:///opt/wheels/{FILE}"),
            "  Found link".to_owned(),
            "Found link  ".to_owned(),
            String::new(),
        ] {
            assert_eq!(found(&other), None, "{other}");
        }
        for at in line.char_indices().map(|(at, _)| at) {
            let _ = found(&line[..at]);
            let _ = found(&line[at..]);
        }
    }

    #[test]
    fn the_nearest_setting_of_pip_counts() {
        let lines = [
            "global.cert='/etc/company.pem'",
            "global.proxy='http://global.example:3128'",
            "download.proxy='http://download.example:3128'",
            "install.cert='/elsewhere.pem'",
            ":env:.proxy-user='x'",
        ]
        .map(str::to_owned);
        assert_eq!(setting(&lines, "proxy").as_deref(), Some("http://download.example:3128"));
        assert_eq!(setting(&lines, "cert").as_deref(), Some("/etc/company.pem"));
        assert_eq!(setting(&[":env:.cert=''".to_owned()], "cert"), None);
    }
}
