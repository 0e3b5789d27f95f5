//! `roadbed upgrade`: the environment that runs moves to this program, or to another that is named, and back where that does not
//! come up.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::files;
use host::process::{self, Run, Stream};
use reconcile::ports::Units;
use reconcile::{Fault, Root};
use serde::Serialize;

use crate::cli::command_lock;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::server_args::Upgrade;
use crate::cli::session::Session;
use crate::keeper::client::KeeperClient;
use crate::own::{self, Program};
use crate::programs;
use crate::upgrade::course::{self, Role, Roles};
use crate::upgrade::note::{self, Course, Note};
use crate::upgrade::readable;

/// It reads the heads of a few files.
const JUDGE_DEADLINE: Duration = Duration::from_secs(20);

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Upgraded<'a> {
    from: &'a Program,
    to: &'a Program,
    /// What was done, or would be.
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    Upgraded,
    Unchanged,
    WouldUpgrade,
}

pub async fn run(session: &Session, args: &Upgrade) -> Result<Exit, Failure> {
    if args.readable {
        readable::judge(&session.root)?;
        session.output.json(&own::running()?)?;
        return Ok(Exit::Done);
    }
    // Waits for a keeper that is being revived.
    if KeeperClient::new(session.root.clone()).list().await.is_err() {
        return Err(Failure::Work(
            Fault::new(format!("nothing runs in {}", session.root.path().display()))
                .hint(format!("`{}` starts the environment with this program", session.command("up"))),
        ));
    }
    let _lock = command_lock::take(&session.root, &session.surroundings.command_line, session.clock)?;
    let under_way = note::read(&session.root)?;
    if args.carry_on {
        return match under_way {
            Some(note) => go(session, note).await,
            None => Ok(Exit::Done),
        };
    }
    let program = match &args.to {
        Some(path) => session.surroundings.folder.join(path),
        None => {
            host::own::program().map_err(|fault| Fault::because("cannot find the program that is running", &fault))?
        }
    };
    let roles = course::roles(&session.root).await?;
    if args.dry_run {
        let to = judged(&session.root, &program).await?;
        let outcome = if roles.all_run(&to.digest) { Outcome::Unchanged } else { Outcome::WouldUpgrade };
        return told(session, &Upgraded { from: &roles.keeper, to: &to, outcome }, Some(&roles));
    }
    let digest = programs::keep(&session.root, &program)?;
    let to = match judged(&session.root, &programs::place(&session.root, &digest)).await {
        Ok(to) => to,
        Err(fault) => {
            programs::discard(&session.root, &digest, &roles.digests())?;
            return Err(Failure::Work(fault));
        }
    };
    if roles.all_run(&digest) {
        programs::make_current(&session.root, &digest)?;
        note::remove(&session.root)?;
        return told(session, &Upgraded { from: &roles.keeper, to: &to, outcome: Outcome::Unchanged }, None);
    }
    // Of one that was cut off, the program before that one: what it was going to is what did not come to its end.
    let back = match under_way {
        Some(note) => note.back,
        None => kept_of_keeper(&session.root).await?,
    };
    note::write(&session.root, &Note::new(digest, back))?;
    let exit =
        go(session, note::read(&session.root)?.ok_or_else(|| Fault::new("the note of the upgrade is gone"))?).await?;
    told(session, &Upgraded { from: &roles.keeper, to: &to, outcome: Outcome::Upgraded }, None)?;
    Ok(exit)
}

/// Keeps the program that the keeper runs, of which there may be no file any more.
async fn kept_of_keeper(root: &Root) -> Result<String, Fault> {
    KeeperClient::new(root.clone()).copy_program().await?;
    let copy = programs::of_the_keeper(root);
    let digest = programs::keep(root, &copy)?;
    files::remove(&copy).map_err(|fault| Fault::because("cannot remove a copy that was kept", &fault))?;
    Ok(digest)
}

