//! `roadbed ci run`: lint, check, test and build what a change affects. The same command here and in CI.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ::ci::cache::{Cache, Looked, Trust};
use ::ci::changes::Checkout;
use ::ci::jobs::{self, Job, Wanted};
use ::ci::plan::Plan;
use ::ci::run::{AsyncUnchanged, Before, Done, OnFailure, Outcome, Runner};
use ::ci::trees::Changed;
use ::ci::{places, report};
use ::secrets::Secret;
use ::secrets::redact::Needles;
use engine::Turn;
use host::files::{self, Access};
use manifest::environment::App;
use reconcile::{Event, Fault, Progress};
use serde::Serialize;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::cli::ci_args::CiRun;
use crate::cli::ci_plan::{Subject, summary};
use crate::cli::ci_sign;
use crate::cli::ci_surroundings::{self as surroundings, Hosted};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::interrupts::Interrupts;
use crate::cli::session::Session;
use crate::cli::up::{progress_of, show};
use crate::render::paint::printable;
use crate::render::sarif;
use crate::render::span::{count, time};
use crate::world::{builds, lock_file};

/// Lines of a failed task that are shown where it fails.
const SHOWN: usize = 60;

/// What `--json` prints: a contract.
#[derive(Debug, Serialize)]
struct Document<'a> {
    holds: bool,
    affected: usize,
    jobs: Vec<Told<'a>>,
    took_ms: u64,
    saved_ms: u64,
    /// The ref of the signed result.
    signed: Option<String>,
}

#[derive(Debug, Serialize)]
struct Told<'a> {
    package: &'a str,
    task: &'a str,
    outcome: &'static str,
    took_ms: u64,
    saved_ms: u64,
    tests: Option<u64>,
    flaky: bool,
    why: Option<&'a str>,
    key: &'a str,
}

pub async fn run(session: &Session, args: &CiRun, interrupts: &mut Interrupts) -> Result<Exit, Failure> {
    let begin = session.clock.instant();
    let subject = Subject::of(session)?;
    let tools = session.surroundings.tools();
    let checkout = Checkout::of(&subject.folder)?;
    let changed = checkout.uncommitted("", &tools).await?;
    let plan = subject.plan(session, &checkout, &changed, args.base.as_deref())?;
    let wanted = match (args.all, args.names.as_slice()) {
        (true, _) => Wanted::All,
        (false, []) => Wanted::Affected,
        (false, names) => Wanted::Named(names.to_vec()),
    };
    let apps = subject.apps(session)?;
    let around = surroundings::of(session, &subject.ci, &plan, &apps, &tools).await?;
    let jobs = jobs::jobs(&plan, &subject.ci, &wanted, &args.only, &around).map_err(Failure::Usage)?;
    session.output.note(summary(&plan));
    if jobs.is_empty() && !matches!(wanted, Wanted::Affected) {
        let fault = Fault::new("there is nothing to run: none of these packages has such a task");
        return Err(Failure::Usage(
            fault.hint("give it a script of that name in package.json, or a `command` in [ci.tasks] of roadbed.toml"),
        ));
    }
    let hosted = Hosted::of(session);
    let folder = match &args.cache {
        Some(folder) => session.surroundings.folder.join(folder),
        None => cache(session)?.join("ci"),
    };
    let trust = surroundings::trust(args.untrusted.as_deref(), &hosted);
    let signing = ci_sign::prepare(session, args, &subject, &plan, trust == Trust::Trusted)?;
    let cache_of_results = Cache::open(&folder, trust)?;
    let secrets = surroundings::secrets(session, &subject.ci, &apps);
    let needles = needles(&secrets)?;
    let environment = |job: &Job| surroundings::environment(session, &tools, job, &around, &secrets);
    let still = Still { checkout: &checkout, changed: &changed, tools: &tools };
    let locks = cache(session)?;
    let turn = |job: &Job| Some(Turn::new(lock_file(&locks, &subject.folder, &lock_of(job))));
    let (events, mut told) = unbounded_channel();
    let progress = Drawing { events, waiting: AtomicUsize::new(0), left_out: AtomicUsize::new(0) };
    let ended = |job: &Job, done: &Done| tell(&progress, &hosted, job, done);
    let runner = Runner {
        project: &subject.folder,
        cache: &cache_of_results,
        at_once: args.jobs.map_or_else(at_once, usize::from),
        on_failure: if args.keep_going { OnFailure::GoOn } else { OnFailure::Stop },
        before: if args.force { Before::MadeAnew } else { Before::Taken },
        environment: &environment,
        needles,
        turn: &turn,
        is_unchanged: &still,
        progress: &progress,
        clock: session.clock,
        ended: &ended,
    };
    let working = async {
        if needs_packages(&subject.folder, &cache_of_results, &plan, &jobs, args.force)? {
            builds::packages(&subject.folder, &locks, &tools).ensure(&progress).await?;
        }
        ::ci::run::run(&runner, &jobs).await
    };
    tokio::pin!(working);
    let mut drawn = progress_of(&session.output);
    let over = loop {
        tokio::select! {
            Some(event) = told.recv() => draw(session, &hosted, &mut drawn, &progress, &event),
            over = &mut working => break Some(over),
            () = interrupts.next() => break None,
        }
    };
    while let Ok(event) = told.try_recv() {
        draw(session, &hosted, &mut drawn, &progress, &event);
    }
    drawn.end();
    let _ = files::remove_empty_dir(&subject.folder.join(::ci::run::UNPACKED));
    let Some(over) = over else { return Ok(Exit::Interrupted) };
    let done = over?;
    let took = session.clock.instant() - begin;
    write_reports(session, args, &subject.folder, &plan, &jobs, &done, took)?;
    let holds = done.iter().all(|done| matches!(done.outcome, Outcome::Succeeded | Outcome::Cached));
    let signed = match &signing {
        Some(signing) => Some(signing.sign(session, &checkout, &locks, holds).await?),
        None => None,
    };
    print(session, &plan, &jobs, &done, took, signed)?;
    Ok(if holds { Exit::Done } else { Exit::Failed })
}

