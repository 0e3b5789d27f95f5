//! An app that tries to get at what is not its business. The machine may not allow every safeguard: then `up` refuses what the
//! manifest requires, and says which and why.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use testkit::{Client, Environment, wait_until};

use crate::stage;

const MANIFEST: &str = r#"
[product]
name = "jail"

[owners.team]
description = "All"
contact = "team@jail.example"

[environments.local]
domain = "jail.localhost"
require = ["own-user", "cgroup", "private-tmp", "read-only-release"]

[services.redis]

[apps.burglar]
owner = "team"
path = "apps/burglar"
kind = "node"
hosts = ["burglar"]
needs = ["redis"]
start = ["node", "dist/server.mjs"]
build = { command = ["cp", "-r", "src", "dist"], output = "dist" }
limits = { memory_max = "192 MiB", processes = 64, cpu = 1 }

[apps.neighbour]
owner = "team"
path = "apps/neighbour"
kind = "node"
hosts = ["neighbour"]
start = ["node", "dist/server.mjs"]
build = { command = ["cp", "-r", "src", "dist"], output = "dist" }

[variables.TOKEN]
description = "Whoever has it is the neighbour"
apps = ["neighbour"]
class = "secret"
owner = "team"
source = "generated"
example = "example"
"#;

/// Does what it is told, and says what came of it.
const BURGLAR: &str = r#"
import { createServer } from "node:http";
import { readFileSync, writeFileSync, readdirSync } from "node:fs";
import { spawn } from "node:child_process";
import { connect } from "node:net";
const tried = (work) => { try { return work() ?? "done"; } catch (error) { return error.code; } };
const deeds = {
  who: () => ({ uid: process.getuid(), gid: process.getgid(), groups: process.getgroups(), tmp: process.env.TMPDIR }),
  read: (path) => tried(() => void readFileSync(path)),
  list: (path) => tried(() => readdirSync(path).join(" ")),
  write: (path) => tried(() => writeFileSync(path, "was here")),
  kill: (pid) => tried(() => void process.kill(Number(pid), 0)),
  connect: (path) => new Promise((done) => {
    const socket = connect(path, () => done("done")).on("error", (error) => done(error.code));
    setTimeout(() => socket.destroy(), 1000);
  }),
  breed: async () => {
    let born = 0, refused = "";
    for (let i = 0; i < 100 && !refused; i++) {
      await new Promise((next) => {
        const child = spawn("/bin/sleep", ["3"]);
        child.on("spawn", () => { born++; next(); });
        child.on("error", (error) => { refused = error.code; next(); });
      });
    }
    return { born, refused };
  },
  devour: () => { const all = []; for (;;) all.push(Buffer.alloc(8 << 20, 1)); },
};
createServer(async (request, response) => {
  const url = new URL(request.url, "http://x");
  const deed = deeds[url.pathname.slice(1)];
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(deed ? await deed(url.searchParams.get("it")) : "well"));
}).listen(Number(process.env.PORT), process.env.HOST);
process.on("SIGTERM", () => process.exit(0));
"#;

