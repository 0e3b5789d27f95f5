//! The work of each state. Each may be cut off at any point, and is then done again from its beginning.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use delivery::{Deployment, Place, Release, Role, State};
use engine::artifact::shelf::{self, Shelf};
use engine::artifact::unpacking::{Source, Unpacked};
use engine::probe;
use host::files;
use manifest::Environment;
use reconcile::ports::{Routes, Traffic, Units};
use reconcile::{Event, Fault, Graph, Progress, Tools};
use tokio::time::{Instant, sleep};

use super::edge_life::EdgeLife;
use super::traffic::{self, Sum};
use super::{crossing, pages, retention, streams, told};
use crate::control::redacting::Redactions;
use crate::control::{Control, convergence};
use crate::wanted::{self, Wanted};
use crate::world::fleet::digest_of;
use crate::world::is_contracting;
use crate::world::smoking::Means;
use crate::world::{Ports, World};
use crate::{seats, signing};

/// An instance counts as ready when it said so this often in a row.
const TIMES_READY: u32 = 3;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
const PROBE: Duration = Duration::from_secs(2);

/// What is left free on the disk beside what a release takes, bytes: databases and logs go on growing.
const LEFT_FREE: u64 = 512 * 1024 * 1024;

/// Does what belongs to the state.
pub(super) async fn of(control: &Arc<Control>, deployment: &Deployment) -> Result<(), Fault> {
    match deployment.state {
        State::Queued => Ok(()),
        State::Preparing => prepare(control, deployment).await,
        State::AwaitingApproval => await_approval(control, deployment).await,
        State::Starting => start(control, deployment).await,
        State::Smoking => look_at(control, deployment).await,
        State::Switching => publish(control, deployment).await,
        State::Verifying => verify(control, deployment).await,
        State::Draining => drain(control, deployment).await,
        State::Aborting => stop(control, deployment).await,
        State::Reverting => {
            publish(control, deployment).await?;
            stop(control, deployment).await
        }
        _ => Ok(()),
    }
}

fn release_of(control: &Control, deployment: &Deployment) -> Result<Release, Fault> {
    control.delivering.book.release(deployment.release).map_err(|fault| told(&fault))
}

/// The environment as the release's own manifest has it.
pub(super) fn environment_of(control: &Control, deployment: &Deployment) -> Result<Environment, Fault> {
    let release = release_of(control, deployment)?;
    wanted::resolve(&Wanted { text: release.contents.manifest, ..wanted_now(control)? })
}

fn wanted_now(control: &Control) -> Result<Wanted, Fault> {
    wanted::read(&control.root)?.ok_or_else(|| Fault::new("nothing is wanted of this environment"))
}

/// Artifacts are there and whole, the disk has room, and data services are as the release's manifest says.
async fn prepare(control: &Arc<Control>, deployment: &Deployment) -> Result<(), Fault> {
    let release = release_of(control, deployment)?;
    let environment = environment_of(control, deployment)?;
    let want = wanted_now(control)?;
    // Data may have gone on since it was asked for.
    crossing::refuse(control, Some(release.id), &environment, deployment.policy.across_contract)?;
    refuse_too_little_room(control, &release)?;
    let shelf = Shelf::new(shelf::folder(&want.cache));
    let store = Arc::new(secrets::Store::new(seats::of_control(&control.root, &control.id, &control.clock, &want)));
    let mut unpacked: Vec<Box<dyn reconcile::AnyResource>> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for app in &environment.apps {
        let digest = digest_of(&release, app)?;
        if !seen.insert(digest.clone()) {
            continue;
        }
        let source = Source { shelf: shelf.clone(), trusted: signing::of_store(store.clone()) };
        unpacked.push(Box::new(Unpacked::new(app.name.as_str(), digest, source, &control.root.releases())));
    }
    let told_to = Told::new(control, deployment, &want);
    converge(control, &Graph::new(unpacked)?, &told_to, |_| true).await?;
    // Users, collections and indexes that the release needs. Nothing is destroyed: the one that serves still needs what it has.
    let next = Wanted { text: release.contents.manifest, ..want };
    let _turn = control.turn.lock().await;
    wanted::write(&control.root, &next)?;
    let world = convergence::world(control, &next, Ports::Stay).await?;
    // What the release that serves could not take away is no reason to keep it serving.
    converge(control, &world.graph, &told_to, |resource| !is_contracting(resource)).await
}

