//! `check process-model`: an app that may come and go passes, and one that may not is told why.

use serde_json::Value;

use crate::stage::Stage;

/// Says who it knows, ends in order. `known`: how it makes and knows sessions; `end`: what it does on SIGTERM; `more`: anything else.
fn app(known: &str, end: &str, more: &str) -> String {
    format!(
        r#"const sessions = new Map();
let draining = false;
const server = require("node:http").createServer((request, answer) => {{
  const cookie = (request.headers.cookie ?? "").match(/sid=([a-z0-9]+)/)?.[1];
  request.resume().on("end", () => {{
    if (request.url === "/ready") answer.statusCode = draining ? 503 : 200;
    {known}
    {more}
    answer.end("tiny " + who + "\n");
  }});
}});
server.keepAliveTimeout = Number(process.env.ROADBED_KEEP_ALIVE_MS);
server.listen(Number(process.env.PORT), "127.0.0.1");
process.on("SIGTERM", () => {{ draining = true; {end} }});
"#
    )
}

/// The cookie itself says who it is.
const OUTSIDE: &str =
    "const who = cookie ?? \"ann\"; if (!cookie) answer.setHeader(\"set-cookie\", \"sid=ann; Path=/\");";

/// The process knows.
const IN_MEMORY: &str = "let sid = cookie; if (!sessions.has(sid)) { sid = Math.random().toString(36).slice(2); \
    sessions.set(sid, \"ann\"); answer.setHeader(\"set-cookie\", \"sid=\" + sid + \"; Path=/\"); } const who = sessions.get(sid);";

const IN_ORDER: &str = "server.close(() => process.exit(0)); server.closeIdleConnections();";

/// Verdicts by row, and all that was observed.
fn rows(stage: &Stage, code: i32) -> (Vec<(String, String)>, String) {
    let answer = stage.roadbed("check process-model web --json").exits(code);
    let report: Value = serde_json::from_str(&answer.out.join("\n")).unwrap_or_else(|_| panic!("{answer}"));
    assert_eq!(report["holds"], code == 0);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let checks = report["checks"].as_array().unwrap();
    let rows = checks.iter().map(|check| (text(&check["id"]), text(&check["verdict"]))).collect();
    (rows, report["checks"].to_string())
}

/// The rows that do not hold.
fn broken(stage: &Stage) -> (Vec<String>, String) {
    let (rows, observed) = rows(stage, 1);
    (rows.into_iter().filter(|(_, verdict)| verdict != "holds").map(|(id, _)| id).collect(), observed)
}

#[test]
fn an_app_that_may_come_and_go_passes_beside_what_serves_and_nothing_is_left() {
    let stage = Stage::delivered();
    stage.deploy(&app(OUTSIDE, IN_ORDER, "")).exits(0);
    let (held, observed) = rows(&stage, 0);
    let ids: Vec<&str> = held.iter().map(|(id, _)| id.as_str()).collect();
    let all = [
        "starts-beside-itself",
        "session-is-outside",
        "ends-what-is-under-way",
        "goes-when-told",
        "writes-nothing-of-its-own",
    ];
    assert_eq!(ids, all, "{observed}");
    for seen in [
        "gave the cookies sid",
        "both say the same",
        "is under way at web-trial-1",
        "not ready any more",
        "exit code 0",
    ] {
        assert!(observed.contains(seen), "{seen:?} is missing in {observed}");
    }
    assert_eq!(stage.instances(), ["web-blue-1"], "what was tried out is gone");
    assert_eq!(stage.visit().0, "tiny ann");
    stage.roadbed("check process-model").exits(0).says(&["5 of 5 promises hold"]);
    stage.roadbed("check process-model nobody").refuses(1, &["there is no process \"nobody\""]);
    stage.roadbed("check process-model --visit cart").refuses(1, &["is no visit"]);
}

#[test]
fn what_runs_from_the_project_can_be_tried_out_too() {
    let stage = Stage::new();
    stage.roadbed("check process-model").refuses(1, &["nothing is proven"]);
    stage.server(&app(OUTSIDE, IN_ORDER, ""));
    stage.up();
    let (held, observed) = rows(&stage, 0);
    assert_eq!(held.len(), 5, "{observed}");
    assert_eq!(stage.instances(), ["web-1"]);
}

#[test]
fn an_app_that_keeps_what_it_should_not_or_does_not_go_is_told_why() {
    let stage = Stage::delivered();
    stage.deploy(&app(IN_MEMORY, IN_ORDER, "")).exits(0);
    let (rows, observed) = broken(&stage);
    assert_eq!(rows, ["session-is-outside"], "{observed}");
    assert!(observed.contains("does not know the session of web-trial-1"), "{observed}");

    // Ignores the word to go.
    stage.deploy(&app(OUTSIDE, "draining = false;", "")).exits(0);
    let (rows, observed) = broken(&stage);
    assert_eq!(rows, ["ends-what-is-under-way", "goes-when-told"], "{observed}");
    assert!(observed.contains("SIGKILL") && observed.contains("still says that it is ready"), "{observed}");

    // Goes at once, whatever it has under way.
    stage.deploy(&app(OUTSIDE, "process.exit(0);", "")).exits(0);
    let (rows, observed) = broken(&stage);
    assert_eq!(rows, ["ends-what-is-under-way"], "{observed}");
    assert!(observed.contains("was lost"), "{observed}");

    // Writes beside itself.
    let writes = "try { require(\"node:fs\").writeFileSync(\"seen.txt\", String(Date.now())); } catch (fault) { console.error(String(fault)); }";
    stage.deploy(&app(OUTSIDE, IN_ORDER, writes)).exits(0);
    let (rows, observed) = broken(&stage);
    assert_eq!(rows, ["writes-nothing-of-its-own"], "{observed}");
    assert!(observed.contains("seen.txt"), "{observed}");

    // Listens where only one can.
    let one = "require(\"node:net\").createServer().on(\"error\", () => process.exit(9)).listen(process.env.PIPE ?? \"\\0tiny-\" + process.env.ROADBED_RELEASE + process.cwd());\n";
    stage.edit("start = \"10s\"", "start = \"3s\"");
    stage.deploy(&format!("{one}{}", app(OUTSIDE, IN_ORDER, ""))).exits(0);
    let (rows, observed) = broken(&stage);
    assert_eq!(rows, ["starts-beside-itself"], "{observed}");
    assert!(observed.contains("exit code 9"), "{observed}");
    stage.until("nothing is left", || stage.instances().iter().all(|unit| !unit.contains("trial")));
}

#[test]
fn a_control_that_is_killed_meanwhile_leaves_nothing_behind() {
    let stage = Stage::delivered();
    stage.deploy(&app(OUTSIDE, "", "")).exits(0);
    let checking = stage.begin("check process-model");
    stage.until("two are tried out", || stage.instances().contains(&"web-trial-2".to_owned()));
    stage.kill("control");
    let _ = checking.end();
    stage.until("they are gone", || stage.instances() == ["web-blue-1"]);
    assert_eq!(stage.visit().0, "tiny ann");
}
