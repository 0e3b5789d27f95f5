//! Another environment of the same user on this machine, which has too much of ours.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use manifest::environment::Class;
use secrets::identity::PrivateKey;
use secrets::{Secret, SecretName, Writing};
use serde_json::Value;
use testkit::Environment;

use super::Scene;
use crate::stage;

const PAYMENTS: &str = "payments-stay-out-of-previews";

impl Scene {
    fn neighbour(&self, environment: &str) -> Environment {
        Environment::new(env!("CARGO_BIN_EXE_roadbed"), self.project.path())
            .neighbour_of(&self.shop)
            .with_variable("PATH", &self.shop.variables()["PATH"])
            .with_flags(&["--env", environment])
    }

    /// Another environment on this machine whose stores were given our passwords, whose files were opened to everybody, and
    /// whose MongoDB we believe to be ours.
    pub(super) fn a_neighbour_with_our_passwords_and_an_open_house(&self) {
        const ID: &str = "environments-are-isolated";
        let neighbour = self.neighbour("preview/pr-7");
        let up = || drop(neighbour.up_with(&["--free-ports", "--no-gate"]));
        up();
        self.holds(ID);

        let api = manifest::AppName::new("api").unwrap();
        let names = [stores::mongo::app_secret(&api), stores::redis::Purpose::Durable.app_secret(&api)];
        let theirs = stage::store_of(&neighbour);
        let before = names.each_ref().map(|name| theirs.get(name).unwrap().unwrap().secret);
        for name in &names {
            theirs.set(name, Class::Secret, &self.secret(name)).unwrap();
        }
        up();
        self.fails(ID, "both have the value of mongodb/app-api, redis/app-api");
        let seen = self.fails("credentials-open-their-own-data-only", "log in: allowed")["observed"].to_string();
        for (store, cell) in [
            ("mongodb", "with the password of app-api, log in: allowed"),
            ("mongodb", "with the password of app-api, insert: allowed"),
            ("redis", "with redis's password of app-api, log in: allowed"),
            ("redis", "with redis's password of app-api, write: allowed"),
        ] {
            let mut broken = seen.split("BROKEN: local → preview/pr-7: ");
            let is_told = broken.any(|told| told.starts_with(&format!("{store} on port")) && told.contains(cell));
            assert!(is_told, "no {cell:?} at {store} in {seen}");
        }
        for (name, secret) in names.iter().zip(&before) {
            theirs.set(name, Class::Secret, secret).unwrap();
        }
        up();
        self.holds(ID);

        let folders = [neighbour.root().to_owned(), neighbour.root().join("secrets")];
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        folders.iter().for_each(|folder| mode(folder, 0o755));
        mode(&neighbour.root().join("secrets/store.db"), 0o644);
        let is_root = host::intruder::may_become_others();
        self.fails(ID, if is_root { "read secrets/store.db: opened" } else { "is open to others by its mode 755" });
        mode(&neighbour.root().join("secrets/store.db"), 0o600);
        folders.iter().for_each(|folder| mode(folder, 0o700));
        self.holds(ID);

        let book = |root: &Path| root.join("state/ports.json");
        let right = fs::read_to_string(book(self.shop.root())).unwrap();
        let port = |text: &str| serde_json::from_str::<Value>(text).unwrap()["ports"]["mongodb"].to_string();
        let (ours, its) = (port(&right), port(&fs::read_to_string(book(neighbour.root())).unwrap()));
        fs::write(book(self.shop.root()), right.replace(&ours, &its)).unwrap();
        self.fails(ID, &format!("both have the port {its} (our mongodb, its mongodb)"));
        fs::write(book(self.shop.root()), right).unwrap();
        self.holds(ID);

        if host::intruder::may_become_others() {
            self.without_the_packet_filter(ID, &neighbour, &up);
        }
    }

    /// As root the packet filter holds the neighbour's network rules: a rule in front of them that lets everybody in, then no
    /// rules at all where the neighbour demands them.
    fn without_the_packet_filter(&self, id: &str, neighbour: &Environment, up: &dyn Fn()) {
        let table = roadbed::world::network::table_of(neighbour.root());
        let nft = |words: &str| {
            let done = Command::new("nft").args(words.split(' ')).output().expect("./setup installs nft");
            assert!(done.status.success(), "nft {words}: {}", String::from_utf8_lossy(&done.stderr));
        };
        nft(&format!("insert rule inet {table} inside accept"));
        let seen = self.fails(id, "as our app's user")["observed"].to_string();
        assert!(seen.contains("a connection came about"), "{seen}");
        // Its rules are right but for the one that nobody of ours wrote, so that `up` sees nothing to do: they go as a whole.
        nft(&format!("delete table inet {table}"));
        up();
        self.holds(id);

        let demanded = |manifest: String| {
            let preview = "domain = \"pr-{pr}.preview.urbancart.example\"";
            assert!(manifest.contains(preview), "the manifest has another preview");
            manifest.replace(preview, &format!("{preview}\nnetwork = {{ enforce = \"required\" }}"))
        };
        self.with_manifest(demanded, || {
            up();
            self.holds(id);
            nft(&format!("delete table inet {table}"));
            let seen = self.fails(id, "no packet filter holds its network rules");
            up();
            self.holds(id);
            seen
        });
        up();
    }

