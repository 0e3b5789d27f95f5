//! Carries rotations out: looks, does the next step, looks again.
//!
//! One runs at a time. Who asks for what is under way follows it; who leaves changes nothing. What a crash cut off, and what had
//! to wait, is taken up by [`carry_on`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use manifest::Environment;
use reconcile::progress::Unwatched;
use reconcile::{Event, Fault, Progress};
use secrets::{Store, VersionRow, VersionState};
use tokio::sync::broadcast;
use tokio::time::sleep;

use super::holders::Everybody;
use super::rotation_request::{chosen, refuse_within_overlap, rotated_by_itself};
use super::rotation_steps::{destroy_old, promote, retire, stage};
use super::wire::{Manner, Message, RotateRequest, Rotated, Stands};
use super::{Control, convergence, sleeping};
use crate::rotation::{Asked, Move, Seen, Settled, Subject, next, subjects};
use crate::seats;
use crate::wanted::{self, Wanted};

/// Longer than this nobody waits at a terminal: control goes on by itself.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

/// Time between two looks at what is under way.
const PERIOD: Duration = Duration::from_secs(1);

/// What is held by somebody is tried again after this, and then ever more rarely.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Time between two looks for retired values that are kept for too long.
const BETWEEN_CLEARANCES: Duration = Duration::from_secs(60 * 60);

/// What control knows of rotations beside what is in the store.
#[derive(Debug, Default)]
pub struct Rotating {
    pub(super) turn: tokio::sync::Mutex<()>,
    /// Since when the world is as the versions of a variable want it, by the versions' mark.
    settled: Mutex<BTreeMap<String, (String, Instant)>>,
    running: Mutex<Option<Running>>,
}

/// A rotation that somebody asked for.
#[derive(Debug)]
struct Running {
    names: BTreeSet<String>,
    told: broadcast::Sender<Message>,
}

/// What one look found.
pub(super) struct Look {
    pub(super) want: Wanted,
    pub(super) environment: Environment,
    pub(super) subjects: Vec<Subject>,
    pub(super) rows: Vec<VersionRow>,
}

impl Look {
    pub(super) fn named(&self, names: &BTreeSet<String>) -> impl Iterator<Item = &Subject> {
        self.subjects.iter().filter(|subject| names.contains(subject.name()))
    }
}

pub(super) fn store(control: &Control, want: &Wanted) -> Store {
    Store::new(seats::of_control(&control.root, &control.id, &control.clock, want))
}

pub(super) fn store_fault(fault: &secrets::StoreFault) -> Fault {
    Fault::because("cannot use the secrets of this environment", fault)
}

pub(super) fn look(control: &Control) -> Result<Look, Fault> {
    let want = wanted::read(&control.root)?
        .ok_or_else(|| Fault::new("there is nothing to rotate: no environment is wanted").hint("`roadbed up` first"))?;
    let environment = wanted::resolve(&want)?;
    let rows = store(control, &want).versions().map_err(|fault| store_fault(&fault))?;
    Ok(Look { subjects: subjects(&environment), want, environment, rows })
}

/// Answers a request.
pub async fn rotate(control: &Control, request: &RotateRequest, progress: Arc<dyn Progress>) -> Result<Message, Fault> {
    let names = chosen(control, request)?;
    if request.manner == Manner::Rehearse {
        let look = look(control)?;
        let would = |subject: &Subject| rotated(subject, &look.rows, Stands::WouldRotate);
        return Ok(Message::Rotated { rotations: look.named(&names).map(would).collect() });
    }
    if let Some(following) = follow(control, &names) {
        tracing::info!(?names, "following what is under way");
        return followed(following, progress.as_ref()).await;
    }
    let _turn = control.rotation.turn.lock().await;
    sleeping::ensure_awake(control).await?;
    let asked = refuse_within_overlap(control, request, &names).await?;
    let (told, _) = broadcast::channel(256);
    *running(control) = Some(Running { names: names.clone(), told: told.clone() });
    let progress = Arc::new(Told { own: progress, others: told.clone() });
    let result = drive(control, &names, asked, progress).await.map(|rotations| Message::Rotated { rotations });
    *running(control) = None;
    let end = result.as_ref().map_or_else(|fault| Message::Refused { fault: fault.clone() }, Clone::clone);
    let _ = told.send(end);
    result
}

fn running(control: &Control) -> std::sync::MutexGuard<'_, Option<Running>> {
    control.rotation.running.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells who asked and who follows.
#[derive(Debug)]
struct Told {
    own: Arc<dyn Progress>,
    others: broadcast::Sender<Message>,
}

