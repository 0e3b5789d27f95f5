//! Changes of data that come with an app's release: made once per environment, in their order, by a program of the release that has
//! the app's variables and user rights, and an end.
//!
//! ```text
//!   collections ─► migrations/api@green ─► app/api@green ─► .. switch .. ─► the release before is stopped ─► contract/api
//!                  what the release before can live with                                                    what it needed goes
//! ```

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use delivery::Book;
use delivery::migrations::Made;
use engine::instance::{Instances, MIGRATING};
use host::clock::Clock;
use host::process::Exit;
use manifest::{AppName, Half, Migration};
use reconcile::ports::{UnitState, UnitStatus, Units};
use reconcile::{Begun, Fault, Progress, Resource, ResourceId};
use tokio::time::{Instant, sleep};

use super::network::NetworkRules;

const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Lines shown of a program that failed.
const SHOWN_LINES: usize = 25;

/// What the resources are called that take away what no release needs any more, before their app.
const CONTRACTING: &str = "contract/";

/// Whether a resource takes away what no release needs any more.
pub fn is_contracting(resource: &str) -> bool {
    resource.starts_with(CONTRACTING)
}

/// Which changes may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// Nobody else works on the data.
    All,
    /// Another release does, and goes on: what it can live with.
    Expanding,
    /// No other release is kept ready: what only they needed goes.
    Contracting,
}

/// The changes of one app's release.
#[derive(Debug)]
pub(super) struct Migrations {
    pub(super) id: ResourceId,
    pub(super) needs: Vec<ResourceId>,
    pub(super) which: Which,
    pub(super) migrations: Vec<Migration>,
    /// How the app's processes are started.
    pub(super) instances: Instances,
    pub(super) units: Arc<dyn Units>,
    /// Loaded once more when the program has a user of its own, so that it reaches what the app reaches.
    pub(super) network: NetworkRules,
    pub(super) book: Arc<Book>,
    pub(super) clock: Arc<dyn Clock>,
}

/// Run the program of one change.
#[derive(Debug)]
pub(super) struct Step(Migration);

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.half {
            Half::Expand => write!(f, "change data: {}", self.0.name),
            Half::Contract => write!(f, "change data for good: {}", self.0.name),
        }
    }
}

/// The unit that changes data for an app.
pub(super) fn unit_of(app: &AppName) -> String {
    format!("{app}{MIGRATING}")
}

/// What is to be made now, in its order. `Err`: a change that must wait for the end of the release before stands before one that
/// cannot wait.
pub(super) fn due<'a>(
    all: &'a [Migration],
    made: &BTreeSet<String>,
    which: Which,
) -> Result<Vec<&'a Migration>, (&'a Migration, &'a Migration)> {
    let left: Vec<&Migration> = all.iter().filter(|one| !made.contains(one.name.as_str())).collect();
    if which != Which::Expanding {
        return Ok(left);
    }
    let contract = left.iter().position(|one| one.half == Half::Contract);
    let late = contract.and_then(|at| Some((left[at], *left[at..].iter().find(|one| one.half == Half::Expand)?)));
    match late {
        Some(pair) => Err(pair),
        None => Ok(left.into_iter().filter(|one| one.half == Half::Expand).collect()),
    }
}

impl Migrations {
    pub(super) fn resource_id(app: &AppName, fleet: engine::instance::Fleet) -> ResourceId {
        ResourceId::new(fleet.tagged(format_args!("migrations/{app}")))
    }

    pub(super) fn contracting_id(app: &AppName) -> ResourceId {
        ResourceId::new(format!("{CONTRACTING}{app}"))
    }

    fn app(&self) -> &AppName {
        &self.instances.app.name
    }

    fn made(&self) -> Result<BTreeSet<String>, Fault> {
        let all = self.book.migrations();
        let all = all.map_err(|fault| Fault::because("cannot tell which changes of data were made", &fault))?;
        Ok(all.into_iter().filter(|made| made.app == self.app().as_str()).map(|made| made.name).collect())
    }

    async fn run(&self, migration: &Migration, begun: &Begun, progress: &dyn Progress) -> Result<(), Fault> {
        let name = unit_of(self.app());
        let cannot = || Fault::new(format!("cannot change data of {}: {}", self.app(), migration.name));
        let spec = self.instances.task(&name, &migration.run)?;
        // One that ended and whose end was not noted is not run again; what another release left is no business of this one.
        if self.unit(&name).await?.is_some_and(|unit| unit.revision != spec.revision) {
            self.units.remove(&name).await?;
        }
        let began = Instant::now();
        self.units.ensure(spec).await?;
        for step in self.network.plan(&self.network.observe().await?) {
            self.network.apply(&step, begun, progress).await?;
        }
        let end = loop {
            match self.unit(&name).await? {
                Some(unit) if unit.state == UnitState::Held => break Some(unit),
                Some(unit) if unit.state != UnitState::Lost => {}
                _ => return Err(cannot().cause("its program was lost meanwhile").retry_safe()),
            }
            if began.elapsed() >= migration.deadline {
                break None;
            }
            sleep(BETWEEN_LOOKS).await;
        };
        let output = self.units.tail(&name, SHOWN_LINES).await.unwrap_or_default();
        self.units.remove(&name).await?;
        let how = match end {
            None => format!("its program ran for {} s and was stopped", migration.deadline.as_secs()),
            Some(unit) => match unit.last_exit {
                Some(exit) if exit == Exit::Code(0).to_string() => return self.note(migration, began.elapsed()),
                // The keeper that started it died before it did.
                Some(exit) if exit == Exit::Unseen.to_string() => {
                    return Err(cannot().cause("nobody saw how its program ended").retry_safe());
                }
                exit => format!("its program ended with {}", exit.as_deref().unwrap_or("nobody knows what")),
            },
        };
        Err(cannot()
            .cause(how)
            .hint(format!(
                "`roadbed logs {}` shows everything it wrote; it is run again from its beginning",
                self.app()
            ))
            .output(output))
    }

