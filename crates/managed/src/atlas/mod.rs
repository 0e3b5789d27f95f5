//! A MongoDB at Atlas: a project of its own with one cluster, and in it the users that no command of MongoDB makes there.
//!
//! ```text
//!   book ─► project ─► cluster: CREATING … ─► its address ───────┐
//!              ├─► access list: each network until it is ACTIVE   ├─► mongodb/external in the secret store
//!              └─► roles ─► users, scoped to the cluster ─────────┘
//! ```
//!
//! An app has two users, and versions of its password sit on them in turn. No password is changed that something logs in with.

pub mod api;
mod plan;
mod rights;
mod users;
pub mod wire;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use manifest::Atlas;
use reconcile::{Begun, Event, Fault, Progress, Resource, ResourceId};
use secrets::SecretName;

use crate::book::Ordered;
use crate::exchange::Way;
use crate::keeping::Keeping;
use crate::upstash::blocking;
use api::{Client, Made};
use plan::is_reachable;
pub use plan::{Observed, Step, There};
use users::{Login, administrator_secret};
use wire::{
    AccessEntry, AccessState, ClusterType, CreateCluster, CreateProject, Hardware, RegionConfig, ReplicationSpec,
    SeenUser,
};

/// Between two looks at a cluster that is being made: it takes about ten minutes.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Half an hour.
const MOST_LOOKS: u32 = 180;

/// Between two looks at an entry of the access list.
const ENTRY_AGAIN: Duration = Duration::from_secs(3);

/// Three minutes.
const MOST_ENTRY_LOOKS: u32 = 60;

/// Nodes that hold the same: of three, two can agree while one is away.
const NODES: u8 = 3;

/// The highest there is.
const PRIORITY: u8 = 7;

/// An app that logs in.
#[derive(Clone, Debug)]
pub struct AppUsers {
    /// Its password.
    pub secret: SecretName,
    /// Who it is with odd versions of it, and with even ones.
    pub names: [String; 2],
}

/// What there is in the database.
#[derive(Clone, Debug)]
pub struct Inside {
    pub database: String,
    pub apps: Vec<AppUsers>,
    /// Whether apps make their own indexes.
    pub apps_index: bool,
}

/// A project at Atlas as a resource.
#[derive(Clone, Debug)]
pub struct AtlasMongo(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: ResourceId,
    wanted: Atlas,
    inside: Inside,
    way: Way,
    keeping: Keeping,
    opened: Mutex<Option<Arc<Client>>>,
}

impl AtlasMongo {
    pub fn new(wanted: Atlas, inside: Inside, way: Way, keeping: Keeping) -> Self {
        // As whoever else makes this service for apps.
        let id = ResourceId::new(keeping.service());
        Self(Arc::new(Inner { id, wanted, inside, way, keeping, opened: Mutex::default() }))
    }

    /// What is there. Blocks.
    ///
    /// # Errors
    /// What Atlas says, or what stands in the way of ordering anything.
    pub fn look(&self) -> Result<Observed, Fault> {
        self.0.look()
    }

    /// What to do about it.
    pub fn steps(&self, seen: &Observed) -> Vec<Step> {
        plan::plan(&self.0.wanted, seen)
    }

    /// Does a step. Blocks. Public so that what needs no journal, a test, can do one.
    ///
    /// # Errors
    /// What Atlas says.
    pub fn perform(&self, step: &Step) -> Result<(), Fault> {
        self.0.perform(step)
    }
}

impl Resource for AtlasMongo {
    type Observed = Observed;
    type Step = Step;

    fn id(&self) -> &ResourceId {
        &self.0.id
    }

    fn needs(&self) -> &[ResourceId] {
        &[]
    }

    fn can_drift(&self) -> bool {
        true
    }

    async fn observe(&self) -> Result<Observed, Fault> {
        let inner = self.0.clone();
        blocking(move || inner.look()).await
    }

    fn plan(&self, seen: &Observed) -> Vec<Step> {
        self.steps(seen)
    }

    fn drift(&self, seen: &Observed) -> Vec<String> {
        plan::drift(&self.0.wanted, seen)
    }

