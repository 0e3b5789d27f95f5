//! A replica set of several members on one host: who they are, who is primary, and how the set grows, shrinks and heals.
//!
//! ```text
//!   first member boots behind no port ─► administrator ─► set of one ─► mongodb-2 starts empty ─► joins ─► copies ─► mongodb-3 …
//!   configuration changed:  secondaries one by one ─► primary hands over ─► restarts as a secondary
//!   data of one is lost:    starts empty ─► the others tell it the set ─► copies
//! ```
//!
//! A member with empty data has no users, and its configuration takes away what lets a local stranger make the first one: nobody
//! but the other members, who share its key file, can do anything there.
//!
//! **Invariant:** one change of the set at a time, and none that leaves fewer living members than a majority. Only the primary is
//! asked for changes, and who that is is asked each time.

mod apply;
mod ask;
mod config;
mod observe;
mod plan;
mod report;

use std::time::Duration;

use reconcile::Fault;
use tokio::time::{Instant, sleep};

use super::{Trust, UNIT};
use crate::Ground;
pub(crate) use apply::perform;
pub use ask::State;
pub(crate) use ask::{Says, ask};
pub use observe::{InSet, Known, Member, Run, Set};
pub(crate) use observe::{has_more, holds_data, observe};
pub use plan::Step;
pub(crate) use plan::{drift, plan};
pub use report::{MemberReport, report};

/// A member that misses the primary for so long stands for election. Members are on one host, so what delays a heartbeat is a
/// busy machine, and not a network.
pub(crate) const ELECTION_TIMEOUT: Duration = Duration::from_secs(2);

/// Two elections on a busy machine.
const PRIMARY_DEADLINE: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(50);

/// The members of one replica set by their ports on loopback, the first one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members(Vec<u16>);

impl From<u16> for Members {
    fn from(only: u16) -> Self {
        Self(vec![only])
    }
}

impl From<Vec<u16>> for Members {
    fn from(ports: Vec<u16>) -> Self {
        assert!(!ports.is_empty(), "a set has a member");
        Self(ports)
    }
}

impl From<&Self> for Members {
    fn from(members: &Self) -> Self {
        members.clone()
    }
}

/// The unit of a member, counted from one; also the name of its folders and its log. The first keeps the name that it has alone.
pub fn unit_of(number: u32) -> String {
    if number == 1 { UNIT.to_owned() } else { format!("{UNIT}-{number}") }
}

/// Whether a unit or a folder is of a member, of whatever number.
pub fn is_member(name: &str) -> bool {
    name.strip_prefix(UNIT).is_some_and(|rest| {
        rest.is_empty() || rest.strip_prefix('-').and_then(|number| number.parse::<u32>().ok()).is_some_and(|n| n > 1)
    })
}

impl Members {
    pub fn ports(&self) -> &[u16] {
        &self.0
    }

    /// The port of the first member.
    pub fn first(&self) -> u16 {
        self.0[0]
    }

    pub fn is_one(&self) -> bool {
        self.0.len() == 1
    }

    /// Names of their units.
    pub fn units(&self) -> impl Iterator<Item = String> + '_ {
        (1_u32..).zip(&self.0).map(|(number, _)| unit_of(number))
    }

    /// Name of the unit with this port.
    pub fn unit_at(&self, port: u16) -> String {
        let at = (1_u32..).zip(&self.0).find(|(_, other)| **other == port).map_or(1, |(number, _)| number);
        unit_of(at)
    }

    /// `127.0.0.1:20001,127.0.0.1:20002`
    pub(crate) fn hosts(&self) -> String {
        self.0.iter().map(|port| super::observe::member(*port)).collect::<Vec<_>>().join(",")
    }

    /// The port of the primary, waited for. A set of one is not asked: it is primary or nothing.
    pub(crate) async fn primary(&self, ground: &Ground) -> Result<u16, Fault> {
        if self.is_one() {
            return Ok(self.first());
        }
        self.elected(ground).await
    }

    /// As [`Self::primary`], also where one member is wanted and the set still has more.
    pub(crate) async fn elected(&self, ground: &Ground) -> Result<u16, Fault> {
        let trust = Trust::of(ground)?;
        let give_up = Instant::now() + PRIMARY_DEADLINE;
        loop {
            if let Some(port) = self.primary_now(&trust).await {
                return Ok(port);
            }
            if Instant::now() >= give_up {
                return Err(Fault::new("mongodb has no primary")
                    .cause(format!("its members elected none within {} s", PRIMARY_DEADLINE.as_secs()))
                    .hint("more than half of them must run: see `roadbed status` and `roadbed logs mongodb`")
                    .retry_safe());
            }
            sleep(POLL).await;
        }
    }

    /// The port of the primary as things stand. It may be a member that is to leave: the others know where it is.
    pub(crate) async fn primary_now(&self, trust: &Trust) -> Option<u16> {
        let all = futures_util::future::join_all(self.0.iter().map(|port| ask(*port, trust))).await;
        if let Some(port) = latest_primary(self.0.iter().copied().zip(&all)) {
            return Some(port);
        }
        let elsewhere = all.iter().filter_map(|says| says.knows_primary).find(|port| !self.0.contains(port))?;
        (ask(elsewhere, trust).await.state == State::Primary).then_some(elsewhere)
    }
}

/// One that was cut off believes for some seconds that it still is primary: the later election counts.
fn latest_primary<'a>(all: impl Iterator<Item = (u16, &'a Says)>) -> Option<u16> {
    let primaries = all.filter(|(_, says)| says.state == State::Primary);
    primaries.max_by_key(|(_, says)| says.election).map(|(port, _)| port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_keeps_the_name_that_it_has_alone() {
        let members = Members::from(vec![20_001, 20_002, 20_003]);
        assert_eq!(members.units().collect::<Vec<_>>(), ["mongodb", "mongodb-2", "mongodb-3"]);
        assert_eq!(members.unit_at(20_002), "mongodb-2");
        assert_eq!(members.hosts(), "127.0.0.1:20001,127.0.0.1:20002,127.0.0.1:20003");
        assert_eq!(Members::from(20_001).units().collect::<Vec<_>>(), ["mongodb"]);
    }

    #[test]
    fn only_members_are_members() {
        for name in ["mongodb", "mongodb-2", "mongodb-10"] {
            assert!(is_member(name), "{name}");
        }
        for name in ["mongodb-1", "mongodb-0", "mongodb-", "mongodb-x", "redis", "mongodbs"] {
            assert!(!is_member(name), "{name}");
        }
    }

    #[test]
    fn of_two_that_believe_it_the_later_elected_is_primary() {
        let primary = |election: u8| Says {
            state: State::Primary,
            election: Some(mongodb::bson::oid::ObjectId::from_bytes([election; 12])),
            ..Says::nothing()
        };
        let all = [primary(1), Says::nothing(), primary(2)];
        assert_eq!(latest_primary([1, 2, 3].into_iter().zip(&all)), Some(3));
        assert_eq!(latest_primary([1, 2].into_iter().zip(&all[1..2])), None);
    }
}
