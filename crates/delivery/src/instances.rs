//! How many instances of an app there are that has as many as there is work for.
//!
//! What runs, what is routed to and what is wanted are three numbers, each on disk before it is made so: a control that is killed
//! in between neither forgets an instance nor routes to one that is not ready.
//!
//! ```text
//!   more:   wanted 3 ─► running 3, each ready ─► routed 3
//!   fewer:  wanted 2 ─► routed 2, what is under way at the third ends ─► running 2
//! ```

use std::collections::BTreeMap;

use host::clock::Timestamp;
use rusqlite::params;
use serde::{Deserialize, Serialize};

use crate::book::{Book, BookFault};

/// The instances of one app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instances {
    pub running: u32,
    /// Visitors reach the first so many.
    pub routed: u32,
    pub wanted: u32,
    /// When another number was wanted last.
    pub since: Timestamp,
}

/// What comes next on the way from what is to what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Run so many; visitors reach as many as before.
    Start(u32),
    /// Those that run are ready: let visitors reach so many.
    Route(u32),
    /// Send nobody to those beyond.
    Unroute(u32),
    /// Stop those beyond: nobody is sent there any more.
    Stop(u32),
}

impl Instances {
    pub fn new(count: u32, since: Timestamp) -> Self {
        Self { running: count, routed: count, wanted: count, since }
    }

    pub fn next(self) -> Option<Move> {
        let Self { running, routed, wanted, .. } = self;
        if routed > wanted {
            Some(Move::Unroute(wanted))
        } else if running < wanted {
            Some(Move::Start(wanted))
        } else if routed < wanted {
            Some(Move::Route(wanted))
        } else if running > wanted {
            Some(Move::Stop(wanted))
        } else {
            None
        }
    }

    #[must_use]
    pub fn after(self, done: Move) -> Self {
        match done {
            Move::Start(running) | Move::Stop(running) => Self { running, ..self },
            Move::Route(routed) | Move::Unroute(routed) => Self { routed, ..self },
        }
    }
}

impl Book {
    /// Of every app that was ever scaled here.
    pub fn instances(&self) -> Result<BTreeMap<String, Instances>, BookFault> {
        let connection = self.connection();
        let mut statement = connection.prepare("SELECT app, body FROM instances")?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
        rows.map(|row| {
            let (app, body) = row?;
            Ok((app, serde_json::from_str(&body)?))
        })
        .collect()
    }

    /// Keeps how many there are.
    pub fn set_instances(&self, app: &str, instances: Instances) -> Result<(), BookFault> {
        let body = serde_json::to_string(&instances)?;
        self.change(|transaction| {
            transaction.execute(
                "INSERT INTO instances (app, body) VALUES (?1, ?2)
                 ON CONFLICT (app) DO UPDATE SET body = excluded.body",
                params![app, body],
            )?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use host::clock::SystemClock;
    use host::database::Presence;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn from_anywhere_it_comes_to_what_is_wanted_and_never_routes_to_what_does_not_run(
            running in 1_u32..20, routed in 1_u32..20, wanted in 1_u32..20,
        ) {
            let since = Timestamp::from_unix_millis(0);
            let mut now = Instances { running, routed: routed.min(running), wanted, since };
            for _ in 0..4 {
                let Some(next) = now.next() else { break };
                now = now.after(next);
                prop_assert!(now.routed <= now.running, "{now:?} after {next:?}");
                prop_assert!(now.routed >= now.wanted.min(routed.min(running)), "visitors lost one for nothing: {now:?}");
            }
            prop_assert_eq!(now, Instances::new(wanted, since));
        }
    }

    #[test]
    fn numbers_survive_a_crash_and_a_control_that_was_replaced_changes_none() {
        let folder = tempfile::tempdir().unwrap();
        let book =
            || Book::open(&folder.path().join("delivery.db"), Presence::MayBeNew, Arc::new(SystemClock)).unwrap();
        let (before, three) = (book(), Instances::new(3, Timestamp::from_unix_millis(7)));
        before.set_instances("api", Instances::new(1, Timestamp::from_unix_millis(1))).unwrap();
        before.set_instances("api", three).unwrap();
        let after = book();
        assert_eq!(after.instances().unwrap(), BTreeMap::from([("api".to_owned(), three)]));
        assert!(matches!(before.set_instances("api", three), Err(BookFault::Fenced)));
    }
}
