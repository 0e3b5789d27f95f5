//! A console that shows nothing: the edge leads nobody there, and telemetry keeps nothing that could be shown.

use super::Scene;

const ID: &str = "errors-are-shown";

impl Scene {
    /// A route table without it: errors are kept, and nobody sees them.
    pub(super) fn an_edge_that_leads_nobody_to_the_console(&self) {
        self.holds(ID);
        self.publish_another(|table| table.sites.retain(|site| site.app != "console"));
        self.fails(ID, "the console");
        self.mended_by_up();
        self.holds(ID);
    }

    pub(super) fn a_console_that_has_nothing_to_show(&self) {
        self.held("telemetry", || {
            self.fails(ID, "names no error");
        });
        self.holds(ID);
    }
}
