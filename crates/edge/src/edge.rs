//! What all requests share.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use host::clock::Clock;

use crate::abuse::Memory;
use crate::admission::Admissions;
use crate::arrivals::Arrivals;
use crate::config::Limits;
use crate::crowd::{Crowd, Guest};
use crate::drain::Watch;
use crate::log::AccessLog;
use crate::rate_limit::Limiter;
use crate::snapshot::Serving;
use crate::tls::Terms;
use crate::tls::on_demand::OnDemand;
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
    pub crowd: Arc<Crowd>,
    pub limiter: Limiter,
    /// Who is let in beyond what the routes say.
    pub admissions: Arc<Admissions>,
    /// What is remembered of visitors who are up to no good.
    pub abuse: Memory,
    /// Where control listens, who signs people in.
    pub control: PathBuf,
    pub tls: Terms,
    /// What is found out about hosts that are in no table.
    pub on_demand: OnDemand,
    /// What authorities are answered with.
    pub proofs: Arc<Proofs>,
    /// Cloned by whatever outlives its request: a tunnel.
    pub watch: Watch,
}

impl Edge {
    /// Whether a client may have one more connection. What is inside is held for its time; nothing, if it does not count: from this
    /// machine, and from proxies, come many clients.
    pub fn admit(&self, peer: IpAddr) -> Option<Option<Guest>> {
        let is_own = peer.to_canonical().is_loopback() && !self.limits.counts_this_machine;
        if is_own || self.serving.load().proxies().is_some_and(|proxies| proxies.trusts(peer)) {
            return Some(None);
        }
        self.crowd.enter(peer).map(Some)
    }
}
