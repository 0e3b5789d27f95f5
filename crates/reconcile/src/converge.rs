//! Makes the world as wanted: every resource as soon as what it needs is there, independent ones side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use host::clock::Clock;
use journal::{Ended, Journal};

use crate::{Event, Fault, Graph, Progress, Resource, ResourceId};

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// No plan is this long. A resource that still has steps after so many rounds is chasing something that moves.
const MOST_ROUNDS: u32 = 64;

/// How often the same step may be planned again right after it was applied. Twice is a world that moved; more is a bug.
const MOST_REPEATS: u32 = 3;

/// What convergence works with.
#[derive(Clone, Debug)]
pub struct Tools {
    pub journal: Arc<Journal>,
    pub progress: Arc<dyn Progress>,
    pub clock: Arc<dyn Clock>,
}

/// A resource without its types, for the graph.
pub trait AnyResource: Send + Sync + std::fmt::Debug {
    fn id(&self) -> &ResourceId;
    fn needs(&self) -> &[ResourceId];
    fn can_drift(&self) -> bool;
    /// The lines of the plan as things stand now, and what is only told.
    fn steps_now(&self) -> BoxFuture<'_, Result<StepsNow, Fault>>;
    /// Looks, plans and applies until the plan is empty; returns how many steps that took.
    fn converge<'a>(&'a self, tools: &'a Tools) -> BoxFuture<'a, Result<u32, Fault>>;
}

/// What a look at one resource finds to do, and what differs and is left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepsNow {
    pub steps: Vec<String>,
    pub drift: Vec<String>,
    /// Whether time alone has made the steps necessary.
    pub due: bool,
}

impl<R: Resource> AnyResource for R {
    fn id(&self) -> &ResourceId {
        Resource::id(self)
    }

    fn needs(&self) -> &[ResourceId] {
        Resource::needs(self)
    }

    fn can_drift(&self) -> bool {
        Resource::can_drift(self)
    }

    fn steps_now(&self) -> BoxFuture<'_, Result<StepsNow, Fault>> {
        Box::pin(async {
            let seen = self.observe().await?;
            let steps = self.plan(&seen).iter().map(ToString::to_string).collect();
            Ok(StepsNow { steps, drift: self.drift(&seen), due: self.is_due(&seen) })
        })
    }

    fn converge<'a>(&'a self, tools: &'a Tools) -> BoxFuture<'a, Result<u32, Fault>> {
        Box::pin(converge_one(self, tools))
    }
}

async fn converge_one<R: Resource>(resource: &R, tools: &Tools) -> Result<u32, Fault> {
    let id = Resource::id(resource).as_str();
    let (mut last, mut repeats) = (String::new(), 0);
    for round in 0..MOST_ROUNDS {
        let seen = resource.observe().await?;
        let plan = resource.plan(&seen);
        let Some(step) = plan.first() else {
            let told = |drift: String| tools.progress.emit(Event::Noted { note: format!("{id}: not done: {drift}") });
            resource.drift(&seen).into_iter().for_each(told);
            return Ok(round);
        };
        let line = step.to_string();
        repeats = if line == last { repeats + 1 } else { 0 };
        if repeats >= MOST_REPEATS {
            return Err(Fault::new(format!("cannot converge {id}: `{line}` was done and is still to do")));
        }
        let unjournalled = |fault: &journal::JournalFault| {
            Fault::because(format!("cannot journal `{line}` of {id}, so it was not done"), fault)
                .hint("see whether the disk is full")
        };
        tools.progress.emit(Event::Step { resource: id.to_owned(), step: line.clone() });
        let begun = tools.journal.begin(id, &line).map_err(|fault| unjournalled(&fault))?;
        let applied = resource.apply(step, &begun, tools.progress.as_ref()).await;
        let ended = applied.as_ref().map_or_else(|fault| Ended::Failed(fault.message.clone()), |()| Ended::Done);
        tools.journal.end(begun, &ended).map_err(|fault| unjournalled(&fault))?;
        applied?;
        last = line;
    }
    Err(Fault::new(format!("cannot converge {id}: its plan is not empty after {MOST_ROUNDS} steps")))
}

