//! Jobs, run in the order of their needs and as many at once as is wanted; what was had before comes from the cache.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use engine::Turn;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use host::clock::Clock;
use host::files;
use host::process::find_in_path;
use reconcile::{Event, Fault, Progress};
use secrets::redact::Needles;

use crate::attempt::Attempt;
use crate::cache::{Cache, Entry, Looked, Record};
use crate::jobs::Job;
use crate::outputs::Outputs;

/// How long to wait for another command of this checkout that builds the same app.
const TURN: Duration = Duration::from_secs(15 * 60);

/// Where what was kept is unpacked beside its place, in the project's folder. Left over by who was killed, it is taken away.
pub const UNPACKED: &str = ".roadbed-ci";

/// How a job came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Succeeded,
    /// It was had before.
    Cached,
    Failed,
    /// Something that it needs failed.
    Skipped,
    /// Something else failed first.
    Stopped,
}

/// A job that is over.
#[derive(Clone, Debug)]
pub struct Done {
    pub outcome: Outcome,
    pub took: Duration,
    /// How long it took when it was run, if it came from the cache.
    pub saved: Duration,
    pub tests: Option<u64>,
    pub attempts: u32,
    /// Why it failed, or was not run.
    pub why: Option<String>,
    pub log: Vec<u8>,
}

impl Done {
    /// It failed first, and then it did not.
    pub fn is_flaky(&self) -> bool {
        self.outcome == Outcome::Succeeded && self.attempts > 1
    }

    fn without_running(outcome: Outcome, why: Option<String>) -> Self {
        let none = Duration::ZERO;
        Self { outcome, took: none, saved: none, tests: None, attempts: 0, why, log: Vec::new() }
    }
}

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    Stop,
    GoOn,
}

/// Whether results from before are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    Taken,
    MadeAnew,
}

/// What jobs are run with.
pub struct Runner<'r> {
    pub project: &'r Path,
    pub cache: &'r Cache,
    pub at_once: usize,
    pub on_failure: OnFailure,
    pub before: Before,
    /// The environment of a job.
    pub environment: &'r dyn Fn(&Job) -> BTreeMap<String, String>,
    pub needles: Arc<Needles>,
    /// Whether somebody else may build the same at the same time, and whose turn it is.
    pub turn: &'r dyn Fn(&Job) -> Option<Turn>,
    /// Whether a job's files are as they were when it was planned.
    pub is_unchanged: &'r dyn AsyncUnchanged,
    pub progress: &'r dyn Progress,
    pub clock: &'r dyn Clock,
    /// Told of each job as it ends.
    pub ended: &'r dyn Fn(&Job, &Done),
}

impl std::fmt::Debug for Runner<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").field("project", &self.project).finish_non_exhaustive()
    }
}

/// Looks whether files changed while a job ran.
pub trait AsyncUnchanged {
    fn look<'l>(&'l self, job: &'l Job) -> std::pin::Pin<Box<dyn Future<Output = bool> + 'l>>;
}

/// Runs them all. The answer has one for each, in their order.
pub async fn run(runner: &Runner<'_>, jobs: &[Job]) -> Result<Vec<Done>, Fault> {
    let mut done: Vec<Option<Done>> = vec![None; jobs.len()];
    let mut begun = vec![false; jobs.len()];
    let mut running = FuturesUnordered::new();
    let mut is_stopped = false;
    loop {
        // One that cannot run for what it needs is over at once, and so is what needs it.
        for at in 0..jobs.len() {
            let bad = jobs[at].needs.iter().find(|need| {
                done[**need].as_ref().is_some_and(|done| !matches!(done.outcome, Outcome::Succeeded | Outcome::Cached))
            });
            if let (false, Some(bad)) = (begun[at], bad) {
                begun[at] = true;
                let over =
                    Done::without_running(Outcome::Skipped, Some(format!("{} did not succeed", jobs[*bad].name())));
                (runner.ended)(&jobs[at], &over);
                done[at] = Some(over);
            }
        }
        for at in 0..jobs.len() {
            let is_ready = jobs[at].needs.iter().all(|need| done[*need].is_some());
            if running.len() < runner.at_once && !begun[at] && is_ready && !is_stopped {
                begun[at] = true;
                running.push(async move { (at, runner.job(&jobs[at]).await) });
            }
        }
        let Some((at, over)) = running.next().await else { break };
        let over = over?;
        (runner.ended)(&jobs[at], &over);
        let has_failed = over.outcome == Outcome::Failed;
        done[at] = Some(over);
        if has_failed && runner.on_failure == OnFailure::Stop {
            is_stopped = true;
            // Kills what runs.
            running.clear();
        }
    }
    let stopped = || Done::without_running(Outcome::Stopped, Some("something else failed first".to_owned()));
    Ok(done.into_iter().map(|done| done.unwrap_or_else(stopped)).collect())
}

