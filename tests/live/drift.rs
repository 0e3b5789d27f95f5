//! What somebody changes by hand in a running environment: it is named by `plan`, told by `status` after the next look, and put
//! right by the environment itself where the manifest says so.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use mongodb::bson::{Document, doc};
use roadbed::world::network;
use serde_json::Value;
use stores::mongo::OwnUser;
use stores::redis::{ADMIN, Door, Identity, Purpose};
use testkit::{Environment, wait_until};
use tokio::runtime::Runtime;

use crate::stage;

const MANIFEST: &str = r#"
[product]
name = "drifting"

[owners.team]
description = "All"
contact = "team@drifting.example"

[environments.local]
domain = "drifting.localhost"
drift = "report"

[services.mongodb.collections.users]
description = "Customers"
indexes = [{ keys = ["email"], unique = true }]

[services.redis]
cache = { memory = "32 MiB" }

[apps.api]
owner = "team"
path = "apps/api"
kind = "node"
hosts = ["api"]
needs = ["mongodb", "redis"]
start = ["node", "dist/server.mjs"]
build = { command = ["cp", "-r", "src", "dist"], output = "dist" }

[variables.MONGODB_URL]
description = "MongoDB"
apps = ["api"]
type = "mongo_url"
class = "secret"
owner = "team"
value = "${service.mongodb.url}"
example = "mongodb://api:example@127.0.0.1:27017/drifting_local"
"#;

const SERVER: &str = r#"
import { createServer } from "node:http";
createServer((request, response) => response.end("well")).listen(Number(process.env.PORT), process.env.HOST);
process.on("SIGTERM", () => process.exit(0));
"#;

/// Control looks every half minute, on a machine that is busy with other tests.
const A_LOOK: Duration = Duration::from_secs(90);

const POLICY: &str = "maxmemory-policy";

/// Somebody with all our keys, who changes things without telling.
struct Somebody<'e> {
    environment: &'e Environment,
    ground: stores::Ground,
    runtime: Runtime,
}

impl<'e> Somebody<'e> {
    fn of(environment: &'e Environment) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { environment, ground: stage::ground_of(environment), runtime }
    }

    fn port(&self, unit: &str) -> u16 {
        let book = fs::read_to_string(self.environment.root().join("state/ports.json")).unwrap();
        let book: Value = serde_json::from_str(&book).unwrap();
        book["ports"][unit]
            .as_u64()
            .and_then(|port| u16::try_from(port).ok())
            .unwrap_or_else(|| panic!("{unit}: {book}"))
    }

    fn mongodb(&self, who: OwnUser, database: &str, command: Document) -> Document {
        self.runtime.block_on(async {
            let client = who.client(&self.ground, self.port("mongodb")).unwrap();
            client.database(database).run_command(command).await.unwrap()
        })
    }

    fn redis<T: redis::FromRedisValue>(&self, purpose: Purpose, words: &[&str]) -> T {
        self.runtime.block_on(async {
            let password = self.ground.secrets.get(&purpose.admin_secret()).unwrap().unwrap().secret;
            let door = Door::of(&self.ground, self.port(purpose.unit())).unwrap();
            let mut connection = door.enter(Identity::User { name: ADMIN, password: &password }).await.unwrap();
            let mut command = redis::cmd(words[0]);
            command.arg(&words[1..]).query_async(&mut connection).await.unwrap()
        })
    }

    /// One thing each: a right, a user's commands, a setting, an index, the rules of the packet filter.
    fn changes_everything(&self) {
        let role = doc! { "role": "dbOwner", "db": self.database() };
        let app = doc! { "grantRolesToUser": "app-api", "roles": [role] };
        self.mongodb(OwnUser::Administrator, &self.database(), app);
        let _: String = self.redis(Purpose::Durable, &["ACL", "SETUSER", "app-api", "+flushall"]);
        let _: String = self.redis(Purpose::Cache, &["CONFIG", "SET", POLICY, "noeviction"]);
        self.mongodb(OwnUser::Collections, &self.database(), doc! { "dropIndexes": "users", "index": "email_1" });
        if self.has_rules() {
            nft(&["delete", "table", "inet", &self.table()]);
        }
    }

    /// What is as it was changed, of the same things.
    fn still_changed(&self) -> Vec<String> {
        let mut changed = Vec::new();
        let users = self.mongodb(OwnUser::Administrator, &self.database(), doc! { "usersInfo": "app-api" });
        if users.to_string().contains("dbOwner") {
            changed.push("the right of the app's user in MongoDB".to_owned());
        }
        let answer: String = self.redis(Purpose::Durable, &["ACL", "DRYRUN", "app-api", "flushall"]);
        if answer == "OK" {
            changed.push("the commands of the app's user in Redis".to_owned());
        }
        let policy: Vec<String> = self.redis(Purpose::Cache, &["CONFIG", "GET", POLICY]);
        if policy[1] == "noeviction" {
            changed.push("what the cache does when it is full".to_owned());
        }
        let indexes = self.mongodb(OwnUser::Collections, &self.database(), doc! { "listIndexes": "users" });
        if !indexes.to_string().contains("email_1") {
            changed.push("the index".to_owned());
        }
        if may_filter() && !self.has_rules() {
            changed.push("the rules of the packet filter".to_owned());
        }
        changed
    }

    fn database(&self) -> String {
        "drifting_local".to_owned()
    }

