//! `roadbed receive`: a push to a bare repository is deployed to where its branch goes. Run by git, as the hook `post-receive`.
//!
//! One checkout serves all branches, so that what did not change is not built again; one push after the other uses it. The roots of
//! the environments lie in it, as in any checkout, and are no files of the repository.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::Turn;
use host::files::{self, Access};
use manifest::Change;
use reconcile::Fault;

use crate::cli::args::Global;
use crate::cli::deploy::{self, Looking};
use crate::cli::deploy_args::{Deploy, Receive};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::git;
use crate::cli::interrupts::Interrupts;
use crate::cli::live::Live;
use crate::cli::place;
use crate::cli::project::Project;
use crate::cli::session::{MANIFEST, Session};

/// Whoever pushes while another push is deployed waits for no longer.
const PATIENCE: Duration = Duration::from_secs(60 * 60);

/// Ours says so; whatever else lies there is somebody's and is kept.
const OURS: &str = "# Written by `roadbed receive --install`.";

/// One line of what git says: a reference moved.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Moved {
    branch: String,
    to: String,
}

pub async fn run(session: &Session, args: &Receive, interrupts: &mut Interrupts) -> Result<Exit, Failure> {
    let repository = session.surroundings.folder.clone();
    let checkout = repository.join(&args.checkout);
    if args.install {
        return install(session, &repository, &checkout, args.free_ports);
    }
    let mut ended = Exit::Done;
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| Fault::because("cannot read what was pushed", &error))?;
        let Some(moved) = read(&line)? else { continue };
        let _turn = Turn::new(checkout.with_extension("lock"))
            .take(&format!("cannot deploy {}", moved.branch), PATIENCE)
            .await?;
        check_out(session, &repository, &checkout, &moved).await?;
        let exit = deploy_branch(session, args, &checkout, &moved, interrupts).await?;
        if exit != Exit::Done {
            ended = exit;
        }
    }
    Ok(ended)
}

/// `OLD NEW REFERENCE`, of branches that are still there.
fn read(line: &str) -> Result<Option<Moved>, Failure> {
    let words: Vec<&str> = line.split(' ').collect();
    let is_commit = |word: &str| word.len() >= 40 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let [old, new, reference] = words[..] else { return Err(no_push(line)) };
    if !is_commit(old) || !is_commit(new) {
        return Err(no_push(line));
    }
    let branch = reference.strip_prefix("refs/heads/");
    let is_gone = new.bytes().all(|byte| byte == b'0');
    Ok(branch.filter(|_| !is_gone).map(|branch| Moved { branch: branch.to_owned(), to: new.to_owned() }))
}

fn no_push(line: &str) -> Failure {
    Failure::Usage(
        Fault::new(format!("{line:?} is no line of a push"))
            .hint("git runs this as the hook post-receive: `roadbed receive --install` writes it"),
    )
}

/// Brings the commit into the checkout. What git ignores stays, such as installed packages, and so do roots.
async fn check_out(session: &Session, repository: &Path, checkout: &Path, moved: &Moved) -> Result<(), Failure> {
    let cannot = |silent: git::Silent| {
        Failure::Work(
            Fault::new(format!("cannot check out {} of {}", moved.branch, repository.display()))
                .cause(if silent.0.is_empty() { "git does not say why".to_owned() } else { silent.0 })
                .hint("see whether the folder given with --checkout is yours and has room"),
        )
    };
    files::create_dir(checkout, Access::Owner)?;
    let git = async |words: &[&str]| git::ask(session, checkout, words).await.map_err(cannot);
    git(&["init", "--quiet"]).await?;
    let from = repository.display().to_string();
    let reference = format!("+refs/heads/{0}:refs/pushed/{0}", moved.branch);
    git(&["fetch", "--quiet", "--no-tags", &from, &reference]).await?;
    git(&["checkout", "--quiet", "--force", "--detach", &moved.to]).await?;
    git(&["clean", "--quiet", "-ffd", "-e", ".roadbed", "-e", place::OTHERS]).await.map(drop)
}

async fn deploy_branch(
    session: &Session,
    args: &Receive,
    checkout: &Path,
    moved: &Moved,
    interrupts: &mut Interrupts,
) -> Result<Exit, Failure> {
    let branch = &moved.branch;
    let Ok(change) = Change::branch(branch) else { return Ok(Exit::Done) };
    let here = |env: Option<String>| {
        let global = Global {
            root: None,
            manifest: Some(checkout.join(MANIFEST)),
            env,
            remote: None,
            token_file: None,
            ca_file: None,
            json: false,
            color: crate::cli::args::ColorWhen::Never,
            quiet: false,
            verbose: false,
        };
        Session::new(&global, session.surroundings.clone().without("ROADBED_ROOT").at(checkout.to_owned()))
    };
    let target = Project::load(&here(None)?)?.manifest.target(&change);
    let Some(target) = target else {
        session.output.note(format!("{branch} is deployed nowhere"));
        return Ok(Exit::Done);
    };
    session.output.note(format!("{branch} goes to {target}"));
    let there = here(Some(target.to_string()))?;
    let live = Live::new(there.root.clone());
    let deploy = Deploy { verb: None, from: None, detach: false, free_ports: args.free_ports, across_contract: false };
    deploy::begin(&there, &deploy, Some(branch), Looking::UntilSomebodyIsAsked, &live, interrupts).await
}

fn install(session: &Session, repository: &Path, checkout: &Path, free_ports: bool) -> Result<Exit, Failure> {
    let hook: PathBuf = repository.join("hooks/post-receive");
    if !files::is_dir(&repository.join("objects")) || !files::is_dir(&repository.join("refs")) {
        return Err(Failure::Usage(
            Fault::new(format!("{} is no bare repository", repository.display()))
                .hint("go to the folder that people push to: `git init --bare` makes one"),
        ));
    }
    if files::read_if_exists(&hook)?.is_some_and(|text| !String::from_utf8_lossy(&text).contains(OURS)) {
        return Err(Failure::Work(
            Fault::new(format!("there is another hook at {}", hook.display()))
                .hint("move it away, then run this again"),
        ));
    }
    let shown = checkout.display().to_string();
    if shown.contains('\'') || shown.contains('\n') {
        return Err(Failure::Usage(
            Fault::new(format!("{shown:?} cannot be written into a hook")).hint("choose a plainer name"),
        ));
    }
    let free = if free_ports { " --free-ports" } else { "" };
    let text = format!("#!/bin/sh\n{OURS}\nexec roadbed receive --checkout '{shown}'{free}\n");
    files::create_dir(hook.parent().unwrap_or(repository), Access::Everyone)?;
    files::write_durable(&hook, text.as_bytes(), Access::Everyone)?;
    files::set_executable(&hook)?;
    session.output.note(format!("{} pushes to {} are deployed", session.output.notes.good("✓"), repository.display()));
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_branches_that_are_there_are_deployed() {
        let (old, new, none) = ("1".repeat(40), "a".repeat(40), "0".repeat(40));
        let moved = |line: String| read(&line).map_err(|_| ());
        assert_eq!(
            moved(format!("{old} {new} refs/heads/feature/x")),
            Ok(Some(Moved { branch: "feature/x".to_owned(), to: new.clone() }))
        );
        assert_eq!(moved(format!("{old} {none} refs/heads/main")), Ok(None));
        assert_eq!(moved(format!("{old} {new} refs/tags/v1")), Ok(None));
        for wrong in [String::new(), format!("{old} refs/heads/main"), format!("{old} --upload-pack=x refs/heads/main")]
        {
            assert_eq!(moved(wrong.clone()), Err(()), "{wrong:?}");
        }
    }
}
