//! As many instances as there is work for, and nobody notices how they come and go.

use std::thread;

use testkit::{Crowd, Kept, SendHomeOnDrop};

use crate::deployments::server;
use crate::stage::Stage;

/// Takes its time over each answer, so that requests are under way.
fn slow(what: &str) -> String {
    server(&format!("setTimeout(() => answer.end(\"tiny {what}\\n\"), 300)"))
}

fn let_in<'scope>(
    crowd: &'scope Crowd,
    scope: &'scope thread::Scope<'scope, '_>,
    stage: &Stage,
    (visitors, each): (usize, u32),
) {
    for _ in 0..visitors {
        let (mut visitor, url) = (Kept::new(stage.client()), stage.url());
        crowd.let_in(scope, each, move || match visitor.request("GET", &url, &[], "")? {
            answer if answer.status == 200 && answer.body.starts_with("tiny") => Ok(()),
            answer => Err(format!("{answer:?}")),
        });
    }
}

#[test]
fn an_app_grows_with_its_work_and_shrinks_again_and_no_request_fails() {
    let stage = Stage::with_rollout("verify = \"1s\", keep_warm = \"2s\"");
    let deadlines = "deadlines = { start = \"10s\", drain = \"2s\" }";
    stage.edit(deadlines, &format!("{deadlines}\nscale = {{ min = 1, max = 3, in_flight = 2, down_after = \"6s\" }}"));
    stage.deploy(&slow("one")).exits(0);
    assert_eq!(stage.instances(), ["web-blue-1"]);
    let (steady, rush) = (Crowd::default(), Crowd::default());
    let scaled = |of: &str| stage.status()["scaled"][0][of].as_u64().unwrap();
    thread::scope(|scope| {
        let _home = SendHomeOnDrop(&steady);
        let_in(&steady, scope, &stage, (1, 5));
        thread::scope(|scope| {
            let _home = SendHomeOnDrop(&rush);
            let_in(&rush, scope, &stage, (8, 20));
            stage.until("visitors reach three", || scaled("routed") == 3);
            assert_eq!(stage.instances(), ["web-blue-1", "web-blue-2", "web-blue-3"]);
            stage.roadbed("status").exits(0).says(&["web: 3 instances of 1 to 3"]);
            // Whoever decides is gone, and what was decided is not.
            stage.kill("control");
            stage.until("control is back", || stage.status()["trouble"].is_null() && scaled("routed") == 3);
            // The next release begins with as many as there are.
            stage.deploy(&slow("two")).exits(0);
            let next: Vec<String> = stage.instances().into_iter().filter(|unit| unit.contains("green")).collect();
            assert_eq!(next, ["web-green-1", "web-green-2", "web-green-3"]);
            assert_eq!(scaled("routed"), 3);
        });
        stage.until("one is enough", || stage.instances() == ["web-green-1"]);
        assert_eq!((scaled("running"), scaled("routed"), scaled("wanted")), (1, 1, 1));
    });
    assert_eq!((steady.failed(), rush.failed()), (Vec::<String>::new(), Vec::new()));
    assert!(rush.asked() > 100, "{}", rush.asked());
}

#[test]
fn an_instance_that_does_not_start_is_reached_by_nobody_and_the_others_serve_on() {
    let stage = Stage::with_rollout("verify = \"1s\"");
    let deadlines = "deadlines = { start = \"10s\", drain = \"2s\" }";
    stage.edit(deadlines, "deadlines = { start = \"2s\", drain = \"2s\" }\nscale = { max = 3, in_flight = 1 }");
    let only_one = format!("if (!process.env.ROADBED_INSTANCE.endsWith(\"-1\")) process.exit(7);\n{}", slow("one"));
    stage.deploy(&only_one).exits(0);
    let crowd = Crowd::default();
    thread::scope(|scope| {
        let _home = SendHomeOnDrop(&crowd);
        let_in(&crowd, scope, &stage, (4, 20));
        let scaled = |of: &str| stage.status()["scaled"][0][of].as_u64().unwrap();
        stage.until("more are tried", || scaled("running") > 1);
        stage.until("and given up", || scaled("wanted") == 1 && stage.instances() == ["web-blue-1"]);
        assert_eq!(scaled("routed"), 1);
    });
    assert_eq!(crowd.failed(), Vec::<String>::new());
}
