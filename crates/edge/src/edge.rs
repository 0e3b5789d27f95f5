//! What all requests share.

use std::sync::Arc;

use arc_swap::ArcSwap;
use host::clock::Clock;

use crate::arrivals::Arrivals;
use crate::config::Limits;
use crate::drain::Watch;
use crate::log::AccessLog;
use crate::snapshot::Serving;
use crate::tls::Terms;
use crate::tls::proofs::Proofs;

/// One running edge.
#[derive(Debug)]
pub struct Edge {
    /// The world as last published. A request loads it once.
    pub serving: Arc<ArcSwap<Serving>>,
    pub clock: Arc<dyn Clock>,
    pub limits: Limits,
    pub log: AccessLog,
    pub arrivals: Arrivals,
    pub tls: Terms,
    /// What authorities are answered with.
    pub proofs: Arc<Proofs>,
    /// Cloned by whatever outlives its request: a tunnel.
    pub watch: Watch,
}
