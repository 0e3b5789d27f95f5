//! `roadbed ready --sabotage`: each task's promise broken in a throw-away environment, and the gate watched.

use std::path::{Path, PathBuf};
use std::time::Duration;

use delivery::State;
use futures_util::stream;
use gate::{Report, Verdict};
use host::clock::Clock;
use host::files;
use manifest::{Environment, RepositoryPlace};
use reconcile::{Fault, Root};
use serde::Serialize;
use tokio::time::sleep;

use crate::cli::conductor::Conductor;
use crate::cli::deploy::{self, Looking, Occasion};
use crate::cli::deploy_args::Deploy;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::interrupts::Interrupts;
use crate::cli::live::Live;
use crate::cli::output::{Format, Output, even_unread};
use crate::cli::place::DEFAULT_ENVIRONMENT;
use crate::cli::project::Project;
use crate::cli::ready_args::Ready;
use crate::cli::session::{MANIFEST, Session};
use crate::cli::{args, command_lock, git, purge as purge_verb, up, wanted};
use crate::control::client::ControlClient;
use crate::purge;
use crate::render;
use crate::sabotage::{self, Attempt, Ground, Noticed, SCENES, Scene, Stage, judge, with_later};

/// Tasks of the requirements: `T1` to this one.
const LAST_TASK: u32 = 15;

/// Sockets lie below it, and a socket's path must be short.
const PLACE: &str = "/tmp";

/// What was just brought up, or mended, settles: the first backup is rehearsed, apps connect again.
const SETTLED_WITHIN: Duration = Duration::from_secs(90);

const PAUSE: Duration = Duration::from_millis(500);

/// Where local has no backup: one in the root, so that there is something to break.
const BACKED_UP: &str = "\n[environments.local.backup]\nrepository = \"root:backups\"\n";

/// What became of one task.
#[derive(Debug, Serialize)]
pub struct Played {
    pub task: String,
    /// What was broken; `None` where nothing was.
    pub broken: Option<&'static str>,
    pub outcome: Outcome,
    /// Why it was not tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    #[serde(flatten)]
    pub noticed: Option<Noticed>,
    /// From the break to the end of the gate that saw it.
    pub noticed_ms: u64,
    pub mended_ms: u64,
}

/// Whether a sabotage was noticed by its own rows and by no other's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Noticed,
    Missed,
    NotTried,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Document<'a> {
    environment: &'a str,
    holds: bool,
    noticed: usize,
    missed: usize,
    not_tried: usize,
    tasks: &'a [Played],
}

pub async fn run(session: &Session, args: &Ready, interrupts: &mut Interrupts) -> Result<Exit, Failure> {
    let tasks = tasks(&args.task)?;
    let project = Project::load(session)?;
    let (_, environment) = project.environment(DEFAULT_ENVIRONMENT)?;
    refuse_what_is_elsewhere(&environment)?;
    let place = session.surroundings.variable("TMPDIR").map_or_else(|| PathBuf::from(PLACE), PathBuf::from);
    for folder in sabotage::sweep(&place)? {
        session.output.note(format!("{} was left by a command that was killed: it goes", folder.display()));
        close(session, &folder, interrupts).await?;
    }
    let ground = Ground::make(&place)?;
    let played = tokio::select! {
        played = play(session, &project, &ground, &tasks) => Some(played),
        () = interrupts.next() => None,
    };
    let folder = ground.folder();
    if args.keep {
        stop(session, &ground.root(), interrupts).await?;
        session.output.note(format!("kept, stopped: {}", folder.display()));
        sabotage::keep(folder)?;
    } else {
        close(session, folder, interrupts).await?;
    }
    let Some(played) = played else { return Ok(Exit::Interrupted) };
    tell(session, &played?)
}

/// Those that were asked for, in their order; all, if none was.
fn tasks(asked: &[String]) -> Result<Vec<String>, Failure> {
    let all: Vec<String> = (1..=LAST_TASK).map(|number| format!("T{number}")).collect();
    if let Some(unknown) = asked.iter().find(|task| !all.contains(task)) {
        return Err(Failure::Usage(
            Fault::new(format!("there is no task {unknown:?}")).hint(format!("name tasks from T1 to T{LAST_TASK}")),
        ));
    }
    Ok(all.into_iter().filter(|task| asked.is_empty() || asked.contains(task)).collect())
}

