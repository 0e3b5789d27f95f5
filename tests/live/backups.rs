//! Backups that are taken, rehearsed and restored by themselves and by hand, while somebody writes.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use testkit::Environment;

use crate::console::sign_in;
use crate::stage;

const MANIFEST: &str = r#"
[product]
name = "vault"

[owners.team]
description = "All"
contact = "team@vault.example"

[environments.local]
domain = "vault.localhost"
backup = { changes = "1s", rpo = "2m", rto = "10m" }
console = {}

[services.mongodb]

[services.redis]

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
example = "mongodb://api:example@127.0.0.1:27017/vault_local"
"#;

const SERVER: &str = r#"
import { createServer } from "node:http";
createServer((request, response) => response.end("well")).listen(Number(process.env.PORT), process.env.HOST);
process.on("SIGTERM", () => process.exit(0));
"#;

/// Writes one after the other, and says of each when it was begun and when it was acknowledged.
const WRITE: &str = r#"
const { MongoClient } = require("mongodb");
(async () => {
  const mongo = await MongoClient.connect(process.env.MONGODB_URL);
  const things = mongo.db().collection("things", { writeConcern: { w: "majority", j: true } });
  const end = Date.now() + 7000;
  for (let n = 0; Date.now() < end; n++) {
    const begun = Date.now();
    await things.insertOne({ n });
    console.log(`${n} ${begun} ${Date.now()}`);
  }
  await mongo.close();
})();
"#;

const READ: &str = r#"
const { MongoClient } = require("mongodb");
(async () => {
  const mongo = await MongoClient.connect(process.env.MONGODB_URL);
  const found = await mongo.db().collection(process.argv[1]).find().sort({ n: 1 }).toArray();
  console.log(JSON.stringify(found.map((one) => one.n)));
  await mongo.close();
})();
"#;

const EMPTY: &str = r#"
const { MongoClient } = require("mongodb");
(async () => {
  const mongo = await MongoClient.connect(process.env.MONGODB_URL);
  await mongo.db().collection("things").deleteMany({});
  await mongo.db().collection("later").insertOne({ n: 1 });
  await mongo.close();
})();
"#;

struct Shop {
    environment: Environment,
}

