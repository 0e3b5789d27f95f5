//! Deployments of the smallest product: forward, not forward, back again, and whatever is killed meanwhile.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use reconcile::ports::Routes;
use serde_json::Value;
use testkit::{Crowd, Kept, SendHomeOnDrop, wait_until};

use crate::command::Answer;
use crate::stage::Stage;

/// Answers as the release says; drains when it is told to go.
pub(crate) fn says(what: &str) -> String {
    server(&format!("answer.end(\"tiny {what}\\n\")"))
}

/// A server whose answer is this piece of script.
pub(crate) fn server(answers: &str) -> String {
    format!(
        "const server = require(\"node:http\").createServer((request, answer) => {{ {answers} }});\n\
         server.keepAliveTimeout = Number(process.env.ROADBED_KEEP_ALIVE_MS);\n\
         server.listen(Number(process.env.PORT), \"127.0.0.1\", () => console.log(process.env.ROADBED_RELEASE));\n\
         process.on(\"SIGTERM\", () => {{ server.close(() => process.exit(0)); server.closeIdleConnections(); }});\n"
    )
}

impl Stage {
    /// An environment whose deployments a test can wait for.
    pub(crate) fn delivered() -> Self {
        Self::with_rollout("verify = \"1s\", keep_warm = \"1h\"")
    }

    pub(crate) fn with_rollout(rollout: &str) -> Self {
        let stage = Self::new();
        let domain = "domain = \"tiny.localhost\"\n";
        stage.edit(domain, &format!("{domain}rollout = {{ {rollout} }}\n"));
        stage
    }

    pub(crate) fn deploy(&self, server: &str) -> Answer {
        self.server(server);
        self.roadbed("deploy")
    }

    pub(crate) fn json(&self, words: &str) -> Value {
        let answer = self.roadbed(words).exits(0);
        serde_json::from_str(&answer.out.join("\n")).unwrap()
    }

    /// What visitors get, and of which release.
    pub(crate) fn visit(&self) -> (String, String) {
        let answer = self.client().get(&self.url()).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        (answer.body.trim().to_owned(), answer.headers.get("roadbed-release").cloned().unwrap_or_default())
    }

    /// State of the newest deployment.
    pub(crate) fn newest(&self) -> String {
        self.json("deploy list --json")["deployments"][0]["state"].as_str().unwrap().to_owned()
    }

    /// Names of app instances that run.
    pub(crate) fn instances(&self) -> Vec<String> {
        self.units().into_iter().filter(|unit| unit.starts_with("web-")).collect()
    }
}

#[test]
fn a_release_goes_live_beside_the_one_before_and_one_can_go_back_at_once() {
    let stage = Stage::delivered();
    stage.deploy(&says("one")).exits(0).says(&["● smoking", "● switching", "d1: r1 is live"]);
    assert_eq!(stage.visit(), ("tiny one".into(), "r1".into()));
    assert_eq!(stage.instances(), ["web-blue-1"]);
    stage.deploy(&says("two")).exits(0).says(&["d2: r2 is live"]);
    assert_eq!(stage.visit(), ("tiny two".into(), "r2".into()));
    assert_eq!(stage.instances(), ["web-blue-1", "web-green-1"], "the one before is kept warm");

    stage.roadbed("rollback --dry-run").exits(0).says(&["from r2 to r1: it stands ready"]);
    assert_eq!(stage.visit().1, "r2", "a rehearsal changes nothing");
    stage.roadbed("rollback").exits(0).says(&["d3: back at r1"]);
    assert_eq!(stage.visit(), ("tiny one".into(), "r1".into()));
    // And a rollback of the rollback.
    stage.roadbed("rollback --to r2").exits(0);
    assert_eq!(stage.visit().1, "r2");
    stage.roadbed("rollback --to r2").refuses(1, &["r2 is live already"]);
    stage.roadbed("rollback --to r9").refuses(1, &["there is no release r9"]);
    stage.roadbed("rollback --to nine").refuses(2, &["r1, r2 and so on"]);

    // What is deployed is what comes back, whatever is in the project by now.
    stage.server(&says("not deployed"));
    stage.roadbed("down").exits(0);
    stage.up();
    assert_eq!(stage.visit(), ("tiny two".into(), "r2".into()));
    stage.roadbed("up --dev --detach --no-gate").refuses(1, &["a release is live there"]);
    // Logs say of which release.
    let log = fs::read_to_string(stage.root.join("logs/access.log")).unwrap();
    assert!(log.lines().any(|line| line.contains("\"release\":\"r2\"") && line.contains("web-green-1")), "{log}");
}