/// What is broken must be ours to break: nothing here may write to what others use, or call somebody.
fn refuse_what_is_elsewhere(environment: &Environment) -> Result<(), Failure> {
    let is_external = environment.mongodb.as_ref().is_some_and(|mongodb| mongodb.external.is_some())
        || environment.redis.as_ref().is_some_and(|redis| redis.external.is_some() || redis.external_cache.is_some());
    let is_saved_elsewhere = environment
        .backup
        .as_ref()
        .is_some_and(|backup| backup.repository.place != RepositoryPlace::InRoot || !backup.copies.is_empty());
    let reaches = [
        (is_external, "its data services are run by somebody else"),
        (is_saved_elsewhere, "its backups go to a repository outside of its root"),
        (!environment.monitoring.channels.is_empty(), "people would be told of outages that are none"),
    ];
    match reaches.into_iter().find(|(does, _)| *does) {
        None => Ok(()),
        Some((_, why)) => Err(Failure::Usage(
            Fault::new(format!("{DEFAULT_ENVIRONMENT} cannot be broken on purpose: {why}"))
                .hint("leave that to other environments of the manifest, or name a manifest for this with --manifest"),
        )),
    }
}

async fn play(session: &Session, project: &Project, ground: &Ground, tasks: &[String]) -> Result<Vec<Played>, Failure> {
    let output = &session.output;
    let there = furnish(session, project, ground).await?;
    let _lock = command_lock::take(&there.root, &session.surroundings.command_line, session.clock)?;
    let copy = Project::load(&there)?;
    let up = args::Up { free_ports: true, ..args::Up::default() };
    let stage = Stage::of(ground.root(), wanted::of(&there, &copy, &up)?)?;
    output.note(format!("bringing up a throw-away environment in {}", ground.folder().display()));
    let mut progress = up::progress_of(output);
    let converged = stage.bring_up(&mut |event| up::show(&mut progress, event, output)).await;
    progress.end();
    converged?;
    output.note("seeing its gate hold");
    let mut promised = until_it_holds(session, &stage, &[]).await?;
    let mut played = Vec::new();
    let mut is_deployed = false;
    for scene in SCENES.iter().filter(|scene| tasks.iter().any(|task| task == scene.task)) {
        if scene.wants_a_release() && !is_deployed {
            deploy(&there).await?;
            promised = until_it_holds(session, &stage, &[]).await?;
            is_deployed = true;
        }
        output.note(format!("{}: {}", scene.task, scene.broken));
        let one = play_one(session, &stage, scene, &promised).await?;
        show(session, &one)?;
        played.push(one);
    }
    for task in tasks.iter().filter(|task| !SCENES.iter().any(|scene| task.as_str() == scene.task)) {
        let one = not_tried(task, "there is no scene that breaks it".to_owned());
        show(session, &one)?;
        played.push(one);
    }
    // Each scene's rows were seen to hold again; now all of them together.
    output.note("seeing its gate hold again");
    until_it_holds(session, &stage, &[]).await?;
    Ok(played)
}

/// Deploys the project as it is, and waits until it is live.
async fn deploy(there: &Session) -> Result<(), Failure> {
    there.output.note("deploying, so that there is a release to break");
    // What is deployed is told by its end; here nobody waits for a document about it.
    let quiet = Output { format: Format::Text, ..there.output };
    let mut there = there.at(there.manifest()?.to_owned(), there.root.clone(), local());
    there.output = quiet;
    let (live, mut nobody) = (Live::new(there.root.clone()), Interrupts::from_stream(stream::pending()));
    let asked = Deploy { detach: true, ..Deploy::default() };
    deploy::begin(&there, &asked, Occasion::default(), Looking::UntilOver, &live, &mut nobody).await?;
    let control = ControlClient::new(there.root.clone());
    loop {
        let all = control.deployments().await?;
        match all.iter().map(|one| one.state).find(|state| state.is_over()) {
            Some(State::Live) => return Ok(()),
            Some(other) => {
                return Err(Failure::Work(
                    Fault::new(format!("cannot deploy to the throw-away environment: it ended {other}"))
                        .hint("`roadbed deploy` shows it in your own"),
                ));
            }
            None => sleep(PAUSE).await,
        }
    }
}