    async fn apply(&self, step: &Step, _begun: &Begun, progress: &dyn Progress) -> Result<(), Fault> {
        if *step != Step::AwaitCluster {
            let (inner, step) = (self.0.clone(), step.clone());
            return blocking(move || inner.perform(&step)).await;
        }
        for _ in 0..MOST_LOOKS {
            let inner = self.0.clone();
            let Some(state) = blocking(move || inner.not_reachable()).await? else { return Ok(()) };
            let line = format!("Atlas says of the cluster {}: {state}", self.0.wanted.cluster);
            progress.emit(Event::Output { resource: self.0.id.to_string(), line });
            let pause = self.0.way.pause.clone();
            blocking(move || {
                pause(LOOK_AGAIN);
                Ok(())
            })
            .await?;
        }
        Err(self.0.too_long())
    }
}

impl Inner {
    /// Opened once; anew after something went wrong, for what opens the account may be another by then.
    fn client(&self) -> Result<Arc<Client>, Fault> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*opened {
            return Ok(client.clone());
        }
        let (id, secret) = self.keeping.access("Atlas", "CLIENT_ID:CLIENT_SECRET")?;
        let client = Arc::new(Client::new(&self.way, &id, &secret)?);
        *opened = Some(client.clone());
        Ok(client)
    }

    fn look(&self) -> Result<Observed, Fault> {
        let seen = self.client().and_then(|client| self.look_by(&client));
        seen.inspect_err(|_| self.close())
    }

    fn perform(&self, step: &Step) -> Result<(), Fault> {
        let done = self.client().and_then(|client| self.perform_by(&client, step));
        done.inspect_err(|_| self.close())
    }

    fn close(&self) {
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn look_by(&self, client: &Client) -> Result<Observed, Fault> {
        let noted = self.keeping.ordered()?;
        let is_meant = |id: &&str| self.wanted.adopt.as_deref().is_none_or(|adopt| adopt == *id);
        if let Some((noted, id)) = noted.as_ref().and_then(|noted| Some((noted, noted.id.as_deref().filter(is_meant)?)))
        {
            return self.look_inside(client, noted, id);
        }
        if let Some(id) = &self.wanted.adopt {
            let found = client.project_by_id(id)?.ok_or_else(|| {
                Fault::new(format!("there is no project {id} at Atlas to be taken over"))
                    .cause("the service account may not see it, or it is not there")
                    .hint("correct `adopt` in [services.mongodb.atlas], or leave it out to make one")
            })?;
            return Ok(Observed::NotNoted { id: found.id });
        }
        let name = noted.as_ref().map_or(&self.wanted.project, |noted| &noted.name);
        match (client.project(name)?, noted) {
            (Some(found), Some(_)) => Ok(Observed::NotNoted { id: found.id }),
            (Some(found), None) => Err(not_ours(&found.name, &found.id)),
            (None, Some(_)) => Ok(Observed::Asked),
            (None, None) => Ok(Observed::Nothing),
        }
    }

    fn look_inside(&self, client: &Client, noted: &Ordered, project: &str) -> Result<Observed, Fault> {
        if client.project_by_id(project)?.is_none() {
            return Err(self.lost("project", project));
        }
        let cluster = client.cluster(project, &self.wanted.cluster)?;
        if cluster.is_none() && noted.inside.is_some() {
            return Err(self.lost("cluster", &self.wanted.cluster));
        }
        if cluster.as_ref().is_some_and(|cluster| cluster.paused) {
            return Err(Fault::new(format!("the cluster {} at Atlas is paused", self.wanted.cluster))
                .cause("somebody stopped it, and nothing can log in there")
                .hint("resume it at Atlas, then run this again"));
        }
        let entries: Vec<String> = client.access(project)?.iter().filter_map(wire::SeenAccess::network).collect();
        let seen = client.users(project)?;
        let logins = self.logins()?;
        let has_credentials = logins.iter().all(|login| login.password.is_some());
        let names = self.names();
        let (ours, strangers): (Vec<&SeenUser>, Vec<&SeenUser>) =
            seen.iter().partition(|user| names.contains(&user.username));
        let mut roles = Vec::new();
        for role in self.roles() {
            let there = client.role(project, &role.role_name)?;
            if !there.is_some_and(|there| rights::are_the_same(&there, &role)) {
                roles.push(role.role_name);
            }
        }
        let wrong = |login: &Login| {
            let user = ours.iter().find(|user| user.username == login.name);
            let why = self.wrong(login, user.copied(), noted)?;
            Some((login.name.clone(), why))
        };
        let users = logins.iter().filter(|login| login.password.is_some()).filter_map(wrong).collect();
        let is_wanted = |user: &&&SeenUser| logins.iter().any(|login| login.name == user.username);
        let retired = ours.iter().filter(|user| !is_wanted(user)).map(|user| user.username.clone()).collect();
        let reachable = cluster.as_ref().filter(|cluster| is_reachable(cluster));
        let keeps_too_short = match reachable.filter(|cluster| cluster.backup_enabled) {
            Some(cluster) => {
                let schedule = client.schedule(project, &cluster.name)?;
                schedule.is_some_and(|schedule| schedule.keeping(self.wanted.keep_days).is_some())
            }
            None => false,
        };
        let address = reachable.map(|cluster| self.address(cluster)).transpose()?.flatten();
        Ok(Observed::There(Box::new(There {
            shut_out: self.wanted.allow.iter().filter(|network| !entries.contains(network)).cloned().collect(),
            let_in: entries.into_iter().filter(|network| !self.wanted.allow.contains(network)).collect(),
            has_credentials,
            roles,
            users,
            retired,
            strangers: strangers.iter().map(|user| user.username.clone()).collect(),
            keeps_too_short,
            address_is_kept: address.map_or(Ok(false), |address| self.keeping.has_address(&address))?,
            cluster_is_noted: noted.inside.is_some(),
            cluster,
        })))
    }

    fn perform_by(&self, client: &Client, step: &Step) -> Result<(), Fault> {
        match step {
            Step::MakeProject { name } => self.make_project(client, name),
            Step::Take { id } => self.keeping.note(&Ordered::new(&self.wanted.project, Some(id))),
            Step::OrderCluster { .. } => self.order_cluster(client),
            Step::NoteCluster => {
                let Some(mut noted) = self.keeping.ordered()? else { return Ok(()) };
                noted.inside = Some(self.wanted.cluster.clone());
                self.keeping.note(&noted)
            }
            Step::AwaitCluster => {
                for _ in 0..MOST_LOOKS {
                    if self.not_reachable()?.is_none() {
                        return Ok(());
                    }
                    client.pause(LOOK_AGAIN);
                }
                Err(self.too_long())
            }
            Step::Allow { network } => self.allow(client, network),
            Step::MakeCredentials => {
                self.keeping.make(&administrator_secret())?;
                self.inside.apps.iter().try_for_each(|app| self.keeping.make(&app.secret).map(drop))
            }
            Step::PutRole { name } => self.put_role(client, name),
            Step::PutUser { name, .. } => self.put_user(client, name),
            Step::RemoveUser { name } => client.delete_user(&self.project()?, name),
            Step::KeepSnapshots { days } => {
                let (project, cluster) = (self.project()?, &self.wanted.cluster);
                let schedule = client.schedule(&project, cluster)?;
                match schedule.and_then(|schedule| schedule.keeping(*days)) {
                    Some(next) => client.set_schedule(&project, cluster, &next),
                    None => Ok(()),
                }
            }
            Step::KeepAddress => {
                let cluster = client.cluster(&self.project()?, &self.wanted.cluster)?;
                let address = cluster.as_ref().map(|cluster| self.address(cluster)).transpose()?.flatten();
                let address = address.ok_or_else(|| self.too_long())?;
                self.keeping.keep_address(&address)
            }
        }
    }

    fn make_project(&self, client: &Client, name: &str) -> Result<(), Fault> {
        let noted = self.keeping.ordered()?;
        if noted.as_ref().is_some_and(|noted| noted.id.is_some()) {
            return Ok(());
        }
        if noted.is_none() {
            // Somebody else's may have come since the plan was made.
            if let Some(found) = client.project(name)? {
                return Err(not_ours(&found.name, &found.id));
            }
            self.keeping.note(&Ordered::new(name, None))?;
        }
        // Names are unique there: one that was made before, unheard, is found and not made twice.
        let made = client.create_project(&CreateProject { name, org_id: &self.wanted.organization })?;
        let found = client.project(name)?.ok_or_else(|| match made {
            Made::Before(fault) => fault,
            Made::Now => Fault::new(format!("the project {name} at Atlas is not to be seen after it was made"))
                .hint("run this again: it goes on where it is")
                .retry_safe(),
        })?;
        self.keeping.note(&Ordered::new(name, Some(&found.id)))
    }

    fn order_cluster(&self, client: &Client) -> Result<(), Fault> {
        let project = self.project()?;
        let region = RegionConfig {
            provider_name: self.wanted.cloud,
            region_name: &self.wanted.region,
            priority: PRIORITY,
            electable_specs: Hardware { instance_size: self.wanted.size, node_count: NODES },
        };
        let order = CreateCluster {
            name: &self.wanted.cluster,
            cluster_type: ClusterType::ReplicaSet,
            backup_enabled: true,
            termination_protection_enabled: true,
            replication_specs: vec![ReplicationSpec { region_configs: vec![region] }],
        };
        // One of this name in our project is the one that was ordered before.
        client.create_cluster(&project, &order).map(drop)
    }

    /// What Atlas says of a cluster that nobody can reach yet.
    fn not_reachable(&self) -> Result<Option<String>, Fault> {
        let project = self.project()?;
        let Some(cluster) = self.client()?.cluster(&project, &self.wanted.cluster)? else {
            return Ok(Some("it is not to be seen yet".to_owned()));
        };
        if !is_reachable(&cluster) {
            return Ok(Some(cluster.state_name));
        }
        Ok(None)
    }

    fn allow(&self, client: &Client, network: &str) -> Result<(), Fault> {
        let project = self.project()?;
        let entry = AccessEntry { cidr_block: network, comment: "declared in roadbed.toml" };
        // One that is there already is as good.
        client.allow(&project, &entry)?;
        for _ in 0..MOST_ENTRY_LOOKS {
            match client.access_status(&project, network)?.map(|status| status.status) {
                Some(AccessState::Active) => return Ok(()),
                Some(AccessState::Failed) => {
                    return Err(Fault::new(format!("Atlas could not let {network} reach {}", self.wanted.project))
                        .cause("it says FAILED of the entry")
                        .hint("take the entry away at Atlas, then run this again"));
                }
                Some(AccessState::Pending) | None => client.pause(ENTRY_AGAIN),
            }
        }
        Err(Fault::new(format!("Atlas does not let {network} reach {} yet", self.wanted.project))
            .cause("it says PENDING of the entry for three minutes")
            .hint("run this again: it goes on where it is")
            .retry_safe())
    }

    fn put_role(&self, client: &Client, name: &str) -> Result<(), Fault> {
        let project = self.project()?;
        let Some(role) = self.roles().into_iter().find(|role| role.role_name == *name) else { return Ok(()) };
        if client.role(&project, name)?.is_none() && matches!(client.create_role(&project, &role)?, Made::Now) {
            return Ok(());
        }
        client.update_role(&project, &role)
    }

    fn project(&self) -> Result<String, Fault> {
        let noted = self.keeping.ordered()?.and_then(|noted| noted.id);
        noted.ok_or_else(|| Fault::new(format!("{} is not made yet", self.wanted.project)).hint("run this again"))
    }

    fn too_long(&self) -> Fault {
        let minutes = LOOK_AGAIN.as_secs() * u64::from(MOST_LOOKS) / 60;
        Fault::new(format!("the cluster {} at Atlas cannot be reached after {minutes} minutes", self.wanted.cluster))
            .cause("it is still being made, or has no address")
            .hint("see what Atlas shows of it, then run this again: it goes on where it is")
            .retry_safe()
    }

    /// Nothing is ordered in its place: that would be an empty one, and nobody would notice.
    fn lost(&self, what: &str, name: &str) -> Fault {
        Fault::new(format!("the {what} {name} at Atlas, which holds the MongoDB of this environment, is gone"))
            .cause("somebody deleted it, or the service account may not see it any more")
            .hint("bring it back there from a snapshot under the same name, or name its project by `adopt` in [services.mongodb.atlas]")
    }
}

fn not_ours(name: &str, id: &str) -> Fault {
    Fault::new(format!("there is a project {name} at Atlas already, and this root did not make it"))
        .cause("another root of this environment may have, or a person: its users and data are theirs")
        .hint(format!("if it shall be this one's, say so: adopt = {id:?} in [services.mongodb.atlas]"))
}
