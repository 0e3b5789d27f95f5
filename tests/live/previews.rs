//! A preview begins with a masked sample of another environment, ends by itself, and leaves nothing behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Environment, processes_of, wait_until};

use crate::stage;

const MANIFEST: &str = r#"
[product]
name = "sampled"

[owners.team]
description = "All"
contact = "team@sampled.example"

[environments.local]
domain = "sampled.localhost"

[environments.preview]
domain = "pr-{pr}.sampled.example"
per = "pull-request"
ttl = "TTL"

[services.mongodb.collections.users]
description = "Customers"
indexes = [{ keys = ["email"], unique = true }]

[services.mongodb.collections.users.sample]
limit = 50
fields = { email = "email", name = "name", address.street = "address", address.town = "keep", cards.number = "payment-reference" }

[services.mongodb.collections.orders]
description = "Orders"
sample = { fields = { by = "id", "lines[].sku" = "keep", "lines[].note" = "text" } }

[apps.api]
owner = "team"
path = "apps/api"
kind = "node"
hosts = ["api"]
needs = ["mongodb"]
start = ["node", "dist/server.mjs"]
build = { command = ["cp", "-r", "src", "dist"], output = "dist" }

[variables.MONGODB_URL]
description = "MongoDB"
apps = ["api"]
type = "mongo_url"
class = "secret"
owner = "team"
value = "${service.mongodb.url}"
example = "mongodb://api:example@127.0.0.1:27017/sampled_local"
"#;

const SERVER: &str = r#"
import { createServer } from "node:http";
createServer((request, response) => response.end("well")).listen(Number(process.env.PORT), process.env.HOST);
process.on("SIGTERM", () => process.exit(0));
"#;

const FILL: &str = r#"
const { MongoClient } = require("mongodb");
(async () => {
  const mongo = await MongoClient.connect(process.env.MONGODB_URL);
  const users = [], orders = [];
  for (let n = 0; n < 20; n++) {
    users.push({ _id: "customer-" + n, email: `anna${n}@customers.test`, name: "Anna Planted" + n, password: "hunter" + n,
      address: { street: `Plantedgasse ${n + 10}`, town: "Wien" }, cards: [{ number: "4111111111111111" }] });
    orders.push({ by: "customer-" + n, lines: [{ sku: "bell", note: "leave it at plantedplace", price: n }] });
  }
  await mongo.db().collection("users").insertMany(users);
  await mongo.db().collection("orders").insertMany(orders);
  await mongo.close();
})();
"#;

const LOOK: &str = r#"
const { MongoClient } = require("mongodb");
(async () => {
  const mongo = await MongoClient.connect(process.env.MONGODB_URL);
  const all = async (name) => mongo.db().collection(name).find().toArray();
  console.log(JSON.stringify({ users: await all("users"), orders: await all("orders") }));
  await mongo.close();
})();
"#;