    fn table(&self) -> String {
        network::table_of(self.environment.root())
    }

    fn has_rules(&self) -> bool {
        may_filter() && nft(&["list", "tables"]).contains(&self.table())
    }
}

/// Whether this machine lets us use its packet filter.
fn may_filter() -> bool {
    Command::new("nft").args(["list", "tables"]).output().is_ok_and(|ran| ran.status.success())
}

fn nft(words: &[&str]) -> String {
    let ran = Command::new("nft").args(words).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

/// What becomes of each of them, in the words of plan and status.
fn told() -> Vec<(&'static str, &'static str)> {
    let mut told = vec![
        ("mongodb", "set the user of api (roles)"),
        ("redis", "load the users into the running server"),
        ("redis-cache", "set memory, eviction and persistence as declared"),
        ("mongodb/collections", "create the index email_1 (unique) of users"),
    ];
    if may_filter() {
        told.push(("network", "let only those reach a port who need it"));
    }
    told
}

fn project(folder: &Path) {
    for (name, text) in [
        ("roadbed.toml", MANIFEST),
        ("apps/api/src/server.mjs", SERVER),
        ("package.json", r#"{"name":"drifting","version":"1.0.0"}"#),
        (
            "package-lock.json",
            r#"{"name":"drifting","version":"1.0.0","lockfileVersion":3,"packages":{"":{"name":"drifting","version":"1.0.0"}}}"#,
        ),
    ] {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

/// Waits until status tells all of these steps.
fn status_tells(shop: &Environment, all: &[(&str, &str)]) {
    wait_until("status tells what was changed", A_LOOK, || {
        let status = shop.status();
        let drift = status["drift"].as_array().cloned().unwrap_or_default();
        let is_told = |(resource, step): &&(&str, &str)| {
            drift.iter().any(|one| one["resource"] == *resource && one["would"].to_string().contains(step))
        };
        match all.iter().find(|one| !is_told(one)) {
            None => Ok(()),
            Some(missing) => Err(format!("no {missing:?} in {drift:#?}")),
        }
    });
}

#[test]
fn what_is_changed_by_hand_is_named_told_and_put_right_where_the_manifest_says_so() {
    let _stage = stage::enter();
    let folder = tempfile::tempdir().unwrap();
    project(folder.path());
    let shop = Environment::new(env!("CARGO_BIN_EXE_roadbed"), folder.path());
    shop.up_with(&["--no-gate"]);
    let somebody = Somebody::of(&shop);
    assert_eq!(somebody.still_changed(), Vec::<String>::new());
    assert_eq!(may_filter(), somebody.has_rules());
    let plan = shop.roadbed(&["plan"]).expect(0);
    assert!(plan.stderr.contains("nothing to change"), "{}{}", plan.stdout, plan.stderr);

    somebody.changes_everything();
    let plan = shop.roadbed(&["plan", "--json"]).expect(0).json();
    for (resource, step) in told() {
        let planned = plan["resources"].as_array().unwrap().iter().find(|one| one["resource"] == resource).unwrap();
        assert!(planned["steps"].to_string().contains(step), "no {step:?} in {planned:#}");
    }
    status_tells(&shop, &told());
    let said = shop.roadbed(&["status"]).expect(0).stderr;
    assert!(said.contains("mongodb/collections was changed behind our back"), "{said}");
    // A look later, at which something else is told, all of it is still there: it is reported, and nothing more.
    let stranger = doc! { "createUser": "mallory", "pwd": "let me in", "roles": [], "mechanisms": ["SCRAM-SHA-256"] };
    somebody.mongodb(OwnUser::Administrator, "admin", stranger);
    let eve = ("mongodb", "remove user mallory of admin");
    status_tells(&shop, &[told(), vec![eve]].concat());
    let changed = somebody.still_changed();
    assert_eq!(changed.len(), told().len(), "{changed:?}");

    // Who says `up` takes it back, whatever the manifest says.
    let manifest = folder.path().join("roadbed.toml");
    fs::write(&manifest, MANIFEST.replace("drift = \"report\"", "drift = \"repair\"")).unwrap();
    shop.up_with(&["--no-gate"]);
    assert_eq!(somebody.still_changed(), Vec::<String>::new());
    assert_eq!(shop.status().get("drift").and_then(Value::as_array).map_or(0, Vec::len), 0);

    // From now on nobody has to.
    let extra = doc! { "createIndexes": "users", "indexes": [{ "key": { "town": 1 }, "name": "town_1" }] };
    somebody.mongodb(OwnUser::Collections, &somebody.database(), extra);
    somebody.changes_everything();
    assert_eq!(somebody.still_changed().len(), told().len());
    wait_until("the environment puts itself right", A_LOOK, || match somebody.still_changed() {
        changed if changed.is_empty() => Ok(()),
        changed => Err(changed.join(", ")),
    });
    // What only somebody's word takes away stays, and goes on being told.
    wait_until("the index that nobody asked for is told", A_LOOK, || {
        let drift = shop.status()["drift"].to_string();
        if drift.contains("town_1") { Ok(()) } else { Err(drift) }
    });
    let indexes = somebody.mongodb(OwnUser::Collections, &somebody.database(), doc! { "listIndexes": "users" });
    assert!(indexes.to_string().contains("town_1"), "{indexes}");
    let log = shop.log("control");
    assert!(log.contains("changed behind our back") && log.contains("put right what had changed"), "{log}");
}
