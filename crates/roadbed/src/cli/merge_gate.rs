//! `roadbed merge-gate`: the hook `pre-receive` of a bare repository, written and run.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use host::files::{self, Access};
use reconcile::Fault;
use serde::Serialize;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::merge_gate_args::{MergeGate, MergeGateInstall};
use crate::cli::session::Session;
use crate::merge_gate::push::Moved;
use crate::merge_gate::{Judged, Verdict, judge};
use crate::render::paint::printable;

/// Ours says so; whatever else lies there is somebody's and is kept.
const OURS: &str = "# Written by `roadbed merge-gate install`.";

/// Where a hook lies that was there before.
const BEFORE: &str = "pre-receive.before-roadbed";

/// git gives the lines once, and both want them.
const HOOK: &str = "\
#!/bin/sh
# Written by `roadbed merge-gate install`.
# Runs the hook that was here before, then judges what is pushed. Whatever fails refuses the push.
pushed=\"$(cat)\" || exit 1
before=\"$(dirname \"$0\")/pre-receive.before-roadbed\"
if [ -x \"$before\" ]; then
  printf '%s\\n' \"$pushed\" | \"$before\" \"$@\" || exit $?
fi
printf '%s\\n' \"$pushed\" | roadbed merge-gate judge
";

/// What `--json` prints: a contract.
#[derive(Serialize)]
struct Installed<'i> {
    hook: &'i Path,
    before: Option<PathBuf>,
}

pub fn run(session: &Session, verb: &MergeGate) -> Result<Exit, Failure> {
    match verb {
        MergeGate::Install(args) => install(session, args),
        MergeGate::Judge(_) => judged(session),
    }
}

fn judged(session: &Session) -> Result<Exit, Failure> {
    let variable = |name: &str| session.surroundings.variable(name).filter(|value| !value.is_empty());
    if variable("GIT_NAMESPACE").is_some() {
        return Err(Failure::Work(
            Fault::new("cannot judge a push into a namespace of git: its branches have other names here")
                .hint("push to the repository itself"),
        ));
    }
    let mut moved = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| Fault::because("cannot read what is pushed", &error))?;
        moved.extend(match line.is_empty() {
            true => None,
            false => Some(Moved::read(&line).ok_or_else(|| {
                Failure::Usage(
                    Fault::new(format!("{line:?} is no line of a push"))
                        .hint("git runs this as the hook pre-receive: `roadbed merge-gate install` writes it"),
                )
            })?),
        });
    }
    let quarantine = variable("GIT_QUARANTINE_PATH").map(PathBuf::from);
    let here = &session.surroundings.folder;
    let judged = judge(here, quarantine.as_deref(), &moved, session.clock.now())?;
    judged.iter().for_each(|one| tell(session, one));
    let is_refused = judged.iter().any(|one| matches!(one.verdict, Verdict::Refused { .. }));
    Ok(if is_refused { Exit::Failed } else { Exit::Done })
}

/// Two lines at most: git shows them to whoever pushes, behind `remote:`.
fn tell(session: &Session, judged: &Judged) {
    let (output, paint) = (&session.output, session.output.notes);
    let name = judged.reference.strip_prefix("refs/heads/").unwrap_or(&judged.reference);
    match &judged.verdict {
        Verdict::Unprotected => {}
        Verdict::Taken(why) => output.note(printable(&format!("{} {name}: {why}", paint.good("✓")))),
        Verdict::Refused { why, hint } => {
            output.complain(printable(&format!("{} {name}: refused: {why}", paint.bad("✗"))));
            output.complain(printable(&format!("  {} {hint}", paint.hint("hint:"))));
        }
    }
}

fn install(session: &Session, args: &MergeGateInstall) -> Result<Exit, Failure> {
    let repository = session.surroundings.folder.join(&args.repository);
    let is_bare = ["objects", "refs"].iter().all(|name| files::is_dir(&repository.join(name)))
        && files::exists(&repository.join("HEAD"));
    if !is_bare {
        return Err(Failure::Usage(
            Fault::new(format!("{} is no bare repository", repository.display()))
                .hint("name the folder that people push to: `git init --bare` makes one"),
        ));
    }
    let hooks = leaks::hooks(&repository)
        .map_err(|fault| Failure::Work(Fault::because("cannot install the merge gate", &fault)))?;
    let (hook, before) = (hooks.join("pre-receive"), hooks.join(BEFORE));
    files::create_dir(&hooks, Access::Everyone)?;
    let is_somebodys = files::read_if_exists(&hook)?.is_some_and(|text| !String::from_utf8_lossy(&text).contains(OURS));
    if is_somebodys {
        let there = format!("there is another hook at {}", hook.display());
        if !args.force {
            return Err(Failure::Work(Fault::new(there).hint("--force keeps it, and runs it before the merge gate")));
        }
        if files::exists(&before) {
            let why = format!("{there}, and one at {} already", before.display());
            return Err(Failure::Work(Fault::new(why).hint("join the two by hand, then run this again")));
        }
        files::link_or_copy(&hook, &before)?;
    }
    // git passes over a hook that cannot be run: it has its name only when it can.
    let whole = hooks.join("pre-receive.roadbed");
    files::write_durable(&whole, HOOK.as_bytes(), Access::Everyone)?;
    files::set_executable(&whole)?;
    files::rename(&whole, &hook)?;
    let output = &session.output;
    let before = files::exists(&before).then_some(before);
    if output.is_json() {
        output.json(&Installed { hook: &hook, before })?;
        return Ok(Exit::Done);
    }
    if let Some(before) = before {
        output.note(format!("the hook that was there is {} now, and runs first", session.surroundings.shown(&before)));
    }
    let shown = session.surroundings.shown(&repository);
    output.note(format!("{} {shown} takes into protected branches what was checked", output.notes.good("✓")));
    Ok(Exit::Done)
}