/// Follows the note to its end.
async fn go(session: &Session, mut note: Note) -> Result<Exit, Failure> {
    let (root, output) = (&session.root, &session.output);
    let mut moved = |role: Role| output.note(format!("{} {}", output.notes.good("✓"), role.as_str()));
    let mut why = None;
    if note.course == Course::Forward {
        match course::steer(root, &note.to, &mut moved).await {
            Ok(()) => {
                finish(root, &note.to, &note.back)?;
                return Ok(Exit::Done);
            }
            Err(fault) => {
                note.course = Course::Back;
                note::write(root, &note)?;
                output.complain(format!("{} {fault}; going back to {}", output.notes.bad("✗"), note.back));
                why = Some(fault);
            }
        }
    }
    course::steer(root, &note.back, &mut moved).await.map_err(|fault| {
        Fault { message: format!("cannot go back to the program before: {}", fault.message), ..fault }
            .hint("control goes on trying; `roadbed status` shows what runs")
    })?;
    finish(root, &note.back, &note.back)?;
    let went_back = Fault::new(format!("the environment was not upgraded: {} does not come up", note.to));
    let went_back = match why {
        None => went_back,
        Some(fault) => fault
            .causes
            .iter()
            .fold(went_back.cause(fault.message.clone()), |told, cause| told.cause(cause.clone()))
            .output(fault.output),
    };
    Err(Failure::Work(went_back.hint(format!("the program before ({}) goes on", note.back))))
}

fn finish(root: &Root, runs: &str, before: &str) -> Result<(), Fault> {
    programs::make_current(root, runs)?;
    note::remove(root)?;
    programs::prune(root, &[runs, before])
}

/// Asks a program, by its own word, who it is and whether it can read what the environment has kept.
async fn judged(root: &Root, program: &Path) -> Result<Program, Fault> {
    let cannot = |why: String| {
        Fault::new(format!("{} cannot take over the environment in {}", program.display(), root.path().display()))
            .cause(why)
    };
    let passed_on = ["PATH", "HOME", "USER", "XDG_STATE_HOME", "XDG_CONFIG_HOME"].into_iter();
    let env: BTreeMap<String, String> =
        passed_on.filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?))).collect();
    let args = ["upgrade", "--readable", "--json", "--root"].map(str::to_owned).into_iter();
    let run = Run {
        program: program.to_owned(),
        args: args.chain([root.path().to_string_lossy().into_owned()]).collect(),
        cwd: PathBuf::from("/"),
        env,
        deadline: JUDGE_DEADLINE,
    };
    let (mut said, mut complained) = (String::new(), Vec::new());
    let ran = process::run(&run, &mut |stream, line| match stream {
        Stream::Out => said.push_str(line),
        Stream::Err => complained.push(line.to_owned()),
    })
    .await;
    let ran = ran.map_err(|fault| Fault::because(cannot(String::new()).message, &fault))?;
    if !ran.success() {
        return Err(cannot(ran.describe()).hint("its own words say why").output(complained));
    }
    serde_json::from_str(&said).map_err(|_| {
        cannot("it does not say who it is".to_owned()).hint("give a program of Roadbed with --to").output(complained)
    })
}

fn told(session: &Session, upgraded: &Upgraded<'_>, roles: Option<&Roles>) -> Result<Exit, Failure> {
    let Upgraded { from, to, outcome } = upgraded;
    let output = &session.output;
    if output.is_json() {
        output.json(upgraded)?;
        return Ok(Exit::Done);
    }
    match outcome {
        Outcome::Unchanged => output.line(format!("the environment runs {} already", shown(to)))?,
        Outcome::Upgraded => output.line(format!("the environment runs {} now; before: {}", shown(to), shown(from)))?,
        Outcome::WouldUpgrade => {
            output.line(format!("{} would be followed by {}", shown(from), shown(to)))?;
            for (role, digest) in roles.into_iter().flat_map(Roles::each).filter(|(_, digest)| *digest != to.digest) {
                output.line(format!("  {role} runs {digest}"))?;
            }
        }
    }
    Ok(Exit::Done)
}

pub(crate) fn shown(program: &Program) -> String {
    format!("{} ({})", program.version, program.digest)
}
