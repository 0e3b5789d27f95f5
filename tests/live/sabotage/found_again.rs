//! Telemetry that keeps nothing, and an app whose lines nobody can find.

use super::Scene;

const ID: &str = "requests-are-found-again";

impl Scene {
    /// Held, so that the keeper does not start it again: nobody answers who looks for a request.
    pub(super) fn a_telemetry_that_is_away(&self) {
        self.holds(ID);
        self.held("telemetry", || {
            self.fails(ID, "cannot speak to telemetry");
        });
        self.holds(ID);
    }

    /// A day's file with the wrong owner's words in it: what the edge wrote is not what is found.
    pub(super) fn a_log_that_nobody_reads(&self) {
        let log = self.shop.root().join("logs/access.log");
        let aside = self.shop.root().join("logs/access.aside");
        // The edge goes on in the file that it has open, under a name that is no log's.
        std::fs::rename(&log, &aside).unwrap();
        self.fails(ID, "no line of the access log has");
        std::fs::rename(&aside, &log).unwrap();
        self.holds(ID);
    }
}