/// What the gate says of one promise.
fn promise(stage: &Stage, id: &str) -> (String, String) {
    let answer = stage.roadbed(&format!("ready --json --only {id}"));
    let report: Value = serde_json::from_str(&answer.out.join("\n")).unwrap_or_else(|_| panic!("{answer}"));
    let check = &report["checks"][0];
    (check["verdict"].as_str().unwrap().to_owned(), check["observed"].to_string())
}

#[test]
fn the_gate_sees_routes_that_lead_elsewhere_and_a_way_back_that_is_gone() {
    let stage = Stage::with_rollout("verify = \"1s\", keep_warm = \"1s\"");
    let (served, back) = ("visitors-get-what-was-looked-at", "one-can-go-back");
    let looked_at = "failed-looks-fail-deployments";
    let holds = |id: &str| {
        let (verdict, observed) = promise(&stage, id);
        assert_eq!(verdict, "holds", "{observed}");
    };
    let fails = |id: &str, with: &str| {
        let (verdict, observed) = promise(&stage, id);
        assert_eq!(verdict, "fails", "{observed}");
        assert!(observed.contains(with), "{observed}");
    };
    stage.roadbed("up --detach --no-gate").exits(0);
    stage.roadbed(&format!("ready --only {served}")).refuses(1, &["there is no check"]);
    stage.deploy(&says("one")).exits(0);
    holds(served);
    stage.roadbed(&format!("ready --only {back}")).refuses(1, &["there is no check"]);
    // It goes bad when it is told to.
    let moody = "moody = request.url === \"/bad\" || (moody && request.url !== \"/good\"); answer.end(moody ? \"huge\" : \"tiny two\")";
    stage.deploy(&format!("let moody = false; {}", server(moody))).exits(0);
    holds(served);
    stage.until("only the live one runs", || stage.instances() == ["web-green-1"]);
    holds(back);

    // Somebody publishes another way behind our back.
    let edge = edge::client::EdgeClient::new(reconcile::Root::new(stage.root.clone()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ours = runtime.block_on(edge.current()).unwrap().unwrap();
    let mut elsewhere = ours.clone();
    if let reconcile::ports::Target::Instances { upstreams, .. } = &mut elsewhere.sites[0].target {
        upstreams[0].port += 1;
    }
    runtime.block_on(edge.publish(elsewhere)).unwrap();
    fails(served, "is routed to web-green-1 on port");
    runtime.block_on(edge.publish(ours)).unwrap();
    holds(served);

    // Visitors get a page that is not as it should be.
    stage.client().get(&format!("{}/bad", stage.url().trim_end_matches('/'))).unwrap();
    fails(looked_at, "does not contain");
    stage.client().get(&format!("{}/good", stage.url().trim_end_matches('/'))).unwrap();
    holds(looked_at);

    // Somebody switched to a release that nobody had looked at.
    stage.deploy(&server("answer.end(\"huge\\n\")")).exits(10);
    holds(looked_at);
    let book = rusqlite::Connection::open(stage.root.join("state/delivery.db")).unwrap();
    let looks = "SELECT number FROM happened WHERE deployment = 2 AND state = 'smoking' ORDER BY number LIMIT 1";
    let look: i64 = book.query_row(looks, [], |row| row.get(0)).unwrap();
    book.execute("UPDATE happened SET state = 'starting' WHERE number = ?1", [look]).unwrap();
    fails(looked_at, "d2 reached visitors and nobody had looked at it");
    book.execute("UPDATE happened SET state = 'smoking' WHERE number = ?1", [look]).unwrap();
    holds(looked_at);

    // Each look was kept, and says since when what holds.
    let history = stage.json("ready history --json");
    let promises = history["promises"].as_array().unwrap();
    let served = promises.iter().find(|promise| promise["id"] == served).unwrap();
    assert_eq!((served["verdict"].as_str(), served["broken"].as_u64()), (Some("holds"), Some(1)), "{served}");
    assert!(served["last_broken"]["at"].as_i64() < served["since"].as_i64(), "{served}");
    stage.roadbed("ready --explain T9").exits(0).says(&[looked_at, "only looks", "2 of them saw otherwise"]);
    stage.roadbed("ready verify").exits(0).says(&["the evidence is whole"]);
    let exported = stage.roadbed("ready export").exits(0).out.join("\n");
    assert!(exported.lines().count() > 5 && exported.contains(looked_at), "{exported}");

    let artifacts = stage.home.join(".cache/roadbed/artifacts");
    let release = &stage.json("releases --json")["releases"][2];
    let archive = artifacts.join(format!("{}.tar.zst", release["artifacts"][0]["digest"].as_str().unwrap()));
    let whole = fs::read(&archive).unwrap();
    fs::write(&archive, &whole[..whole.len() - 9]).unwrap();
    fails(back, "web: artifact");
    fs::write(&archive, &whole).unwrap();
    holds(back);
}

#[test]
fn what_is_no_longer_warm_is_rolled_back_to_from_its_artifact() {
    let stage = Stage::with_rollout("verify = \"1s\", keep_warm = \"1s\", keep_releases = 2");
    for what in ["one", "two", "three"] {
        stage.deploy(&says(what)).exits(0);
    }
    stage.until("only the live one runs", || stage.instances() == ["web-blue-1"]);
    stage.roadbed("rollback").exits(0).says(&["from r3 to r2: from its artifacts", "● smoking", "back at r2"]);
    assert_eq!(stage.visit(), ("tiny two".into(), "r2".into()));
    // Of what nobody can go back to nothing lies about.
    let unpacked = || fs::read_dir(stage.root.join("releases")).unwrap().count();
    assert_eq!(unpacked(), 2);
    stage.roadbed("rollback --to r1").exits(0);
    assert_eq!(stage.visit().0, "tiny one", "and it is unpacked again when it is wanted");
}

#[test]
fn a_release_that_is_broken_is_seen_by_nobody() {
    let stage = Stage::delivered();
    stage.deploy(&says("one")).exits(0);
    let crowd = Crowd::default();
    let (url, client) = (stage.url(), stage.client());
    thread::scope(|scope| {
        let _home = SendHomeOnDrop(&crowd);
        for _ in 0..2 {
            let (mut visitor, url) = (Kept::new(client.clone()), url.clone());
            crowd.let_in(scope, 50, move || match visitor.request("GET", &url, &[], "")? {
                answer if answer.body == "tiny one\n" => Ok(()),
                answer => Err(format!("{answer:?}")),
            });
        }
        // Wrong text, wrong status, never ready, dead at once.
        stage.deploy(&server("answer.end(\"huge\\n\")")).exits(10).says(&["does not contain \"tiny\"", "saw nothing"]);
        let wrong = "answer.statusCode = request.url === \"/\" && request.headers[\"x-request-id\"] ? 500 : 200; answer.end(\"tiny\")";
        stage.deploy(&server(wrong)).exits(10).says(&["answered 500 and not 200"]);
        stage.edit("start = \"10s\"", "start = \"2s\"");
        stage
            .deploy(&server("answer.statusCode = 503; answer.end(\"not yet\")"))
            .exits(10)
            .says(&["does not get ready"]);
        stage
            .deploy("console.log('no such module'); process.exit(7)")
            .exits(10)
            .says(&["exit code 7", "no such module"]);
    });
    assert_eq!(crowd.failed(), Vec::<String>::new());
    assert!(crowd.asked() > 100, "{}", crowd.asked());
    assert_eq!(stage.instances(), ["web-blue-1"], "nothing of it is left");
    stage.deploy(&says("six")).exits(0);
    assert_eq!(stage.visit().0, "tiny six");
}

#[test]
fn a_release_that_does_not_do_well_for_visitors_is_taken_back() {
    let stage = Stage::with_rollout("verify = \"5s\", keep_warm = \"1h\"");
    stage.deploy(&says("one")).exits(0);
    let (url, client) = (stage.url(), stage.client());
    let crowd = Crowd::default();
    thread::scope(|scope| {
        let _home = SendHomeOnDrop(&crowd);
        for _ in 0..4 {
            let (mut visitor, url) = (Kept::new(client.clone()), format!("{url}/basket"));
            crowd.let_in(scope, 30, move || visitor.request("GET", &url, &[], "").map(drop));
        }
        // Its smoke page is fine, and what people want is not.
        let broken = "answer.statusCode = request.url === \"/basket\" ? 500 : 200; answer.end(\"tiny\")";
        stage.deploy(&server(broken)).exits(11).says(&["requests failed", "visitors are back at r1"]);
    });
    assert_eq!(crowd.failed(), Vec::<String>::new(), "an answer with 500 is the app's, and none was lost");
    assert_eq!(stage.visit(), ("tiny one".into(), "r1".into()));
    stage.until("it is gone", || stage.instances() == ["web-blue-1"]);

    // One that dies a while after it was ready.
    let mortal = says("three") + "setTimeout(() => process.exit(3), 3000);\n";
    stage.deploy(&mortal).exits(11).says(&["its instances died"]);
    assert_eq!(stage.visit().1, "r1");
    // What was taken back is not what one goes back to.
    stage.roadbed("rollback").refuses(1, &["there is no release to go back to"]);
    stage.roadbed("rollback --to r2").refuses(1, &["r2 never served well"]);
}

#[test]
fn a_rollback_that_does_no_better_is_frozen_and_goes_in_no_circle() {
    let stage = Stage::with_rollout("verify = \"3s\", keep_warm = \"1h\"");
    // Well while nobody wants anything of it but its smoke page.
    let ill = "answer.statusCode = request.url === \"/basket\" ? 500 : 200; answer.end(\"tiny one\\n\")";
    stage.deploy(&server(ill)).exits(0);
    stage.deploy(&says("two")).exits(0);
    let (url, client) = (stage.url(), stage.client());
    let crowd = Crowd::default();
    thread::scope(|scope| {
        let _home = SendHomeOnDrop(&crowd);
        for _ in 0..4 {
            let (mut visitor, url) = (Kept::new(client.clone()), format!("{url}/basket"));
            crowd.let_in(scope, 30, move || visitor.request("GET", &url, &[], "").map(drop));
        }
        stage.roadbed("rollback").exits(12).says(&["requests failed", "is frozen"]);
    });
    assert_eq!((stage.newest().as_str(), stage.visit().1.as_str()), ("frozen", "r1"));
    // A person looks, and goes on.
    stage.roadbed("rollback --to r2").exits(0);
    assert_eq!(stage.visit().1, "r2");
}

#[test]
fn who_stops_looking_changes_nothing_and_who_calls_off_does() {
    let stage = Stage::delivered();
    stage.deploy(&says("one")).exits(0);
    let slow = |what: &str| format!("setTimeout(() => {{ {} }}, 3000);", says(what));
    stage.server(&slow("two"));
    let looking = stage.begin("deploy");
    looking.wait_for("● starting");
    looking.signal("INT");
    looking.end().exits(130).says(&["d2 goes on"]);
    stage.roadbed("deploy follow").exits(0).says(&["d2: r2 is live"]);
    assert_eq!(stage.visit().0, "tiny two");

    stage.server(&slow("three"));
    let looking = stage.begin("deploy");
    looking.wait_for("● starting");
    stage.roadbed("deploy cancel").exits(0).says(&["r3 is cancelled"]);
    looking.end().exits(13).says(&["called off by"]);
    assert_eq!(stage.visit().0, "tiny two");
    // It had taken the place of the one that was kept warm.
    stage.until("it is gone", || stage.instances() == ["web-green-1"]);
    stage.roadbed("deploy cancel d3").refuses(1, &["d3 is cancelled: it can no longer be called off"]);
    stage.roadbed("deploy follow d9").refuses(1, &["there is no deployment d9"]);
}

#[test]
fn of_those_who_wait_in_line_the_newest_goes() {
    let stage = Stage::delivered();
    stage.deploy(&says("one")).exits(0);
    stage.server(&format!("setTimeout(() => {{ {} }}, 2000);", says("two")));
    stage.roadbed("deploy --detach").exits(0);
    for what in ["three", "four"] {
        stage.server(&says(what));
        stage.roadbed("deploy --detach").exits(0);
    }
    stage.roadbed("deploy follow d3").exits(13).says(&["a newer one was asked for"]);
    stage.roadbed("deploy follow d4").exits(0);
    stage.roadbed("deploy follow d2").exits(0);
    assert_eq!(stage.visit().0, "tiny four");
}

/// A key in a file, and the public half as the manifest wants it.
pub(crate) fn key(stage: &Stage, name: &str) -> (String, String) {
    let file = stage.home.join(name);
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&file).status();
    assert!(made.unwrap().success());
    let public = fs::read_to_string(file.with_extension("pub")).unwrap();
    (file.display().to_string(), public.trim().to_owned())
}

#[test]
fn a_release_waits_for_somebody_else_than_its_author() {
    let stage = Stage::with_rollout("approvals = 1, verify = \"1s\", approval_lasts = \"1h\"");
    let ((ann, of_ann), (bob, of_bob)) = (key(&stage, "ann"), key(&stage, "bob"));
    stage.edit(
        "[branches]",
        &format!("[people.ann]\nssh = [\"{of_ann}\"]\n\n[people.bob]\nssh = [\"{of_bob}\"]\n\n[branches]"),
    );
    stage.server(&says("one"));
    let looking = stage.begin("deploy");
    looking.wait_for("● awaiting-approval");
    stage.roadbed("deploy approve").refuses(1, &["who are you?", "roadbed login"]);
    // Whoever asked while logged in is somebody; here it was the machine's user, so both may.
    stage.roadbed(&format!("login --key {bob}")).exits(0);
    stage.roadbed("deploy approve --digest 1234").refuses(1, &["it is another release by now"]);
    stage.roadbed("deploy approve d1").exits(0).says(&["d1: approved, 1 of 1"]);
    looking.end().exits(0);
    assert_eq!(stage.visit().0, "tiny one");

    // Bob is logged in: what he asks for is his, and he cannot approve of it.
    stage.server(&says("two"));
    stage.roadbed("deploy --detach").exits(0);
    stage.until("it waits", || stage.newest() == "awaiting-approval");
    stage.roadbed("deploy approve").refuses(1, &["bob made this release"]);
    // A control that starts again forgets neither the wait nor the words given.
    stage.kill("control");
    stage.until("control is back", || stage.roadbed("deploy list").code == Some(0));
    stage.roadbed(&format!("login --key {ann}")).exits(0);
    stage.roadbed("deploy approve").exits(0);
    stage.roadbed("deploy follow d2").exits(0).says(&["approved by ann"]);
    assert_eq!(stage.visit().0, "tiny two");
    // A way back asks nobody.
    stage.roadbed("rollback").exits(0);
}

#[test]
fn an_approval_that_nobody_gives_ends_the_wait() {
    let stage = Stage::with_rollout("approvals = 1, approval_lasts = \"1s\"");
    let (_, of_ann) = key(&stage, "ann");
    stage.edit("[branches]", &format!("[people.ann]\nssh = [\"{of_ann}\"]\n\n[branches]"));
    stage.deploy(&says("one")).exits(10).says(&["awaiting-approval for too long"]);
}

#[test]
fn artifacts_that_are_damaged_or_gone_are_not_run() {
    let stage = Stage::delivered();
    stage.deploy(&says("one")).exits(0);
    stage.server(&says("two"));
    let built = stage.json("build --json");
    let archive = built["artifacts"][0]["archive"].as_str().unwrap();
    let whole = fs::read(archive).unwrap();
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x10;
    fs::write(archive, &damaged).unwrap();
    stage.roadbed("deploy").exits(10).says(&["cannot unpack the artifact", "roadbed build"]);
    assert_eq!(stage.visit().0, "tiny one");
    fs::write(archive, &whole).unwrap();
    stage.roadbed("deploy").exits(0);
    assert_eq!(stage.visit().0, "tiny two");
}

#[test]
fn a_page_that_is_still_open_gets_its_scripts_after_the_next_release() {
    let stage = Stage::delivered();
    let site = "\n[apps.site]\nowner = \"team\"\npath = \"site\"\nkind = \"static\"\nhosts = [\"site\"]\n\
                build = { command = [\"sh\", \"build.sh\"] }\nsmoke = [{ path = \"/\", contains = \"script\" }]\n";
    stage.edit("\n[variables.SESSION_SECRET]", &format!("{site}\n[variables.SESSION_SECRET]"));
    fs::create_dir(stage.project.join("site")).unwrap();
    stage.server(&says("one"));
    let release = |digest: &str| {
        let script = format!(
            "mkdir -p dist/assets && rm -f dist/assets/*\necho '<script src=/assets/app-{digest}.js></script>' > dist/index.html\n\
             echo 'of {digest}' > dist/assets/app-{digest}.js\n"
        );
        stage.write("site/build.sh", &script);
        stage.roadbed("deploy").exits(0);
    };
    release("1a2b3c4d");
    release("5e6f7a8b");
    let url = stage.status()["urls"]["site"].as_str().unwrap().to_owned();
    let client = stage.client();
    let get = |digest: &str| client.get(&format!("{url}/assets/app-{digest}.js")).unwrap();
    assert_eq!(get("5e6f7a8b").body, "of 5e6f7a8b\n");
    assert_eq!(get("1a2b3c4d").body, "of 1a2b3c4d\n", "of the release before");
    assert_eq!(get("99999abc").status, 404);
}

/// Visitors who write and read, on kept connections and on fresh ones; an answer of any release is well, none is not.
pub(crate) fn let_visitors_in<'scope>(
    crowd: &'scope Crowd,
    scope: &'scope thread::Scope<'scope, '_>,
    stage: &Stage,
    (kept, fresh): (usize, usize),
    each: u32,
) {
    let (url, client) = (stage.url(), stage.client());
    let judge = |answer: testkit::Answer| match answer.body.starts_with("tiny") && answer.status == 200 {
        true => Ok(()),
        false => Err(format!("{answer:?}")),
    };
    for number in 0..kept {
        let (mut visitor, url) = (Kept::new(client.clone()), url.clone());
        let method = if number % 2 == 0 { "GET" } else { "POST" };
        crowd.let_in(scope, each, move || judge(visitor.request(method, &url, &[], "a body of some length")?));
    }
    for _ in 0..fresh {
        let (client, url) = (client.clone(), url.clone());
        crowd.let_in(scope, each, move || judge(client.post(&url, &[], "another body")?));
    }
}