impl Progress for Told {
    fn emit(&self, event: Event) {
        let _ = self.others.send(Message::Progress { progress: event.clone() });
        self.own.emit(event);
    }
}

fn follow(control: &Control, names: &BTreeSet<String>) -> Option<broadcast::Receiver<Message>> {
    let running = running(control);
    running.as_ref().filter(|running| names.is_subset(&running.names)).map(|running| running.told.subscribe())
}

async fn followed(mut messages: broadcast::Receiver<Message>, progress: &dyn Progress) -> Result<Message, Fault> {
    progress.emit(Event::Noted { note: "this is under way already; following it".to_owned() });
    loop {
        match messages.recv().await {
            Ok(Message::Progress { progress: event }) => progress.emit(event),
            Ok(Message::Refused { fault }) => return Err(fault),
            Ok(end) => return Ok(end),
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => {
                return Err(Fault::new("what was under way has ended").hint("run the same command again").retry_safe());
            }
        }
    }
}

/// Takes up what is under way: after a crash, and when what had to wait need not wait any more.
pub async fn carry_on(control: Arc<Control>) {
    let mut pause = FIRST_PAUSE;
    let mut tried: Option<(String, Instant)> = None;
    let mut cleared: Option<Instant> = None;
    loop {
        sleep(PERIOD).await;
        let Ok(_turn) = control.rotation.turn.try_lock() else { continue };
        let Ok(look) = look(&control) else { continue };
        if convergence::refuse_while_stopping(&control).await.is_err() || sleeping::read(&control.root).is_some() {
            continue;
        }
        if cleared.is_none_or(|at| at.elapsed() > BETWEEN_CLEARANCES) {
            cleared = Some(control.clock.instant());
            if let Err(fault) = destroy_old(&control, &look).await {
                tracing::warn!(causes = ?fault.causes, "cannot destroy old values: {fault}");
            }
        }
        let under_way: Vec<&Subject> = look.subjects.iter().filter(|one| one.is_under_way(&look.rows)).collect();
        let Ok(everybody) = everybody(&control, &under_way).await else { continue };
        let now = control.clock.now();
        let is_ripe = |subject: &&&Subject| {
            let seen = seen(&control, subject, &look.rows, &everybody, None);
            match next(&subject.rotation, &seen, Asked::No, now) {
                // By somebody who has it in a world that is as it should be: there is nothing to do but to look again.
                Move::WaitUntil(_) | Move::Wait(_) | Move::Rest | Move::Held(_) => false,
                Move::Stage | Move::Converge | Move::Promote | Move::Retire => true,
            }
        };
        let mut names: BTreeSet<String> =
            under_way.iter().filter(is_ripe).map(|subject| subject.name().to_string()).collect();
        let asked = rotated_by_itself(&control, &look);
        names.extend(asked.iter().cloned());
        if names.is_empty() {
            pause = FIRST_PAUSE;
            continue;
        }
        let mark: String = look.named(&names).map(|subject| subject.mark(&look.rows)).collect();
        let is_same = tried.as_ref().is_some_and(|(before, _)| *before == mark);
        if is_same && tried.as_ref().is_some_and(|(_, at)| at.elapsed() < pause) {
            continue;
        }
        pause = if is_same { LONGEST_PAUSE.min(pause * 2) } else { FIRST_PAUSE };
        tried = Some((mark, control.clock.instant()));
        tracing::info!(?names, "carrying on with rotations");
        if !asked.is_empty() {
            tracing::info!(?asked, "overdue, and rotated by the environment itself");
        }
        match drive(&control, &names, asked, Arc::new(Unwatched)).await {
            Ok(rotations) => tracing::info!(?rotations, "rotations"),
            Err(fault) => tracing::error!(causes = ?fault.causes, "{fault}"),
        }
    }
}

/// Who there is; looked at only where something is under way.
async fn everybody(control: &Control, under_way: &[&Subject]) -> Result<Option<Everybody>, Fault> {
    if under_way.is_empty() { Ok(None) } else { Everybody::look(control).await.map(Some) }
}

