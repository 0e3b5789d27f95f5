//! Ends what has lived as long as it may: this environment, and others of the same product that nobody runs any more.
//!
//! A purge takes control away with everything else, so it is a process of its own: the same command that a person would give.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use host::clock::Timestamp;
use host::files;
use host::process::{self, Limits, Spawn};
use reconcile::{Fault, Root};
use tokio::time::sleep;

use super::{Control, identity};
use crate::roots::Roots;
use crate::wanted::{self, Wanted};
use crate::{expiry, keeper};

/// A manifest that is brought up anew may have shortened its life. One look reads one file for each preview of this machine.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Between two attempts, and the least that is waited.
const PAUSE: Duration = Duration::from_millis(500);

/// Looks until the task is aborted.
pub(super) async fn watch(control: Arc<Control>) {
    loop {
        let wait = match look(&control).await {
            Ok(next) => next,
            Err(fault) => {
                tracing::warn!(causes = ?fault.causes, "cannot tell what has lived as long as it may: {fault}");
                LONGEST_WAIT
            }
        };
        sleep(wait.clamp(PAUSE, LONGEST_WAIT)).await;
    }
}

/// Begins what is due; returns for how long there is nothing to do.
async fn look(control: &Control) -> Result<Duration, Fault> {
    let Some(want) = wanted::read(&control.root)? else { return Ok(LONGEST_WAIT) };
    let now = control.clock.now();
    // First, since the other way ends this process.
    for root in others(control, &want, now)? {
        tracing::info!(root = %root.path().display(), "its time is over: purging it");
        begin_purge(&root, &want)?;
    }
    match expiry::of(&want)? {
        Some(end) if now >= end => {
            tracing::info!(%end, "its time is over: purging this environment");
            begin_purge(&control.root, &want)?;
            // It may have to wait for a command that holds the root; it ends us when it does not.
            Ok(LONGEST_WAIT)
        }
        Some(end) => Ok(end.since(now)),
        None => Ok(LONGEST_WAIT),
    }
}

/// Roots of the same product that are down and over: nobody else would notice.
fn others(control: &Control, want: &Wanted, now: Timestamp) -> Result<Vec<Root>, Fault> {
    let Some(identity) = identity::read(&control.root)? else { return Ok(Vec::new()) };
    let Ok(others) = Roots::new(want.state.clone(), want.config.clone()).others(&identity) else {
        return Ok(Vec::new());
    };
    let is_due = |root: &Root| files::exists(&keeper::down_marker(root)) && expiry::is_over(root, now).unwrap_or(false);
    Ok(others.into_iter().map(|other| other.root).filter(is_due).collect())
}

/// Starts `roadbed down --purge` and does not wait for it.
fn begin_purge(root: &Root, want: &Wanted) -> Result<(), Fault> {
    let cannot = |error: &(dyn std::error::Error + 'static)| Fault::because("cannot begin a purge", error);
    let program = host::own::program().map_err(|error| cannot(&error))?;
    let args = ["down", "--purge", "--expired", "--quiet", "--root"].map(str::to_owned);
    let args: Vec<String> = args.into_iter().chain([root.path().to_string_lossy().into_owned()]).collect();
    let null = || files::open_append(Path::new("/dev/null"), files::Access::Owner).map_err(|fault| cannot(&fault));
    let spawn = Spawn {
        program: &program,
        args: &args,
        // Not the root: it is going to be removed.
        cwd: Path::new("/"),
        env: &variables(want),
        stdout: null()?.into(),
        stderr: null()?.into(),
        inherited: &[],
        limits: Limits::default(),
        confine: None,
    };
    let purge = process::spawn(spawn, &mut |_| Ok(())).map_err(|fault| cannot(&fault))?;
    tokio::spawn(async move {
        let _ = purge.ended().await;
        let _ = purge.reap();
    });
    Ok(())
}

/// What tells the command where this user's state is. Nothing that marks it as one of ours: it is not to be stopped with us.
fn variables(want: &Wanted) -> BTreeMap<String, String> {
    let passed_on = ["PATH", "HOME", "USER", "LANG"].into_iter();
    let mut variables: BTreeMap<String, String> =
        passed_on.filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?))).collect();
    let folder = |path: &Option<PathBuf>| Some(path.as_ref()?.parent()?.to_string_lossy().into_owned());
    variables.extend(folder(&want.state).map(|folder| ("XDG_STATE_HOME".to_owned(), folder)));
    variables.extend(folder(&want.config).map(|folder| ("XDG_CONFIG_HOME".to_owned(), folder)));
    variables.extend(folder(&Some(want.cache.clone())).map(|folder| ("XDG_CACHE_HOME".to_owned(), folder)));
    variables
}
