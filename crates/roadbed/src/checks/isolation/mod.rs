//! T3: no environment's keys open another one's stores or edge, and no other user of the machine gets at its files, sockets and
//! processes: which is every app of another environment, as soon as apps have Unix users of their own.
//!
//! ```text
//!   roots ──► each other environment ─┬─► names         databases, prefixes, hosts, ports, folders, generated secrets: disjoint
//!                                     ├─► edge          our authority, our host names, our passwords
//!                                     ├─► ports         connections to its stores and apps, as whoever our apps run as
//!                                     ├─► files         files, sockets and processes, as whoever our apps run as
//!   our own stores ───────────────────┴─► credentials   each that we have, with each operation; a promise of its own
//! ```
//!
//! Everything is tried for real, from this environment towards each other one; the other's own gate tries the way back.

pub(super) mod credentials;
mod edge;
mod files;
mod names;
mod neighbour;
pub(super) mod loan;
mod ports;
pub(super) mod objects;
pub(super) mod tokens;

use std::sync::Arc;

use futures_util::future::join_all;
use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Impact, Outcome, Verdict};
use manifest::Environment;
use reconcile::ports::Units;
use reconcile::{Fault, Root};
use secrets::Store;

use crate::control::identity::{self, Identity};
use crate::roots::Roots;
use crate::wanted::Wanted;
pub use credentials::CredentialsOpenTheirOwn;
use neighbour::Neighbour;
pub use objects::ObjectsOpenToTheirOwn;
pub use tokens::TokensOpenTheirOwn;

pub(crate) const CLAIM: Claim = Claim {
    task: "T3",
    id: "environments-are-isolated",
    claim: "No environment's keys open another one's edge, none has what another has, and no other user gets at its files, sockets \
            or processes",
    hint: "the observations name what opened; `roadbed secrets list --env E` and `roadbed status --env E` show both sides",
    impact: Impact::Observes,
};

/// The environment whose gate this is.
#[derive(Clone, Debug)]
pub struct Here {
    pub root: Root,
    pub wanted: Wanted,
    pub environment: Arc<Environment>,
    pub secrets: Arc<Store>,
    pub units: Arc<dyn Units>,
}

/// Tries the doors of every other environment of the product that this user has on this machine.
#[derive(Debug)]
pub struct EnvironmentsAreIsolated {
    pub here: Here,
}

impl Check for EnvironmentsAreIsolated {
    fn claim(&self) -> &Claim {
        &CLAIM
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(async { self.look().await.map_or_else(|fault| unseen(&fault), Cells::outcome) })
    }
}

impl EnvironmentsAreIsolated {
    async fn look(&self) -> Result<Cells, Fault> {
        let ours = Ours::see(&self.here).await?;
        let mut cells = Cells::default();
        files::closed_to_strangers(&ours, &mut cells);
        ports::are_held(ours.root, ours.environment, &mut cells).await;
        for neighbour in ours.neighbours(&mut cells).await? {
            cells.about(format!("{} → {}", ours.name, neighbour.name));
            match neighbour.fault {
                Some(ref fault) => cells.untried(format!("{fault}: {}", fault.causes.join(": "))),
                None => {
                    names::compare(&ours, &neighbour, &mut cells);
                    edge::try_doors(&ours, &neighbour, &mut cells).await;
                    ports::try_doors(&ours, &neighbour, &mut cells).await;
                }
            }
            files::try_doors(&ours, &neighbour, &mut cells);
        }
        Ok(cells)
    }
}

/// This environment, as far as the cells need it.
struct Ours<'a> {
    name: String,
    identity: Identity,
    root: &'a Root,
    environment: &'a Environment,
    wanted: &'a Wanted,
    secrets: &'a Store,
    ports: neighbour::Ports,
    /// Process ids of our apps.
    apps: Vec<(String, u32)>,
}

impl<'a> Ours<'a> {
    async fn see(here: &'a Here) -> Result<Self, Fault> {
        let identity = identity::read(&here.root)?.ok_or_else(|| Fault::new("this root has lost its identity"))?;
        let units = here.units.list().await?;
        Ok(Self {
            name: here.environment.reference().to_string(),
            identity,
            root: &here.root,
            environment: &here.environment,
            wanted: &here.wanted,
            secrets: &here.secrets,
            ports: crate::world::ports_in_use(&here.root, &here.wanted, &units)?,
            apps: neighbour::apps(&units),
        })
    }

    /// Every other environment of the product that this user has on this machine.
    async fn neighbours(&self, cells: &mut Cells) -> Result<Vec<Neighbour>, Fault> {
        let others = Roots::new(self.wanted.state.clone(), self.wanted.config.clone()).others(&self.identity)?;
        if others.is_empty() {
            cells.good(format!(
                "this user has no other environment of {} on this machine: there was no other door to try",
                self.environment.product
            ));
        }
        Ok(join_all(others.into_iter().map(|other| Neighbour::see(self, other))).await)
    }
}

fn unseen(fault: &Fault) -> Outcome {
    Outcome::inconclusive(format!("{fault}: {}", fault.causes.join(": ")))
}

/// What was tried and what became of it.
#[derive(Debug, Default)]
struct Cells {
    about: String,
    observed: Vec<String>,
    is_broken: bool,
    is_incomplete: bool,
}

impl Cells {
    /// The following is from one environment to another.
    fn about(&mut self, both: String) {
        self.about = format!("{both}: ");
    }

    fn good(&mut self, sentence: impl AsRef<str>) {
        self.observed.push(format!("{}{}", self.about, sentence.as_ref()));
    }

    fn bad(&mut self, sentence: impl AsRef<str>) {
        self.is_broken = true;
        self.observed.push(format!("BROKEN: {}{}", self.about, sentence.as_ref()));
    }

    /// Something that is there and could not be tried: nothing is known of it.
    fn untried(&mut self, sentence: impl AsRef<str>) {
        self.is_incomplete = true;
        self.observed.push(format!("NOT TRIED: {}{}", self.about, sentence.as_ref()));
    }

    fn outcome(self) -> Outcome {
        let verdict = match (self.is_broken, self.is_incomplete) {
            (true, _) => Verdict::Fails,
            (false, true) => Verdict::Inconclusive,
            (false, false) => Verdict::Holds,
        };
        Outcome { verdict, observed: self.observed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_tried_is_no_proof_and_what_opened_outweighs_it() {
        let mut cells = Cells::default();
        cells.good("a door is closed");
        cells.about("staging → production".to_owned());
        cells.untried("redis does not answer");
        let outcome = Cells { observed: cells.observed.clone(), is_incomplete: true, ..Cells::default() }.outcome();
        assert_eq!(outcome.verdict, Verdict::Inconclusive);
        cells.bad("mongodb opened");
        let outcome = cells.outcome();
        assert_eq!(outcome.verdict, Verdict::Fails);
        assert_eq!(outcome.observed[2], "BROKEN: staging → production: mongodb opened");
    }
}
