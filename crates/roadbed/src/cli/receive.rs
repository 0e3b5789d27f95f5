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
use crate::cli::deploy::{self, Looking, Occasion};
use crate::cli::deploy_args::{Deploy, Receive};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::git;
use crate::cli::interrupts::Interrupts;
use crate::cli::live::Live;
use crate::cli::place;
use crate::cli::preview::{Bringer, Candidate, Ground};
use crate::cli::project::Project;
use crate::cli::session::{MANIFEST, Session};

/// Whoever pushes while another push is deployed waits for no longer.
const PATIENCE: Duration = Duration::from_secs(60 * 60);

/// Ours says so; whatever else lies there is somebody's and is kept.
const OURS: &str = "# Written by `roadbed receive --install`.";

/// Who pushes, as the way in says: sshd sets it by the key (`environment="ROADBED_PUSHED_BY=ann"` in `authorized_keys`). Whoever
/// could set it otherwise has a shell here and needs no push.
pub(super) const PUSHED_BY: &str = "ROADBED_PUSHED_BY";

/// One line of what git says: a reference moved.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Moved {
    what: What,
    /// `None`: it was deleted.
    to: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Branch(String),
    /// `refs/pull/N/head`.
    PullRequest(u32),
}

pub async fn run(session: &Session, args: &Receive, interrupts: &mut Interrupts) -> Result<Exit, Failure> {
    let repository = session.surroundings.folder.clone();
    let checkout = repository.join(&args.checkout);
    if args.install {
        return install(session, &repository, &checkout, args);
    }
    let mut ended = Exit::Done;
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| Fault::because("cannot read what was pushed", &error))?;
        let Some(moved) = read(&line)? else { continue };
        let exit = match received(session, args, (&repository, &checkout), moved, interrupts).await {
            Ok(exit) => exit,
            // What was pushed with it is looked at all the same.
            Err(failure) => {
                crate::cli::tell(&failure, &session.output);
                failure.exit()
            }
        };
        if exit != Exit::Done {
            ended = exit;
        }
    }
    Ok(ended)
}

async fn received(
    session: &Session,
    args: &Receive,
    (repository, checkout): (&Path, &Path),
    moved: Moved,
    interrupts: &mut Interrupts,
) -> Result<Exit, Failure> {
    let branch = match moved.what {
        What::PullRequest(number) => {
            let ground = ground(session, repository, checkout).await?;
            return preview(&ground, args, number, moved.to, interrupts).await;
        }
        What::Branch(branch) => branch,
    };
    if let Some(number) = pull_request_of(&branch) {
        let ground = ground(session, repository, checkout).await?;
        if !Change::branch(&branch).is_ok_and(|change| ground.manifest.target(&change).is_some()) {
            return preview(&ground, args, number, moved.to, interrupts).await;
        }
    }
    let Some(to) = moved.to else { return Ok(Exit::Done) };
    let _turn = Turn::new(checkout.with_extension("lock")).take(&format!("cannot deploy {branch}"), PATIENCE).await?;
    check_out(session, repository, checkout, &format!("refs/heads/{branch}"), &to).await?;
    deploy_branch(session, args, checkout, &branch, interrupts).await
}

/// `OLD NEW REFERENCE`, of branches and pull requests.
fn read(line: &str) -> Result<Option<Moved>, Failure> {
    let words: Vec<&str> = line.split(' ').collect();
    let is_commit = |word: &str| word.len() >= 40 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let [old, new, reference] = words[..] else { return Err(no_push(line)) };
    if !is_commit(old) || !is_commit(new) {
        return Err(no_push(line));
    }
    let to = (!new.bytes().all(|byte| byte == b'0')).then(|| new.to_owned());
    let pull = reference.strip_prefix("refs/pull/").and_then(|rest| rest.strip_suffix("/head"));
    let what = match (reference.strip_prefix("refs/heads/"), pull.and_then(number_of)) {
        (Some(branch), _) => What::Branch(branch.to_owned()),
        (None, Some(number)) => What::PullRequest(number),
        (None, None) => return Ok(None),
    };
    Ok(Some(Moved { what, to }))
}

