//! As many instances of an app as there is work for.

use std::time::Duration;

use crate::record::record;
use crate::scalars::{Age, Count};
use crate::source::At;

record! {
    /// As many instances as there is work for.
    pub(crate) struct ScaleTable {
        /// Never fewer.
        min: At<Count> = 1,
        /// Never more.
        max: At<Count>,
        /// Requests under way that one instance does well: with more on average another is started.
        in_flight: Count,
        /// One is stopped when one fewer would have done for this long.
        down_after: Age = "5m",
    }
}

/// Within what bounds, and by which measure, an app has as many instances as there is work for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    pub min: u32,
    pub max: u32,
    /// Requests under way that one instance does well.
    pub in_flight: u32,
    /// One is stopped when one fewer would have done for this long.
    pub down_after: Duration,
}

impl ScaleTable {
    pub(crate) fn resolve(&self) -> Scale {
        Scale {
            min: self.min.value.0,
            max: self.max.value.0,
            in_flight: self.in_flight.0,
            down_after: self.down_after.0,
        }
    }
}
