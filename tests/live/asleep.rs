//! A preview that nobody visits sleeps, and whoever comes waits until it is awake. Nobody is turned away, whoever dies meanwhile.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use testkit::{Environment, processes_of, wait_until};

use crate::stage;

const MANIFEST: &str = r#"
[product]
name = "drowsy"

[owners.team]
description = "All"
contact = "team@drowsy.example"

[environments.local]
domain = "drowsy.localhost"

[environments.preview]
domain = "pr-{pr}.drowsy.localhost"
per = "pull-request"
ttl = "7d"
idle = "3s"
seed = "nothing"
rollout = { verify = "1s" }

[services.mongodb]

[apps.api]
owner = "team"
path = "apps/api"
kind = "node"
hosts = ["api"]
needs = ["mongodb"]
start = ["node", "dist/server.mjs"]
internal = true
build = { command = ["cp", "-r", "src", "dist"], output = "dist" }

[apps.shop]
owner = "team"
path = "apps/shop"
kind = "node"
hosts = ["www"]
needs = ["api"]
start = ["node", "dist/server.mjs"]
build = { command = ["cp", "-r", "src", "dist"], output = "dist" }

[variables.API]
description = "Where the API is"
apps = ["shop"]
class = "internal"
owner = "team"
value = "${internal.api}"
"#;

const API: &str = r#"
import { createServer } from "node:http";
const server = createServer((request, response) => response.end("from the api"));
server.listen(Number(process.env.PORT), process.env.HOST);
process.on("SIGTERM", () => { server.close(() => process.exit(0)); server.closeIdleConnections(); });
"#;

const SHOP: &str = r#"
import { createServer } from "node:http";
const server = createServer(async (request, response) => {
  if (request.url === "/ready" || request.url === "/health") return response.end("well");
  const body = [];
  for await (const piece of request) body.push(piece);
  response.end(`${request.method} ${Buffer.concat(body)} ${await (await fetch(process.env.API)).text()}`);
});
server.listen(Number(process.env.PORT), process.env.HOST);
process.on("SIGTERM", () => { server.close(() => process.exit(0)); server.closeIdleConnections(); });
"#;

fn project(folder: &Path) -> PathBuf {
    let write = |name: &str, text: &str| {
        fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
        fs::write(folder.join(name), text).unwrap();
    };
    write("roadbed.toml", MANIFEST);
    write("apps/api/src/server.mjs", API);
    write("apps/shop/src/server.mjs", SHOP);
    write("package.json", r#"{"name":"drowsy","version":"1.0.0"}"#);
    write(
        "package-lock.json",
        r#"{"name":"drowsy","version":"1.0.0","lockfileVersion":3,"packages":{"":{"name":"drowsy","version":"1.0.0"}}}"#,
    );
    folder.to_owned()
}

fn state(shop: &Environment) -> String {
    shop.status()["sleep"]["state"].as_str().unwrap_or("awake").to_owned()
}

/// Processes beside those that keep the door.
fn behind_the_door(shop: &Environment) -> Vec<String> {
    let units = processes_of(shop.root()).into_iter().map(|(_, unit)| unit);
    units.filter(|unit| !["keeper", "control", "edge", "telemetry"].contains(&unit.as_str())).collect()
}

fn falls_asleep(shop: &Environment) {
    wait_until("it sleeps, and nothing runs behind its door", Duration::from_secs(60), || {
        let (state, running) = (state(shop), behind_the_door(shop));
        if state == "asleep" && running.is_empty() { Ok(()) } else { Err(format!("{state}: {running:?}")) }
    });
}

/// So many visitors come at once, half of them with a body that must not be sent twice; `meanwhile` happens while they wait.
fn visit(shop: &Environment, meanwhile: impl FnOnce()) {
    let client = shop.client().patient_for(Duration::from_secs(90));
    let url = format!("{}/", shop.url("shop"));
    let failed: Vec<String> = thread::scope(|scope| {
        let visitors: Vec<_> = (0..8)
            .map(|at| {
                let (client, url) = (&client, &url);
                scope.spawn(move || {
                    let (method, body) = if at % 2 == 0 { ("GET", "") } else { ("POST", "one bell") };
                    let answer = client.request(method, url, &[], body)?;
                    let wanted = format!("{method} {body} from the api");
                    if (answer.status, &answer.body) == (200, &wanted) { Ok(()) } else { Err(format!("{answer:?}")) }
                })
            })
            .collect();
        meanwhile();
        visitors.into_iter().filter_map(|visitor| visitor.join().unwrap().err()).collect()
    });
    assert_eq!(failed, [""; 0]);
}

#[test]
fn a_preview_sleeps_while_nobody_comes_and_who_comes_waits_until_it_is_awake() {
    let _stage = stage::enter_alone();
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path());
    let shop = Environment::new(env!("CARGO_BIN_EXE_roadbed"), &project).with_flags(&["--env", "preview/pr-7"]);
    shop.up_with(&["--no-gate"]);
    assert_eq!(state(&shop), "awake");
    falls_asleep(&shop);
    assert!(shop.roadbed(&["status"]).expect(0).stderr.contains("the next visitor wakes it"));
    // Its door stays as it is: same processes, same address.
    let edge = shop.pid_of("edge");
    visit(&shop, || {});
    assert_eq!((state(&shop).as_str(), shop.pid_of("edge")), ("awake", edge));
    let woken = behind_the_door(&shop);
    for unit in ["api-1", "mongodb", "shop-1"] {
        assert!(woken.iter().any(|running| running == unit), "{woken:?}");
    }

    // Whoever dies while it sleeps is back, and it goes on sleeping.
    falls_asleep(&shop);
    for unit in ["control", "edge", "keeper"] {
        shop.kill9(unit);
        wait_until("control answers", Duration::from_secs(30), || {
            let status = shop.status();
            let has = |name: &str| {
                status["units"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|unit: &Value| unit["name"] == name && unit["state"] == "running")
            };
            if has("control") && has("edge") && status.get("trouble").is_none() {
                Ok(())
            } else {
                Err(format!("{status:#}"))
            }
        });
        falls_asleep(&shop);
    }
    visit(&shop, || {});

    // Control is killed while it wakes.
    falls_asleep(&shop);
    visit(&shop, || {
        wait_until("it wakes", Duration::from_secs(10), || match behind_the_door(&shop) {
            running if running.is_empty() => Err("nothing runs yet"),
            _ => Ok(()),
        });
        shop.kill9("control");
    });
    wait_until("it is awake", Duration::from_secs(30), || match state(&shop) {
        state if state == "awake" => Ok(()),
        state => Err(state),
    });

    // What needs it wakes it: a command that looks into the data, and a deployment.
    falls_asleep(&shop);
    let _ = shop.roadbed(&["db", "stats"]).expect(0);
    // Whoever comes in the very moment in which it fell asleep meets a control that is still at it.
    for _ in 0..4 {
        falls_asleep(&shop);
        visit(&shop, || {});
    }
    falls_asleep(&shop);
    let deployed = shop.roadbed(&["deploy"]).expect(0);
    assert!(deployed.stdout.contains("is live"), "{}", deployed.stdout);
    visit(&shop, || {});
    falls_asleep(&shop);
    visit(&shop, || {});
    let _ = shop.roadbed(&["down", "--purge", "--yes"]).expect(0);
}
