//! Errors that do not arrive: nobody takes them, and nobody lets them in.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use telemetry::{Project, Settings};
use testkit::wait_until;

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

    /// As if the app reported with the key of before, which nobody knows any more.
    pub(super) fn an_app_whose_key_opens_nothing(&self) {
        let path = self.shop.root().join("conf/telemetry.json");
        let right = std::fs::read_to_string(&path).unwrap();
        let mut settings: Settings = serde_json::from_str(&right).unwrap();
        let api = settings.errors.projects.iter_mut().find(|project| project.app == "api").unwrap();
        api.keys.iter_mut().for_each(|key| key.digest = Project::digest_of("another"));
        std::fs::write(&path, serde_json::to_string(&settings).unwrap()).unwrap();
        let before = self.shop.kill9("telemetry");
        wait_until("it is started again", Duration::from_secs(30), || {
            self.shop.runs_anew("telemetry", before)?;
            UnixStream::connect(self.shop.root().join("run/telemetry.sock"))
                .map(drop)
                .map_err(|error| error.to_string())
        });
        self.fails(ID, "api: not found within 5 s: no error of that request is there");
        self.mended_by_up();
        // Whoever was turned away waits for a minute before it reports again; one that starts anew knows of no refusal.
        let _ = self.shop.roadbed(&["restart", "api"]).expect(0);
        self.holds(ID);
    }
}
