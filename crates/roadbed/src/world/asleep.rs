//! An environment that is asleep: its door is kept, and nothing behind it runs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use manifest::environment::{App, Need};
use reconcile::ports::{Routes, UnitKind, Units};
use reconcile::{Begun, Fault, Progress, Resource, ResourceId};

/// Longer than an instance takes to end in order. A request that comes meanwhile waits at the edge; should control be killed now, it
/// ends by itself.
const AWAY: Duration = Duration::from_secs(20);

/// How long a visitor waits at the edge for an environment that is asleep. Data services and apps of UrbanCart are up within 5 s, on a
/// machine that is busy elsewhere within 20.
pub(super) const WAKE: Duration = Duration::from_secs(60);

/// Nothing but the door.
#[derive(Debug)]
pub(super) struct Asleep {
    id: ResourceId,
    needs: Vec<ResourceId>,
    /// How many other apps stand on whom, by the beginning of an instance's name: who stands on others goes first.
    depths: BTreeMap<String, usize>,
    units: Arc<dyn Units>,
    routes: Arc<dyn Routes>,
}

impl Asleep {
    pub(super) fn new(needs: Vec<ResourceId>, apps: &[App], units: Arc<dyn Units>, routes: Arc<dyn Routes>) -> Self {
        Self { id: ResourceId::new("asleep"), needs, depths: depths(apps), units, routes }
    }
}

/// How deep the app of an instance stands: `api-1`, `api-blue-1`. The longest name is the app's.
fn depth_of(unit: &str, depths: &BTreeMap<String, usize>) -> usize {
    let is_of = |app: &str| unit.strip_prefix(app).is_some_and(|rest| rest.starts_with('-'));
    let of = depths.iter().filter(|(app, _)| is_of(app));
    of.max_by_key(|(app, _)| app.len()).map_or(0, |(_, depth)| *depth)
}

/// Of each app on how many others, one behind the other, it stands.
fn depths(apps: &[App]) -> BTreeMap<String, usize> {
    apps.iter().map(|app| (app.name.to_string(), depth(app, apps))).collect()
}

/// On how many apps, one behind the other, an app stands. The manifest has no circles.
fn depth(app: &App, apps: &[App]) -> usize {
    let others = app.needs.iter().filter_map(|need| match need {
        Need::App(name) => apps.iter().find(|other| other.name == *name),
        Need::Service(_) => None,
    });
    others.map(|other| depth(other, apps) + 1).max().unwrap_or(0)
}

/// Stop a unit. Its data stays.
#[derive(Debug)]
pub(super) struct PutToSleep {
    unit: String,
    kind: UnitKind,
}

impl fmt::Display for PutToSleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stop {}, since nobody comes", self.unit)
    }
}

impl Resource for Asleep {
    /// What runs, in the order in which it is stopped.
    type Observed = Vec<(UnitKind, String)>;
    type Step = PutToSleep;

    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn needs(&self) -> &[ResourceId] {
        &self.needs
    }

    async fn observe(&self) -> Result<Self::Observed, Fault> {
        let units = self.units.list().await?.into_iter();
        let mut units: Vec<_> = units
            .filter(|unit| matches!(unit.kind, UnitKind::App | UnitKind::Store))
            .map(|unit| (unit.kind, unit.name))
            .collect();
        units.sort_by_key(|(kind, name)| (*kind, std::cmp::Reverse(depth_of(name, &self.depths))));
        Ok(units)
    }

    fn plan(&self, running: &Self::Observed) -> Vec<PutToSleep> {
        running.iter().map(|(kind, unit)| PutToSleep { unit: unit.clone(), kind: *kind }).collect()
    }

    async fn apply(&self, step: &PutToSleep, _: &Begun, _: &dyn Progress) -> Result<(), Fault> {
        if step.kind != UnitKind::App {
            return self.units.remove(&step.unit).await;
        }
        // Whoever comes now is not sent to a process that is about to go: such a request could not be repeated.
        let _ = self.routes.rest(&step.unit, AWAY).await;
        self.units.remove(&step.unit).await?;
        // From now on it is refused by the port itself, and tried again.
        let _ = self.routes.wake(&step.unit).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use manifest::{EnvRef, Source};

    use super::*;

    #[test]
    fn who_stands_on_others_goes_first() {
        let text = include_str!("../../../../roadbed.toml");
        let (manifest, _) = manifest::parse(&Source::new("roadbed.toml", text));
        let environment = manifest.unwrap().resolve(&"preview/pr-7".parse::<EnvRef>().unwrap()).unwrap();
        let depths = depths(&environment.apps);
        assert!(depth_of("storefront-blue-1", &depths) > depth_of("api-blue-1", &depths), "{depths:?}");
        let names = [("api".to_owned(), 0), ("api-admin".to_owned(), 1)].into();
        assert_eq!((depth_of("api-1", &names), depth_of("api-admin-1", &names), depth_of("apix-1", &names)), (0, 1, 0));
    }
}
