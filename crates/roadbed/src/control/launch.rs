//! Brings keeper and control of a root to life, if they are not alive already.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use host::clock::SystemClock;
use reconcile::ports::{Limits, RestartPolicy, StopPolicy, UnitKind, UnitSpec, UnitState, UnitStatus, Units};
use reconcile::{Fault, Root};
use tokio::time::{Instant, sleep};

use super::client::ControlClient;
use super::{delivering, identity, open_state, sleeping};
use crate::keeper::{self, client::KeeperClient};
use crate::own;
use crate::roots::Roots;
use crate::wanted::{self, Wanted};

/// Control opens two databases and a socket; on a disk that is busy elsewhere this took 2 s at worst.
const START_DEADLINE: Duration = Duration::from_secs(20);

/// So many deaths of a control that is just being started mean that it can't be.
const DEATHS_BEFORE_GIVING_UP: u32 = 3;

/// Name of control's unit.
pub const UNIT: &str = "control";

/// Makes sure that keeper and control of `root` run, the control of this very program.
pub async fn ensure_running(root: &Root, wanted: &Wanted) -> Result<(), Fault> {
    ensure(root, wanted, Wish::New).await
}

/// As [`ensure_running`], where nothing else is wanted than before: whoever is killed meanwhile leaves the wish where it is.
pub async fn ensure_running_again(root: &Root, wanted: &Wanted) -> Result<(), Fault> {
    ensure(root, wanted, Wish::AsBefore).await
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    New,
    AsBefore,
}

async fn ensure(root: &Root, wanted: &Wanted, wish: Wish) -> Result<(), Fault> {
    let purpose = identity::Purpose { product: &wanted.product, environment: &wanted.environment };
    let identity =
        identity::ensure(root, purpose, &Roots::new(wanted.state.clone(), wanted.config.clone()), &SystemClock)?;
    if !keeper::is_running(root).await {
        if identity.has_state {
            // Control would refuse it too, but three times and in its log.
            open_state(root, &identity, Arc::new(SystemClock))?;
            delivering::judge(root, &identity)?;
        }
        // It was stopped. Control must not begin with what was wanted before, beside the command that says what is wanted now.
        if wish == Wish::New {
            wanted::clear(root)?;
            sleeping::forget(root)?;
        }
    }
    keeper::launch(root).await?;
    let units = KeeperClient::new(root.clone());
    units.ensure(spec(root, &wanted.tools)?).await?;
    let control = ControlClient::new(root.clone());
    let deadline = Instant::now() + START_DEADLINE;
    // It may have crashed often before what was wrong with it was mended.
    let before = own_unit(&units).await?.map_or(0, |unit| unit.restarts);
    loop {
        let Err(fault) = control.answers().await else { return Ok(()) };
        let is_looping = own_unit(&units).await?.is_some_and(|unit| {
            unit.state == UnitState::CrashLoop || unit.restarts >= before + DEATHS_BEFORE_GIVING_UP
        });
        if is_looping || Instant::now() >= deadline {
            open_state(root, &identity, Arc::new(SystemClock))?;
            let lines = units.tail(UNIT, 10).await.unwrap_or_default();
            return Err(Fault::because("cannot start control", &fault)
                .hint("`roadbed logs control` shows everything it wrote")
                .output(lines));
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn own_unit(units: &KeeperClient) -> Result<Option<UnitStatus>, Fault> {
    Ok(units.list().await?.into_iter().find(|unit| unit.name == UNIT))
}

/// The C library gives each thread an arena of its own, and what the gate's searches leave in them is in pieces that cannot be given
/// back. Control waits most of the time: it loses nothing by sharing two.
fn few_arenas() -> [(String, String); 1] {
    [("MALLOC_ARENA_MAX".to_owned(), "2".to_owned())]
}

fn spec(root: &Root, tools: &BTreeMap<String, String>) -> Result<UnitSpec, Fault> {
    Ok(spec_of(root, tools, own::program_of(root)?, own::revision()?))
}

/// Control as this program, by its path and its digest.
pub fn spec_of(root: &Root, tools: &BTreeMap<String, String>, program: PathBuf, revision: String) -> UnitSpec {
    UnitSpec {
        name: UNIT.to_owned(),
        kind: UnitKind::Control,
        program,
        args: vec!["control".into(), "--root".into(), root.path().to_string_lossy().into_owned()],
        cwd: root.path().to_owned(),
        env: wanted::without_credentials(tools).into_iter().chain(few_arenas()).collect(),
        revision,
        in_files: Vec::new(),
        loaded: reconcile::loaded::Loaded::new(),
        sockets: Vec::new(),
        restart: RestartPolicy { max_delay: Duration::from_secs(5), ..RestartPolicy::default() },
        stop: StopPolicy::default(),
        limits: Limits::default(),
        confinement: None,
    }
}