fn project(folder: &Path, ttl: &str) -> PathBuf {
    let write = |name: &str, text: &str| {
        fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
        fs::write(folder.join(name), text).unwrap();
    };
    write("roadbed.toml", &MANIFEST.replace("TTL", ttl));
    write("apps/api/src/server.mjs", SERVER);
    write("package.json", r#"{"name":"sampled","version":"1.0.0"}"#);
    write(
        "package-lock.json",
        r#"{"name":"sampled","version":"1.0.0","lockfileVersion":3,"packages":{"":{"name":"sampled","version":"1.0.0"}}}"#,
    );
    folder.to_owned()
}

fn local(project: &Path) -> Environment {
    Environment::new(env!("CARGO_BIN_EXE_roadbed"), project)
}

fn preview(project: &Path, local: &Environment, number: u32) -> Environment {
    let environment = Environment::new(env!("CARGO_BIN_EXE_roadbed"), project).neighbour_of(local);
    environment.with_flags(&["--env", &format!("preview/pr-{number}")])
}

/// Runs a script with what the app is given.
fn node(environment: &Environment, script: &str) -> String {
    let mut line = Command::new(environment.program());
    line.args(["--root", &environment.root().display().to_string()]).args(environment.flags());
    line.args(["env", "exec", "--app", "api", "--", "node", "-e", script]).current_dir(environment.project());
    line.env_clear().envs(environment.variables()).env("NODE_PATH", testkit::tools::drivers());
    let ran = line.stdin(Stdio::null()).output().unwrap();
    assert!(ran.status.success(), "{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

fn look(environment: &Environment) -> Value {
    serde_json::from_str(&node(environment, LOOK)).unwrap()
}

/// Every place of this machine in which something could name the root, and what does.
fn traces(environment: &Environment, id: &str) -> Vec<String> {
    let root = environment.root().display().to_string();
    let mut found = Vec::new();
    let mut note = |place: &str, what: String| found.push(format!("{place}: {what}"));
    if environment.root().exists() {
        note("disk", root.clone());
    }
    // The user's state and settings, and what all roots of the machine share: by name and by content.
    let folders = ["XDG_STATE_HOME", "XDG_CONFIG_HOME"].map(|name| PathBuf::from(&environment.variables()[name]));
    for file in folders.iter().chain([&PathBuf::from("/run/roadbed")]).flat_map(|folder| files_below(folder)) {
        let content = fs::read(&file).unwrap_or_default();
        let text = format!("{} {}", file.display(), String::from_utf8_lossy(&content));
        if text.contains(id) || text.contains(&root) {
            note("file", file.display().to_string());
        }
    }
    for (pid, unit) in processes_of(environment.root()) {
        note("process", format!("{pid} {unit}"));
    }
    for folder in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(folder.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(&root) {
            note("process", String::from_utf8_lossy(&line).into_owned());
        }
    }
    for line in fs::read_to_string("/proc/net/unix").unwrap().lines().filter(|line| line.contains(&root)) {
        note("socket", line.to_owned());
    }
    for line in fs::read_to_string("/proc/self/mounts").unwrap().lines().filter(|line| line.contains(&root)) {
        note("mount", line.to_owned());
    }
    if let Ok(listed) = Command::new("nft").args(["list", "ruleset"]).output() {
        let rules = String::from_utf8_lossy(&listed.stdout).into_owned();
        if rules.contains(&root) || rules.contains(&roadbed::world::network::table_of(environment.root())) {
            note("packet filter", root.clone());
        }
    }
    let group = roadbed::keeper::confinement::group_name(environment.root());
    for folder in folders_below(Path::new("/sys/fs/cgroup")).into_iter().filter(|folder| folder.ends_with(&group)) {
        note("control group", folder.display().to_string());
    }
    found
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

fn folders_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path());
    folders.flat_map(|path| [vec![path.clone()], folders_below(&path)].concat()).collect()
}

fn id_of(environment: &Environment) -> String {
    let text = fs::read_to_string(environment.root().join("environment.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["id"].as_str().unwrap().to_owned()
}

#[track_caller]
fn tells_of_nobody(found: &Value) {
    let text = found.to_string();
    for planted in ["anna", "customers.test", "Planted", "plantedplace", "4111", "hunter", "customer-"] {
        assert!(!text.contains(planted), "{planted} is in {text}");
    }
}

#[test]
fn a_preview_begins_with_a_masked_sample_and_goes_without_trace() {
    let _stage = stage::enter();
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path(), "7d");
    let saved = "domain = \"sampled.localhost\"\nbackup = { rpo = \"2m\", rto = \"10m\" }";
    let manifest = fs::read_to_string(project.join("roadbed.toml")).unwrap();
    fs::write(project.join("roadbed.toml"), manifest.replace("domain = \"sampled.localhost\"", saved)).unwrap();
    let local = local(&project);
    local.up_with(&["--no-gate"]);
    node(&local, FILL);
    let taken = local.roadbed(&["sample", "take", "--json"]).expect(0).json();
    assert_eq!(taken["environment"], "local");
    let told = json!([
        { "collection": "orders", "documents": 20, "left_out": ["lines.price"] },
        { "collection": "users", "documents": 20, "left_out": ["password"] },
    ]);
    assert_eq!(taken["collections"], told, "{taken:#}");
    assert!(fs::read_to_string(project.join(".roadbed-samples/.gitignore")).unwrap().contains("\n*\n"));
    let leases = fs::read_to_string(local.root().join("state/leases.json")).unwrap();
    assert!(!leases.contains("dev-"), "{leases}");

    let shop = preview(&project, &local, 7);
    let up = shop.up_with(&["--no-gate"]);
    assert!(up.stderr.contains("begin users with 20 documents of the sample of local"), "{}", up.stderr);
    let found = look(&shop);
    tells_of_nobody(&found);
    let (users, orders) = (found["users"].as_array().unwrap(), found["orders"].as_array().unwrap());
    assert_eq!((users.len(), orders.len()), (20, 20));
    assert!(
        users
            .iter()
            .all(|user| user["address"]["town"] == "Wien"
                && user["email"].as_str().unwrap().ends_with("@masked.invalid"))
    );
    assert!(
        orders.iter().all(|order| users.iter().any(|user| user["_id"] == order["by"])),
        "orders of users that are there"
    );
    let again = shop.up_with(&["--no-gate"]);
    assert!(again.stderr.contains("nothing to change"), "{}", again.stderr);
    assert!(shop.status()["ends"].as_i64().is_some(), "{:#}", shop.status());
    assert_eq!(local.status().get("ends"), None);

    // Of a backup, in place of what it has: by other masks, and as known of nobody.
    let within = Duration::from_secs(120);
    local.roadbed_within(within, &["backup", "now"]).expect(0);
    let refused = local.roadbed_within(within, &["restore", "--into-preview", "8"]).expect(1);
    assert!(refused.stderr.contains("there is no preview/pr-8 on this machine"), "{}", refused.stderr);
    let restored = local.roadbed_within(within, &["restore", "--into-preview", "7", "--json"]).expect(0).json();
    let replaced = json!([
        { "collection": "orders", "gone": 20, "documents": 20 },
        { "collection": "users", "gone": 20, "documents": 20 },
    ]);
    assert_eq!((&restored["collections"], &restored["preview"]), (&replaced, &json!("preview/pr-7")), "{restored:#}");
    let other = look(&shop);
    tells_of_nobody(&other);
    assert_ne!(other["users"][0]["email"], found["users"][0]["email"], "masks are drawn each time");
    assert!(!local.root().join("masked").exists());
    let again = shop.up_with(&["--no-gate"]);
    assert!(again.stderr.contains("nothing to change"), "{}", again.stderr);

    // Nobody confirmed it: it goes on.
    let refused = shop.roadbed(&["down", "--purge"]).expect(2);
    assert!(refused.stderr.contains("nobody confirmed it") && refused.stderr.contains("--yes"), "{}", refused.stderr);
    for words in [&["--yes"][..], &["--i-mean", "preview/pr-7"]] {
        let refused = local.roadbed(&[&["down", "--purge"], words].concat()).expect(2);
        assert!(refused.stderr.contains("local"), "{}", refused.stderr);
    }
    let id = id_of(&shop);
    assert_ne!(traces(&shop, &id), [""; 0], "the search finds what there is");
    let purged = shop.roadbed(&["down", "--purge", "--yes", "--json"]).expect(0).json();
    assert_eq!((&purged["stopped"], &purged["purged"]), (&json!(true), &json!(true)));
    assert_eq!(traces(&shop, &id), [""; 0]);
    let purged = shop.roadbed(&["down", "--purge", "--yes", "--json"]).expect(0).json();
    assert_eq!(purged["purged"], json!(false), "there is nothing left to purge");
    // Its neighbour has lost nothing.
    assert_eq!(look(&local)["users"].as_array().unwrap().len(), 20);
    let id = id_of(&local);
    local.roadbed(&["down", "--purge", "--i-mean", "local"]).expect(0);
    assert_eq!(traces(&local, &id), [""; 0]);
}

#[test]
fn a_purge_that_is_killed_at_any_moment_goes_on_when_it_is_asked_for_again() {
    let _stage = stage::enter();
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path(), "7d");
    let local = local(&project);
    let shop = preview(&project, &local, 7);
    // Without a sample it comes up empty, and says so.
    let up = shop.up_with(&["--no-gate"]);
    assert!(up.stderr.contains("begin users, orders with a sample: there is no"), "{}", up.stderr);
    let id = id_of(&shop);
    let mut killed = 0;
    // Stopping takes a second or two, and taking away a few milliseconds: some hit the one, some the other.
    for millis in [300, 1_500, 2_500, 3_000, 3_200, 3_400, 3_600, 4_000] {
        let mut purge = Command::new(shop.program());
        purge.args(["--root", &shop.root().display().to_string(), "--env", "preview/pr-7", "down", "--purge", "--yes"]);
        purge.current_dir(shop.project()).env_clear().envs(shop.variables());
        let mut purge = purge.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let until = Instant::now() + Duration::from_millis(millis);
        while Instant::now() < until && purge.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        purge.kill().unwrap();
        killed += u32::from(!purge.wait().unwrap().success());
        if shop.root().join("purging.json").exists() {
            let refused = shop.roadbed(&["up", "--detach", "--no-gate"]).expect(1);
            assert!(refused.stderr.contains("is being purged"), "{}", refused.stderr);
        }
    }
    assert!(killed > 0, "none was killed before its end");
    shop.roadbed(&["down", "--purge", "--yes"]).expect(0);
    assert_eq!(traces(&shop, &id), [""; 0]);
}

#[test]
fn a_preview_ends_by_itself_whether_it_runs_or_not_and_each_up_lets_it_live_longer() {
    let _stage = stage::enter();
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path(), "60s");
    let local = local(&project);
    local.up_with(&["--no-gate"]);
    let (running, stopped) = (preview(&project, &local, 7), preview(&project, &local, 8));
    stopped.up_with(&["--no-gate"]);
    stopped.down();
    running.up_with(&["--no-gate"]);
    let ids = [id_of(&running), id_of(&stopped)];
    let ends = |shop: &Environment| shop.status()["ends"].as_i64().unwrap();
    let before = ends(&running);
    running.up_with(&["--no-gate"]);
    assert!(ends(&running) > before, "{} is not after {before}", ends(&running));
    for (shop, id) in [(&running, &ids[0]), (&stopped, &ids[1])] {
        wait_until("nothing is left of it", Duration::from_secs(240), || match traces(shop, id) {
            traces if traces.is_empty() => Ok(()),
            traces => Err(traces.join("\n")),
        });
    }
    assert!(local.status().get("ends").is_none() && !processes_of(local.root()).is_empty(), "what exists once stays");
}