impl Runner<'_> {
    async fn job(&self, job: &Job) -> Result<Done, Fault> {
        let begin = self.clock.instant();
        let folder = self.project.join(&job.path);
        let outputs = Outputs::new(folder.clone(), job.outputs.clone())?;
        let name = job.name();
        self.progress.emit(Event::Started { resource: name.clone() });
        let _turn = match (self.turn)(job).filter(|_| !outputs.is_empty()) {
            Some(turn) => Some(turn.take(&format!("cannot run {name}"), TURN).await?),
            None => None,
        };
        if self.before == Before::Taken
            && let Some(entry) = self.had_before(job, &outputs)?
        {
            let saved = Duration::from_millis(entry.record.took_ms);
            let took = self.clock.instant() - begin;
            return Ok(Done {
                outcome: Outcome::Cached,
                took,
                saved,
                tests: entry.record.tests,
                attempts: 0,
                why: None,
                log: entry.log,
            });
        }
        let mut attempts = 0;
        loop {
            attempts += 1;
            outputs.clear()?;
            let (why, tests, log) = self.attempt(job, &folder).await?;
            let took = self.clock.instant() - begin;
            match why {
                Some(_) if attempts <= job.settings.retries => {
                    self.progress.emit(Event::Noted {
                        note: format!("{name} failed and is tried again ({attempts} of {})", job.settings.retries),
                    });
                }
                why => {
                    let outcome = if why.is_none() { Outcome::Succeeded } else { Outcome::Failed };
                    let done = Done { outcome, took, saved: Duration::ZERO, tests, attempts, why, log };
                    if outcome == Outcome::Succeeded && attempts == 1 {
                        self.keep(job, &outputs, &done).await?;
                    }
                    return Ok(done);
                }
            }
        }
    }

    /// What was kept under its key, with its files in their place.
    fn had_before(&self, job: &Job, outputs: &Outputs) -> Result<Option<Entry>, Fault> {
        let entry = match self.cache.find(&job.key)? {
            Looked::Found(entry) => entry,
            Looked::Nothing => return Ok(None),
            Looked::Damaged(why) => {
                self.note(format!("what was kept of {} is damaged ({why}): it is run again", job.name()));
                return Ok(None);
            }
        };
        if entry.record.outputs.is_none() {
            // It made nothing, so what is there is of something else.
            outputs.clear()?;
            return Ok(Some(*entry));
        }
        let unpacked = self.unpacked(job);
        let cannot = |fault: files::FileFault| Fault::because("cannot put back what was made", &fault);
        files::create_dir(&self.project.join(UNPACKED), files::Access::Owner).map_err(cannot)?;
        files::remove_dir(&unpacked).map_err(cannot)?;
        let placed = entry.unpack(&unpacked).and_then(|()| outputs.place(&unpacked));
        files::remove_dir(&unpacked).map_err(cannot)?;
        match placed {
            Ok(()) => Ok(Some(*entry)),
            Err(fault) => {
                self.note(format!(
                    "what was kept of {} is damaged ({}): it is run again",
                    job.name(),
                    fault.causes.join(": ")
                ));
                self.cache.forget(&job.key)?;
                Ok(None)
            }
        }
    }

    fn unpacked(&self, job: &Job) -> PathBuf {
        self.project.join(UNPACKED).join(&job.key)
    }

    fn note(&self, note: String) {
        self.progress.emit(Event::Noted { note });
    }

    async fn attempt(&self, job: &Job, folder: &Path) -> Result<(Option<String>, Option<u64>, Vec<u8>), Fault> {
        let env = (self.environment)(job);
        let (word, args) = job.command.split_first().expect("a command has a program");
        let path = env.get("PATH").map_or("", String::as_str);
        let own = folder.join(word);
        let program = if word.contains('/') && files::exists(&own) { Some(own) } else { find_in_path(word, path) };
        let Some(program) = program else {
            return Ok((Some(format!("there is no program `{word}` in PATH")), None, Vec::new()));
        };
        let attempt = Attempt {
            program,
            args: args.to_vec(),
            cwd: folder.to_owned(),
            env,
            deadline: job.settings.deadline,
            needles: self.needles.clone(),
        };
        let name = job.name();
        let ended = attempt
            .run(&mut |line| self.progress.emit(Event::Output { resource: name.clone(), line: line.to_owned() }))
            .await;
        let least = u64::from(job.settings.min_tests);
        let failure = ended.failure.or_else(|| match ended.tests {
            _ if least == 0 => None,
            Some(ran) if ran >= least => None,
            Some(ran) => Some(format!("it succeeded after {ran} tests, and at least {least} must run (`min_tests`)")),
            None => Some(format!("it succeeded, and says of no test that it ran; at least {least} must (`min_tests`)")),
        });
        Ok((failure, ended.tests, ended.log))
    }

    async fn keep(&self, job: &Job, outputs: &Outputs, done: &Done) -> Result<(), Fault> {
        if !self.is_unchanged.look(job).await {
            self.note(format!("{} is not kept: its files changed while it ran", job.name()));
            return Ok(());
        }
        let record = Record {
            version: 0,
            key: job.key.clone(),
            package: job.package.clone(),
            task: job.task.clone(),
            took_ms: u64::try_from(done.took.as_millis()).unwrap_or(u64::MAX),
            tests: done.tests,
            outputs: None,
            files: 0,
            log: String::new(),
        };
        if self.before == Before::MadeAnew {
            self.cache.forget(&job.key)?;
        }
        let (cache, log, outputs) = (self.cache.clone(), done.log.clone(), outputs.clone());
        // Packing takes a processor for seconds, and deadlines must be kept meanwhile.
        let kept = tokio::task::spawn_blocking(move || cache.keep(record, &log, &outputs.items()?)).await;
        match kept.map_err(|error| Fault::because("cannot keep a result", &error))? {
            Ok(()) => {}
            // The result is good all the same.
            Err(fault) => self.note(format!("{}: {}", fault.message, fault.causes.join(": "))),
        }
        Ok(())
    }
}
