//! What is promised about the stores' doors, tested as a stranger, a guesser and the rightful app would.
//!
//! Nothing that is tried here could do harm if it were allowed: a check that empties the store it finds open is no check.

mod mongo;
mod mongo_elsewhere;
mod mongo_rights;
mod redis;
mod redis_promises;
pub mod cells;
pub mod contract;

pub use mongo::MongoGuardsItsDoor;
pub use mongo_rights::MongoGivesLeastPrivilege;
pub use redis::RedisGuardsItsDoor;
pub use redis_promises::RedisKeepsItsPromises;

use gate::{Claim, Findings};

/// What they promise, for who lists all promises.
pub const CLAIMS: [&Claim; 4] = [&mongo::CLAIM, &mongo_rights::CLAIM, &redis::CLAIM, &redis_promises::CLAIM];

/// What became of something that was tried.
#[derive(Debug)]
enum Tried {
    Allowed,
    /// The server understood and said no.
    Refused,
    /// Neither: the server did not answer, or not as a store does.
    Broken(String),
}

/// Notes something that must be refused.
fn must_be_refused(findings: &mut Findings, what: &str, tried: Tried) {
    match tried {
        Tried::Refused => findings.good(format!("{what}: refused")),
        Tried::Allowed => findings.bad(format!("{what}: allowed")),
        Tried::Broken(how) => findings.bad(format!("{what}: no proper answer ({how})")),
    }
}

/// Notes something that must work.
fn must_be_allowed(findings: &mut Findings, what: &str, tried: Tried) {
    match tried {
        Tried::Allowed => findings.good(format!("{what}: done")),
        Tried::Refused => findings.bad(format!("{what}: refused")),
        Tried::Broken(how) => findings.bad(format!("{what}: not done ({how})")),
    }
}