/// How a whole convergence went.
#[derive(Debug, Default)]
pub struct Converged {
    /// Steps taken over all resources; zero means that everything was as wanted already.
    pub steps: u32,
    pub failed: BTreeMap<ResourceId, Fault>,
    /// Not tried, since something they need failed.
    pub skipped: BTreeSet<ResourceId>,
}

impl Converged {
    pub fn is_whole(&self) -> bool {
        self.failed.is_empty()
    }
}

/// Converges a graph. One failure stops what depends on it and nothing else.
pub async fn converge(graph: &Graph, tools: &Tools) -> Converged {
    let mut report = Converged::default();
    let mut done: BTreeSet<&ResourceId> = BTreeSet::new();
    let mut waiting: Vec<&dyn AnyResource> = graph.in_order().collect();
    let mut running = FuturesUnordered::new();
    loop {
        waiting.retain(|resource| {
            let broken = resource
                .needs()
                .iter()
                .find(|need| report.failed.contains_key(*need) || report.skipped.contains(*need));
            if let Some(need) = broken {
                tools.progress.emit(Event::Skipped { resource: resource.id().to_string(), because: need.to_string() });
                report.skipped.insert(resource.id().clone());
                return false;
            }
            let ready = resource.needs().iter().all(|need| done.contains(need));
            if ready {
                running.push(timed(*resource, tools));
            }
            !ready
        });
        let Some((id, outcome)) = running.next().await else { return report };
        match outcome {
            Ok(steps) => {
                report.steps += steps;
                done.insert(id);
            }
            Err(fault) => {
                tools.progress.emit(Event::Failed { resource: id.to_string(), fault: fault.clone() });
                report.failed.insert(id.clone(), fault);
            }
        }
    }
}

async fn timed<'a>(resource: &'a dyn AnyResource, tools: &'a Tools) -> (&'a ResourceId, Result<u32, Fault>) {
    let name = resource.id().to_string();
    tools.progress.emit(Event::Started { resource: name.clone() });
    let start = tools.clock.instant();
    let outcome = resource.converge(tools).await;
    if let Ok(steps) = outcome {
        let took = tools.clock.instant().saturating_duration_since(start);
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tools.progress.emit(Event::Converged { resource: name, steps, took_ms });
    }
    (resource.id(), outcome)
}

/// One resource's part of a plan.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Planned {
    pub resource: String,
    pub steps: Vec<String>,
    /// What differs and is left alone, since it needs somebody's word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<String>,
    /// Set if the steps can only be known once this other resource is converged.
    pub after: Option<String>,
}

/// What [`converge`] would do now. Changes nothing.
pub async fn plan(graph: &Graph) -> Result<Vec<Planned>, Fault> {
    let mut planned: Vec<Planned> = Vec::new();
    for resource in graph.in_order() {
        let is_open = |need: &&ResourceId| {
            planned
                .iter()
                .any(|other| other.resource == need.as_str() && (!other.steps.is_empty() || other.after.is_some()))
        };
        let after = resource.needs().iter().find(is_open).map(ToString::to_string);
        let StepsNow { steps, drift, .. } = match (resource.steps_now().await, &after) {
            (Ok(now), _) => now,
            // It could not even be looked at; that is no news while what it stands on is missing.
            (Err(_), Some(_)) => StepsNow::default(),
            (Err(fault), None) => return Err(fault),
        };
        planned.push(Planned { resource: resource.id().to_string(), steps, drift, after });
    }
    Ok(planned)
}

/// What changed while nothing of ours did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drifted {
    /// The plan of those resources that others changed.
    pub by_others: Vec<Planned>,
    /// Resources that time alone has made due.
    pub by_time: Vec<ResourceId>,
}

/// Looks at those resources that can change behind our back. What cannot be asked at the moment is left out. Changes nothing.
pub async fn drifted(graph: &Graph) -> Drifted {
    let mut found = Drifted::default();
    for resource in graph.in_order().filter(|resource| resource.can_drift()) {
        let StepsNow { steps, drift, due } = resource.steps_now().await.unwrap_or_default();
        if due {
            found.by_time.push(resource.id().clone());
        } else if !steps.is_empty() || !drift.is_empty() {
            found.by_others.push(Planned { resource: resource.id().to_string(), steps, drift, after: None });
        }
    }
    found
}
