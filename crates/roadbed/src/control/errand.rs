//! Starting a command of our own and not waiting for it: what takes control away with everything else cannot be done by control.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use host::files;
use host::process::{self, Limits, Spawn};
use reconcile::{Fault, Root};

use crate::wanted::Wanted;

/// Starts `roadbed WORDS --root ROOT` as a process of its own.
pub(super) fn begin(root: &Root, want: &Wanted, words: &[&str]) -> Result<(), Fault> {
    let cannot = |error: &(dyn std::error::Error + 'static)| {
        Fault::because(format!("cannot begin `roadbed {}`", words.join(" ")), error)
    };
    let program = host::own::program().map_err(|error| cannot(&error))?;
    let args = words.iter().copied().chain(["--root"]).map(str::to_owned);
    let args: Vec<String> = args.chain([root.path().to_string_lossy().into_owned()]).collect();
    let null = || files::open_append(Path::new("/dev/null"), files::Access::Owner).map_err(|fault| cannot(&fault));
    let spawn = Spawn {
        program: &program,
        args: &args,
        // Not the root: it may be going to be removed.
        cwd: Path::new("/"),
        env: &variables(want),
        stdout: null()?.into(),
        stderr: null()?.into(),
        inherited: &[],
        limits: Limits::default(),
        confine: None,
    };
    let command = process::spawn(spawn, &mut |_| Ok(())).map_err(|fault| cannot(&fault))?;
    tokio::spawn(async move {
        let _ = command.ended().await;
        let _ = command.reap();
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
    variables
}
