//! All units by name, and how to reach them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reconcile::Fault;
use reconcile::ports::{Confined, Ensured, UnitKind, UnitSpec, UnitStatus};
use tokio::sync::{mpsc, oneshot, watch};

use super::confinement;
use super::house::House;
use super::record::{Record, is_unit_name};
use super::unit::{Command, Reply, Told, Unit};

/// The register of units.
#[derive(Debug, Default)]
pub(super) struct Units(Mutex<BTreeMap<String, Reach>>);

/// How to reach the task of one unit.
#[derive(Debug)]
struct Reach {
    mailbox: mpsc::UnboundedSender<Command>,
    status: watch::Receiver<Option<Told>>,
}

impl Units {
    pub(super) fn list(&self) -> Vec<UnitStatus> {
        self.reaches().values().filter_map(|reach| Some(reach.status.borrow().as_ref()?.status.clone())).collect()
    }

    /// What is in force for each unit that runs, looked at now.
    pub(super) fn confined(&self) -> BTreeMap<String, Confined> {
        let told: Vec<Told> = self.reaches().values().filter_map(|reach| reach.status.borrow().clone()).collect();
        told.into_iter().filter_map(|told| Some((told.status.name, confinement::observe(&told.seen?)?))).collect()
    }

    pub(super) fn names_of(&self, kind: UnitKind) -> Vec<String> {
        self.list().into_iter().filter(|status| status.kind == kind).map(|status| status.name).collect()
    }

    /// Says that a unit is forgotten. Refused if a command came in meanwhile: then the task goes on with it.
    pub(super) fn forget(&self, name: &str, mailbox: &mut mpsc::UnboundedReceiver<Command>) -> Result<(), Command> {
        // Commands are sent under the same lock, so none can slip in between looking and leaving.
        let mut reaches = self.reaches();
        match mailbox.try_recv() {
            Ok(command) => Err(command),
            Err(_) => {
                reaches.remove(name);
                Ok(())
            }
        }
    }

    fn reaches(&self) -> MutexGuard<'_, BTreeMap<String, Reach>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`reconcile::ports::Units::ensure`].
pub(super) async fn ensure(house: &Arc<House>, spec: UnitSpec) -> Result<Ensured, Fault> {
    if !is_unit_name(&spec.name) {
        return Err(Fault::new(format!("{:?} is no name for a unit", spec.name)).hint("[a-z][a-z0-9-]{0,30}"));
    }
    let name = spec.name.clone();
    let (reply, answer) = oneshot::channel();
    {
        let mut reaches = house.units.reaches();
        let reach = reaches
            .entry(name.clone())
            .or_insert_with(|| begin(|mailbox, status| Unit::unspecified(Arc::clone(house), &name, mailbox, status)));
        let _ = reach.mailbox.send(Command::Ensure(Box::new(spec), reply));
    }
    wait(answer).await
}

/// Takes up a unit that a keeper before us recorded.
pub(super) fn adopt(house: &Arc<House>, record: Record) {
    let name = record.spec.name.clone();
    let reach = begin(|mailbox, status| Unit::recorded(Arc::clone(house), record, mailbox, status));
    house.units.reaches().insert(name, reach);
}

fn begin(make: impl FnOnce(mpsc::UnboundedReceiver<Command>, watch::Sender<Option<Told>>) -> Unit) -> Reach {
    let (mailbox, receiver) = mpsc::unbounded_channel();
    let (sender, status) = watch::channel(None);
    let unit = make(receiver, sender);
    tokio::spawn(unit.work());
    Reach { mailbox, status }
}

/// What may be asked of a unit that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Remove,
    Restart,
    Hold,
    Resume,
}

/// Asks one unit and waits until it is done.
pub(super) async fn ask(house: &House, name: &str, request: Request) -> Result<(), Fault> {
    let (reply, answer) = oneshot::channel();
    if send(house, name, request, reply).is_none() {
        // Removing what is not there is done already.
        return if request == Request::Remove { Ok(()) } else { Err(unknown(house, name)) };
    }
    wait(answer).await
}

fn send(house: &House, name: &str, request: Request, reply: Reply<()>) -> Option<()> {
    let reaches = house.units.reaches();
    let command = match request {
        Request::Remove => Command::Remove(reply),
        Request::Restart => Command::Restart(reply),
        Request::Hold => Command::Hold(reply),
        Request::Resume => Command::Resume(reply),
    };
    reaches.get(name)?.mailbox.send(command).ok()
}

fn unknown(house: &House, name: &str) -> Fault {
    let known: Vec<String> = house.units.list().into_iter().map(|unit| unit.name).collect();
    let hint =
        if known.is_empty() { "nothing is started".to_owned() } else { format!("there are: {}", known.join(", ")) };
    Fault::new(format!("there is no unit {name:?}")).hint(hint)
}

async fn wait<T>(answer: oneshot::Receiver<Result<T, Fault>>) -> Result<T, Fault> {
    answer
        .await
        .unwrap_or_else(|_| Err(Fault::new("the keeper dropped the request").cause("this is a bug in the keeper")))
}
