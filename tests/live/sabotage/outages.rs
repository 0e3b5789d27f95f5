//! Outages that nobody would notice: nobody looks, nobody is told, nothing can be kept.

use std::time::Duration;

use rusqlite::Connection;

use super::Scene;

const ID: &str = "outages-are-noticed";

impl Scene {
    pub(super) fn nobody_who_looks(&self) {
        self.holds(ID);
        self.held("telemetry", || {
            self.fails(ID, "cannot speak to telemetry");
        });
        self.holds(ID);
    }

    /// As somebody does at night, and forgets in the morning.
    pub(super) fn a_pause_that_nobody_ended(&self) {
        self.shop.roadbed(&["monitors", "pause", "app/api"]).expect(0);
        self.fails(ID, "nobody is told");
        self.shop.roadbed(&["monitors", "resume"]).expect(0);
        self.holds(ID);
    }

    /// Somebody else's transaction: nothing that is seen can be kept, so nothing is known, and nothing is said to be down.
    pub(super) fn a_book_that_somebody_holds(&self) {
        let book = Connection::open(self.shop.root().join("telemetry/monitors.db")).unwrap();
        book.execute_batch("BEGIN IMMEDIATE").unwrap();
        let wait = Duration::from_secs(40);
        testkit::wait_until("what cannot be kept is unknown", wait, || {
            let asked = self.shop.roadbed(&["monitors", "--json"]);
            if asked.code == 1 {
                // Nothing can be read either: that is said, with what it means.
                assert!(asked.stderr.contains("is unknown, not down"), "{}", asked.stderr);
                return Ok(());
            }
            let monitors = asked.expect(0).json();
            let all = monitors["monitors"].as_array().unwrap();
            assert!(all.iter().all(|monitor| monitor["shown"] != "down"), "{monitors:#}");
            if all.iter().all(|monitor| monitor["shown"] == "unknown") { Ok(()) } else { Err(format!("{monitors:#}")) }
        });
        self.fails(ID, "cannot be found out");
        book.execute_batch("ROLLBACK").unwrap();
        self.holds(ID);
    }
}
