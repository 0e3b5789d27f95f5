//! Which sets of apps run side by side: the project's own builds, or releases in their slots.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use delivery::instances::Instances;
use delivery::{Book, Deployment, Place, Release, Role, Slot};
use engine::artifact::{Digest, unpacking};
use engine::instance;
use manifest::environment::{App, Runs};
use manifest::{AppName, Environment};
use reconcile::{Fault, Root};

use super::Running;
use crate::wanted::{self, Apps, DevApps, Wanted};

/// What was deployed here, as the book of deployments has it.
#[derive(Clone, Debug, Default)]
pub struct Delivered {
    /// Of the control that looked; `None` where nobody is to be fenced off.
    pub epoch: Option<u64>,
    /// Which changes of data were made is noted there.
    pub book: Option<Arc<Book>>,
    pub slots: Vec<(Slot, Option<Release>)>,
    /// The newest first, as many as somebody may want to go back to.
    pub releases: Vec<Release>,
    /// The newest first.
    pub deployments: Vec<Deployment>,
    /// Of apps that have as many instances as there is work for.
    pub instances: BTreeMap<String, Instances>,
    /// An app that is tried out beside what serves, for as long as a check takes.
    pub trial: Option<AppName>,
}

impl Delivered {
    /// The slot in a role, with its release.
    pub fn in_role(&self, role: Role) -> Option<(&Slot, Option<&Release>)> {
        self.slots.iter().find(|(slot, _)| slot.role == role).map(|(slot, release)| (slot, release.as_ref()))
    }

    /// Whether releases are deployed here at all, so that both slots have their sockets beforehand.
    pub(super) fn is_used(&self, want: &Wanted) -> bool {
        want.apps == Apps::Releases || !self.slots.is_empty()
    }
}

/// All apps of one slot.
#[derive(Clone, Debug)]
pub(super) struct Fleet {
    pub(super) place: Place,
    pub(super) role: Role,
    /// As the manifest of its release has it.
    pub(super) environment: Arc<Environment>,
    pub(super) running: Vec<Running>,
    /// Visitors reach the first so many instances of an app; all of one that is not named.
    pub(super) routed: BTreeMap<AppName, usize>,
}

/// Where what runs comes from.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// Built in the project's folder.
    Project,
    Release {
        /// What apps and logs call it.
        name: String,
        digest: Digest,
        /// Where its artifact lies, unpacked.
        folder: PathBuf,
    },
}

impl Fleet {
    /// What its instances and sockets are told apart by.
    pub(super) fn name(&self) -> instance::Fleet {
        fleet_of(self.place)
    }
}

/// What engine calls the instances of a place.
pub(super) fn fleet_of(place: Place) -> instance::Fleet {
    place.tag().and_then(instance::Fleet::named).unwrap_or(instance::Fleet::ONLY)
}

/// Every fleet that is to run, the one that visitors reach first.
pub(super) fn fleets(
    root: &Root,
    environment: &Arc<Environment>,
    want: &Wanted,
    delivered: &Delivered,
) -> Result<Vec<Fleet>, Fault> {
    let mut all = Vec::new();
    for (slot, release) in &delivered.slots {
        if slot.role == Role::Leaving {
            continue;
        }
        let (environment, running) = match release {
            Some(release) => of_release(root, want, release)?,
            None => (environment.clone(), super::running(environment, &want.dev)?),
        };
        let Slot { place, role, .. } = *slot;
        all.push(counted(Fleet { place, role, environment, running, routed: BTreeMap::new() }, delivered));
    }
    let is_live = |fleet: &Fleet| fleet.role == Role::Live;
    if all.iter().any(|fleet| is_live(fleet) && fleet.place != Place::Project) {
        refuse_dev(want)?;
    } else if want.apps == Apps::FromProject && !all.iter().any(is_live) {
        let running = super::running(environment, &want.dev)?;
        let environment = environment.clone();
        let fleet = Fleet { place: Place::Project, role: Role::Live, environment, running, routed: BTreeMap::new() };
        all.push(counted(fleet, delivered));
    }
    all.extend(trial(&all, delivered));
    all.sort_by_key(|fleet| !is_live(fleet));
    Ok(all)
}