fn refuse_too_little_room(control: &Control, release: &Release) -> Result<(), Fault> {
    let free =
        files::free_bytes(control.root.path()).map_err(|fault| Fault::because("cannot look at the disk", &fault))?;
    let needed = release.contents.bytes() + LEFT_FREE;
    if free >= needed {
        return Ok(());
    }
    let mib = |bytes: u64| bytes / (1024 * 1024);
    Err(Fault::new(format!("there is no room for {}", release.id))
        .cause(format!(
            "{} MiB are free below {}, and it takes {} MiB",
            mib(free),
            control.root.path().display(),
            mib(needed)
        ))
        .hint("make room, or let fewer releases be kept (`keep_releases`)"))
}

async fn await_approval(control: &Arc<Control>, deployment: &Deployment) -> Result<(), Fault> {
    loop {
        let now = control.delivering.book.deployment(deployment.id).map_err(|fault| told(&fault))?;
        if now.policy.is_approved(&now.digest, &now.approvals) {
            return Ok(());
        }
        let _ = tokio::time::timeout(super::IDLE, control.delivering.changed.notified()).await;
        if let Err(fault) = streams::end_overdue(control).await {
            tracing::debug!(causes = ?fault.causes, "cannot end streams: {fault}");
        }
    }
}

/// The release's instances run in their slot, and each is ready, three times in a row.
async fn start(control: &Arc<Control>, deployment: &Deployment) -> Result<(), Fault> {
    let place = place_of(deployment)?;
    // Of the release that was kept warm there: it is stopped now.
    streams::empty(control, &wanted_now(control)?, place).await?;
    let world = converge_to_slots(control, deployment).await?;
    for instance in world.instances_in(place) {
        let mut times = 0;
        while times < TIMES_READY {
            let answer = probe::get(instance.port, &instance.ready, PROBE).await;
            if !answer.is_ok() {
                let tail = control.keeper.tail(&instance.name, 50).await.unwrap_or_default();
                return Err(Fault::new(format!("{} was ready, and is not any more", instance.name))
                    .cause(answer.describe())
                    .output(tail));
            }
            times += 1;
            sleep(BETWEEN_LOOKS).await;
        }
    }
    Ok(())
}

/// The release's pages, through the edge, by the door of those that visitors do not get yet: in a browser where the manifest says so.
async fn look_at(control: &Arc<Control>, deployment: &Deployment) -> Result<(), Fault> {
    let place = place_of(deployment)?;
    let want = wanted_now(control)?;
    let world = {
        let _turn = control.turn.lock().await;
        convergence::world(control, &want, Ports::Stay).await?
    };
    let evidence = control.root.deployments().join(deployment.id.to_string());
    files::remove_dir(&evidence)
        .map_err(|fault| Fault::because("cannot take away the pictures of an earlier look", &fault))?;
    let redactions = Arc::new(control.redactions(&want));
    let means = Means {
        browser: smoke::find(want.tools.get("PATH").map_or("", String::as_str)),
        evidence: Some(evidence.clone()),
        redact: smoke::Redact::new(move |text| redactions.redact(text).into_owned()),
    };
    let release = release_of(control, deployment)?;
    let plan = world.candidate_plan(place, &release.name(), means)?;
    if plan.pages.is_empty() {
        note(control, deployment, "the manifest names no page to look at");
        return Ok(());
    }
    let edge = EdgeLife::now(control).await;
    let report = smoke::run(&plan, control.clock.as_ref()).await;
    let report = report.map_err(|fault| Fault::because("cannot look at the pages", &fault).hint(fault.hint()))?;
    if report.holds() {
        let rendered = report.pages.iter().filter(|page| page.screenshot.is_some()).count();
        let looked_at = format!("{} pages are as they should be, {rendered} of them in a browser", report.pages.len());
        note(control, deployment, &looked_at);
        return Ok(());
    }
    let wrong = report.pages.iter().filter(|page| page.verdict != smoke::Verdict::Holds);
    let wrong = wrong.flat_map(|page| page.complaints.iter().map(|what| format!("{}: {what}", page.url)));
    let mut fault = Fault::new(format!("not every page of {} is as it should be", release.id))
        .hint(format!("what was seen lies in {}; `roadbed logs APP` shows what instances say", evidence.display()));
    fault.causes = wrong.collect();
    edge.judge(control, Err(fault)).await
}

