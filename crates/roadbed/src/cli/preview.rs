//! `roadbed preview up` and `down`: the environment of a pull request, from a commit to an address and back to nothing.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::Turn;
use host::files::{self, Access};
use manifest::{Change, EnvRef, Manifest};
use reconcile::{Fault, Root};

use crate::checkouts;
use crate::cli::deploy::{self, Looking};
use crate::cli::deploy_args::Deploy;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::interrupts::Interrupts;
use crate::cli::live::Live;
use crate::cli::preview_args::{PreviewDown, PreviewUp};
use crate::cli::project::Project;
use crate::cli::receive::PUSHED_BY;
use crate::cli::session::{MANIFEST, Session};
use crate::cli::{args, command_lock, git, place, purge, up};
use crate::render::environment;
use crate::wanted::{self, Wanted};
use crate::words::{self, Builders, Subject};

/// Whoever moves a preview while somebody else does waits for no longer.
const PATIENCE: Duration = Duration::from_secs(60 * 60);

/// Where previews of a product come from and go to, and whose word counts. The manifest is of a branch that is trusted, never the
/// pull request's own.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    pub(super) session: &'a Session,
    /// The folder beside which roots lie.
    pub(super) project: PathBuf,
    /// The repository that has the commits.
    pub(super) repository: PathBuf,
    pub(super) manifest: Manifest,
}

/// Who brings a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bringer<'a> {
    /// It comes from a fork, whoever carries it here.
    Fork,
    Nobody,
    /// Somebody, as the way in says.
    Person(&'a str),
    /// It is part of what is checked out here.
    Here,
}

/// One commit for one preview.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) number: u32,
    pub(super) commit: String,
}

/// The environment of a pull request.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) environment: EnvRef,
    pub(super) root: Root,
    pub(super) builders: Builders,
}

impl<'a> Ground<'a> {
    /// Of the checkout that the manifest is in.
    pub(super) fn here(session: &'a Session) -> Result<Self, Failure> {
        let project = Project::load(session)?;
        let folder = crate::world::project(&project.path).to_owned();
        Ok(Self { session, project: folder.clone(), repository: folder, manifest: project.manifest })
    }

    pub(super) fn home(&self, number: u32) -> Result<Home, Failure> {
        let environment = self.manifest.target(&Change::PullRequest(number)).ok_or_else(|| {
            Failure::Usage(
                Fault::new("the manifest has no environment per pull request")
                    .hint("add [environments.preview] with per = \"pull-request\" and domain = \"pr-{pr}.…\""),
            )
        })?;
        let resolved =
            self.manifest.resolve(&environment).map_err(|error| Fault::because("cannot resolve it", &error))?;
        let builders = Builders::of(&self.manifest, &resolved.preview.builders);
        let root = Root::new(place::root_of(&self.project, Some(&environment)));
        Ok(Home { environment, root, builders })
    }

    pub(super) fn product(&self, home: &Home) -> Result<String, Failure> {
        let resolved = self.manifest.resolve(&home.environment);
        Ok(resolved.map_err(|error| Fault::because("cannot resolve it", &error))?.product.to_string())
    }

    /// At whose word a commit may be built; refused if at nobody's. Nothing of it is run before.
    pub(super) fn refuse_strangers(&self, of: &Candidate, by: Bringer<'_>) -> Result<String, Failure> {
        let Candidate { number, commit } = of;
        let home = self.home(*number)?;
        let about = Subject { product: self.product(&home)?, pull_request: *number, commit: commit.clone() };
        if let Some(person) = words::given_for(&self.project, &about, &home.builders)? {
            return Ok(person.to_string());
        }
        let brought = match by {
            Bringer::Person(name) if home.builders.has(name) => return Ok(name.to_owned()),
            Bringer::Here => return Ok(host::own::user_name()),
            Bringer::Fork => "it comes from a fork".to_owned(),
            Bringer::Nobody => {
                "the way that it came does not say who brings it, so it counts as a stranger's".to_owned()
            }
            Bringer::Person(name) => format!("{name} brings it, who may not have commits built here"),
        };
        let who = match home.builders.names()[..] {
            [] => format!("`builders` of [environments.{}] names nobody, so nobody may", home.environment.name),
            ref names => format!("{} may", names.join(", ")),
        };
        let short = commit.get(..12).unwrap_or(commit);
        Err(Failure::Work(
            Fault::new(format!("nothing of {short} is built: nobody allowed that commit of pull request {number}"))
                .cause(brought)
                .cause(format!("to say yes: {who}"))
                .hint(format!(
                    "look at it, then in {}: `roadbed preview allow {number} --commit {commit}` and `roadbed preview up {number}`",
                    self.project.display()
                )),
        ))
    }

