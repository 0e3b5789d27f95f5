//! Limits that are not served, that guard the wrong things, that every edge counts alone.

use reconcile::Root;
use reconcile::ports::{RouteTable, Routes, SiteAccess};

use super::{Scene, now};

const BURSTS: &str = "bursts-are-throttled";
const STRANGERS: &str = "protected-refuses-strangers";
const STRICTER: &str = "accounts-and-money-are-guarded-more";

impl Scene {
    pub(super) fn publish_another(&self, change: impl FnOnce(&mut RouteTable)) {
        let routes = edge::client::EdgeClient::new(Root::new(self.shop.root().to_owned()));
        now(async {
            let mut table = routes.current().await.unwrap().unwrap();
            change(&mut table);
            routes.publish(table).await.unwrap();
        });
    }

    /// A table without limits: whoever asks is served for ever.
    pub(super) fn an_edge_that_lets_everybody_ask_for_ever(&self) {
        self.holds(BURSTS);
        self.publish_another(|table| table.rate_limits = None);
        let seen = self.fails(BURSTS, "requests at once were let in, where 100 are declared")["observed"].to_string();
        assert!(seen.contains("auth") && seen.contains("payment"), "{seen}");
        self.mended_by_up();
        self.holds(BURSTS);
    }

    /// A table in which the admin panel is everybody's.
    pub(super) fn an_edge_that_lets_strangers_see_what_is_protected(&self) {
        self.holds(STRANGERS);
        self.publish_another(|table| table.sites.iter_mut().for_each(|site| site.access = SiteAccess::Public));
        self.fails(STRANGERS, "to who showed a session that is over");
        self.mended_by_up();
        self.holds(STRANGERS);
    }

    /// Logins as often as pictures, and its Redis taken away: an edge that counts alone.
    pub(super) fn logins_as_often_as_pictures_and_an_edge_that_counts_alone(&self) {
        self.holds(STRICTER);
        self.publish_another(|table| {
            let classes = &mut table.rate_limits.as_mut().unwrap().classes;
            let default = classes.iter().find(|class| class.name == "default").unwrap().rate;
            classes.iter_mut().find(|class| class.name == "auth").unwrap().rate = default;
        });
        let seen = self.fails(STRICTER, "auth lets through no less than default")["observed"].to_string();
        assert!(seen.contains("auth is not served as declared"), "{seen}");
        self.mended_by_up();
        let users = self.shop.root().join("conf/redis/users.acl");
        let text = std::fs::read_to_string(&users).unwrap();
        assert!(text.contains("+evalsha"), "the edges have another user");
        std::fs::write(&users, text.replace("+evalsha", "")).unwrap();
        self.started_again("redis");
        self.fails(STRICTER, "this edge counts alone");
        self.mended_by_up();
        self.holds(STRICTER);
    }
}
