//! Whether the edge lived through a look at a release: what an edge that was killed left unanswered says nothing about the release.

use std::time::Duration;

use reconcile::Fault;
use reconcile::ports::Units;
use tokio::time::sleep;

use crate::control::Control;
use crate::world::serving::EDGE;

/// A visitor sees that a connection broke before the keeper sees that a process ended.
const NOTICED_WITHIN: Duration = Duration::from_millis(500);

/// The edge's process; `None` while none lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EdgeLife(Option<u32>);

impl EdgeLife {
    pub(super) async fn now(control: &Control) -> Self {
        let units = control.keeper.list().await.unwrap_or_default();
        Self(units.into_iter().find(|unit| unit.name == EDGE).and_then(|unit| unit.pid))
    }

    /// What a look came to that began in this life.
    pub(super) async fn judge<T>(self, control: &Control, look: Result<T, Fault>) -> Result<T, Fault> {
        match look {
            Ok(seen) => Ok(seen),
            Err(fault) => {
                sleep(NOTICED_WITHIN).await;
                let lived = self.0.is_some() && Self::now(control).await == self;
                Err(if lived { fault } else { fault.retry_safe() })
            }
        }
    }
}