    async fn unit(&self, name: &str) -> Result<Option<UnitStatus>, Fault> {
        Ok(self.units.list().await?.into_iter().find(|unit| unit.name == name))
    }

    fn note(&self, migration: &Migration, took: Duration) -> Result<(), Fault> {
        let made = Made {
            app: self.app().to_string(),
            name: migration.name.to_string(),
            contracts: migration.half == Half::Contract,
            at: self.clock.now(),
            took_ms: i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
        };
        let noted = self.book.note_migration(&made);
        noted.map_err(|fault| Fault::because(format!("cannot note that {} was made", migration.name), &fault))
    }
}

impl Resource for Migrations {
    /// What is to be made.
    type Observed = Vec<Migration>;
    type Step = Step;

    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn needs(&self) -> &[ResourceId] {
        &self.needs
    }

    async fn observe(&self) -> Result<Vec<Migration>, Fault> {
        match due(&self.migrations, &self.made()?, self.which) {
            Ok(due) => Ok(due.into_iter().cloned().collect()),
            Err((contract, expand)) => {
                let app = self.app();
                Err(Fault::new(format!("cannot change data of {app}: {} must wait for {}", expand.name, contract.name))
                    .cause(format!("{} takes away what the release that serves still needs", contract.name))
                    .hint(format!(
                        "deploy a release with {} first and let it be the only one, or put {} before it",
                        contract.name, expand.name
                    )))
            }
        }
    }

    fn plan(&self, due: &Vec<Migration>) -> Vec<Step> {
        due.iter().cloned().map(Step).collect()
    }

    async fn apply(&self, step: &Step, begun: &Begun, progress: &dyn Progress) -> Result<(), Fault> {
        self.run(&step.0, begun, progress).await
    }
}

#[cfg(test)]
mod tests {
    use manifest::MigrationName;
    use proptest::prelude::*;

    use super::*;

    fn migration(number: usize, half: Half) -> Migration {
        let name = MigrationName::new(&format!("{number:04}")).unwrap();
        Migration { name, half, run: vec!["true".into()], deadline: Duration::from_secs(1) }
    }

    fn list(halves: &[Half]) -> Vec<Migration> {
        halves.iter().enumerate().map(|(at, half)| migration(at, *half)).collect()
    }

    fn half() -> impl Strategy<Value = Half> {
        prop_oneof![Just(Half::Expand), Just(Half::Contract)]
    }

    #[test]
    fn beside_another_release_only_what_it_can_live_with_is_made() {
        let all = list(&[Half::Expand, Half::Contract]);
        let names = |which, made: &[&str]| {
            let made = made.iter().map(|name| (*name).to_owned()).collect();
            due(&all, &made, which).map(|due| due.iter().map(|one| one.name.to_string()).collect::<Vec<_>>()).unwrap()
        };
        assert_eq!(names(Which::Expanding, &[]), ["0000"]);
        assert_eq!(names(Which::Contracting, &["0000"]), ["0001"]);
        assert_eq!(names(Which::All, &[]), ["0000", "0001"], "on data of nobody else");
        let late = list(&[Half::Contract, Half::Expand]);
        let (contract, expand) = due(&late, &BTreeSet::new(), Which::Expanding).unwrap_err();
        assert_eq!((contract.name.as_str(), expand.name.as_str()), ("0000", "0001"));
    }

    proptest! {
        #[test]
        fn each_is_made_once_in_its_order_and_none_that_another_release_needs(
            halves in prop::collection::vec(half(), 0..12),
            done in prop::collection::vec(any::<bool>(), 12),
        ) {
            let all = list(&halves);
            let made: BTreeSet<String> =
                all.iter().zip(&done).filter(|(_, done)| **done).map(|(one, _)| one.name.to_string()).collect();
            for which in [Which::All, Which::Expanding, Which::Contracting] {
                let Ok(due) = due(&all, &made, which) else {
                    prop_assert_eq!(which, Which::Expanding);
                    continue;
                };
                prop_assert!(due.is_sorted_by_key(|one| one.name.to_string()));
                prop_assert!(due.iter().all(|one| !made.contains(one.name.as_str())));
                if which == Which::Expanding {
                    prop_assert!(due.iter().all(|one| one.half == Half::Expand));
                } else {
                    prop_assert_eq!(due.len() + made.len(), all.len());
                }
            }
        }
    }
}
