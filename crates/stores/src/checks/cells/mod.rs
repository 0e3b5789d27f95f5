//! Every cell of the table that `access` works out, tried at a living server: each credential that an environment has, with each
//! operation. At its own servers what it may must be done and the rest refused; at those of another environment everything.
//!
//! ```text
//!   gather: what the secret store, the authority and a lease have ─► credentials
//!   credentials × operations ─► at our own server: as the table says      ─► Tried ─► sentences of the evidence
//!                            └► at another environment's: all are refused ─┘
//! ```

mod mongodb;
mod redis;

pub use mongodb::MongoCredentials;
pub use redis::RedisCredentials;

use std::collections::BTreeMap;
use std::time::Duration;

use secrets::Secret;
use tokio::time::{Instant, sleep};

use crate::leases::Rights;

/// A user that is lent while this is tried.
#[derive(Clone, Copy, Debug)]
pub struct Borrowed<'a> {
    pub rights: Rights,
    pub name: &'a str,
    pub in_mongodb: &'a Secret,
    pub in_redis: &'a Secret,
}

/// What became of one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Became {
    Done,
    /// With the server's own word for it.
    Refused(String),
    /// The server let it through, and it went otherwise than it should.
    Otherwise(String),
    /// The server did not answer.
    Silent(String),
}

#[derive(Debug)]
struct Cell {
    operation: &'static str,
    is_allowed: bool,
    became: Became,
}

/// All that was tried with one credential at one server.
#[derive(Debug)]
pub struct Tried {
    who: String,
    cells: Vec<Cell>,
}

/// A sentence of the evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    AsItShould(String),
    NotAsItShould(String),
    /// The server did not answer: nothing is known.
    Untried(String),
}

/// What a log in is called among the operations.
const LOG_IN: &str = "log in";

/// A gate freezes a store for some seconds and stops another: a server that is silent is asked again for longer than that.
const PATIENCE: Duration = Duration::from_secs(12);

const PAUSE: Duration = Duration::from_millis(250);

impl Tried {
    /// How many operations had an answer.
    pub fn answered(&self) -> usize {
        self.cells.iter().filter(|cell| !matches!(cell.became, Became::Silent(_))).count()
    }

    /// One sentence for all that is as it should be, one for each that is not.
    pub fn told(&self) -> Vec<Told> {
        let who = &self.who;
        let mut told = Vec::new();
        let mut right: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for Cell { operation, is_allowed, became } in &self.cells {
            match (became, is_allowed) {
                (Became::Done, true) => right.entry("done".to_owned()).or_default().push(operation),
                (Became::Refused(word), false) => right.entry(format!("refused ({word})")).or_default().push(operation),
                (Became::Done, false) => told.push(Told::NotAsItShould(format!("{who}, {operation}: allowed"))),
                (Became::Refused(word), true) => {
                    told.push(Told::NotAsItShould(format!("{who}, {operation}: refused ({word})")));
                }
                (Became::Otherwise(how), _) => {
                    told.push(Told::NotAsItShould(format!("{who}, {operation}: let through, and it ended with {how}")));
                }
                (Became::Silent(why), _) => {
                    told.push(Told::Untried(format!("{who}, {operation}: it does not answer ({why})")));
                }
            }
        }
        let right: Vec<String> =
            right.iter().map(|(became, operations)| format!("{}: {became}", operations.join(", "))).collect();
        if !right.is_empty() {
            told.insert(0, Told::AsItShould(format!("{who}: {}", right.join("; "))));
        }
        told
    }

    fn is_silent(&self) -> bool {
        self.cells.iter().any(|cell| matches!(cell.became, Became::Silent(_)))
    }
}

async fn patiently<F: Future<Output = Tried>>(mut once: impl FnMut() -> F) -> Tried {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let tried = once().await;
        if !tried.is_silent() || Instant::now() >= give_up {
            return tried;
        }
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(operation: &'static str, is_allowed: bool, became: Became) -> Cell {
        Cell { operation, is_allowed, became }
    }

    #[test]
    fn what_is_right_is_one_sentence_and_what_is_not_is_named() {
        let refused = || Became::Refused("Unauthorized".to_owned());
        let tried = Tried {
            who: "as backup".to_owned(),
            cells: vec![
                cell("read", true, Became::Done),
                cell("list", true, Became::Done),
                cell("insert", false, refused()),
                cell("remove", false, Became::Done),
                cell("update", true, refused()),
                cell("drop", false, Became::Otherwise("error 26".to_owned())),
                cell("see", false, Became::Silent("nobody".to_owned())),
            ],
        };
        assert_eq!(tried.answered(), 6);
        assert_eq!(
            tried.told(),
            [
                Told::AsItShould("as backup: read, list: done; insert: refused (Unauthorized)".to_owned()),
                Told::NotAsItShould("as backup, remove: allowed".to_owned()),
                Told::NotAsItShould("as backup, update: refused (Unauthorized)".to_owned()),
                Told::NotAsItShould("as backup, drop: let through, and it ended with error 26".to_owned()),
                Told::Untried("as backup, see: it does not answer (nobody)".to_owned()),
            ]
        );
    }
}