/// Does what can be done now.
async fn drive(
    control: &Control,
    names: &BTreeSet<String>,
    mut asked: BTreeSet<String>,
    progress: Arc<dyn Progress>,
) -> Result<Vec<Rotated>, Fault> {
    let began = control.clock.instant();
    // What stood in the way at the last look of this drive: asked again only by the next one.
    let mut in_the_way: BTreeMap<String, (String, Vec<String>)> = BTreeMap::new();
    loop {
        let look = look(control)?;
        let under_way: Vec<&Subject> = look.named(names).filter(|subject| subject.is_under_way(&look.rows)).collect();
        let everybody = everybody(control, &under_way).await?;
        let mut rotations = Vec::new();
        let (mut acted, mut unsettled, mut wait) = (false, false, None::<Duration>);
        for subject in look.named(names) {
            let name = subject.name();
            let seen = seen(control, subject, &look.rows, &everybody, in_the_way.get(name));
            let wants = if asked.contains(name) { Asked::Yes } else { Asked::No };
            let step = next(&subject.rotation, &seen, wants, control.clock.now());
            let stands = match step {
                Move::Stage => {
                    stage(control, &look, subject, progress.as_ref()).await?;
                    asked.remove(name);
                    acted = true;
                    continue;
                }
                Move::Promote => {
                    promote(control, &look, subject, progress.as_ref()).await?;
                    acted = true;
                    continue;
                }
                Move::Retire => {
                    retire(control, &look, subject, progress.as_ref()).await?;
                    acted = true;
                    continue;
                }
                Move::Converge => {
                    unsettled = true;
                    continue;
                }
                Move::Wait(rest) if began.elapsed() + rest < LONGEST_WAIT => {
                    wait = Some(wait.map_or(rest, |before| before.min(rest)));
                    Stands::WaitsFor { seconds: rest.as_secs() }
                }
                Move::Wait(rest) => Stands::WaitsFor { seconds: rest.as_secs() },
                Move::WaitUntil(until) => Stands::HoldsUntil { until },
                Move::Held(by) => Stands::Held { by },
                Move::Rest => Stands::Done,
            };
            rotations.push(rotated(subject, &look.rows, stands));
        }
        if acted {
            continue;
        }
        if unsettled {
            settle(control, &look, names, &mut in_the_way, progress.clone()).await?;
            continue;
        }
        let Some(rest) = wait else { return Ok(rotations) };
        progress.emit(Event::Noted { note: format!("verifiers learn the new key: {} s", rest.as_secs().max(1)) });
        sleep(rest).await;
    }
}

fn rotated(subject: &Subject, rows: &[VersionRow], stands: Stands) -> Rotated {
    Rotated {
        name: subject.name().to_string(),
        kind: subject.kind(),
        version: subject.version(rows, VersionState::Current),
        stands,
    }
}

fn seen(
    control: &Control,
    subject: &Subject,
    rows: &[VersionRow],
    everybody: &Option<Everybody>,
    in_the_way: Option<&(String, Vec<String>)>,
) -> Seen {
    let mark = subject.mark(rows);
    let known = control.rotation.settled.lock().unwrap_or_else(PoisonError::into_inner);
    let settled = match (in_the_way, known.get(subject.name())) {
        (Some((of, who)), _) if *of == mark => Settled::No(who.clone()),
        (_, Some((of, since))) if *of == mark => {
            Settled::For(control.clock.instant().saturating_duration_since(*since))
        }
        _ => Settled::Unknown,
    };
    Seen {
        pending: subject.has(rows, VersionState::Pending),
        previous: subject.since(rows, VersionState::Previous),
        settled,
        holders: everybody.as_ref().map_or_else(Vec::new, |everybody| everybody.with_previous(subject, rows)),
    }
}

/// Makes the world as the versions want it, and notes for whom it is.
async fn settle(
    control: &Control,
    look: &Look,
    names: &BTreeSet<String>,
    in_the_way: &mut BTreeMap<String, (String, Vec<String>)>,
    progress: Arc<dyn Progress>,
) -> Result<(), Fault> {
    let converged = convergence::converge(control, &look.want, progress).await?;
    let Message::Converged { failed, skipped, .. } = converged else { return Ok(()) };
    let everybody = Everybody::look(control).await?;
    for subject in look.named(names) {
        let (name, mark) = (subject.name().to_string(), subject.mark(&look.rows));
        let mut who: Vec<String> = everybody.units_with_previous(subject, &look.rows).into_iter().collect();
        let relies_on = subject.relies_on();
        let is_needed = |resource: &&String| relies_on.iter().any(|id| id.as_str() == resource.as_str());
        who.extend(failed.iter().chain(&skipped).filter(is_needed).cloned());
        if who.is_empty() {
            in_the_way.remove(&name);
            let since = (mark, control.clock.instant());
            control.rotation.settled.lock().unwrap_or_else(PoisonError::into_inner).insert(name, since);
        } else {
            in_the_way.insert(name, (mark, who));
        }
    }
    Ok(())
}
