//! What keeps a team from working, and a runbook that leads nowhere.

use std::fs;
use std::os::unix::fs::symlink;

use incidents::runbook;
use testkit::copy_folder;

use super::Scene;

const BACKEND: &str = "backend-can-work";
const FRONTEND: &str = "frontend-can-work";
const ADMIN: &str = "admin-can-work";
const RUNBOOK: &str = "runbook-can-be-followed";

impl Scene {
    /// The cache is away: its team is told so, and that it is not theirs.
    pub(super) fn a_cache_that_is_away(&self) {
        self.holds(BACKEND);
        self.held("redis-cache", || {
            // No user can be lent without it.
            let seen =
                self.fails(BACKEND, "api: no user of its own in the data services: redis")["observed"].to_string();
            assert!(seen.contains("ask platform, platform@urbancart.example"), "{seen}");
        });
        self.holds(BACKEND);
    }

    /// The pages of the storefront do not come, and whoever works on them is whom to ask.
    pub(super) fn a_storefront_that_does_not_answer(&self) {
        self.holds(FRONTEND);
        self.held("storefront-1", || {
            let seen = self.fails(FRONTEND, "storefront: https://")["observed"].to_string();
            assert!(seen.contains("ask storefront, storefront@urbancart.example"), "{seen}");
        });
        self.holds(FRONTEND);
    }

    /// The edge has forgotten the admin's address.
    pub(super) fn an_admin_that_nobody_reaches(&self) {
        self.holds(ADMIN);
        self.publish_another(|table| table.sites.retain(|site| site.app != "admin"));
        self.fails(ADMIN, "admin: https://");
        self.mended_by_up();
        self.holds(ADMIN);
    }

    pub(super) fn a_runbook_of_another_time(&self) {
        self.holds(RUNBOOK);
        let folder = self.project.path().join("docs");
        let real = fs::read_link(&folder).unwrap();
        fs::remove_file(&folder).unwrap();
        copy_folder(&real, &folder);
        let page = self.project.path().join(runbook::PATH);
        let text = fs::read_to_string(&page).unwrap();
        fs::write(&page, text.replace("--env production", "--env live")).unwrap();
        let seen = self.fails(RUNBOOK, "is not as the manifest makes it")["observed"].to_string();
        assert!(seen.contains("there is no environment live"), "{seen}");
        fs::remove_dir_all(&folder).unwrap();
        symlink(real, &folder).unwrap();
        self.holds(RUNBOOK);
    }
}