/// `pr/42`: how pull requests are pushed where git hosts have no names of their own for them.
fn pull_request_of(branch: &str) -> Option<u32> {
    number_of(branch.strip_prefix("pr/")?)
}

/// In its one spelling: `042` would be another name of the same preview.
fn number_of(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number: &u32| *number > 0 && number.to_string() == text)
}

fn no_push(line: &str) -> Failure {
    Failure::Usage(
        Fault::new(format!("{line:?} is no line of a push"))
            .hint("git runs this as the hook post-receive: `roadbed receive --install` writes it"),
    )
}

/// Where previews come from and go to. What a pull request says of it counts for nothing: the manifest is that of the repository's own
/// branch.
async fn ground<'a>(session: &'a Session, repository: &Path, checkout: &Path) -> Result<Ground<'a>, Failure> {
    let cannot = |why: String| {
        Failure::Work(
            Fault::new("cannot tell what becomes of pull requests")
                .cause(why)
                .hint("push the branch that HEAD of the repository names, with a manifest that has no faults, first"),
        )
    };
    let shown = git::ask(session, repository, &["show", &format!("HEAD:{MANIFEST}")]).await;
    let text = shown.map_err(|silent| cannot(silent.0))?.join("\n");
    let (manifest, diagnostics) = manifest::parse(&manifest::Source::new(MANIFEST, text));
    let manifest = manifest.filter(|_| !diagnostics.iter().any(manifest::Diagnostic::is_error));
    let manifest = manifest.ok_or_else(|| cannot(format!("{MANIFEST} of HEAD has faults")))?;
    if !files::exists(&checkout.join(MANIFEST)) {
        // So that whoever allows a commit has a place to do it in.
        let _turn = Turn::new(checkout.with_extension("lock")).take("cannot check out HEAD", PATIENCE).await?;
        check_out(session, repository, checkout, "HEAD", "FETCH_HEAD").await?;
    }
    Ok(Ground { session, project: checkout.to_owned(), repository: repository.to_owned(), manifest })
}

/// A pull request moved, or was closed.
async fn preview(
    ground: &Ground<'_>,
    args: &Receive,
    number: u32,
    to: Option<String>,
    interrupts: &mut Interrupts,
) -> Result<Exit, Failure> {
    let session = ground.session;
    let Some(commit) = to else {
        session.output.note(format!("pull request {number} is closed"));
        let _ = fetch_away(ground, number).await;
        return ground.take_down(number, interrupts).await;
    };
    if ground.manifest.target(&Change::PullRequest(number)).is_none() {
        session.output.note(format!("pull request {number} is deployed nowhere"));
        return Ok(Exit::Done);
    }
    let of = Candidate { number, commit };
    // For whoever looks at it there. Nothing is checked out, and nothing is run.
    let here = format!("+{}:refs/pull/{number}/head", of.commit);
    let from = ground.repository.display().to_string();
    let _ = git::ask(session, &ground.project, &["fetch", "--quiet", "--no-tags", &from, &here]).await;
    let pusher = session.surroundings.variable(PUSHED_BY).filter(|name| !name.is_empty());
    let bringer = match &pusher {
        _ if args.fork => Bringer::Fork,
        Some(name) => Bringer::Person(name),
        None => Bringer::Nobody,
    };
    let by = ground.refuse_strangers(&of, bringer)?;
    let environment = ground.home(number)?.environment;
    session.output.note(format!("pull request {number} goes to {environment}"));
    ground.bring_up(&of, &by, args.free_ports, interrupts).await
}

async fn fetch_away(ground: &Ground<'_>, number: u32) -> Result<(), git::Silent> {
    let words = ["update-ref", "-d", &format!("refs/pull/{number}/head")];
    git::ask(ground.session, &ground.project, &words).await.map(drop)
}

