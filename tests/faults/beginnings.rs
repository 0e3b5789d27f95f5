//! Before there is an environment: a manifest for somebody else's product, and what a machine lacks.

use std::fs;

use serde_json::Value;

use crate::stage::Stage;

/// A folder with one server in it, as somebody has it who has never heard of Roadbed.
fn stranger() -> Stage {
    let stage = Stage::fresh();
    fs::remove_dir_all(&stage.project).unwrap();
    fs::create_dir_all(stage.project.join("src")).unwrap();
    stage.write(
        "package.json",
        r#"{ "name": "corner-shop", "version": "1.0.0", "scripts": { "start": "node src/server.js" } }"#,
    );
    stage.write("package-lock.json", r#"{ "name": "corner-shop", "version": "1.0.0", "lockfileVersion": 3, "packages": { "": { "name": "corner-shop", "version": "1.0.0" } } }"#);
    stage.write(
        "src/server.js",
        "const { createServer } = require('node:http');
         if (!process.env.SESSION_SECRET) throw new Error('no SESSION_SECRET');
         const server = createServer((request, answer) => answer.end(request.url === '/healthz' ? 'ok' : 'corner\\n'));
         server.listen(process.env.PORT, process.env.HOST);
         process.on('SIGTERM', () => { server.close(() => process.exit(0)); server.closeIdleConnections(); });",
    );
    stage
}

#[test]
fn a_strangers_server_is_up_with_a_gate_that_holds_after_two_commands() {
    let stage = stranger();
    stage.roadbed("up").refuses(2, &["there is no roadbed.toml", "roadbed init"]);
    stage.roadbed("init --yes").exits(0).says(&["api (node, .)", "wrote roadbed.toml"]);
    stage.roadbed("manifest check").exits(0);
    let ignored = fs::read_to_string(stage.project.join(".gitignore")).unwrap();
    assert!(ignored.lines().any(|line| line == "/.roadbed/"), "{ignored}");

    stage.roadbed("up --detach").exits(0);
    stage.roadbed("ready").exits(0);
    let url = stage.status()["urls"]["api"].as_str().unwrap().to_owned();
    assert_eq!(stage.client().get(&url).unwrap().body, "corner\n");
    // What it wrote beside the sources is no change of them.
    stage.roadbed("up --detach --no-gate").exits(0).says(&["nothing to change"]);
    stage.roadbed("env check").exits(0);
}

#[test]
fn a_manifest_that_is_there_is_replaced_only_when_that_is_said() {
    let stage = stranger();
    stage.write("roadbed.toml", "# mine\n");
    stage.roadbed("init --yes").refuses(2, &["roadbed.toml is there already", "--force"]);
    assert_eq!(fs::read_to_string(stage.project.join("roadbed.toml")).unwrap(), "# mine\n");
    let shown = stage.roadbed("init --yes --dry-run").exits(0).says(&["[apps.api]"]);
    assert!(!stage.project.join(".gitignore").exists(), "{shown}");
    stage.roadbed("init --yes --domain not_a_domain! --force").refuses(2, &["these answers make no manifest"]);
    stage.roadbed("init --yes --force --product corner --domain corner.example --contact me@corner.example").exits(0);
    let text = fs::read_to_string(stage.project.join("roadbed.toml")).unwrap();
    assert!(text.contains("domain = \"corner.example\"") && text.contains("me@corner.example"), "{text}");

    fs::remove_file(stage.project.join("package.json")).unwrap();
    stage.roadbed("init --force --yes").refuses(2, &["there is nothing in", "that Roadbed can run"]);
}

#[test]
fn a_doctor_names_what_is_missing_and_what_to_do() {
    let stage = Stage::new();
    // What the machine of this test itself lacks, such as room on its disk, is none of its business.
    let findings = |variables: &[(&str, &str)], missing: Option<&str>| -> Vec<Value> {
        let answer = stage.roadbed_with("doctor --json", variables);
        let told: Value = serde_json::from_str(&answer.out[0]).unwrap();
        let all = told["findings"].as_array().unwrap().clone();
        let is_missing = |one: &Value| one["verdict"] == "missing";
        let holds = !all.iter().any(is_missing);
        assert_eq!((&told["holds"], answer.code), (&Value::Bool(holds), Some(i32::from(!holds))), "{told:#}");
        for id in ["node", "state-folder", "port"] {
            let lacks = all.iter().any(|one| one["id"] == id && is_missing(one));
            assert_eq!(lacks, missing == Some(id), "{id}: {told:#}");
        }
        all
    };
    let of =
        |all: &[Value], id: &str| all.iter().find(|one| one["id"] == id).unwrap_or_else(|| panic!("no {id}")).clone();

    let sound = findings(&[], None);
    assert_eq!(of(&sound, "node")["verdict"], "good");
    stage.roadbed("doctor").says(&["✓ node"]);

    let nowhere = stage.home.join("nothing");
    let without = findings(&[("PATH", nowhere.to_str().unwrap())], Some("node"));
    assert!(of(&without, "node")["hint"].as_str().unwrap().contains("install Node.js"));

    // Not even root writes there.
    let locked = findings(&[("XDG_STATE_HOME", "/proc/state")], Some("state-folder"));
    assert_eq!(of(&locked, "node")["verdict"], "good");

    let taken = host::socket::listen(([0, 0, 0, 0], 0).into()).unwrap();
    let port = taken.local_addr().unwrap().port();
    stage
        .edit("domain = \"tiny.localhost\"\n", &format!("domain = \"tiny.localhost\"\nports = {{ https = {port} }}\n"));
    let held = findings(&[], Some("port"));
    assert!(of(&held, "port")["seen"].as_str().unwrap().contains(&port.to_string()));
}