async fn publish(control: &Arc<Control>, deployment: &Deployment) -> Result<(), Fault> {
    publish_routes(control, deployment).await.map(drop)
}

/// Nothing but the route table: it takes milliseconds.
async fn publish_routes(control: &Arc<Control>, deployment: &Deployment) -> Result<World, Fault> {
    let _turn = control.turn.lock().await;
    let want = wanted_now(control)?;
    let world = convergence::world(control, &want, Ports::Stay).await?;
    let told_to = Told::new(control, deployment, &want);
    converge(control, &world.routes, &told_to, |_| true).await?;
    Ok(world)
}

/// Converges to the slots as they are in the book.
async fn converge_to_slots(control: &Arc<Control>, deployment: &Deployment) -> Result<World, Fault> {
    let _turn = control.turn.lock().await;
    let want = wanted_now(control)?;
    let world = convergence::world(control, &want, Ports::Stay).await?;
    let told_to = Told::new(control, deployment, &want);
    // An instance of the release that serves may be down for reasons of its own; that is told, and keeps nothing from starting.
    let others: Vec<String> = Place::ALL
        .iter()
        .filter(|place| Some(**place) != deployment.place)
        .filter_map(|place| place.tag().map(|tag| format!("@{tag}")))
        .collect();
    let matters = |resource: &str| !others.iter().any(|tag| resource.ends_with(tag.as_str()));
    converge(control, &world.graph, &told_to, matters).await?;
    Ok(world)
}

async fn stop(control: &Arc<Control>, deployment: &Deployment) -> Result<(), Fault> {
    match deployment.place {
        None => Ok(()),
        Some(_) => converge_to_slots(control, deployment).await.map(drop),
    }
}

/// Watches what visitors get, against what they got from the release before.
async fn verify(control: &Arc<Control>, deployment: &Deployment) -> Result<(), Fault> {
    let place = place_of(deployment)?;
    let world = {
        let _turn = control.turn.lock().await;
        convergence::world(control, &wanted_now(control)?, Ports::Stay).await?
    };
    let release = release_of(control, deployment)?;
    let edge = edge::client::EdgeClient::new(control.root.clone());
    let names = |place: Place| world.instances_in(place).into_iter().map(|instance| instance.name).collect::<Vec<_>>();
    let (own, others) = (names(place), warm_place(control, place)?.map(names).unwrap_or_default());
    let deaths = |units: &[reconcile::ports::UnitStatus]| -> u32 {
        units.iter().filter(|unit| own.contains(&unit.name)).map(|unit| unit.restarts).sum()
    };
    let died_before = deaths(&control.keeper.list().await?);
    let at_first = edge.traffic().await?;
    let before = Sum::of(&at_first, &others, &BTreeMap::new());
    // Looked at before the switch, its candidate has been asked for pages already.
    let at_first: BTreeMap<String, Traffic> =
        at_first.into_iter().map(|traffic| (traffic.instance.clone(), traffic)).collect();
    let pages = world.pages_of(place)?;
    let visitor = world.visitor()?;
    let not_well = |why: String| Fault::new(format!("{} does not do well for visitors", release.id)).cause(why);
    loop {
        let life = EdgeLife::now(control).await;
        life.judge(control, pages::look(&visitor, &pages, &release.name()).await).await?;
        let sum = Sum::of(&edge.traffic().await?, &own, &at_first);
        if let Some(why) = traffic::complaint(&deployment.policy, &before, &sum) {
            return Err(not_well(why));
        }
        let died = deaths(&control.keeper.list().await?).saturating_sub(died_before);
        if died > 0 {
            return Err(not_well(format!("its instances died {died} times")));
        }
        let rest = deployment.left_of(deployment.policy.verify, &control.clock.moment());
        if rest.is_zero() {
            note(control, deployment, &format!("watched for {} s", deployment.policy.verify.as_secs()));
            return Ok(());
        }
        sleep(rest.min(Duration::from_millis(500))).await;
    }
}