/// Brings a commit into the checkout. What git ignores stays, such as installed packages, and so do roots.
async fn check_out(
    session: &Session,
    repository: &Path,
    checkout: &Path,
    reference: &str,
    commit: &str,
) -> Result<(), Failure> {
    let cannot = |silent: git::Silent| {
        Failure::Work(
            Fault::new(format!("cannot check out {reference} of {}", repository.display()))
                .cause(if silent.0.is_empty() { "git does not say why".to_owned() } else { silent.0 })
                .hint("see whether the folder given with --checkout is yours and has room"),
        )
    };
    files::create_dir(checkout, Access::Owner)?;
    let git = async |words: &[&str]| git::ask(session, checkout, words).await.map_err(cannot);
    git(&["init", "--quiet"]).await?;
    let from = repository.display().to_string();
    let kept = reference.strip_prefix("refs/heads/").unwrap_or(reference);
    git(&["fetch", "--quiet", "--no-tags", &from, &format!("+{reference}:refs/pushed/{kept}")]).await?;
    git(&["checkout", "--quiet", "--force", "--detach", commit]).await?;
    git(&["clean", "--quiet", "-ffd", "-e", ".roadbed", "-e", place::OTHERS]).await.map(drop)
}

async fn deploy_branch(
    session: &Session,
    args: &Receive,
    checkout: &Path,
    branch: &str,
    interrupts: &mut Interrupts,
) -> Result<Exit, Failure> {
    let Ok(change) = Change::branch(branch) else { return Ok(Exit::Done) };
    let here = |env: Option<String>| {
        let global = Global {
            root: None,
            manifest: Some(checkout.join(MANIFEST)),
            env,
            remote: None,
            token_file: None,
            oidc: false,
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
    let deploy = Deploy { free_ports: args.free_ports, ..Deploy::default() };
    let occasion = Occasion { branch: Some(branch), by: None };
    let looking = Looking::UntilSomebodyIsAsked;
    Ok(deploy::begin(&there, &deploy, occasion, looking, &live, interrupts).await?.or_waiting())
}

fn install(session: &Session, repository: &Path, checkout: &Path, args: &Receive) -> Result<Exit, Failure> {
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
    let free = if args.free_ports { " --free-ports" } else { "" };
    let fork = if args.fork { " --fork" } else { "" };
    let text = format!("#!/bin/sh\n{OURS}\nexec roadbed receive --checkout '{shown}'{free}{fork}\n");
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
    fn branches_and_pull_requests_are_told_apart() {
        let (old, new, none) = ("1".repeat(40), "a".repeat(40), "0".repeat(40));
        let moved = |line: String| read(&line).map_err(|_| ());
        let is = |what: What, to: Option<&str>| Ok(Some(Moved { what, to: to.map(str::to_owned) }));
        let branch = |name: &str| What::Branch(name.to_owned());
        assert_eq!(moved(format!("{old} {new} refs/heads/feature/x")), is(branch("feature/x"), Some(&new)));
        assert_eq!(moved(format!("{old} {none} refs/heads/main")), is(branch("main"), None));
        assert_eq!(moved(format!("{old} {new} refs/pull/7/head")), is(What::PullRequest(7), Some(&new)));
        assert_eq!(moved(format!("{old} {none} refs/pull/7/head")), is(What::PullRequest(7), None));
        for other in ["refs/tags/v1", "refs/pull/7/merge", "refs/pull/07/head", "refs/pull/0/head", "refs/pull/+7/head"]
        {
            assert_eq!(moved(format!("{old} {new} {other}")), Ok(None), "{other}");
        }
        assert_eq!(
            (pull_request_of("pr/12"), pull_request_of("pr/012"), pull_request_of("prs/1")),
            (Some(12), None, None)
        );
        for wrong in [String::new(), format!("{old} refs/heads/main"), format!("{old} --upload-pack=x refs/heads/main")]
        {
            assert_eq!(moved(wrong.clone()), Err(()), "{wrong:?}");
        }
    }
}