    /// The full name of the commit that a reference of the repository leads to.
    pub(super) async fn commit_of(&self, reference: &str) -> Option<String> {
        let asked = format!("{reference}^{{commit}}");
        let words = ["rev-parse", "--verify", "--quiet", "--end-of-options", &asked];
        git::ask(self.session, &self.repository, &words).await.ok()?.into_iter().next()
    }

    /// The newest commit of a pull request, as far as it was pushed here.
    pub(super) async fn head_of(&self, number: u32) -> Option<String> {
        for reference in [format!("refs/pull/{number}/head"), format!("refs/heads/pr/{number}")] {
            if let Some(commit) = self.commit_of(&reference).await {
                return Some(commit);
            }
        }
        None
    }

    /// Makes the preview, or moves it. Whoever calls has asked whether the commit may be built.
    pub(super) async fn bring_up(
        &self,
        of: &Candidate,
        by: &str,
        free_ports: bool,
        interrupts: &mut Interrupts,
    ) -> Result<Exit, Failure> {
        let home = self.home(of.number)?;
        let checkout = self.checkout(&home)?;
        let _turn = Turn::new(checkout.with_extension("lock"))
            .take(&format!("cannot move {}", home.environment), PATIENCE)
            .await?;
        self.check_out(of, &checkout).await?;
        let there = self.session.at(checkout.join(MANIFEST), home.root.clone(), home.environment.clone());
        let live = Live::new(home.root.clone());
        self.live_longer(&there, &live).await?;
        let deploy = Deploy { free_ports, ..Deploy::default() };
        let branch = format!("pull/{}", of.number);
        let origin = deploy::Occasion { branch: Some(&branch), by: Some(by) };
        let exit = deploy::begin(&there, &deploy, origin, Looking::UntilSomebodyIsAsked, &live, interrupts).await?;
        let exit = exit.or_waiting();
        if exit == Exit::Done {
            self.tell(&there, &live).await?;
        }
        Ok(exit)
    }

    /// What was moved lives as long again, and wakes.
    async fn live_longer(&self, there: &Session, live: &Live) -> Result<(), Failure> {
        use crate::cli::conductor::Conductor;
        let known = wanted::read(&there.root)?;
        let Some(want) = known.filter(|_| live.is_meant_to_be_up()) else { return Ok(()) };
        let _lock = command_lock::take(&there.root, &there.surroundings.command_line, there.clock)?;
        let moment = there.clock.moment();
        let want =
            Wanted { asked: Some(moment.wall), asked_at: Some(moment), tools: there.surroundings.tools(), ..want };
        match up::converged(there, &want, live).await {
            // What does not do well may be what this commit mends.
            Err(Failure::Work(fault)) => {
                there.output.note(format!("{fault}; going on"));
                Ok(())
            }
            other => other,
        }
    }

    async fn tell(&self, there: &Session, live: &Live) -> Result<(), Failure> {
        use crate::cli::conductor::Conductor;
        let status = live.status().await?;
        let lives = status.ends.map(|ends| (super::preview_list::roughly(ends.since(there.clock.now())), ends));
        if let Some(file) = there.surroundings.variable("GITHUB_STEP_SUMMARY").filter(|file| !file.is_empty()) {
            let mut text = format!("### {}\n\n", there.environment()?);
            text.extend(status.urls.iter().map(|(app, url)| format!("- {app}: {url}\n")));
            text.extend(
                lives.as_ref().map(|(left, ends)| format!("\nIt is gone in {left}, at {ends}, unless it is moved.\n")),
            );
            let file = there.surroundings.folder.join(file);
            let written = files::open_append(&file, Access::Everyone)?.write_all(text.as_bytes());
            written.map_err(|error| files::FileFault::new("append to", &file, error))?;
        }
        if there.output.is_json() {
            return Ok(());
        }
        for line in environment::urls(&status.urls, there.output.data) {
            there.output.line(line)?;
        }
        if let Some((left, ends)) = lives {
            there
                .output
                .note(format!("it is gone in {left}, at {ends}, unless it is moved or brought up again before"));
        }
        Ok(())
    }