impl Shop {
    fn node(&self, script: &str, words: &[&str]) -> Output {
        let mut line = Command::new(self.environment.program());
        line.args([
            "--root",
            &self.environment.root().display().to_string(),
            "env",
            "exec",
            "--",
            "node",
            "-e",
            script,
        ]);
        line.args(words).current_dir(self.environment.project().join("apps/api"));
        line.env_clear().envs(self.environment.variables()).env("USER", "anna");
        line.env("NODE_PATH", testkit::tools::drivers()).stdin(Stdio::null());
        let output = line.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    fn numbers(&self, collection: &str) -> Vec<u64> {
        let output = self.node(READ, &[collection]);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn place(&self) -> PathBuf {
        self.environment.project().join(".roadbed-backups/local")
    }

    /// All files of data in the repository: one alone may be marked to go, and nobody misses it.
    fn packs(&self) -> Vec<PathBuf> {
        let folders = fs::read_dir(self.place().join("data")).unwrap().flatten();
        let files = folders.flat_map(|folder| fs::read_dir(folder.path()).unwrap().flatten());
        files.map(|file| file.path()).collect()
    }

    /// Flips a byte of each that is still there.
    fn flip(&self, packs: &[PathBuf]) {
        for pack in packs {
            let Ok(mut bytes) = fs::read(pack) else { continue };
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(pack, bytes).unwrap();
        }
    }

    /// Which rows of the gate do not hold.
    fn failing(&self) -> Vec<String> {
        let report = self.environment.ready(&["T13"]);
        let rows = report["checks"].as_array().unwrap();
        let bad = rows.iter().filter(|row| row["verdict"] != "holds");
        bad.map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    }
}

fn moment(seconds: u64) -> String {
    host::clock::Timestamp::from_unix_millis(i64::try_from(seconds * 1000).unwrap()).to_string()
}

#[test]
fn what_is_saved_by_itself_is_restored_to_any_second_and_sabotage_is_seen() {
    let _seat = stage::enter_with_several();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
        fs::write(folder.path().join(name), text).unwrap();
    };
    write("roadbed.toml", MANIFEST);
    write("apps/api/src/server.mjs", SERVER);
    write("package.json", r#"{"name":"vault","version":"1.0.0"}"#);
    write(
        "package-lock.json",
        r#"{"name":"vault","version":"1.0.0","lockfileVersion":3,"packages":{"":{"name":"vault","version":"1.0.0"}}}"#,
    );
    let shop = Shop { environment: Environment::new(env!("CARGO_BIN_EXE_roadbed"), folder.path()) };
    let environment = &shop.environment;
    // Without its gate: the first backup is on its way by then, and the app reads nothing of what it is given.
    environment.up_with(&["--no-gate"]).expect(0);
    // The first backup and its rehearsal come by themselves; the gate waits for them.
    testkit::wait_until("the first backup and its rehearsal", Duration::from_secs(120), || {
        let failing = shop.failing();
        if failing.is_empty() { Ok(()) } else { Err(format!("{failing:?}")) }
    });

    let written = String::from_utf8(shop.node(WRITE, &[]).stdout).unwrap();
    let writes: Vec<Vec<u64>> =
        written.lines().map(|line| line.split(' ').map(|number| number.parse().unwrap()).collect()).collect();
    assert!(writes.len() > 20, "{writes:?}");
    let (first, last) = (writes[0][1] / 1000 + 1, writes[writes.len() - 1][2] / 1000 - 1);
    for second in [first, first.midpoint(last), last] {
        let time = moment(second);
        let args = ["restore", "--at", &time, "--collection", "things", "--json"];
        let restored = environment.roadbed_within(Duration::from_secs(120), &args).expect(0).json();
        let name = restored["collections"][0]["to"].as_str().unwrap().to_owned();
        let found = shop.numbers(&name);
        for write in &writes {
            let (n, begun, acknowledged) = (write[0], write[1], write[2]);
            if acknowledged / 1000 < second + 1 {
                assert!(found.contains(&n), "{n} was acknowledged before the end of {time} and is not there");
            }
            if begun / 1000 > second {
                assert!(!found.contains(&n), "{n} was begun after {time} and is there");
            }
        }
    }

    // In place: two words, a backup before, and nothing that came later stays.
    shop.node(EMPTY, &[]);
    let time = moment(last);
    environment.roadbed(&["restore", "--at", &time, "--in-place", "--yes", "production"]).expect(2);
    assert_eq!(shop.numbers("things"), Vec::<u64>::new());
    let args = ["restore", "--at", &time, "--in-place", "--yes", "local", "--json"];
    let restored = environment.roadbed_within(Duration::from_secs(120), &args).expect(0).json();
    assert!(restored["before"].is_string(), "{restored}");
    assert!(!shop.numbers("things").is_empty());
    assert_eq!(shop.numbers("later"), Vec::<u64>::new());

    // The same on pages, where who may change something asks for one more.
    let mut anna = sign_in(environment, &[]);
    let page =
        anna.sees("/backups", &["restored in a rehearsal", "unproven", "of 2 min", "of 10 min", "Copies elsewhere"]);
    assert!(page.contains("Back up now") && page.contains("Rehearse now"), "{page}");
    let mut ben = sign_in(environment, &["--look", "--for", "ben"]);
    assert!(!ben.see("/backups").contains("method=\"post\""), "who may look gets no button");
    let taken = || {
        let listed = environment.roadbed(&["backup", "list", "--json"]).expect(0).json();
        let all = listed["backups"].as_array().unwrap();
        all.last().unwrap()["name"].as_str().unwrap().to_owned()
    };
    let before = taken();
    let form = format!("token={}&what=now", anna.form_token("/backups"));
    assert_eq!(anna.ask("POST", "/backups", &[], &form).status, 303);
    testkit::wait_until("one more backup", Duration::from_secs(60), || {
        let now = taken();
        if now == before { Err(now) } else { Ok(()) }
    });
    anna.sees(&format!("/backups/{}", taken()), &["things", "documents", "unproven"]);
    assert_eq!(anna.ask("GET", "/backups/none", &[], "").status, 404);
    anna.sees("/", &["href=\"/backups\"", "Backups"]);

    // restic itself, with the recovery key alone.
    let key = environment.roadbed(&["backup", "recovery-key"]).expect(0).stdout;
    let checked = Command::new("restic")
        .args(["--no-cache", "check", "--read-data", "--repo"])
        .arg(shop.place())
        .env("RESTIC_PASSWORD", key.trim())
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));

    // A flipped byte: the gate sees it, and the rehearsal too.
    environment.roadbed_within(Duration::from_secs(120), &["backup", "verify"]).expect(0);
    let packs = shop.packs();
    shop.flip(&packs);
    assert!(shop.failing().contains(&"backups-are-whole".to_owned()));
    environment.roadbed_within(Duration::from_secs(120), &["backup", "verify"]).expect(1);
    shop.flip(&packs);
    environment.roadbed_within(Duration::from_secs(120), &["backup", "verify"]).expect(0);
    // Packs of the newest backup are gone: it cannot be restored, and says so.
    let hidden = shop.place().with_file_name("hidden");
    fs::rename(shop.place().join("data"), &hidden).unwrap();
    let record: Value = environment.roadbed_within(Duration::from_secs(120), &["drill", "--json"]).expect(1).json();
    assert!(!record["record"]["bad"].as_array().unwrap().is_empty(), "{record}");
    assert!(shop.failing().contains(&"the-newest-backup-was-restored".to_owned()));
    let _ = fs::remove_dir_all(shop.place().join("data"));
    fs::rename(&hidden, shop.place().join("data")).unwrap();
    environment.roadbed_within(Duration::from_secs(120), &["drill"]).expect(0);
    assert_eq!(shop.failing(), Vec::<String>::new());
    environment.down().expect(0);
}