    /// A preview that was made a recipient of our store: by mistake, or by somebody who wanted to look into it.
    pub(super) fn a_store_that_opens_for_a_preview(&self) {
        const ID: &str = "store-opens-for-its-own";
        let preview = self.neighbour("preview/pr-8");
        let _ = preview.roadbed(&["secrets", "list"]).expect(0);
        let theirs = stage::store_of(&preview);
        theirs.get_or_generate(&SecretName::new("mongodb/admin"), Class::Secret).unwrap();
        self.holds(ID);
        self.holds(PAYMENTS);

        let path = theirs.seat().keys.host_identity(&theirs.seat().install).unwrap();
        let key = PrivateKey::read(&path).unwrap().unwrap();
        let ours = stage::store_of(&self.shop);
        ours.add_recipient("colleague", &key.public().unwrap()).unwrap();
        self.fails(ID, "the key of preview/pr-8 opens");
        self.fails(PAYMENTS, "the key of preview/pr-8 opens");
        ours.remove_recipient("colleague").unwrap();
        self.holds(ID);
        self.holds(PAYMENTS);
    }

    pub(super) fn a_manifest_that_gives_previews_a_payment_key(&self) {
        let broken = |manifest: String| {
            let kept_out = "environments = [\"local\", \"staging\", \"production\"]\nrequired";
            assert!(manifest.contains(kept_out), "the manifest has another PAYMENT_SECRET_KEY");
            manifest.replace(kept_out, "environments = [\"local\", \"staging\", \"production\", \"preview\"]\nrequired")
        };
        self.with_manifest(broken, || {
            self.fails(PAYMENTS, "PAYMENT_SECRET_KEY is of class payment and must not exist in preview")
        });
        self.holds(PAYMENTS);
    }

    /// Past the rules of writing, which stand in the way of each of these.
    pub(super) fn a_preview_with_a_payment_key_under_another_name(&self) {
        let preview = self.neighbour("preview/pr-9");
        let up = || drop(preview.up_with(&["--free-ports", "--no-gate"]));
        let check = || {
            let report = preview.ready(&[PAYMENTS]);
            (report["holds"].as_bool().unwrap(), report["checks"][0]["observed"].to_string())
        };
        let holds = || assert!(check().0, "{}", check().1);
        let fails = |because: &str| {
            let (holds, observed) = check();
            assert!(!holds && observed.contains(because), "no {because:?} in {observed}");
        };
        up();
        holds();
        let theirs = stage::store_of(&preview);
        let ours = SecretName::variable("PAYMENT_SECRET_KEY");
        let key = self.secret(&ours);

        let harmless = SecretName::variable("HARMLESS");
        theirs.set(&harmless, Class::Secret, &key).unwrap();
        fails("the store keeps var/PAYMENT_SECRET_KEY of local as var/HARMLESS");
        theirs.remove(&harmless).unwrap();
        holds();

        let of_tests = self.payment_rule();
        let writing = Writing { class: Class::Payment, rule: Some(&of_tests) };
        let another = Secret::new(format!("sk_test_{}", "another0one".repeat(2)));
        theirs.set(&ours, writing, &another).unwrap();
        fails("the store keeps var/PAYMENT_SECRET_KEY version 1, of class payment");
        theirs.remove(&ours).unwrap();
        holds();

        let session = SecretName::variable("SESSION_SECRET");
        let before = theirs.get(&session).unwrap().unwrap().secret;
        let version = theirs.set(&session, Class::Auth, &key).unwrap();
        up();
        fails("api-1 was given var/PAYMENT_SECRET_KEY of local as SESSION_SECRET");
        theirs.set(&session, Class::Auth, &before).unwrap();
        theirs.destroy(&session, version).unwrap();
        up();
        holds();
    }

    /// What the manifest says of payment keys outside of production.
    fn payment_rule(&self) -> manifest::Rule {
        let text = fs::read_to_string(self.project.path().join("roadbed.toml")).unwrap();
        let (manifest, _) = manifest::parse(&manifest::Source::new("roadbed.toml", text));
        let local = manifest.unwrap().resolve(&"local".parse().unwrap()).unwrap();
        local.variables.into_iter().find(|variable| variable.name.as_str() == "PAYMENT_SECRET_KEY").unwrap().rule
    }
}
