//! T3: no environment's keys open another one's stores or edge, and no other user of the machine gets at its files, sockets and
//! processes: which is every app of another environment, as soon as apps have Unix users of their own.
//!
//! ```text
//!   roots ──► each other environment ─┬─► names      databases, prefixes, hosts, ports, folders, generated secrets: disjoint
//!                                     ├─► stores     logins with our keys, and without any
//!                                     ├─► edge       our authority, our host names, our passwords
//!                                     ├─► ports      connections to its stores and apps, as whoever our apps run as
//!                                     └─► files      files, sockets and processes, as whoever our apps run as
//! ```
//!
//! Everything is tried for real, from this environment towards each other one; the other's own gate tries the way back.

mod edge;
mod files;
mod names;
mod neighbour;
mod ports;
mod stores;

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
use neighbour::Neighbour;

const CLAIM: Claim = Claim {
    task: "T3",
    id: "environments-are-isolated",
    claim: "No environment's keys open another one's stores or edge, and no other user gets at its files, sockets or processes",
    hint: "the observations name what opened; `roadbed secrets list --env E` and `roadbed status --env E` show both sides",
    impact: Impact::Observes,
};

/// Tries the doors of every other environment of the product that this user has on this machine.
#[derive(Debug)]
pub struct EnvironmentsAreIsolated {
    pub root: Root,
    pub wanted: Wanted,
    pub environment: Arc<Environment>,
    pub secrets: Arc<Store>,
    /// Who our own users of the data services are.
    pub stores: ::stores::Ground,
    pub units: Arc<dyn Units>,
}

impl Check for EnvironmentsAreIsolated {
    fn claim(&self) -> &Claim {
        &CLAIM
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(async {
            match self.look().await {
                Ok(cells) => cells.outcome(),
                Err(fault) => Outcome::inconclusive(format!("{fault}: {}", fault.causes.join(": "))),
            }
        })
    }
}

impl EnvironmentsAreIsolated {
    async fn look(&self) -> Result<Cells, Fault> {
        let identity = identity::read(&self.root)?.ok_or_else(|| Fault::new("this root has lost its identity"))?;
        let others = Roots::new(self.wanted.state.clone(), self.wanted.config.clone()).others(&identity)?;
        let ours = Ours::see(self, identity).await?;
        let mut cells = Cells::default();
        files::closed_to_strangers(&ours, &mut cells);
        ports::are_held(&self.root, &self.environment, &mut cells).await;
        if others.is_empty() {
            cells.good(format!(
                "this user has no other environment of {} on this machine: there was no other door to try",
                self.environment.product
            ));
        }
        let neighbours = others.into_iter().map(|other| Neighbour::see(&ours, other));
        for neighbour in join_all(neighbours).await {
            cells.about(format!("{} → {}", ours.name, neighbour.name));
            match neighbour.fault {
                Some(ref fault) => cells.untried(format!("{fault}: {}", fault.causes.join(": "))),
                None => {
                    names::compare(&ours, &neighbour, &mut cells);
                    stores::try_keys(&ours, &neighbour, &mut cells).await;
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
    stores: &'a ::stores::Ground,
    ports: neighbour::Ports,
    /// Process ids of our apps.
    apps: Vec<(String, u32)>,
}

impl<'a> Ours<'a> {
    async fn see(check: &'a EnvironmentsAreIsolated, identity: Identity) -> Result<Self, Fault> {
        let units = check.units.list().await?;
        Ok(Self {
            name: check.environment.reference().to_string(),
            identity,
            root: &check.root,
            environment: &check.environment,
            wanted: &check.wanted,
            secrets: &check.secrets,
            stores: &check.stores,
            ports: crate::world::ports_in_use(&check.root, &check.wanted, &units)?,
            apps: neighbour::apps(&units),
        })
    }
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
