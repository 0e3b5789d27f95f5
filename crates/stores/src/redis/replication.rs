//! Replicas follow the primary that the sentinels name.
//!
//! ```text
//!   redis, redis-2 ──► redis-sentinel-1..3 ──► redis-replication ──► apps
//! ```
//!
//! Sentinels bring back the order by themselves, in some seconds; a replica that is new to them, or that a crash made forget whom
//! it follows, is told at once. Who is primary is theirs to say: nothing here makes one.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use reconcile::{Begun, Fault, Progress, Resource, ResourceId};
use redis::aio::MultiplexedConnection;
use redis::{InfoDict, cmd};

use super::client::RedisFault;
use super::membership::GROUP;
use super::{ADMIN, Door, Identity, Purpose, Settings};
use crate::Ground;

/// Beginning of the resource's name.
const ID: &str = "redis-replication";
/// A failover takes four seconds, the first copy of much data longer.
const DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

/// The order among several.
#[derive(Debug)]
pub struct Replication {
    id: ResourceId,
    needs: Vec<ResourceId>,
    all: Vec<(Settings, u16)>,
    ground: Ground,
}

/// What a look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// All follow whom the sentinels name.
    Kept,
    /// Somebody follows nobody, or somebody else, or the sentinels do not agree.
    Broken,
}

/// Its one effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrange;

impl fmt::Display for Arrange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("let every replica follow the primary that the sentinels name")
    }
}

impl Replication {
    /// `None` where there is but one. `all` is every Redis of the environment, with its port.
    pub fn new(all: &[(Settings, u16)], ground: Ground) -> Option<Self> {
        let all: Vec<_> = all.iter().filter(|(settings, _)| settings.is_replicated()).cloned().collect();
        let needs = all.iter().map(|(settings, _)| ResourceId::new(settings.unit())).collect();
        (!all.is_empty()).then(|| Self { id: Self::resource_id(), needs, all, ground })
    }

    pub fn resource_id() -> ResourceId {
        ResourceId::new(ID)
    }

    /// Does the step. Public so that what needs no journal, a test, can do it.
    pub async fn perform(&self, _: &Arrange) -> Result<(), Fault> {
        let give_up = self.ground.clock.instant() + DEADLINE;
        loop {
            let Some(primary) = self.named().await? else {
                self.wait(give_up, "the sentinels do not agree who is primary").await?;
                continue;
            };
            let mut all_follow = true;
            for (settings, port) in self.of(Purpose::Durable).filter(|(_, port)| *port != primary) {
                all_follow &= self.follows(settings, *port, primary).await?;
            }
            if all_follow {
                return Ok(());
            }
            self.wait(give_up, "a replica has not copied its primary yet").await?;
        }
    }

    async fn wait(&self, give_up: std::time::Instant, why: &str) -> Result<(), Fault> {
        if self.ground.clock.instant() >= give_up {
            let fault = Fault::new("redis has no order among its members yet").cause(why.to_owned());
            return Err(fault.hint("see `roadbed logs redis-sentinel-1` and `roadbed logs redis`").retry_safe());
        }
        tokio::time::sleep(POLL).await;
        Ok(())
    }

    /// Whether this one follows the primary and has all of it; who follows somebody else is told.
    async fn follows(&self, settings: &Settings, port: u16, primary: u16) -> Result<bool, Fault> {
        let Ok(mut connection) = self.enter(settings, port).await? else { return Ok(false) };
        let Ok(role) = Role::of(&mut connection).await else { return Ok(false) };
        if role.follows != Some(primary) {
            let told = cmd("REPLICAOF").arg("127.0.0.1").arg(primary).exec_async(&mut connection).await;
            return told.map(|()| false).map_err(|fault| super::observe::asking(&fault));
        }
        Ok(role.is_linked)
    }

