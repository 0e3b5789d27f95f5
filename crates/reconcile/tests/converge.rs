//! Convergence on a toy world: shelves that must hold a number of books.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use host::clock::SystemClock;
use host::database::Presence;
use journal::{Begun, Journal};
use reconcile::progress::Unwatched;
use reconcile::{AnyResource, Fault, Graph, Progress, Resource, ResourceId, Tools, converge, drifted, plan};

#[derive(Debug, Default)]
struct World {
    books: BTreeMap<String, u32>,
    /// The next so many applies take effect and then fail, as if the process died before it could say so.
    fail_after_effect: u32,
    forgetful: bool,
}

#[derive(Debug)]
struct Shelf {
    id: ResourceId,
    needs: Vec<ResourceId>,
    wanted: u32,
    world: Arc<Mutex<World>>,
}

#[derive(Debug)]
struct AddBook;

impl fmt::Display for AddBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("add a book")
    }
}

impl Resource for Shelf {
    type Observed = u32;
    type Step = AddBook;

    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn needs(&self) -> &[ResourceId] {
        &self.needs
    }

    async fn observe(&self) -> Result<u32, Fault> {
        Ok(self.world.lock().unwrap().books.get(self.id.as_str()).copied().unwrap_or(0))
    }

    fn plan(&self, seen: &u32) -> Vec<AddBook> {
        (*seen..self.wanted).map(|_| AddBook).collect()
    }

    fn can_drift(&self) -> bool {
        self.id.as_str().starts_with("open")
    }

    fn is_due(&self, seen: &u32) -> bool {
        self.id.as_str().ends_with("rented") && *seen < self.wanted
    }

    async fn apply(&self, _: &AddBook, _: &Begun, _: &dyn Progress) -> Result<(), Fault> {
        let mut world = self.world.lock().unwrap();
        if !world.forgetful {
            *world.books.entry(self.id.to_string()).or_default() += 1;
        }
        if world.fail_after_effect > 0 {
            world.fail_after_effect -= 1;
            return Err(Fault::new("the library closed"));
        }
        Ok(())
    }
}

struct Library {
    world: Arc<Mutex<World>>,
    tools: Tools,
    _folder: tempfile::TempDir,
}

impl Library {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(SystemClock);
        let journal = Journal::open(&folder.path().join("j.db"), Presence::MayBeNew, clock.clone()).unwrap();
        let tools = Tools { journal: Arc::new(journal), progress: Arc::new(Unwatched), clock };
        Self { world: Arc::default(), tools, _folder: folder }
    }

    fn shelf(&self, id: &str, wanted: u32, needs: &[&str]) -> Box<dyn AnyResource> {
        let needs = needs.iter().map(|need| ResourceId::new(*need)).collect();
        Box::new(Shelf { id: ResourceId::new(id), needs, wanted, world: self.world.clone() })
    }
}

#[tokio::test]
async fn after_converging_the_plan_is_empty() {
    let library = Library::new();
    let graph = Graph::new(vec![library.shelf("b", 1, &["a"]), library.shelf("a", 2, &[])]).unwrap();
    assert_eq!(plan(&graph).await.unwrap()[0].steps, ["add a book", "add a book"]);
    let report = converge(&graph, &library.tools).await;
    assert!(report.is_whole());
    assert_eq!(report.steps, 3);
    assert!(plan(&graph).await.unwrap().iter().all(|planned| planned.steps.is_empty()));
    assert_eq!(converge(&graph, &library.tools).await.steps, 0, "a second run changes nothing");
}

#[tokio::test]
async fn a_step_whose_answer_was_lost_is_not_done_twice() {
    let library = Library::new();
    let graph = Graph::new(vec![library.shelf("a", 3, &[])]).unwrap();
    for _ in 0..3 {
        library.world.lock().unwrap().fail_after_effect = 1;
        assert!(!converge(&graph, &library.tools).await.is_whole());
    }
    assert!(converge(&graph, &library.tools).await.is_whole());
    assert_eq!(library.world.lock().unwrap().books["a"], 3);
}

#[tokio::test]
async fn a_failure_stops_only_what_depends_on_it() {
    let library = Library::new();
    library.world.lock().unwrap().fail_after_effect = 1;
    let graph = Graph::new(vec![
        library.shelf("broken", 1, &[]),
        library.shelf("dependent", 1, &["broken"]),
        library.shelf("indirect", 1, &["dependent"]),
    ])
    .unwrap();
    let report = converge(&graph, &library.tools).await;
    assert_eq!(report.failed.keys().map(ToString::to_string).collect::<Vec<_>>(), ["broken"]);
    assert_eq!(report.skipped.iter().map(ToString::to_string).collect::<Vec<_>>(), ["dependent", "indirect"]);
}

#[tokio::test]
async fn a_step_without_effect_is_a_fault_and_not_an_endless_loop() {
    let library = Library::new();
    library.world.lock().unwrap().forgetful = true;
    let graph = Graph::new(vec![library.shelf("a", 1, &[])]).unwrap();
    let report = converge(&graph, &library.tools).await;
    let fault = report.failed.values().next().unwrap();
    assert!(fault.message.contains("was done and is still to do"), "{fault}");
}

#[test]
fn a_circle_and_an_unknown_need_are_refused() {
    let library = Library::new();
    let circle = Graph::new(vec![library.shelf("a", 1, &["b"]), library.shelf("b", 1, &["a"])]);
    assert!(circle.unwrap_err().message.contains("in a circle: a, b"));
    let unknown = Graph::new(vec![library.shelf("a", 1, &["nowhere"])]);
    assert!(unknown.unwrap_err().message.contains("a needs nowhere"));
}

#[tokio::test]
async fn what_others_changed_is_told_apart_from_what_time_did_and_from_what_nobody_can_change() {
    let library = Library::new();
    let shelves = [("closed", 2), ("open", 2), ("open-rented", 2)];
    let graph = Graph::new(shelves.map(|(id, wanted)| library.shelf(id, wanted, &[])).into()).unwrap();
    converge(&graph, &library.tools).await;
    assert_eq!(drifted(&graph).await, reconcile::Drifted::default());

    library.world.lock().unwrap().books.values_mut().for_each(|books| *books = 1);
    let drift = drifted(&graph).await;
    let told: Vec<_> = drift.by_others.iter().map(|planned| (planned.resource.as_str(), planned.steps.len())).collect();
    assert_eq!(told, [("open", 1)]);
    assert_eq!(drift.by_time, [ResourceId::new("open-rented")]);
    assert_eq!(library.world.lock().unwrap().books["open"], 1, "looking changes nothing");
}
