//! `docs/infra/disaster-recovery.md`, followed to the letter: each of its commands is typed as it stands there, in a shell, and what it
//! promises is there after it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use incidents::commands;
use serde_json::Value;
use testkit::{Environment, repository, wait_until};

use crate::stage;

/// The moment that the page names, which is the last good one here.
const MOMENT: &str = "2026-11-27T02:15:00Z";

/// Where the page has the copy of the repository, which lies in a folder of the test here.
const COPY: &str = "/srv/copy/production";

/// A repository of the page that lies on no machine of a test; how others than folders are read is for the tests of `backup`.
const ELSEWHERE: &str = "backups.example";

const MANIFEST: &str = r#"
[product]
name = "urbancart"

[owners.team]
description = "All"
contact = "team@urbancart.example"

[environments.production]
domain = "urbancart.example"
ports = { http = HTTP, https = TLS }
network = { bind = "127.0.0.1" }
rollout = { verify = "1s", keep_warm = "1h" }

[environments.production.backup]
repository = "saved"
changes = "1s"
rpo = "2m"
rto = "10m"

[services.mongodb]

[services.redis]

[services.media.buckets.products]
description = "Pictures of products"
max_object = "1 MiB"

[apps.api]
owner = "team"
path = "apps/api"
kind = "node"
hosts = ["api"]
needs = ["mongodb", "redis", "media"]
start = ["node", "dist/server.mjs"]
build = { command = ["cp", "-rT", "src", "dist"], output = "dist" }

[variables.MONGODB_URL]
description = "MongoDB"
apps = ["api"]
type = "mongo_url"
class = "secret"
owner = "team"
value = "${service.mongodb.url}"
example = "mongodb://api:example@127.0.0.1:27017/urbancart_production"

[variables.REDIS_URL]
description = "Redis"
apps = ["api"]
type = "redis_url"
class = "secret"
owner = "team"
value = "${service.redis.url}"
example = "rediss://api:example@127.0.0.1:6379"

[variables.SERVICES_CA]
description = "Whom the app believes to be Redis"
apps = ["api"]
class = "internal"
owner = "team"
value = "${service.ca}"
example = "-----BEGIN CERTIFICATE-----\nexample\n-----END CERTIFICATE-----"
"#;

const SERVER: &str = r#"
import { createServer } from "node:http";
createServer((request, response) => response.end("RELEASE")).listen(Number(process.env.PORT), process.env.HOST);
process.on("SIGTERM", () => process.exit(0));
"#;

/// Does what the words after the script say, and tells what there is then.
const PROGRAM: &str = r#"
const { MongoClient } = require("mongodb");
const { createClient } = require("redis");
const work = {
  async fill({ database, redis }) {
    await database.collection("orders").insertMany(Array.from({ length: 200 }, (_, n) => ({ n, paid: true })));
    for (let n = 0; n < 20; n++) await redis.set(`urbancart:production:cart:${n}`, `cart ${n}`);
  },
  async empty({ database }) {
    await database.collection("orders").deleteMany({});
  },
  async migrate({ database }) {
    await database.collection("orders").updateMany({}, { $unset: { paid: 1 } });
    await database.collection("later").insertOne({ n: 1 });
  },
  async spoil({ redis }) {
    await redis.set("urbancart:production:cart:7", "spoiled");
    await redis.set("urbancart:production:cart:later", "came later");
    await redis.set("urbancart:production:other", "stays");
  },
};
(async () => {
  const mongo = await MongoClient.connect(process.env.MONGODB_URL);
  const redis = await createClient({ url: process.env.REDIS_URL, socket: { ca: process.env.SERVICES_CA } }).connect();
  const database = mongo.db();
  for (const name of process.argv.slice(1)) await work[name]({ database, redis });
  const collections = {};
  for (const { name } of await database.listCollections().toArray())
    if (!name.startsWith("roadbed_")) collections[name] = await database.collection(name).countDocuments({ paid: true });
  const keys = {};
  for await (const batch of redis.scanIterator({ MATCH: "urbancart:production:*" }))
    for (const key of [].concat(batch)) if (/cart|other/.test(key)) keys[key] = await redis.get(key);
  console.log(JSON.stringify({ collections, keys }));
  await mongo.close();
  await redis.close();
})().catch((error) => { console.error(error.message); process.exit(1); });
"#;

const BUCKET: &str = "urbancart-production-products";

const LONG: Duration = Duration::from_secs(240);

/// Production in a checkout of its own, as a server has it.
struct Shop {
    environment: Environment,
    folder: tempfile::TempDir,
    /// In seconds since 1970.
    moment: i64,
}