    /// The primary, if most sentinels name the same one, see nothing wrong with it, and it knows that it is one. In the middle of
    /// a failover that is nobody: who was told to follow then would undo it.
    async fn named(&self) -> Result<Option<u16>, Fault> {
        let mut votes: HashMap<u16, usize> = HashMap::new();
        let mut asked = 0;
        for (settings, port) in self.of(Purpose::Sentinel) {
            asked += 1;
            let Ok(mut connection) = self.enter(settings, *port).await? else { continue };
            let answer: Result<HashMap<String, String>, RedisFault> =
                cmd("SENTINEL").arg("MASTER").arg(GROUP).query_async(&mut connection).await;
            let Ok(master) = answer else { continue };
            let number = |name: &str| master.get(name).and_then(|number| number.parse::<u16>().ok());
            // Who does not know the others yet can bring about no failover.
            let knows_all = number("num-slaves") >= Some(1) && number("num-other-sentinels") >= Some(2);
            let is_calm = master.get("flags").is_some_and(|flags| flags == "master");
            if let Some(port) = number("port").filter(|_| knows_all && is_calm) {
                *votes.entry(port).or_default() += 1;
            }
        }
        let Some((port, _)) = votes.into_iter().find(|(_, votes)| votes * 2 > asked) else { return Ok(None) };
        let Some((settings, _)) = self.of(Purpose::Durable).find(|(_, own)| *own == port) else { return Ok(None) };
        let Ok(mut connection) = self.enter(settings, port).await? else { return Ok(None) };
        let is_primary = Role::of(&mut connection).await.is_ok_and(|role| role.follows.is_none());
        Ok(is_primary.then_some(port))
    }

    fn of(&self, purpose: Purpose) -> impl Iterator<Item = &(Settings, u16)> {
        self.all.iter().filter(move |(settings, _)| settings.purpose == purpose)
    }

    async fn enter(&self, settings: &Settings, port: u16) -> Result<Result<MultiplexedConnection, RedisFault>, Fault> {
        let name = settings.purpose.admin_secret();
        let password = self.ground.secret(&name)?.ok_or_else(|| Fault::new(format!("there is no {name} yet")))?;
        let who = Identity::User { name: ADMIN, password: &password.secret };
        Ok(Door::of(&self.ground, port)?.enter(who).await)
    }

    async fn look(&self) -> Result<Order, Fault> {
        for (settings, _) in &self.all {
            if self.ground.secret(&settings.purpose.admin_secret())?.is_none() {
                return Ok(Order::Broken);
            }
        }
        let Some(primary) = self.named().await? else { return Ok(Order::Broken) };
        for (settings, port) in self.of(Purpose::Durable).filter(|(_, port)| *port != primary) {
            let Ok(mut connection) = self.enter(settings, *port).await? else { return Ok(Order::Broken) };
            match Role::of(&mut connection).await {
                Ok(role) if role.follows == Some(primary) && role.is_linked => {}
                _ => return Ok(Order::Broken),
            }
        }
        Ok(Order::Kept)
    }
}

/// What a server says of itself.
pub(crate) struct Role {
    /// The port of its primary; `None`: it is one.
    pub(crate) follows: Option<u16>,
    /// Whether it has all that its primary has.
    pub(crate) is_linked: bool,
}

impl Role {
    pub(crate) async fn of(connection: &mut MultiplexedConnection) -> Result<Self, RedisFault> {
        let said: InfoDict = cmd("INFO").arg("replication").query_async(connection).await?;
        let word = |name: &str| said.get::<String>(name);
        let follows = word("master_port").and_then(|port| port.parse().ok());
        Ok(Self { follows, is_linked: word("master_link_status").as_deref() == Some("up") })
    }
}

impl Resource for Replication {
    type Observed = Order;
    type Step = Arrange;

    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn needs(&self) -> &[ResourceId] {
        &self.needs
    }

    async fn observe(&self) -> Result<Order, Fault> {
        self.look().await
    }

    fn plan(&self, seen: &Order) -> Vec<Arrange> {
        match seen {
            Order::Kept => Vec::new(),
            Order::Broken => vec![Arrange],
        }
    }

    async fn apply(&self, step: &Arrange, _: &Begun, _: &dyn Progress) -> Result<(), Fault> {
        self.perform(step).await
    }
}
