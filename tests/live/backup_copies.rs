//! Backups in a second place, which whoever holds all keys of the environment cannot destroy.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use testkit::{Environment, wait_until};

use crate::stage;

fn manifest(repository: &str, copies: &str) -> String {
    format!(
        r#"
[product]
name = "vault"

[owners.team]
description = "All"
contact = "team@vault.example"

[environments.local]
domain = "vault.localhost"

[environments.local.backup]
{repository}
changes = "1s"
rpo = "2m"
rto = "10m"
bandwidth = "64 MiB"
{copies}

[services.mongodb]

[apps.api]
owner = "team"
path = "apps/api"
kind = "node"
hosts = ["api"]
needs = ["mongodb"]
start = ["node", "dist/server.mjs"]
build = {{ command = ["cp", "-r", "src", "dist"], output = "dist" }}

[variables.MONGODB_URL]
description = "MongoDB"
apps = ["api"]
type = "mongo_url"
class = "secret"
owner = "team"
value = "${{service.mongodb.url}}"
example = "mongodb://api:example@127.0.0.1:27017/vault_local"
"#
    )
}

const SERVER: &str = r#"
import { createServer } from "node:http";
createServer((request, response) => response.end("well")).listen(Number(process.env.PORT), process.env.HOST);
process.on("SIGTERM", () => process.exit(0));
"#;

const WRITE: &str = r#"
const { MongoClient } = require("mongodb");
(async () => {
  const mongo = await MongoClient.connect(process.env.MONGODB_URL);
  await mongo.db().collection("things").insertMany(Array.from({ length: 500 }, (_, n) => ({ n })));
  await mongo.close();
})();
"#;

const COUNT: &str = r#"
const { MongoClient } = require("mongodb");
(async () => {
  const mongo = await MongoClient.connect(process.env.MONGODB_URL);
  console.log(await mongo.db().collection(process.argv[1]).countDocuments());
  await mongo.close();
})();
"#;

/// A server of restic's REST protocol, which goes with this.
struct Offsite(Child);

impl Offsite {
    fn start(folder: &Path, port: u16, password: &str, is_append_only: bool) -> Self {
        let mut command = Command::new("rclone");
        command.args(["serve", "restic", "--addr", &format!("127.0.0.1:{port}")]).arg(folder);
        command.env("HOME", folder).env("RCLONE_USER", "vault").env("RCLONE_PASS", password);
        if is_append_only {
            command.arg("--append-only");
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let server = Self(child.expect("./setup installs rclone"));
        wait_until("the second repository's server", Duration::from_secs(20), || {
            TcpStream::connect(("127.0.0.1", port)).map(drop).map_err(|error| error.to_string())
        });
        server
    }
}

impl Drop for Offsite {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn node(environment: &Environment, script: &str, words: &[&str]) -> String {
    let mut line = Command::new(environment.program());
    line.arg("--root").arg(environment.root()).args(["env", "exec", "--", "node", "-e", script]).args(words);
    line.current_dir(environment.project().join("apps/api"));
    line.env_clear().envs(environment.variables()).env("USER", "anna");
    line.env("NODE_PATH", testkit::tools::drivers()).stdin(Stdio::null());
    let output = line.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Rows of the gate that do not hold, with what they saw.
fn failing(environment: &Environment) -> Vec<(String, String)> {
    let report = environment.ready(&["T13"]);
    let rows = report["checks"].as_array().unwrap();
    let bad = rows.iter().filter(|row| row["verdict"] != "holds");
    bad.map(|row| (row["id"].as_str().unwrap().to_owned(), row.to_string())).collect()
}

fn set_password(environment: &Environment, name: &str, password: &str) {
    let input = format!("vault:{password}\n");
    environment.roadbed_with(Duration::from_secs(60), &["secrets", "set", name], &input).expect(0);
}

#[test]
fn a_copy_that_takes_nothing_away_outlives_the_environment_and_everything_is_restored_from_it() {
    let _seat = stage::enter_with_several();
    let (project, offsite) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let write = |name: &str, text: &str| {
        fs::create_dir_all(project.path().join(name).parent().unwrap()).unwrap();
        fs::write(project.path().join(name), text).unwrap();
    };
    let url = format!("rest:http://127.0.0.1:{port}/vault/");
    let copies = format!(
        "[environments.local.backup.copies.offsite]\nrepository = \"{url}\"\nappend_only = true\nlate = \"30s\"\n"
    );
    write("roadbed.toml", &manifest("repository = \"root:backups\"", &copies));
    write("apps/api/src/server.mjs", SERVER);
    write("package.json", r#"{"name":"vault","version":"1.0.0"}"#);
    write(
        "package-lock.json",
        r#"{"name":"vault","version":"1.0.0","lockfileVersion":3,"packages":{"":{"name":"vault","version":"1.0.0"}}}"#,
    );
    let environment = Environment::new(env!("CARGO_BIN_EXE_roadbed"), project.path());
    let password = ["a", "long", "password", "of", "somebody"].join("-");
    let server = Offsite::start(offsite.path(), port, &password, true);
    environment.up_with(&["--no-gate"]).expect(0);
    set_password(&environment, "backup/access-offsite", &password);
    node(&environment, WRITE, &[]);
    wait_until("the first backup, its rehearsal and its copy", Duration::from_secs(120), || {
        let failing = failing(&environment);
        if failing.is_empty() { Ok(()) } else { Err(format!("{failing:?}")) }
    });
    let listing = environment.roadbed(&["backup", "list", "--json"]).expect(0).json();
    assert_eq!(listing["copies"][0]["name"], "offsite");
    assert!(listing["copies"][0]["complete"].is_number(), "{listing}");
    let key = environment.roadbed(&["backup", "recovery-key"]).expect(0).stdout;

    // Another server in its place, which takes away what it is told to: the gate sees it.
    drop(server);
    let lax = Offsite::start(offsite.path(), port, &password, false);
    let failing_now = failing(&environment);
    assert!(
        failing_now.iter().any(|(id, row)| id == "a-copy-is-elsewhere" && row.contains("can be taken away")),
        "{failing_now:?}"
    );
    // Nobody answers.
    drop(lax);
    assert!(failing(&environment).iter().any(|(id, _)| id == "a-copy-is-elsewhere"));
    let _server = Offsite::start(offsite.path(), port, &password, true);
    // The recovery key and all changes come there too.
    wait_until("the copy has everything again", Duration::from_secs(60), || {
        let checked = Command::new("restic")
            .args(["--no-cache", "--no-lock", "snapshots", "--json", "--repo"])
            .arg(offsite.path().join("vault/local"))
            .env("RESTIC_PASSWORD", key.trim())
            .output()
            .unwrap();
        if checked.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&checked.stderr).into_owned()) }
    });