fn cache(session: &Session) -> Result<std::path::PathBuf, Failure> {
    session.surroundings.cache().ok_or_else(|| {
        let fault = Fault::new("cannot tell where to keep results: neither HOME nor XDG_CACHE_HOME is set");
        Failure::Usage(fault.hint("set HOME, or give --cache DIR"))
    })
}

fn at_once() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The build of an app is not done by `up` at the same time.
fn lock_of(job: &Job) -> String {
    if job.task == "build" {
        format!("build-{}", job.package.replace('/', "-"))
    } else {
        format!("ci-{}-{}", job.package.replace('/', "-"), job.task.replace(':', "-"))
    }
}

/// Whether something is run that wants what npm installs.
fn needs_packages(folder: &Path, cache: &Cache, plan: &Plan, jobs: &[Job], anew: bool) -> Result<bool, Fault> {
    if !files::exists(&folder.join("package-lock.json")) {
        return Ok(false);
    }
    for job in jobs.iter().filter(|job| plan.workspace.packages[&*job.path].npm.is_some()) {
        if anew || !matches!(cache.find(&job.key)?, Looked::Found(_)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn needles(secrets: &BTreeMap<String, String>) -> Result<Arc<Needles>, Fault> {
    // Output comes line by line, so a value of several lines is looked for line by line.
    let lines = |(name, value): (&String, &String)| -> Vec<(String, Secret)> {
        let parts = value.lines().map(str::trim).filter(|line| line.len() >= ::secrets::redact::SHORTEST);
        let parts = parts.map(|line| (name.clone(), Secret::new(line.to_owned())));
        std::iter::once((name.clone(), Secret::new(value.clone()))).chain(parts).collect()
    };
    let all: Vec<(String, Secret)> = secrets.iter().flat_map(lines).collect();
    let needles = Needles::new(all.iter().map(|(name, secret)| (name.clone(), secret)));
    Ok(Arc::new(needles.map_err(|fault| Fault::because("cannot look for secrets in what tasks write", &fault))?))
}

/// Whether files are as they were when the plan was made.
struct Still<'s> {
    checkout: &'s Checkout,
    changed: &'s Changed,
    tools: &'s BTreeMap<String, String>,
}

impl AsyncUnchanged for Still<'_> {
    fn look<'l>(&'l self, job: &'l Job) -> Pin<Box<dyn Future<Output = bool> + 'l>> {
        Box::pin(async {
            let Ok(now) = self.checkout.uncommitted(&job.path, self.tools).await else { return false };
            let folder = [self.checkout.prefix.as_str(), &job.path]
                .iter()
                .filter(|part| !part.is_empty())
                .copied()
                .collect::<Vec<_>>()
                .join("/");
            let start = if folder.is_empty() { String::new() } else { format!("{folder}/") };
            let then = self.changed.iter().filter(|(path, _)| path.starts_with(start.as_bytes()));
            then.eq(now.iter())
        })
    }
}

/// Lines that may wait to be drawn, some 20 MB of them. A task may write them faster than that, and all would lie in memory.
const MOST_WAITING: usize = 100_000;

/// What goes on, for whoever draws it.
#[derive(Debug)]
struct Drawing {
    events: UnboundedSender<Said>,
    /// Lines that are not drawn yet.
    waiting: AtomicUsize,
    /// Lines that will not be.
    left_out: AtomicUsize,
}

/// Something to draw.
#[derive(Debug)]
enum Said {
    Event(Event),
    /// What a task wrote, as a group that can be opened.
    Group {
        name: String,
        log: Vec<u8>,
    },
}

impl Progress for Drawing {
    fn emit(&self, event: Event) {
        if matches!(event, Event::Output { .. }) {
            if self.waiting.load(Ordering::Relaxed) >= MOST_WAITING {
                self.left_out.fetch_add(1, Ordering::Relaxed);
                return;
            }
            self.waiting.fetch_add(1, Ordering::Relaxed);
        }
        let _ = self.events.send(Said::Event(event));
    }
}

impl Drawing {
    /// Notes that a line was drawn; how many were left out before it.
    fn drawn(&self) -> usize {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.left_out.swap(0, Ordering::Relaxed)
    }
}

fn tell(progress: &Drawing, hosted: &Hosted, job: &Job, done: &Done) {
    let resource = job.name();
    let took_ms = millis(done.took);
    if done.is_flaky() {
        progress.emit(Event::Noted { note: format!("{resource} is flaky: it succeeded at attempt {}", done.attempts) });
    }
    if hosted.is_github() && !done.log.is_empty() {
        let _ = progress.events.send(Said::Group { name: resource.clone(), log: done.log.clone() });
    }
    progress.emit(match done.outcome {
        Outcome::Succeeded => Event::Converged { resource, steps: 1, took_ms },
        Outcome::Cached => Event::Converged { resource, steps: 0, took_ms },
        Outcome::Failed => {
            let mut last: Vec<String> =
                ::ci::attempt::lines(&done.log).rev().take(SHOWN).map(|line| printable(&line)).collect();
            last.reverse();
            let fault = Fault::new(format!("{resource} failed"))
                .cause(done.why.clone().unwrap_or_default())
                .hint(format!("`roadbed ci run {} --only {}` runs it alone", job.package, job.task))
                .output(if hosted.is_github() { Vec::new() } else { last });
            Event::Failed { resource, fault }
        }
        Outcome::Skipped | Outcome::Stopped => {
            Event::Skipped { resource, because: done.why.clone().unwrap_or_default() }
        }
    });
}

fn draw(
    session: &Session,
    hosted: &Hosted,
    drawn: &mut crate::render::progress::Progress,
    progress: &Drawing,
    said: &Said,
) {
    match said {
        Said::Event(event) => {
            if let Event::Output { resource, .. } = event {
                let left_out = progress.drawn();
                if left_out > 0 {
                    let line = format!("… {left_out} lines are not shown …");
                    show(drawn, &Event::Output { resource: resource.clone(), line }, &session.output);
                }
            }
            show(drawn, event, &session.output);
        }
        Said::Group { name, log } => hosted.group(&session.output, name, log),
    }
}

fn write_reports(
    session: &Session,
    args: &CiRun,
    project: &Path,
    plan: &Plan,
    jobs: &[Job],
    done: &[Done],
    took: Duration,
) -> Result<(), Failure> {
    let here = &session.surroundings.folder;
    if let Some(file) = &args.junit {
        files::write_durable(&here.join(file), &report::junit(jobs, done), Access::Everyone)?;
    }
    if let Some(file) = &args.sarif {
        let failed = jobs.iter().zip(done).filter(|(_, done)| done.outcome == Outcome::Failed);
        let told: Vec<sarif::FailedTask> = failed
            .map(|(job, done)| sarif::FailedTask {
                task: job.task.clone(),
                package: job.package.clone(),
                file: manifest_of(plan, job),
                why: done.why.clone().unwrap_or_default(),
                places: places::places(project, &job.path, &done.log),
            })
            .collect();
        let text = serde_json::to_string(&sarif::tasks(&told)).expect("what is printed is plain data");
        files::write_durable(&here.join(file), text.as_bytes(), Access::Everyone)?;
    }
    let summary = args.summary.clone().or_else(|| {
        session.surroundings.variable("GITHUB_STEP_SUMMARY").filter(|file| !file.is_empty()).map(Into::into)
    });
    if let Some(file) = summary {
        use std::io::Write;
        let file = here.join(file);
        let text = report::summary(plan, jobs, done, took);
        let written = files::open_append(&file, Access::Everyone)?.write_all(text.as_bytes());
        written.map_err(|error| files::FileFault::new("append to", &file, error))?;
    }
    Ok(())
}

/// Where a failure stands that names no place.
fn manifest_of(plan: &Plan, job: &Job) -> String {
    let name = if plan.workspace.packages[&*job.path].npm.is_some() { "package.json" } else { "Cargo.toml" };
    if job.path.is_empty() { name.to_owned() } else { format!("{}/{name}", job.path) }
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

fn print(
    session: &Session,
    plan: &Plan,
    jobs: &[Job],
    done: &[Done],
    took: Duration,
    signed: Option<String>,
) -> Result<(), Failure> {
    if let Some(reference) = &signed {
        session.output.note(format!("signed: `git push REMOTE {reference}` brings it to a merge gate"));
    }
    let saved: Duration = done.iter().map(|done| done.saved).sum();
    let holds = done.iter().all(|done| matches!(done.outcome, Outcome::Succeeded | Outcome::Cached));
    if session.output.is_json() {
        let jobs = jobs.iter().zip(done).map(|(job, done)| Told {
            package: &job.package,
            task: &job.task,
            outcome: match done.outcome {
                Outcome::Succeeded => "succeeded",
                Outcome::Cached => "cached",
                Outcome::Failed => "failed",
                Outcome::Skipped => "skipped",
                Outcome::Stopped => "stopped",
            },
            took_ms: millis(done.took),
            saved_ms: millis(done.saved),
            tests: done.tests,
            flaky: done.is_flaky(),
            why: done.why.as_deref(),
            key: &job.key,
        });
        let document = Document {
            holds,
            affected: plan.affected.len(),
            jobs: jobs.collect(),
            took_ms: millis(took),
            saved_ms: millis(saved),
            signed,
        };
        return session.output.json(&document);
    }
    let number = |outcome: Outcome| done.iter().filter(|done| done.outcome == outcome).count();
    let failed = number(Outcome::Failed);
    let paint = session.output.data;
    let verdict =
        if holds { paint.good("✓ everything succeeded") } else { paint.bad(format!("✗ {failed} failed")) };
    session.output.line(format!(
        "{verdict}: {} run, {} from the cache, {} not run, in {}; {} saved",
        count(number(Outcome::Succeeded) + failed, "task"),
        number(Outcome::Cached),
        number(Outcome::Skipped) + number(Outcome::Stopped),
        time(millis(took)),
        time(millis(saved)),
    ))
}

impl Subject {
    /// The apps, for what their builds are given.
    fn apps(&self, session: &Session) -> Result<Vec<App>, Failure> {
        match &self.project {
            Some(project) => Ok(project.environment(&session.environment()?)?.1.apps),
            None => Ok(Vec::new()),
        }
    }
}