fn show(session: &Session, played: &Played) -> Result<(), Failure> {
    let output = &session.output;
    if output.is_json() {
        return Ok(());
    }
    let lines = render::sabotage::lines(played, output.data);
    even_unread(lines.iter().try_for_each(|line| output.line(line)))
}

fn not_tried(task: &str, why: String) -> Played {
    Played {
        task: task.to_owned(),
        broken: None,
        outcome: Outcome::NotTried,
        why: Some(why),
        noticed: None,
        noticed_ms: 0,
        mended_ms: 0,
    }
}

async fn play_one(session: &Session, stage: &Stage, scene: &Scene, first: &Report) -> Result<Played, Failure> {
    let promised = |id: &&str| first.checks.iter().any(|evidence| evidence.id == **id);
    let rows: Vec<&str> = scene.rows.iter().map(|(id, _)| *id).filter(promised).collect();
    if rows.is_empty() {
        return Ok(not_tried(scene.task, "the gate makes no such promise here".to_owned()));
    }
    let begun = session.clock.instant();
    let mends = match stage.break_for(scene).await? {
        Attempt::Broken(mends) => mends,
        Attempt::NotHere(why) => return Ok(not_tried(scene.task, why)),
    };
    let report = stage.gate(&[]).await?;
    let mut noticed = judge(scene, &report);
    if !noticed.exactly() {
        // While it is broken: whoever has nothing to do with it holds when asked alone.
        let doubtful = noticed.doubtful();
        let later = stage.gate(&doubtful.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        noticed = judge(scene, &with_later(report, later));
    }
    let noticed_ms = since(session.clock, begun);
    let begun = session.clock.instant();
    stage.mend(mends).await?;
    until_it_holds(session, stage, &rows).await?;
    Ok(Played {
        task: scene.task.to_owned(),
        broken: Some(scene.broken),
        outcome: if noticed.exactly() { Outcome::Noticed } else { Outcome::Missed },
        why: None,
        noticed: Some(noticed),
        noticed_ms,
        mended_ms: since(session.clock, begun),
    })
}

fn since(clock: &dyn Clock, begun: std::time::Instant) -> u64 {
    u64::try_from(clock.instant().saturating_duration_since(begun).as_millis()).unwrap_or(u64::MAX)
}

/// The gate, or some of it, once it holds: what does not is asked again alone.
async fn until_it_holds(session: &Session, stage: &Stage, only: &[&str]) -> Result<Report, Failure> {
    let begun = session.clock.instant();
    let mut report = stage.gate(only).await?;
    loop {
        let broken = report.checks.iter().filter(|evidence| evidence.verdict != Verdict::Holds);
        let broken: Vec<String> = broken.map(|evidence| evidence.id.clone()).collect();
        if broken.is_empty() {
            return Ok(report);
        }
        if session.clock.instant().saturating_duration_since(begun) >= SETTLED_WITHIN {
            break;
        }
        sleep(PAUSE).await;
        let later = stage.gate(&broken.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        report = with_later(report, later);
    }
    let broken = report.checks.into_iter().filter(|evidence| evidence.verdict != Verdict::Holds);
    let mut fault = Fault::new("the gate of the throw-away environment does not hold where nothing is broken");
    fault.causes = broken.map(|evidence| format!("{}: {}", evidence.id, evidence.observed.join("; "))).collect();
    Err(Failure::Work(fault.hint("mend that first: `roadbed up` and `roadbed ready` show it in your own")))
}

/// A copy of the project and a session about the root in it.
async fn furnish(session: &Session, project: &Project, ground: &Ground) -> Result<Session, Failure> {
    let checkout = crate::world::project(&project.path).to_owned();
    let (reference, environment) = project.environment(DEFAULT_ENVIRONMENT)?;
    let mut text = project.source.text.clone();
    if environment.backup.is_none() && (environment.mongodb.is_some() || environment.redis.is_some()) {
        text.push_str(BACKED_UP);
    }
    ground.link(&checkout, &text, &environment)?;
    bring_commit(session, &checkout, &ground.project()).await?;
    let mut there = session.at(ground.project().join(MANIFEST), ground.root(), reference);
    let path = ground.link_programs(&environment, &session.surroundings.variable("PATH").unwrap_or_default())?;
    there.surroundings = there.surroundings.with("PATH", &path);
    Ok(at_home(there, ground.folder()))
}

/// Where keys of the throw-away are: not among this user's.
fn at_home(mut there: Session, folder: &Path) -> Session {
    let [state, config] = sabotage::homes(folder).map(|home| home.display().to_string());
    there.surroundings = there.surroundings.with("XDG_STATE_HOME", &state).with("XDG_CONFIG_HOME", &config);
    there
}

/// The files of the checkout's commit, as the only commit of a repository of the copy's own: what a change affects is told from
/// commits, and what is broken must not come into the checkout's.
async fn bring_commit(session: &Session, checkout: &Path, project: &Path) -> Result<(), Failure> {
    if !files::exists(&checkout.join(".git")) {
        session.output.note("the manifest's folder is no git repository: what is known of changes is not tried");
        return Ok(());
    }
    let from = checkout.display().to_string();
    let ask = async |words: &[&str]| {
        let words: Vec<&str> = ["-c", "user.name=roadbed", "-c", "user.email=roadbed@localhost"]
            .into_iter()
            .chain(words.iter().copied())
            .collect();
        let asked = git::ask(session, project, &words).await;
        asked.map_err(|silent| Fault::new("cannot copy the checkout's commit").cause(silent.0))
    };
    ask(&["init", "--quiet", "--initial-branch=main"]).await?;
    ask(&["fetch", "--quiet", "--depth", "1", "--no-tags", &from, "+HEAD:refs/import"]).await?;
    let commit = ask(&["commit-tree", "refs/import^{tree}", "-m", "As it is"]).await?.join("");
    ask(&["update-ref", "-d", "refs/import"]).await?;
    // Not a shallow clone: a search of that one's history would not be whole.
    for file in ["shallow", "FETCH_HEAD"] {
        files::remove(&project.join(".git").join(file))?;
    }
    ask(&["update-ref", "refs/heads/main", &commit]).await?;
    ask(&["reset", "--quiet"]).await?;
    Ok(())
}

async fn stop(session: &Session, root: &Root, interrupts: &mut Interrupts) -> Result<(), Failure> {
    let live = Live::new(root.clone());
    if !files::is_dir(root.path()) || !(live.is_meant_to_be_up() || live.is_up().await) {
        return Ok(());
    }
    session.output.note("stopping the throw-away environment; Ctrl-C stops it at once");
    tokio::select! {
        stopped = live.stop() => stopped?,
        () = interrupts.next() => live.kill().await?,
    }
    Ok(())
}

/// Stops it and takes away all that there is of it, outside of its folder too.
async fn close(session: &Session, folder: &Path, interrupts: &mut Interrupts) -> Result<(), Failure> {
    let root = sabotage::root(folder);
    stop(session, &root, interrupts).await?;
    if files::is_dir(root.path())
        && let Some(whose) = purge::whose(&root)?
    {
        let places = purge_verb::places(&at_home(session.at(folder.join(MANIFEST), root.clone(), local()), folder));
        purge::purge(&root, &whose, &places).await?;
    }
    files::remove_dir(folder)?;
    Ok(())
}

fn local() -> manifest::EnvRef {
    DEFAULT_ENVIRONMENT.parse().expect("it is the name of an environment")
}

fn tell(session: &Session, played: &[Played]) -> Result<Exit, Failure> {
    let count = |outcome| played.iter().filter(|one| one.outcome == outcome).count();
    let (noticed, missed, not_tried) = (count(Outcome::Noticed), count(Outcome::Missed), count(Outcome::NotTried));
    let holds = missed == 0 && noticed > 0;
    let output = &session.output;
    even_unread(match output.is_json() {
        true => output.json(&Document {
            environment: DEFAULT_ENVIRONMENT,
            holds,
            noticed,
            missed,
            not_tried,
            tasks: played,
        }),
        false => output.line(render::sabotage::summary(noticed, missed, not_tried, output.data)),
    })?;
    Ok(if holds { Exit::Done } else { Exit::Failed })
}
