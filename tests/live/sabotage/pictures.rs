//! Object storage and what is delivered from it.

use std::fs;
use std::time::Duration;

use testkit::wait_until;

use super::Scene;

const DELIVERED: &str = "media-variants-are-delivered";
const KEYS: &str = "objects-open-to-their-own";

impl Scene {
    /// Somebody takes the right to write from everybody and lets in who was on no list. `up` writes the list anew.
    pub(super) fn a_list_of_who_is_let_in_that_somebody_wrote(&self) {
        self.holds(KEYS);
        let path = self.shop.root().join("conf/objects/let-in.json");
        let list = fs::read_to_string(&path).unwrap();
        let narrow = list.replace("\"write\",", "");
        assert_ne!(narrow, list, "the list has another form");
        fs::write(&path, narrow).unwrap();
        // Storage looks for a new list every now and then.
        wait_until("the list is taken up", Duration::from_secs(20), || {
            let check = self.check(KEYS);
            if check["verdict"] == "fails" { Ok(()) } else { Err(format!("{check:#}")) }
        });
        let seen = self.fails(KEYS, "with the key of api: 403 and not 200")["observed"].to_string();
        assert!(seen.contains("PUT in products"), "{seen}");
        // Pictures cannot be put there any more either.
        self.fails(DELIVERED, "no picture can be put into products");
        self.mended_by_up();
        self.holds(KEYS);
        self.holds(DELIVERED);
    }

    /// It is there and does nothing.
    pub(super) fn a_delivery_that_hangs(&self) {
        let held = host::drill::freeze(self.shop.pid_of("media")).unwrap();
        self.fails(DELIVERED, "products");
        drop(held);
        self.holds(DELIVERED);
    }

    /// Somebody widens what may be asked for, and with it what strangers may make this machine do.
    pub(super) fn a_delivery_in_every_width(&self) {
        let path = self.shop.root().join("conf/media/settings.json");
        let settings = fs::read_to_string(&path).unwrap();
        let wider = settings.replace("\"widths\": [", "\"widths\": [\n    161,");
        assert_ne!(wider, settings, "the settings have another form");
        fs::write(&path, wider).unwrap();
        let killed = self.shop.kill9("media");
        wait_until("delivery is there again", Duration::from_secs(20), || self.shop.runs_anew("media", killed));
        self.fails(DELIVERED, "161 pixels, which nobody declared: 200");
        self.mended_by_up();
        self.holds(DELIVERED);
    }
}
