//! A Redis at Upstash.
//!
//! ```text
//!   book ─► id? ─► GET database ─► TLS, eviction, budget, backup: compared
//!      └─► ordered, no id ─► list, by name ─► taken        └─► password ─► redis/external in the secret store
//! ```
//!
//! Passwords of apps are rotated as at any external Redis, by two users in turn. The API's own way, which revokes everything at
//! once, is not used.

pub mod api;
mod plan;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use manifest::Upstash;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reconcile::{Begun, Fault, Progress, Resource, ResourceId};
use secrets::Secret;

use crate::book::Ordered;
use crate::exchange::Way;
use crate::keeping::Keeping;
use api::{Client, CreateDatabase, Database, Platform, State};
pub use plan::{Observed, Step};

/// Who answers to whoever gives a password and no name.
const ADMINISTRATOR: &str = "default";

/// Between two looks at something that is being made.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Looks until a database must be there and serve: two minutes.
const MOST_LOOKS: u32 = 60;

/// Looks for a database that an earlier run ordered without hearing an answer: half a minute. A list may be older than the order.
const LOOKS_FOR_LOST: u32 = 15;

/// A database at Upstash as a resource.
#[derive(Clone, Debug)]
pub struct UpstashRedis(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: ResourceId,
    wanted: Upstash,
    way: Way,
    keeping: Keeping,
    opened: Mutex<Option<Arc<Client>>>,
}

impl UpstashRedis {
    /// The resource that orders a service: `redis/upstash`.
    pub fn resource_id(service: &str) -> ResourceId {
        ResourceId::new(format!("{service}/upstash"))
    }

    pub fn new(wanted: Upstash, way: Way, keeping: Keeping) -> Self {
        Self(Arc::new(Inner {
            id: Self::resource_id(keeping.service()),
            wanted,
            way,
            keeping,
            opened: Mutex::default(),
        }))
    }

    /// What is there. Blocks.
    ///
    /// # Errors
    /// What Upstash says, or what stands in the way of ordering anything.
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
    /// What Upstash says.
    pub fn perform(&self, step: &Step) -> Result<(), Fault> {
        self.0.perform(step)
    }
}

impl Resource for UpstashRedis {
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

    async fn apply(&self, step: &Step, _begun: &Begun, _progress: &dyn Progress) -> Result<(), Fault> {
        let (inner, step) = (self.0.clone(), step.clone());
        blocking(move || inner.perform(&step)).await
    }
}

/// Off the threads that serve everything else.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(Fault::because("asking a provider broke off", &error)))
}

