//! Telemetry that keeps nothing.

use super::Scene;

const ID: &str = "requests-are-found-again";

impl Scene {
    /// Held, so that the keeper does not start it again: nobody answers who looks for a request.
    pub(super) fn a_telemetry_that_is_away(&self) {
        self.held("telemetry", || {
            self.fails(ID, "cannot speak to telemetry");
        });
        self.holds(ID);
    }
}
