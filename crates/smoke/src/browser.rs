//! Chromium without a screen: found, started, and ended with all that it started.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use host::files::{self, Access, FileFault};
use host::process::{Exit, Limits, Process, ProcessFault, Signal, Spawn, find_in_path, spawn};
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::net::unix::pipe::{Receiver, Sender};

use crate::plan::Route;

/// What Chromium is called, in the order in which it is looked for.
pub const BROWSERS: [&str; 5] =
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome-headless-shell"];

/// Chromium by its own names, in the folders of `path_var`.
pub fn find(path_var: &str) -> Option<PathBuf> {
    BROWSERS.iter().find_map(|name| find_in_path(name, path_var))
}

/// What profiles are called, and nothing else in a scratch folder: `roadbed-browser-PID-N`.
const PROFILE: &str = "roadbed-browser-";

/// Where a screenshot ends.
const WINDOW: &str = "1280,1000";

/// How long processes that are gone may still write: a quarter of a second, of which a hundredth was seen.
const LAST_WRITE: Duration = Duration::from_millis(10);
const LAST_WRITES: u32 = 25;

/// A running Chromium. Dropped, it is gone with all its processes and its profile.
#[derive(Debug)]
pub(crate) struct Browser {
    process: Process,
    profile: Profile,
}

/// Our ends of its two pipes.
#[derive(Debug)]
pub(crate) struct Pipes {
    pub(crate) commands: Sender,
    pub(crate) answers: Receiver,
}

/// Why there is no browser.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrowserFault {
    #[error(transparent)]
    File(#[from] FileFault),
    #[error(transparent)]
    Process(#[from] ProcessFault),
    #[error("cannot make pipes for the browser")]
    Pipe(#[from] io::Error),
}

impl Browser {
    /// Starts Chromium so that it reaches the hosts of these routes and no others, and believes no key but these.
    pub(crate) fn start(
        program: &Path,
        scratch: &Path,
        routes: &[Route],
        pins: &[String],
    ) -> Result<(Self, Pipes), BrowserFault> {
        sweep(scratch);
        let profile = Profile::make(scratch)?;
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let args = arguments(&profile.0, routes, pins);
        let mut env = BTreeMap::new();
        env.insert("PATH".to_owned(), search_path(program));
        for name in ["HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"] {
            env.insert(name.to_owned(), text(&profile.0));
        }
        env.insert("TMPDIR".to_owned(), text(&profile.0.join("t")));
        env.insert("LANG".to_owned(), "C.UTF-8".to_owned());
        let log = files::create_new(&profile.0.join("log"), Access::Owner)?;
        let (their_commands, our_commands) = pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from)?;
        let (our_answers, their_answers) = pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from)?;
        let process = spawn(
            Spawn {
                program,
                args: &args,
                cwd: &profile.0,
                env: &env,
                stdout: log.try_clone()?.into(),
                stderr: log.into(),
                // `--remote-debugging-pipe` reads commands from 3 and writes answers to 4.
                inherited: &[their_commands.as_fd(), their_answers.as_fd()],
                limits: Limits::default(),
                confine: None,
            },
            &mut |_| Ok(()),
        )?;
        let browser = Self { process, profile };
        let pipes =
            Pipes { commands: Sender::from_owned_fd(our_commands)?, answers: Receiver::from_owned_fd(our_answers)? };
        Ok((browser, pipes))
    }

    /// How it ended, in words. Its answers have ended already, so it has gone or is about to.
    pub(crate) async fn end_in_words(&self) -> String {
        let _ = self.process.ended().await;
        match self.process.reap() {
            Ok(Some(exit @ (Exit::Code(_) | Exit::Signal(_)))) => format!("the browser ended: {exit}"),
            _ => "the browser ended".to_owned(),
        }
    }

    /// The last line that it wrote, where it did not start.
    pub(crate) fn last_words(&self) -> Option<String> {
        let log = files::read(&self.profile.0.join("log")).ok()?;
        String::from_utf8_lossy(&log).lines().rfind(|line| !line.trim().is_empty()).map(str::to_owned)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // All of Chromium's processes are in its group, but for crash reporters, which end when it is gone.
        let _ = self.process.signal_group(Signal::KILL);
        self.process.wait_blocking();
    }
}

/// A folder that goes when it is dropped.
#[derive(Debug)]
struct Profile(PathBuf);

impl Profile {
    fn make(scratch: &Path) -> Result<Self, BrowserFault> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let profile = Self(scratch.join(format!("{PROFILE}{}-{number}", host::own::pid())));
        files::remove_dir(&profile.0)?;
        files::create_dir(&profile.0.join("t"), Access::Owner)?;
        Ok(profile)
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        // Processes that were killed a moment ago, and crash reporters that notice it, may still be writing.
        let mut tries = 0..LAST_WRITES;
        while files::remove_dir(&self.0).is_err() && tries.next().is_some() {
            std::thread::sleep(LAST_WRITE);
        }
    }
}

/// Takes away profiles of runs that were killed. Whose process lives is left alone.
fn sweep(scratch: &Path) {
    for path in files::list(scratch).unwrap_or_default() {
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(PROFILE));
        let pid = name.and_then(|name| name.split('-').next()).and_then(|pid| pid.parse::<u32>().ok());
        if pid.is_some_and(|pid| {
            pid != host::own::pid() && host::process::table::entry(pid).is_none_or(|it| it.is_dead())
        }) {
            let _ = files::remove_dir(&path);
        }
    }
}

/// What the wrapper scripts of distributions call lies in the system's folders.
fn search_path(program: &Path) -> String {
    let own = program.parent().map(|folder| folder.to_string_lossy().into_owned()).unwrap_or_default();
    format!("{own}:/usr/local/bin:/usr/bin:/bin")
}

fn arguments(profile: &Path, routes: &[Route], pins: &[String]) -> Vec<String> {
    let mut args: Vec<String> = [
        "--headless",
        "--remote-debugging-pipe",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--disable-extensions",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-domain-reliability",
        // A page of plain HTTP is asked for as the plan says, not over HTTPS first.
        "--disable-features=HttpsUpgrades,HttpsFirstBalancedMode,HttpsFirstBalancedModeAutoEnable,Translate",
        "--disable-sync",
        "--disable-default-apps",
        "--disable-breakpad",
        "--hide-scrollbars",
        "--mute-audio",
        "--no-default-browser-check",
        "--no-first-run",
        "--no-proxy-server",
        "--use-mock-keychain",
        "--password-store=basic",
    ]
    .map(str::to_owned)
    .to_vec();
    if host::own::is_root() {
        // Chromium's sandbox does not work for root, as whom containers run.
        args.push("--no-sandbox".to_owned());
    }
    let ways = routes.iter().map(|route| format!("MAP {}:{} {}", route.host, route.port, route.to));
    let rules: Vec<String> = ways.chain(["MAP * ~NOTFOUND".to_owned()]).collect();
    args.push(format!("--host-resolver-rules={}", rules.join(", ")));
    if !pins.is_empty() {
        args.push(format!("--ignore-certificate-errors-spki-list={}", pins.join(",")));
    }
    args.push(format!("--user-data-dir={}", profile.display()));
    args.push(format!("--window-size={WINDOW}"));
    args.push("about:blank".to_owned());
    args
}