/// What a typed command came to.
#[derive(Debug)]
struct Typed {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Shop {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("shop");
        fs::create_dir(&project).unwrap();
        let environment = Environment::new(env!("CARGO_BIN_EXE_roadbed"), &project);
        let checkout = environment.project().to_owned();
        let shop = Self { environment: environment.of_checkout(&checkout, "production"), folder, moment: 0 };
        let ports = [0, 0].map(|port: u16| TcpListener::bind(("127.0.0.1", port)).unwrap());
        let [http, tls] = ports.map(|port| port.local_addr().unwrap().port().to_string());
        shop.write("roadbed.toml", &MANIFEST.replace("HTTP", &http).replace("TLS", &tls));
        shop.write("package.json", r#"{"name":"urbancart","version":"1.0.0"}"#);
        let lock = r#"{"name":"urbancart","version":"1.0.0","lockfileVersion":3,"packages":{"":{"name":"urbancart","version":"1.0.0"}}}"#;
        shop.write("package-lock.json", lock);
        shop
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.environment.project().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn serve(&self, release: &str) {
        self.write("apps/api/src/server.mjs", &SERVER.replace("RELEASE", release));
    }

    fn copy(&self) -> PathBuf {
        self.folder.path().join("copy/production")
    }

    /// As somebody types it: in a shell, in the folder of the manifest, with no root named and nobody at the keyboard. Of the page's words
    /// only the moment and the copy's folder are others here.
    fn type_in(&self, line: &str, variables: &[(&str, &str)]) -> Typed {
        let moment = host::clock::Timestamp::from_unix_millis(self.moment * 1000).to_string();
        let line = line.replace(MOMENT, &moment).replace(COPY, &self.copy().display().to_string());
        let mut shell = Command::new("sh");
        shell.args(["-c", &line]).current_dir(self.environment.project());
        shell.env_clear().envs(self.environment.variables()).envs(variables.iter().copied()).env("USER", "anna");
        let path = format!(
            "{}:{}",
            self.environment.program().parent().unwrap().display(),
            self.environment.variables()["PATH"]
        );
        let ended = shell.env("PATH", path).stdin(Stdio::null()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Typed { code: ended.status.code(), stdout: text(ended.stdout), stderr: text(ended.stderr) }
    }

    /// Does these things, and says what there is then.
    fn work(&self, words: &[&str]) -> Value {
        let mut line = Command::new(self.environment.program());
        line.args(["--env", "production", "env", "exec", "--", "node", "-e", PROGRAM]).args(words);
        line.current_dir(self.environment.project().join("apps/api"));
        line.env_clear().envs(self.environment.variables()).env("USER", "anna");
        line.env("NODE_PATH", testkit::tools::drivers()).stdin(Stdio::null());
        let output = line.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn objects(&self) -> objects::Store {
        objects::Store::open(&self.environment.root().join("data/objects")).unwrap()
    }

    fn put(&self, key: &str, text: &str) {
        self.objects().put(BUCKET, key, text.as_bytes(), objects::store::Put::default()).unwrap();
    }

    /// Keys of the bucket with what they hold.
    fn pictures(&self, keys: &[String]) -> BTreeMap<String, Option<String>> {
        let store = self.objects();
        let held = |key: &String| {
            let found = store.get(BUCKET, key).ok()?;
            String::from_utf8(found.content.read_all().ok()?).ok()
        };
        keys.iter().map(|key| (key.clone(), held(key))).collect()
    }

    fn failing(&self, only: &[&str]) -> BTreeSet<(String, String)> {
        let report = self.environment.ready(only);
        let bad = report["checks"].as_array().unwrap().iter().filter(|row| row["verdict"] != "holds");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        bad.map(|row| (text(&row["task"]), text(&row["id"]))).collect()
    }

    fn until_backups_hold(&self) {
        wait_until("a backup and its rehearsal", LONG, || {
            let failing = self.failing(&["T13"]);
            if failing.is_empty() { Ok(()) } else { Err(format!("{failing:?}")) }
        });
    }

    fn until_saved(&self, moment: i64) {
        wait_until("changes are saved", Duration::from_secs(60), || {
            let list = self.environment.roadbed(&["backup", "list", "--json"]).expect(0).json();
            if list["covered"].as_i64().unwrap_or_default() > moment * 1000 { Ok(()) } else { Err(list.to_string()) }
        });
    }

    /// Nothing of the machine is left but the checkout and the copy of the repository, and what was kept for this day.
    fn lose(&self) {
        wait_until("everything is dead", Duration::from_secs(30), || {
            let alive = testkit::processes_of(self.environment.root());
            alive.iter().for_each(|(pid, _)| drop(Command::new("kill").args(["-9", &pid.to_string()]).status()));
            if alive.is_empty() { Ok(()) } else { Err(format!("{alive:?}")) }
        });
        fs::remove_dir_all(self.environment.root()).unwrap();
        for name in ["XDG_STATE_HOME", "XDG_CONFIG_HOME"] {
            let _ = fs::remove_dir_all(&self.environment.variables()[name]);
        }
    }

    /// A tiny shop does not keep all promises: of what is restored here, all have to hold.
    fn holds(&self, line: &str, typed: &Typed) {
        if typed.code == Some(1) {
            assert!(typed.stdout.contains(" promises hold in production"), "`{line}`: {typed:?}");
            let failing = self.failing(&[]);
            let ours = ["T3", "T4", "T6", "T13"];
            // Its app says nothing of its stores, before a loss and after it.
            let is_ours =
                |(task, id): &&(String, String)| ours.contains(&task.as_str()) && id != "readiness-follows-the-stores";
            let bad: Vec<_> = failing.iter().filter(is_ours).collect();
            assert!(bad.is_empty(), "`{line}`: {bad:?}\n{typed:?}");
        } else {
            assert_eq!(typed.code, Some(0), "`{line}`: {typed:?}");
        }
    }
}

fn now() -> i64 {
    use host::clock::Clock;
    host::clock::SystemClock.now().unix_millis() / 1000
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    let copied = Command::new("cp").arg("-r").args([from, to]).status().unwrap();
    assert!(copied.success());
}

fn orders(there: &Value) -> Option<u64> {
    there["collections"]["orders"].as_u64()
}

fn cart(there: &Value, number: &str) -> String {
    there["keys"][format!("urbancart:production:cart:{number}")].as_str().unwrap_or("none").to_owned()
}

#[test]
fn every_command_of_the_page_about_losses_is_typed_as_it_stands_and_does_what_it_says() {
    let _seat = stage::enter_with_several();
    let mut shop = Shop::new();
    for release in ["one", "two"] {
        shop.serve(release);
        shop.environment.roadbed_within(LONG, &["deploy"]).expect(0);
    }
    shop.work(&["fill"]);
    let pictures = ["2026/bell.txt", "2026/lamp.txt", "2026/later.txt"].map(str::to_owned);
    pictures[..2].iter().for_each(|key| shop.put(key, key));
    let saved_pictures = shop.pictures(&pictures);
    // A second of its own: what comes after it is after the moment.
    shop.moment = now() + 1;
    wait_until("the moment is over", Duration::from_secs(10), || {
        if now() > shop.moment + 1 { Ok(()) } else { Err("not yet") }
    });
    shop.until_saved(shop.moment);
    shop.environment.roadbed_within(LONG, &["backup", "now"]).expect(0);
    shop.environment.roadbed_within(LONG, &["drill"]).expect(0);
    shop.until_backups_hold();
    // Nobody else's keys.
    shop.environment.roadbed_within(LONG, &["restore", "--redis", "others:"]).expect(1);
    let operator = Path::new(&shop.environment.variables()["XDG_CONFIG_HOME"]).join("roadbed/identity");
    let mut recovery_key = String::new();

    let page = fs::read_to_string(repository().join("docs/infra/disaster-recovery.md")).unwrap();
    // Those within lists too.
    let page: String = page.lines().map(|line| format!("{}\n", line.trim_start())).collect();
    let all = commands(&page);
    assert!(all.len() > 15, "{all:?}");
    let mut typed_words = BTreeSet::new();
    let mut lost = 0;
    for command in &all {
        let line = command.text.as_str();
        let words: Vec<&str> = line.split(' ').collect();
        let is_in_place = words.contains(&"--in-place");
        let after = |flag: &str| words.iter().position(|word| *word == flag).and_then(|at| words.get(at + 1)).copied();
        typed_words.insert(words[..2].join(" "));
        // What has happened when somebody types it.
        match (words[1], after("--collection"), after("--redis"), after("--bucket")) {
            ("restore", Some(_), ..) if !is_in_place => drop(shop.work(&["empty"])),
            ("rollback", ..) => drop(shop.work(&["migrate"])),
            ("restore", _, Some(_), _) if !is_in_place => drop(shop.work(&["spoil"])),
            ("restore", _, _, Some(_)) if !is_in_place => {
                shop.put(&pictures[0], "spoiled");
                shop.put(&pictures[2], "came later");
            }
            // Nobody serves that address.
            ("restore", ..) if line.contains(ELSEWHERE) => {}
            ("restore", ..) if line.contains("--from") => {
                fs::write(shop.environment.project().join("recovery-key"), &recovery_key).unwrap();
                fs::copy(&operator, shop.environment.project().join("operator-key")).unwrap();
                // Of Redis and objects it brings back what the last backup has.
                shop.environment.roadbed_within(LONG, &["backup", "now"]).expect(0);
                shop.until_saved(now());
                shop.lose();
                copy_folder(&shop.environment.project().join("saved/production"), &shop.copy());
                lost += 1;
            }
            ("up", ..) => {
                shop.lose();
                lost += 1;
            }
            _ => {}
        }
        let cache = shop.folder.path().join("restic-cache").display().to_string();
        let of_restic = [("RESTIC_PASSWORD", recovery_key.trim()), ("RESTIC_CACHE_DIR", cache.as_str())];
        let typed = shop.type_in(line, if words[0] == "restic" { &of_restic[..] } else { &[] });
        let in_order = || assert_eq!(typed.code, Some(0), "line {}: `{line}`: {typed:?}", command.line);
        // Which of what it says is there.
        match (words[1], after("--collection"), after("--redis"), after("--bucket")) {
            ("db", ..) => looks(&shop, line, &typed),
            ("ready", ..) if after("--only").is_none() => shop.holds(line, &typed),
            ("backup", ..) if words[2] == "recovery-key" => {
                in_order();
                recovery_key.clone_from(&typed.stdout);
            }
            ("rollback", ..) => {
                in_order();
                let api = shop.environment.url("api");
                let served = shop.environment.client().get(&api).unwrap().body;
                assert_eq!(served, "one");
            }
            ("restore", Some(_), ..) => {
                in_order();
                let there = shop.work(&[]);
                assert_eq!(orders(&there), Some(if is_in_place { 200 } else { 0 }), "`{line}`: {there}");
                let beside =
                    there["collections"].as_object().unwrap().iter().find(|(name, _)| name.starts_with("orders-"));
                assert_eq!(beside.unwrap().1, 200, "{there}");
            }
            ("restore", _, Some(_), _) => {
                in_order();
                let there = shop.work(&[]);
                let (seven, later) = if is_in_place { ("cart 7", "none") } else { ("spoiled", "came later") };
                assert_eq!(
                    (cart(&there, "7").as_str(), cart(&there, "later").as_str()),
                    (seven, later),
                    "`{line}`: {there}"
                );
                assert_eq!(there["keys"]["urbancart:production:other"], "stays", "it was not asked for");
                assert!(!is_in_place || typed.stdout.contains("1 keys that came later are gone"), "{typed:?}");
                let mut beside = there["keys"].as_object().unwrap().iter();
                let is_beside = |key: &str| key.contains(":restored-") && key.ends_with(":cart:7");
                assert!(beside.any(|(key, value)| is_beside(key) && value == "cart 7"), "{there}");
            }
            ("restore", _, _, Some(_)) => {
                in_order();
                let there = shop.pictures(&pictures);
                assert_eq!(there == saved_pictures, is_in_place, "`{line}`: {there:?}");
            }
            ("restore", ..) if line.contains(ELSEWHERE) => {
                assert_eq!(typed.code, Some(1), "`{line}`: {typed:?}");
                assert!(typed.stderr.contains("cannot read who logs in at the repository"), "`{line}`: {typed:?}");
            }
            ("restore", ..) if line.contains("--from") => {
                shop.holds(line, &typed);
                let there = shop.work(&[]);
                assert_eq!((orders(&there), cart(&there, "7").as_str()), (Some(200), "cart 7"), "{there}");
                assert_eq!(shop.pictures(&pictures), saved_pictures);
            }
            ("restore", ..) => {
                in_order();
                let there = shop.work(&[]);
                assert_eq!(
                    (orders(&there), there["collections"]["later"].as_u64()),
                    (Some(200), None),
                    "`{line}`: {there}"
                );
            }
            _ => in_order(),
        }
    }
    assert_eq!(lost, 2, "a machine was lost, and once with all keys");
    for kind in
        ["roadbed restore", "roadbed rollback", "roadbed releases", "roadbed backup", "roadbed secrets", "restic -r"]
    {
        assert!(typed_words.contains(kind), "the page says nothing of `{kind}`: {typed_words:?}");
    }
    shop.environment.down().expect(0);
}

/// `mongosh` comes with nothing: where it is not, it is said, and another program sees what was put beside.
fn looks(shop: &Shop, line: &str, typed: &Typed) {
    if host::process::find_in_path("mongosh", &shop.environment.variables()["PATH"]).is_some() {
        assert_eq!(typed.code, Some(0), "`{line}`: {typed:?}");
    } else {
        assert_eq!(typed.code, Some(2), "`{line}`: {typed:?}");
        assert!(typed.stderr.contains("there is no mongosh"), "{typed:?}");
    }
    let typed = shop.type_in(&format!("{line} -- node -e 'console.log(process.env.MONGODB_URL.length > 0)'"), &[]);
    assert_eq!((typed.code, typed.stdout.trim()), (Some(0), "true"), "{typed:?}");
}