    // An attacker with everything that the environment has: its folders, and its login at the second place.
    let place = environment.root().join("backups");
    fs::remove_dir_all(&place).unwrap();
    fs::write(&place, b"ransom").unwrap();
    let young = failing(&environment);
    assert!(young.iter().any(|(id, _)| id == "a-backup-is-young"), "{young:?}");
    let config = format!("http://127.0.0.1:{port}/vault/local/config");
    let refused = Command::new("curl")
        .args([
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-X",
            "DELETE",
            "-u",
            &format!("vault:{password}"),
            &config,
        ])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&refused.stdout), "403");

    // The second place is the first one now, and everything is there.
    write("roadbed.toml", &manifest(&format!("repository = \"{url}\""), ""));
    set_password(&environment, "backup/access", &password);
    environment.up_with(&["--no-gate"]).expect(0);
    let args = ["restore", "--collection", "things", "--json"];
    let restored: Value = environment.roadbed_within(Duration::from_secs(120), &args).expect(0).json();
    let name = restored["collections"][0]["to"].as_str().unwrap();
    assert_eq!(node(&environment, COUNT, &[name]), "500");

    // The machine is lost too. What is left is that place, who logs in there, and the keys that people keep.
    let _ = environment.roadbed_within(Duration::from_secs(120), &["backup", "now"]).expect(0);
    let key = environment.roadbed(&["backup", "recovery-key"]).expect(0).stdout;
    let kept = tempfile::tempdir().unwrap();
    let [login, operator] = ["login", "operator-key"].map(|name| kept.path().join(name));
    fs::copy(Path::new(&environment.variables()["XDG_CONFIG_HOME"]).join("roadbed/identity"), &operator).unwrap();
    environment.down().expect(0);
    fs::remove_dir_all(environment.root()).unwrap();
    let restore = |login: &Path| {
        let (login, operator) = (login.display().to_string(), operator.display().to_string());
        let args =
            ["restore", "--from", &url, "--access", &login, "--identity", &operator, "--free-ports", "--no-gate"];
        environment.roadbed_with(Duration::from_secs(300), &args, &key)
    };
    fs::write(&login, "vault:another").unwrap();
    let refused = restore(&login).expect(1);
    assert!(refused.stderr.contains(&url) && !refused.stderr.contains("another"), "{}", refused.stderr);
    assert!(!environment.root().join("environment.json").exists());
    fs::write(&login, format!("vault:{password}\n")).unwrap();
    restore(&login).expect(0);
    assert_eq!(node(&environment, COUNT, &["things"]), "500");
    let _ = environment.roadbed_within(Duration::from_secs(120), &["backup", "now"]).expect(0);
    environment.down().expect(0);
}
