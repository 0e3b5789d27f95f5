//! The roles, one after the other, to one program.
//!
//! The keeper first: whoever is newer than their keeper might ask it for what it does not know, and an older one asks for nothing
//! that a newer has unlearned. Control next, since it is control that specifies the others. Each step looks first, so a course may be
//! begun again at any point of it.

use std::future::Future;
use std::time::Duration;

use reconcile::ports::{UnitState, UnitStatus, Units};
use reconcile::{Fault, Root};
use tokio::time::{Instant, sleep};

use crate::control::client::ControlClient;
use crate::control::launch;
use crate::keeper::client::KeeperClient;
use crate::own::Program;
use crate::world::serving::EDGE;
use crate::world::telemetry::TELEMETRY;
use crate::{programs, wanted};

/// A role. In the order in which they are moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Keeper,
    Control,
    Telemetry,
    Edge,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keeper => "keeper",
            Self::Control => "control",
            Self::Telemetry => "telemetry",
            Self::Edge => "edge",
        }
    }
}

/// What runs: digests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roles {
    pub keeper: Program,
    pub control: Option<String>,
    pub telemetry: Option<String>,
    pub edge: Option<String>,
}

impl Roles {
    /// Each that there is, with what it runs.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let others = [("control", &self.control), ("telemetry", &self.telemetry), ("edge", &self.edge)];
        let others = others.into_iter().filter_map(|(role, digest)| Some((role, digest.as_deref()?)));
        std::iter::once(("keeper", self.keeper.digest.as_str())).chain(others)
    }

    pub fn digests(&self) -> Vec<&str> {
        self.each().map(|(_, digest)| digest).collect()
    }

    /// Whether all that there are run this program.
    pub fn all_run(&self, digest: &str) -> bool {
        self.each().all(|(_, runs)| runs == digest)
    }
}

/// Asks the keeper.
pub async fn roles(root: &Root) -> Result<Roles, Fault> {
    let keeper = KeeperClient::new(root.clone());
    let units = keeper.list().await?;
    let of = |name: &str| units.iter().find(|unit| unit.name == name).map(digest_of);
    Ok(Roles { keeper: keeper.program().await?, control: of(launch::UNIT), telemetry: of(TELEMETRY), edge: of(EDGE) })
}

/// The first word of a role's revision.
fn digest_of(unit: &UnitStatus) -> String {
    unit.revision.split(' ').next().unwrap_or_default().to_owned()
}

/// Each role has so long to come up as the new program. The edge waits for the convergence that control begins with.
const DEADLINE: Duration = Duration::from_secs(30);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// So many deaths of a control that is just being started mean that it can't be.
const DEATHS_BEFORE_GIVING_UP: u32 = 3;

/// Whoever is killed meanwhile may have been brought back by a role that was not moved yet, as the program that this one runs.
const ROUNDS: u32 = 3;

/// Moves all that run to a program that the root keeps, and says which are there.
pub async fn steer(root: &Root, digest: &str, moved: &mut impl FnMut(Role)) -> Result<(), Fault> {
    for _ in 0..ROUNDS {
        steer_once(root, digest, moved).await?;
        if roles(root).await?.all_run(digest) {
            return Ok(());
        }
    }
    Err(Fault::new(format!("not all roles run the program {digest}"))
        .cause(format!("each of {ROUNDS} times one of them was brought back as another"))
        .hint("`roadbed upgrade` goes on; keeper.log in the root's logs shows who died"))
}

async fn steer_once(root: &Root, digest: &str, moved: &mut impl FnMut(Role)) -> Result<(), Fault> {
    let program = programs::place(root, digest);
    let keeper = KeeperClient::new(root.clone());
    if keeper.program().await?.digest != digest {
        let before = keeper.health().await?.pid;
        keeper.become_another(&program).await?;
        until("keeper", async || {
            let (health, program) = (keeper.health().await?, keeper.program().await?);
            if program.digest == digest {
                return Ok(Some(()));
            }
            if health.pid == before {
                return Ok(None);
            }
            Err(Fault::new("the keeper ended as the new program; one of the program before took its place")
                .hint("keeper.log in the root's logs shows what it said"))
        })
        .await?;
    }
    moved(Role::Keeper);

    let Some(want) = wanted::read(root)? else {
        return Err(Fault::new("nothing is wanted of this environment yet").hint("`roadbed up` says what is"));
    };
    let spec = launch::spec_of(root, &want.tools, program, digest.to_owned());
    keeper.ensure(spec).await?;
    let client = ControlClient::new(root.clone());
    let before = unit(&keeper, launch::UNIT).await?.map_or(0, |unit| unit.restarts);
    until("control", async || {
        let Some(unit) = unit(&keeper, launch::UNIT).await? else { return Ok(None) };
        if unit.restarts >= before + DEATHS_BEFORE_GIVING_UP {
            let lines = keeper.tail(launch::UNIT, 5).await.unwrap_or_default();
            let died = unit.last_exit.unwrap_or_default();
            return Err(Fault::new("control does not come up as the new program").cause(died).output(lines));
        }
        let runs = unit.state == UnitState::Running && digest_of(&unit) == digest;
        Ok((runs && client.answers().await.is_ok()).then_some(()))
    })
    .await?;
    moved(Role::Control);

    // Control moves these, by the convergence that it begins with.
    for (name, role) in [(TELEMETRY, Role::Telemetry), (EDGE, Role::Edge)] {
        if unit(&keeper, name).await?.is_none() {
            continue;
        }
        until(name, async || {
            let Some(unit) = unit(&keeper, name).await? else { return Ok(None) };
            let runs = unit.state == UnitState::Running && digest_of(&unit) == digest;
            Ok(runs.then_some(()))
        })
        .await?;
        moved(role);
    }
    Ok(())
}

async fn unit(keeper: &KeeperClient, name: &str) -> Result<Option<UnitStatus>, Fault> {
    Ok(keeper.list().await?.into_iter().find(|unit| unit.name == name))
}

/// Looks until it is so, or can no longer be.
async fn until<L: Future<Output = Result<Option<()>, Fault>>>(role: &str, look: impl Fn() -> L) -> Result<(), Fault> {
    let deadline = Instant::now() + DEADLINE;
    let mut last = None;
    loop {
        match look().await {
            Ok(Some(())) => return Ok(()),
            Ok(None) => {}
            Err(fault) if fault.retry == reconcile::fault::Retry::Safe => last = Some(fault),
            Err(fault) => return Err(fault),
        }
        if Instant::now() >= deadline {
            let fault = Fault::new(format!("the {role} did not come up as the new program"))
                .cause(format!("waited {} s", DEADLINE.as_secs()))
                .hint(format!("`roadbed logs {role}` shows what it said"));
            return Err(last.into_iter().fold(fault, |fault, last| fault.cause(last.message)));
        }
        sleep(PAUSE).await;
    }
}
