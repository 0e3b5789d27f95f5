//! What deployments meet beside somebody's death: apps that do not behave, a control that was replaced, a disk that is full.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use delivery::Book;
use host::clock::SystemClock;
use host::database::Presence;
use testkit::{Client, Crowd, Kept, SendHomeOnDrop};

use crate::deployments::{says, server};
use crate::disk::SmallDisk;
use crate::stage::Stage;

/// One visitor who asks twenty times a second for as long as the scope lasts.
fn let_one_in<'scope>(crowd: &'scope Crowd, scope: &'scope thread::Scope<'scope, '_>, client: Client, url: String) {
    let mut visitor = Kept::new(client);
    crowd.let_in(scope, 20, move || match visitor.request("GET", &url, &[], "")? {
        answer if answer.status == 200 && answer.body.starts_with("tiny") => Ok(()),
        answer => Err(format!("{answer:?}")),
    });
}

/// What visitors meet while `work` is done.
fn under_visitors(stage: &Stage, client: Client, work: impl FnOnce()) {
    let crowd = Crowd::default();
    let url = stage.url();
    thread::scope(|scope| {
        let _home = SendHomeOnDrop(&crowd);
        let_one_in(&crowd, scope, client, url);
        work();
    });
    assert_eq!(crowd.failed(), Vec::<String>::new());
    assert!(crowd.asked() > 10, "{}", crowd.asked());
}

#[test]
fn a_control_that_was_replaced_changes_nothing_more() {
    let stage = Stage::delivered();
    stage.deploy(&says("one")).exits(0);
    under_visitors(&stage, stage.client(), || {
        stage.server(&format!("setTimeout(() => {{ {} }}, 1500);", says("two")));
        let looking = stage.begin("deploy");
        looking.wait_for("● starting");
        // Somebody else takes the book over, and is then away.
        let book =
            Book::open(&stage.root.join("state/delivery.db"), Presence::MustExist, Arc::new(SystemClock)).unwrap();
        let seized = Instant::now();
        while seized.elapsed() < Duration::from_secs(4) {
            assert_eq!(stage.visit().0, "tiny one", "whoever was replaced switched");
            assert_eq!(book.current().unwrap().unwrap().state, delivery::State::Starting);
        }
        drop(book);
        // Who comes next has a higher number, and goes on where it was.
        stage.kill("control");
        looking.end().exits(0).says(&["r2 is live"]);
    });
    assert_eq!(stage.visit().0, "tiny two");
}

#[test]
fn an_app_that_ignores_the_word_to_go_is_killed_and_keeps_nobody() {
    let stage = Stage::with_rollout("verify = \"1s\", keep_warm = \"1s\"");
    let deaf = says("deaf").replace("server.close(() => process.exit(0)); server.closeIdleConnections();", "");
    assert!(!deaf.contains("process.exit"), "it listens: {deaf}");
    stage.deploy(&deaf).exits(0);
    under_visitors(&stage, stage.client(), || {
        stage.deploy(&says("two")).exits(0);
        stage.until("it is gone", || stage.instances() == ["web-green-1"]);
        assert_eq!(stage.visit().0, "tiny two");
    });
}

#[test]
fn an_app_that_flaps_or_leaks_is_not_what_stays() {
    let stage = Stage::with_rollout("verify = \"8s\", keep_warm = \"1h\"");
    stage.deploy(&says("one")).exits(0);
    under_visitors(&stage, stage.client(), || {
        let flaps = "answer.statusCode = request.url === \"/ready\" && (globalThis.n = (globalThis.n ?? 0) + 1) % 2 === 0 ? 503 : 200; answer.end(\"tiny\");";
        stage.deploy(&server(flaps)).exits(10).says(&["visitors saw nothing"]);
    });
    assert_eq!(stage.visit().0, "tiny one");
    // Each page takes memory that never comes back, of a heap that is small.
    stage.edit(
        "start = \"10s\", drain = \"2s\" }",
        "start = \"10s\", drain = \"2s\" }\nlimits = { memory = \"48 MiB\" }",
    );
    let leaks = "if (request.url === \"/\") (globalThis.all ??= []).push(Array.from({ length: 400000 }, (_, at) => ({ at }))); answer.end(\"tiny\");";
    let crowd = Crowd::default();
    thread::scope(|scope| {
        let _home = SendHomeOnDrop(&crowd);
        let_one_in(&crowd, scope, stage.client(), stage.url());
        stage.deploy(&server(leaks)).exits(11).says(&["visitors are back at r1"]);
    });
    assert_eq!(stage.visit().0, "tiny one");
}

#[test]
fn a_disk_that_is_full_at_any_state_holds_a_deployment_up_and_nobody_else() {
    // Releases leave half a GiB free, so the disk is larger than that.
    let disk = SmallDisk::under(Stage::delivered(), "640m");
    let stage = &disk.stage;
    stage.deploy(&says("0")).exits(0);
    let client = || Client::trusting(&disk.seen.join("root/tls/ca.pem"));
    let said = |url: &str| client().get(url).unwrap().body.trim().to_owned();
    under_visitors(stage, client(), || {
        for (number, state) in ["starting", "smoking", "switching", "verifying", "draining"].iter().enumerate() {
            let what = (number + 1).to_string();
            stage.server(&says(&what));
            let looking = stage.begin("deploy");
            looking.wait_for(&format!("● {state}"));
            disk.fill();
            let full = Instant::now();
            while full.elapsed() < Duration::from_millis(1500) {
                assert!(said(&stage.url()).starts_with("tiny"), "in {state}");
            }
            disk.make_room();
            looking.end().exits(0);
            assert_eq!(said(&stage.url()), format!("tiny {what}"), "after a full disk in {state}");
        }
    });
}