/// Names of the instances in a slot.
pub(super) async fn instances_in(control: &Control, want: &Wanted, place: Place) -> Result<Vec<String>, Fault> {
    let _turn = control.turn.lock().await;
    let world = convergence::world(control, want, Ports::Stay).await?;
    Ok(world.instances_in(place).into_iter().map(|instance| instance.name).collect())
}

fn warm_place(control: &Control, but: Place) -> Result<Option<Place>, Fault> {
    let slots = control.delivering.book.slots().map_err(|fault| told(&fault))?;
    Ok(slots.into_iter().find(|slot| slot.role == Role::Warm && slot.place != but).map(|slot| slot.place))
}

/// What visitors have under way at the release before comes to its end; what takes longer goes on until that is stopped.
async fn drain(control: &Arc<Control>, deployment: &Deployment) -> Result<(), Fault> {
    let place = place_of(deployment)?;
    if let Some(before) = warm_place(control, place)? {
        let names = instances_in(control, &wanted_now(control)?, before).await?;
        let edge = edge::client::EdgeClient::new(control.root.clone());
        let end = Instant::now() + deployment.policy.drain;
        loop {
            let all = edge.traffic().await?;
            let under_way: usize =
                all.iter().filter(|traffic| names.contains(&traffic.instance)).map(|traffic| traffic.in_flight).sum();
            if under_way == 0 {
                break;
            }
            if Instant::now() >= end {
                note(control, deployment, &format!("{under_way} requests are still under way at the release before"));
                break;
            }
            sleep(BETWEEN_LOOKS).await;
        }
    }
    retention::prune(control, deployment.policy.keep_releases)
}

fn place_of(deployment: &Deployment) -> Result<Place, Fault> {
    deployment.place.ok_or_else(|| Fault::new(format!("{} has no slot", deployment.id)))
}

pub(super) fn note(control: &Control, deployment: &Deployment, what: &str) {
    if let Err(fault) = control.delivering.book.note(deployment.id, what) {
        tracing::warn!(%fault, what, "cannot write down what happened to a deployment");
    }
}

/// Converges a graph, and fails with the first failure that matters.
async fn converge(
    control: &Control,
    graph: &Graph,
    told_to: &Arc<Told>,
    matters: impl Fn(&str) -> bool,
) -> Result<(), Fault> {
    let tools = Tools { journal: control.journal.clone(), progress: told_to.clone(), clock: control.clock.clone() };
    let report = reconcile::converge(graph, &tools).await;
    control.has_converged();
    let failed = report.failed.into_iter().find(|(resource, _)| matters(resource.as_str()));
    match failed {
        None => Ok(()),
        Some((_, fault)) => Err(fault),
    }
}

/// Writes down what is done for a deployment, so that whoever follows it sees it, also after a crash.
struct Told {
    control: Arc<Control>,
    deployment: Deployment,
    redactions: Redactions,
    last: Mutex<String>,
}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Told").field("deployment", &self.deployment.id).finish_non_exhaustive()
    }
}

impl Told {
    fn new(control: &Arc<Control>, deployment: &Deployment, want: &Wanted) -> Arc<Self> {
        Arc::new(Self {
            control: control.clone(),
            deployment: deployment.clone(),
            redactions: control.redactions(want),
            last: Mutex::default(),
        })
    }
}

impl Progress for Told {
    fn emit(&self, event: Event) {
        let line = match event {
            Event::Step { resource, step } => format!("{resource}: {step}"),
            Event::Failed { resource, fault } => format!("{resource}: {fault}"),
            Event::Noted { note } => note,
            _ => return,
        };
        let line = self.redactions.redact(&line).into_owned();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != line {
            note(&self.control, &self.deployment, &line);
            *last = line;
        }
    }
}