fn project(folder: &Path) {
    let write = |name: &str, text: &str| {
        fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
        fs::write(folder.join(name), text).unwrap();
    };
    write("roadbed.toml", MANIFEST);
    write("apps/burglar/src/server.mjs", BURGLAR);
    write("apps/neighbour/src/server.mjs", BURGLAR);
    write("package.json", r#"{"name":"jail","version":"1.0.0"}"#);
    write(
        "package-lock.json",
        r#"{"name":"jail","version":"1.0.0","lockfileVersion":3,"packages":{"":{"name":"jail","version":"1.0.0"}}}"#,
    );
}

struct Scene {
    jail: Environment,
    client: Client,
    url: String,
}

impl Scene {
    #[track_caller]
    fn tries(&self, deed: &str, it: &str) -> Value {
        let url = format!("{}/{deed}?it={it}", self.url);
        self.client.get(&url).unwrap_or_else(|why| panic!("{url}: {why}")).json()
    }

    /// What is refused is refused as if it were not there, or as another's.
    #[track_caller]
    fn is_refused(&self, deed: &str, it: &str) {
        let outcome = self.tries(deed, it);
        let refusals = ["EACCES", "EPERM", "ENOENT", "EROFS"];
        assert!(outcome.as_str().is_some_and(|code| refusals.contains(&code)), "{deed} {it}: {outcome}");
    }

    fn confinement(&self, unit: &str) -> Value {
        let status = self.jail.status();
        let units = status["units"].as_array().unwrap();
        units.iter().find(|found| found["name"] == unit).unwrap_or_else(|| panic!("no {unit}"))["confinement"].clone()
    }
}

#[test]
fn an_app_gets_at_nothing_that_is_not_its_own() {
    let _stage = stage::enter();
    let project_folder = tempfile::tempdir().unwrap();
    project(project_folder.path());
    let jail = Environment::new(env!("CARGO_BIN_EXE_roadbed"), project_folder.path());
    let up = jail.roadbed_within(Duration::from_secs(300), &["up", "--detach", "--no-gate"]);
    if up.code != 0 {
        // A machine that cannot do it all: refused before anything was begun, with each safeguard and its reason.
        assert!(up.stderr.contains("requires what this machine does not allow"), "{}", up.stderr);
        assert!(up.stderr.contains("hint: run Roadbed as root"), "{}", up.stderr);
        assert_eq!(jail.units().iter().filter(|unit| unit.kind == "app").count(), 0);
        return;
    }
    let scene = Scene { client: jail.client(), url: jail.url("burglar"), jail };
    let root = scene.jail.root().display().to_string();
    let (own, neighbour) = (scene.jail.pid_of("burglar-1"), scene.jail.pid_of("neighbour-1"));
    let redis = scene.jail.pid_of("redis");

    let who = scene.tries("who", "");
    assert!(who["uid"].as_u64().unwrap() > 60_000 && who["uid"] == who["gid"], "{who}");
    assert_eq!(who["groups"], serde_json::json!([who["gid"]]), "{who}");
    assert_eq!(who["tmp"], "/tmp");
    for unit in ["burglar-1", "neighbour-1", "redis"] {
        let confined = scene.confinement(unit);
        for safeguard in ["user", "no_new_privs", "cgroup", "limits", "private_tmp", "read_only_release"] {
            assert_eq!(confined[safeguard]["in_force"], true, "{unit}: {confined:#}");
        }
    }
    assert_ne!(scene.confinement("neighbour-1")["user"]["detail"], scene.confinement("burglar-1")["user"]["detail"]);
    assert_eq!(scene.confinement("edge")["user"]["in_force"], false, "it must be able to bring the keeper back");

    // The secret store, the keys, the state, other units' data and files, as well by way of their processes.
    for path in ["secrets/store.db", "tls/leaf.json", "state/journal.db", "data/redis", "conf/redis/users.acl", ""] {
        assert!(scene.jail.root().join(path).exists(), "{path} is there to be tried");
        scene.is_refused("read", &format!("{root}/{path}"));
        scene.is_refused("read", &format!("/proc/{redis}/root/{root}/{path}"));
    }
    scene.is_refused("list", &root);
    for pid in [neighbour, redis, scene.jail.keeper_pid().unwrap()] {
        scene.is_refused("read", &format!("/proc/{pid}/environ"));
        scene.is_refused("list", &format!("/proc/{pid}/fd"));
        scene.is_refused("kill", &pid.to_string());
    }
    for socket in ["keeper", "control", "lifeline", "edge"] {
        assert!(scene.jail.root().join(format!("run/{socket}.sock")).exists());
        scene.is_refused("connect", &format!("{root}/run/{socket}.sock"));
    }
    // Its own release: it reads it, and writes nothing.
    let code = format!("{}/apps/burglar/dist/server.mjs", scene.jail.project().display());
    assert_eq!(scene.tries("read", &code), "done");
    scene.is_refused("write", &code);
    scene.is_refused("write", &format!("{}/apps/burglar/dist/new.mjs", scene.jail.project().display()));
    scene.is_refused("write", "/etc/new");
    // A folder for temporary files, which is not the machine's.
    let name = format!("burglar-{own}");
    assert_eq!(scene.tries("write", &format!("/tmp/{name}")), "done");
    assert!(!Path::new("/tmp").join(&name).exists());
    assert!(scene.jail.root().join("tmp/burglar-1").join(&name).exists());

    // More than its share.
    let bred = scene.tries("breed", "");
    assert_eq!(bred["refused"], "EAGAIN", "{bred}");
    assert!(bred["born"].as_u64().unwrap() < 64, "{bred}");
    let _ = scene.client.get(&format!("{}/devour", scene.url));
    let told = wait_until("its end is told", Duration::from_secs(30), || {
        let log = scene.jail.log("keeper");
        let line = log.lines().find(|line| line.contains("over its memory limit of 192 MiB")).map(str::to_owned);
        line.ok_or_else(|| scene.jail.log("burglar-1"))
    });
    assert!(told.contains("burglar-1"), "{told}");
    assert_eq!(scene.jail.pid_of("neighbour-1"), neighbour, "nobody else was harmed");
    wait_until("it is back", Duration::from_secs(30), || scene.client.get(&scene.url));
}