/// How many are tried out: so that one can go on with what the other began.
const TRIED_OUT: u32 = 2;

/// Two instances of one app as visitors reach it.
fn trial(fleets: &[Fleet], delivered: &Delivered) -> Option<Fleet> {
    let app = delivered.trial.as_ref()?;
    let live = fleets.iter().find(|fleet| fleet.role == Role::Live)?;
    let mut one = live.running.iter().find(|one| one.app.name == *app)?.clone();
    if let Runs::Server(server) = &mut one.app.runs {
        server.replicas = TRIED_OUT;
        server.scale = None;
    }
    // Nobody is sent there, as to a release that was left.
    Some(Fleet {
        place: Place::Trial,
        role: Role::Warm,
        running: vec![one],
        routed: BTreeMap::new(),
        environment: live.environment.clone(),
    })
}

/// With as many instances of each app as there are by now. Every fleet has as many: the one that is switched to must bear what the
/// one before bore.
fn counted(mut fleet: Fleet, delivered: &Delivered) -> Fleet {
    for one in &mut fleet.running {
        let Runs::Server(server) = &mut one.app.runs else { continue };
        let (Some(_), Some(now)) = (server.scale, delivered.instances.get(one.app.name.as_str())) else { continue };
        server.replicas = now.running;
        fleet.routed.insert(one.app.name.clone(), now.routed as usize);
    }
    fleet
}

/// A release is what was tested; an editor beside it would be something else at the same address.
fn refuse_dev(want: &Wanted) -> Result<(), Fault> {
    if want.dev == DevApps::None {
        return Ok(());
    }
    Err(Fault::new(format!("cannot run development servers in {}: a release is live there", want.environment))
        .hint("develop in `local`, or in an environment that nothing was deployed to"))
}

fn of_release(root: &Root, want: &Wanted, release: &Release) -> Result<(Arc<Environment>, Vec<Running>), Fault> {
    // Its own manifest, so that what an old release is started with is what it was tested with.
    let as_then = Wanted { text: release.contents.manifest.clone(), ..want.clone() };
    let environment = wanted::resolve(&as_then)
        .map_err(|fault| Fault::because(format!("cannot run release {}", release.id), &fault))?;
    let running = environment.apps.iter().map(|app| {
        let digest = digest_of(release, app)?;
        let folder = unpacking::folder(&root.releases(), &digest);
        Ok(Running { app: app.clone(), dev: None, origin: Origin::Release { name: release.name(), digest, folder } })
    });
    let running = running.collect::<Result<Vec<_>, Fault>>()?;
    Ok((Arc::new(environment), running))
}

/// The artifact of an app.
pub(crate) fn digest_of(release: &Release, app: &App) -> Result<Digest, Fault> {
    let cannot = || Fault::new(format!("release {} has no artifact of {}", release.id, app.name));
    let artifact = release.contents.artifact(app.name.as_str()).ok_or_else(cannot)?;
    artifact.digest.parse().map_err(|error| Fault::because(cannot().message, &error))
}

/// What the files of a static app are made from, and where they are made ready.
pub(super) fn site_of_release(root: &Root, app: &App, digest: &Digest, folder: &Path) -> engine::site::Place {
    engine::site::Place {
        source: folder.join(&app.path).join(&app.build.output),
        target: root.builds().join(app.name.as_str()).join(digest.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_of_a_release_has_a_fleet_of_its_own() {
        let named: Vec<_> = Place::ALL.iter().filter_map(|place| place.tag()).collect();
        assert_eq!(named, instance::Fleet::NAMED);
        assert_eq!(fleet_of(Place::Project), instance::Fleet::ONLY);
        assert_ne!(fleet_of(Place::Blue), fleet_of(Place::Green));
    }
}