impl Inner {
    /// Opened once; anew after something went wrong, for what opens the account may be another by then.
    fn client(&self) -> Result<Arc<Client>, Fault> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*opened {
            return Ok(client.clone());
        }
        let (mail, key) = self.keeping.access("Upstash", "EMAIL:API_KEY")?;
        let client = Arc::new(Client::new(&self.way, &mail, &key)?);
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
        // Another one is somebody's word that this is the environment's from now on.
        let is_meant = |id: &&str| self.wanted.adopt.as_deref().is_none_or(|adopt| adopt == *id);
        if let Some(id) = noted.as_ref().and_then(|noted| noted.id.as_deref()).filter(is_meant) {
            let database = client.get(id)?.ok_or_else(|| self.lost(id))?;
            refuse_suspended(&database)?;
            let address_is_kept = database.tls && self.keeping.has_address(&address(client, &database)?)?;
            return Ok(Observed::There { database, address_is_kept });
        }
        if let Some(id) = &self.wanted.adopt {
            let found = client.get(id)?.ok_or_else(|| {
                Fault::new(format!("there is no database {id} at Upstash to be taken over"))
                    .cause("the account has none of this id")
                    .hint("correct `adopt` in [services.redis.upstash], or leave it out to order one")
            })?;
            return Ok(Observed::NotNoted { id: found.database_id });
        }
        match (self.of_our_name(client, noted.as_ref())?, noted) {
            (Some(found), Some(_)) => Ok(Observed::NotNoted { id: found.database_id }),
            (Some(found), None) => Err(self.not_ours(&found)),
            (None, Some(_)) => Ok(Observed::Ordered),
            (None, None) => Ok(Observed::Nothing),
        }
    }

    fn perform_by(&self, client: &Client, step: &Step) -> Result<(), Fault> {
        match step {
            Step::Order { name, .. } => self.order(client, name),
            Step::Take { id } => self.keeping.note(&Ordered::new(&self.wanted.name, Some(id))),
            Step::EnableTls => {
                let id = self.id_there()?;
                client.enable_tls(&id)?;
                settled(client, &id, |database| database.tls).map(drop)
            }
            Step::SetEviction { drops } => {
                let id = self.id_there()?;
                client.set_eviction(&id, *drops)?;
                settled(client, &id, |database| database.eviction == *drops).map(drop)
            }
            Step::SetBudget { dollars } => {
                let id = self.id_there()?;
                client.set_budget(&id, *dollars)?;
                settled(client, &id, |database| database.budget == Some(*dollars)).map(drop)
            }
            Step::EnableDailyBackup => {
                let id = self.id_there()?;
                client.enable_daily_backup(&id)?;
                settled(client, &id, |database| database.daily_backup_enabled).map(drop)
            }
            Step::KeepAddress => {
                let database = settled(client, &self.id_there()?, serves)?;
                self.keeping.keep_address(&address(client, &database)?)
            }
        }
    }

    /// Orders it, unless an earlier run did.
    fn order(&self, client: &Client, name: &str) -> Result<(), Fault> {
        let noted = self.keeping.ordered()?;
        if noted.as_ref().is_some_and(|noted| noted.id.is_some()) {
            return Ok(());
        }
        let mut found = None;
        if noted.is_some() {
            // Nobody heard what became of the order before.
            for look in 0..LOOKS_FOR_LOST {
                found = self.of_our_name(client, noted.as_ref())?;
                if found.is_some() || look + 1 == LOOKS_FOR_LOST {
                    break;
                }
                client.pause(LOOK_AGAIN);
            }
        } else {
            // Somebody else's may have come since the plan was made.
            if let Some(found) = self.of_our_name(client, None)? {
                return Err(self.not_ours(&found));
            }
            self.keeping.note(&Ordered::new(name, None))?;
        }
        let made = match found {
            Some(found) => found,
            None => client.create(&CreateDatabase {
                database_name: name,
                platform: if self.wanted.region.is_google() { Platform::Gcp } else { Platform::Aws },
                primary_region: self.wanted.region,
                plan: self.wanted.plan,
                budget: self.wanted.budget,
                eviction: self.wanted.eviction,
                tls: true,
            })?,
        };
        self.keeping.note(&Ordered::new(name, Some(&made.database_id)))?;
        settled(client, &made.database_id, serves).map(drop)
    }

    /// The one that bears our name. Names are not unique there.
    fn of_our_name(&self, client: &Client, noted: Option<&Ordered>) -> Result<Option<Database>, Fault> {
        let name = noted.map_or(&self.wanted.name, |noted| &noted.name);
        let mut all: Vec<Database> = client.list()?.into_iter().filter(|one| one.database_name == *name).collect();
        if all.len() > 1 {
            let ids: Vec<&str> = all.iter().map(|one| one.database_id.as_str()).collect();
            return Err(Fault::new(format!("there are {} databases {name} at Upstash", all.len()))
                .cause(format!("their ids are {}", ids.join(", ")))
                .hint("delete what is too many there, or say by `adopt` in [services.redis.upstash] which one it is"));
        }
        Ok(all.pop())
    }

    fn id_there(&self) -> Result<String, Fault> {
        let noted = self.keeping.ordered()?.and_then(|noted| noted.id);
        noted.ok_or_else(|| Fault::new(format!("{} is not ordered yet", self.wanted.name)).hint("run this again"))
    }

    /// Nothing is ordered in its place: that would be an empty one, and nobody would notice.
    fn lost(&self, id: &str) -> Fault {
        let name = self.keeping.service();
        Fault::new(format!("the database {id} at Upstash, which is the {name} of this environment, is gone"))
            .cause("somebody deleted it, or the key in `redis/upstash` opens another account")
            .hint("set the key of the right account; if it is gone, make one there, restore its backup, and name it by `adopt` in [services.redis.upstash]")
    }

    fn not_ours(&self, found: &Database) -> Fault {
        let (name, id) = (&found.database_name, &found.database_id);
        Fault::new(format!("there is a database {name} at Upstash already, and this root did not order it"))
            .cause("another root of this environment may have, or a person: its users and data are theirs")
            .hint(format!("if it shall be this one's, say so: adopt = {id:?} in [services.redis.upstash]"))
    }
}

/// Whether it can be logged in to.
fn serves(database: &Database) -> bool {
    database.state == State::Active && database.modifying_state.is_empty()
}

/// A database once it is so: what was changed may be told a moment later.
fn settled(client: &Client, id: &str, is_so: impl Fn(&Database) -> bool) -> Result<Database, Fault> {
    let mut state = String::new();
    for _ in 0..MOST_LOOKS {
        if let Some(database) = client.get(id)? {
            refuse_suspended(&database)?;
            if is_so(&database) {
                return Ok(database);
            }
            state = format!("{:?} {}", database.state, database.modifying_state).to_lowercase();
        }
        client.pause(LOOK_AGAIN);
    }
    let seconds = LOOK_AGAIN.as_secs() * u64::from(MOST_LOOKS);
    Err(Fault::new(format!("the database {id} at Upstash is not as it was told to be after {seconds} s"))
        .cause(format!("its state is {:?}", state.trim()))
        .hint("see what its console says, then run this again: it goes on where it is")
        .retry_safe())
}

fn refuse_suspended(database: &Database) -> Result<(), Fault> {
    if database.state != State::Suspended {
        return Ok(());
    }
    Err(Fault::new(format!("Upstash has suspended the database {}", database.database_name))
        .cause("it does so for a budget that is spent, or for what is not paid")
        .hint("see what its console says; a higher `budget` in [services.redis.upstash] is set once it is active"))
}

/// As `stores` reads the address of somebody else's Redis.
fn address(client: &Client, database: &Database) -> Result<Secret, Fault> {
    let keys = client.keys(&database.database_id)?;
    let password = utf8_percent_encode(keys.password.expose(), NON_ALPHANUMERIC);
    Ok(Secret::new(format!("rediss://{ADMINISTRATOR}:{password}@{}:{}", database.host(), database.port)))
}
