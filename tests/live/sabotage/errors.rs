//! Errors that do not arrive: nobody takes them.

use super::Scene;

const ID: &str = "forced-errors-arrive";

impl Scene {
    pub(super) fn nobody_who_takes_errors(&self) {
        self.holds(ID);
        self.held("telemetry", || {
            self.fails(ID, "not found within 5 s");
        });
        self.holds(ID);
    }
}