/// Reads its body before it answers.
pub(crate) fn reads(what: &str) -> String {
    server(&format!("request.resume().on(\"end\", () => answer.end(\"tiny {what}\\n\"))"))
}

#[test]
fn whoever_is_killed_at_whatever_moment_the_release_goes_live_and_no_visitor_is_lost() {
    let stage = Stage::delivered();
    stage.deploy(&reads("0")).exits(0);
    let crowd = Crowd::default();
    thread::scope(|scope| {
        let _home = SendHomeOnDrop(&crowd);
        let_visitors_in(&crowd, scope, &stage, (4, 1), 20);
        // Every state, and everybody who has a part in it; the milliseconds in between come with the machine.
        let states = ["preparing", "starting", "smoking", "switching", "verifying", "draining"];
        for (number, state) in states.iter().enumerate() {
            let what = (number + 1).to_string();
            stage.server(&reads(&what));
            let looking = stage.begin("deploy");
            looking.wait_for(&format!("● {state}"));
            // The edge's own death would lose what it has under way; what outlives it is told by the suite of crashes.
            stage.kill(if number % 2 == 0 { "control" } else { "keeper" });
            looking.end().exits(0);
            assert_eq!(stage.visit().0, format!("tiny {what}"), "after a kill in {state}");
        }
    });
    assert_eq!(crowd.failed(), Vec::<String>::new());
    let live = stage.json("releases --json");
    let live = live["releases"].as_array().unwrap().iter().filter(|release| release["role"] == "live").count();
    assert_eq!(live, 1);
}

#[test]
fn switches_under_load_lose_no_request() {
    let stage = Stage::with_rollout("verify = \"1s\", keep_warm = \"1h\"");
    stage.deploy(&reads("blue")).exits(0);
    stage.deploy(&reads("green")).exits(0);
    let crowd = Crowd::default();
    let switches = 20;
    let began = Instant::now();
    thread::scope(|scope| {
        let _home = SendHomeOnDrop(&crowd);
        let_visitors_in(&crowd, scope, &stage, (8, 2), 30);
        for _ in 0..switches {
            stage.roadbed("rollback").exits(0);
        }
    });
    let took = began.elapsed();
    assert_eq!(crowd.failed(), Vec::<String>::new(), "{} requests in {took:?}", crowd.asked());
    assert!(crowd.asked() > 1000, "{} requests in {took:?}", crowd.asked());
    wait_until("every deployment is over", Duration::from_secs(10), || match stage.newest().as_str() {
        "live" => Ok(()),
        other => Err(other.to_owned()),
    });
}