    fn checkout(&self, home: &Home) -> Result<PathBuf, Failure> {
        let cache = self.session.surroundings.cache().ok_or_else(|| {
            Failure::Usage(
                Fault::new("cannot tell where to check it out: neither HOME nor XDG_CACHE_HOME is set")
                    .hint("set HOME"),
            )
        })?;
        Ok(checkouts::folder(&cache, &home.root))
    }

    /// Brings the commit into the preview's own checkout. Installed packages stay; they are its own too.
    async fn check_out(&self, of: &Candidate, checkout: &Path) -> Result<(), Failure> {
        let Candidate { number, commit } = of;
        let cannot = |silent: git::Silent| {
            Failure::Work(
                Fault::new(format!("cannot check out {commit} of {}", self.repository.display()))
                    .cause(if silent.0.is_empty() { "git does not say why".to_owned() } else { silent.0 })
                    .hint(format!("see whether {} is yours and has room", checkout.display())),
            )
        };
        let ask = async |folder: &Path, words: &[&str]| git::ask(self.session, folder, words).await.map_err(cannot);
        files::create_dir(checkout, Access::Owner)?;
        // A commit by its name alone is not handed out by every git; one by a name of ours is.
        let ours = kept_at(*number);
        ask(&self.repository, &["update-ref", &ours, commit]).await?;
        ask(checkout, &["init", "--quiet"]).await?;
        let from = self.repository.display().to_string();
        ask(checkout, &["fetch", "--quiet", "--no-tags", &from, &format!("+{ours}:{ours}")]).await?;
        ask(checkout, &["checkout", "--quiet", "--force", "--detach", commit]).await?;
        ask(checkout, &["clean", "--quiet", "-ffd"]).await.map(drop)
    }

    /// All of a preview goes: processes, data, checkout.
    pub(super) async fn take_down(&self, number: u32, interrupts: &mut Interrupts) -> Result<Exit, Failure> {
        let home = self.home(number)?;
        let manifest = self.project.join(MANIFEST);
        let there = self.session.at(manifest, home.root.clone(), home.environment.clone());
        let checkout = self.checkout(&home)?;
        let lock = checkout.with_extension("lock");
        let _turn = Turn::new(lock.clone()).take(&format!("cannot take {} away", home.environment), PATIENCE).await?;
        let down = args::Down { purge: true, yes: true, i_mean: None, expired: false };
        let exit = purge::run(&there, &down, &Live::new(home.root.clone()), interrupts).await?;
        // One that could not be built has a checkout and no root.
        files::remove_dir(&checkout)?;
        files::remove(&lock)?;
        // Where nothing was kept there is nothing to forget.
        let _ = git::ask(self.session, &self.repository, &["update-ref", "-d", &kept_at(number)]).await;
        Ok(exit)
    }
}

fn kept_at(number: u32) -> String {
    format!("refs/roadbed/pr-{number}")
}

pub async fn up(session: &Session, args: &PreviewUp, interrupts: &mut Interrupts) -> Result<Exit, Failure> {
    let ground = Ground::here(session)?;
    let number = args.number;
    ground.home(number)?;
    let asked = match &args.reference {
        Some(reference) => ground.commit_of(reference).await,
        None => match ground.head_of(number).await {
            Some(commit) => Some(commit),
            None => ground.commit_of("HEAD").await,
        },
    };
    let commit = asked.ok_or_else(|| {
        let what = args.reference.as_deref().unwrap_or("HEAD");
        Failure::Usage(
            Fault::new(format!("{} has no commit {what}", ground.repository.display()))
                .hint("`git fetch` brings what others pushed; name a commit or branch with --ref"),
        )
    })?;
    let contained = ["merge-base", "--is-ancestor", &commit, "HEAD"];
    let is_here = git::ask(session, &ground.repository, &contained).await.is_ok();
    let of = Candidate { number, commit };
    // A pipeline on this machine says who pushed, as sshd does for a push.
    let pusher = session.surroundings.variable(PUSHED_BY).filter(|name| !name.is_empty());
    let bringer = match &pusher {
        _ if is_here => Bringer::Here,
        Some(name) => Bringer::Person(name),
        None => Bringer::Nobody,
    };
    let by = ground.refuse_strangers(&of, bringer)?;
    ground.bring_up(&of, &by, args.free_ports, interrupts).await
}

pub async fn down(session: &Session, args: &PreviewDown, interrupts: &mut Interrupts) -> Result<Exit, Failure> {
    Ground::here(session)?.take_down(args.number, interrupts).await
}
