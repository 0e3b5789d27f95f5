//! Starting a keeper that outlives whoever started it.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::files::{self, Access};
use host::process::{self, Exit, Limits, Process, Spawn};
use reconcile::{Fault, Root};

use super::client::KeeperClient;
use super::wire::KeeperState;
use super::{down_marker, log, own_log};

/// A keeper answers within milliseconds; one that revives a root waits up to 2 s for the edge and 10 s for strangers to go.
const DEADLINE: Duration = Duration::from_secs(20);

/// Between two looks at whether the keeper answers.
const PAUSE: Duration = Duration::from_millis(10);

/// What the keeper needs to know of the world. Nothing else is passed on: a shell's environment may hold secrets, and the
/// environment of a role holds the mark of its unit.
const PASSED_ON: [&str; 7] = ["PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "RUST_BACKTRACE"];

/// What [`launch`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launched {
    Started,
    AlreadyRunning,
}

/// Whether a keeper of `root` answers.
pub async fn is_running(root: &Root) -> bool {
    KeeperClient::new(root.clone()).health().await.is_ok()
}

/// Makes sure that a keeper of `root` runs, detached from us, and answers. One that is just stopping is waited for first.
/// From then on the environment is meant to be up: see [`super::lifeline`].
pub async fn launch(root: &Root) -> Result<Launched, Fault> {
    launch_program(root, &own_program()?).await
}

/// As [`launch`], with a keeper that is another program than the one that runs here.
pub async fn launch_program(root: &Root, program: &Path) -> Result<Launched, Fault> {
    if let Ok(health) = KeeperClient::new(root.clone()).health().await {
        if health.state == KeeperState::Running {
            return Ok(Launched::AlreadyRunning);
        }
        if let Ok(keeper) = Process::open(health.pid) {
            keeper
                .ended()
                .await
                .map_err(|error| Fault::because("cannot see the keeper before this one end", &error))?;
        }
    }
    files::remove(&down_marker(root)).map_err(|fault| Fault::because("cannot start the keeper", &fault))?;
    // Stopped again meanwhile: then whoever did that is the last to have a say.
    let _ = revive(root, program, || async { is_running(root).await.then_some(()) }).await?;
    Ok(Launched::Started)
}

/// Starts a keeper, or meets the one that another survivor started, and returns the `sign` that it lives. `None`: the root was
/// stopped on purpose, and nothing is revived.
pub(super) async fn revive<T, Looked: Future<Output = Option<T>>>(
    root: &Root,
    program: &Path,
    sign: impl Fn() -> Looked,
) -> Result<Option<T>, Fault> {
    let keeper = start(root, program)?;
    let lives = async {
        loop {
            if let Some(sign) = sign().await {
                return Some(sign);
            }
            if files::exists(&down_marker(root)) {
                return None;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let ended = async {
        let _ = keeper.ended().await;
        keeper.reap().ok().flatten().unwrap_or(Exit::Unseen)
    };
    tokio::pin!(lives);
    let waited = tokio::time::timeout(DEADLINE, async {
        tokio::select! {
            sign = &mut lives => Ok(sign),
            exit = ended => match exit {
                // Another keeper has the root: that one will give the sign.
                Exit::Code(0) => Ok(lives.await),
                exit => Err(failed(root, exit)),
            },
        }
    })
    .await;
    if keeper.is_alive() {
        // Not our business any more, but its zombie would be.
        tokio::spawn(async move {
            let _ = keeper.ended().await;
            let _ = keeper.reap();
        });
    }
    waited.unwrap_or_else(|_| {
        Err(Fault::new(format!("the keeper of {} does not answer", root.path().display()))
            .cause(format!("waited {} s", DEADLINE.as_secs()))
            .hint(format!("see {}", own_log(root).display()))
            .retry_safe())
    })
}

/// The program that runs here.
pub(super) fn own_program() -> Result<PathBuf, Fault> {
    let program =
        host::own::program().map_err(|fault| Fault::because("cannot find the program that is running", &fault))?;
    // The file may be gone, while what this process runs is still there.
    Ok(if files::exists(&program) { program } else { PathBuf::from("/proc/self/exe") })
}

fn start(root: &Root, program: &Path) -> Result<Process, Fault> {
    let headline = || format!("cannot start the keeper of {}", root.path().display());
    let because_file = |fault| Fault::because(headline(), &fault);
    let because_io = |error: io::Error| Fault::because(headline(), &error);
    files::create_dir(root.path(), Access::Owner).map_err(because_file)?;
    files::create_dir(&root.logs(), Access::Owner).map_err(because_file)?;
    let args = ["keeper", "--root"].map(str::to_owned).into_iter().chain([root.path().to_string_lossy().into_owned()]);
    let env: BTreeMap<String, String> =
        PASSED_ON.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect();
    log::rotate_if_large(&own_log(root)).map_err(because_file)?;
    let stderr = files::open_append(&own_log(root), Access::Owner).map_err(because_file)?;
    let stdout: OwnedFd = stderr.try_clone().map_err(because_io)?.into();
    let spawn = Spawn {
        program,
        args: &args.collect::<Vec<_>>(),
        cwd: root.path(),
        env: &env,
        stdout,
        stderr: stderr.into(),
        inherited: &[],
        limits: Limits::default(),
        confine: None,
    };
    process::spawn(spawn, &mut |_| Ok(())).map_err(|fault| Fault::because(headline(), &fault))
}

fn failed(root: &Root, exit: Exit) -> Fault {
    let log = files::read_string(&own_log(root)).unwrap_or_default();
    let lines: Vec<String> = log.lines().map(str::to_owned).collect();
    Fault::new(format!("cannot start the keeper of {}", root.path().display()))
        .cause(exit.to_string())
        .hint(format!("see {}", own_log(root).display()))
        .output(lines[lines.len().saturating_sub(10)..].to_vec())
}
