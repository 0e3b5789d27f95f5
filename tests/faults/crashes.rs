//! kill -9 of what makes and keeps the environment, while it is made and while it stands.

use std::thread;
use std::time::Duration;

use host::process::table::entry;

use crate::lanes::in_lanes;
use crate::roots::SLOW_BUILD;
use crate::stage::{self, Stage};

/// The steps of a first `up`, as they are told when they begin; not those that a quick machine has no need of, such as the wait for
/// an edge that answers already.
const STEPS: [&str; 7] = [
    "packages: install",
    "certificate: issue",
    "edge: listen and start",
    "routes: publish",
    "build/web: build",
    "app/web: start",
    "app/web: wait until",
];

fn alive(pid: u32) -> bool {
    entry(pid).is_some_and(|entry| !entry.is_dead())
}

/// After the fault: `up` converges, each unit runs once, and a further `up` has nothing to do.
fn heals(stage: &Stage) {
    stage.up();
    stage.is_whole();
    assert!(stage.strays().is_empty(), "{:?}", stage.strays());
    stage.up().says(&["nothing to change"]);
}

#[test]
fn control_may_be_killed_at_any_step() {
    for step in STEPS {
        let stage = Stage::fresh();
        // One that is ready at once is not waited for, and then that is no step.
        stage.server(
            "setTimeout(() => require('node:http').createServer((_, answer) => answer.end('tiny\\n'))\
             .listen(Number(process.env.PORT), '127.0.0.1'), 1500);",
        );
        let up = stage.begin("up --detach --no-gate");
        up.wait_for(step);
        stage.kill("control");
        // It goes on with the next control, or says what happened; it does not hang.
        let answer = up.end();
        if answer.code != Some(0) {
            answer.refuses(1, &[]);
        }
        heals(&stage);
    }
}

#[test]
fn control_may_be_killed_at_any_moment() {
    in_lanes((0..800).step_by(80), |millis| {
        let stage = Stage::fresh();
        let up = stage.begin("up --detach --no-gate");
        // No wait for something: this very moment is what is tried.
        thread::sleep(Duration::from_millis(millis));
        stage.kill("control");
        let answer = up.end();
        if answer.code != Some(0) {
            answer.refuses(1, &[]);
        }
        heals(&stage);
    });
}

#[test]
fn keeper_and_edge_may_be_killed_at_any_step() {
    let whom = [
        ("keeper", STEPS[0]),
        ("keeper", STEPS[2]),
        ("keeper", STEPS[4]),
        ("keeper", STEPS[6]),
        ("edge", STEPS[3]),
        ("edge", STEPS[6]),
    ];
    for (unit, step) in whom {
        let stage = Stage::fresh();
        let up = stage.begin("up --detach --no-gate");
        up.wait_for(step);
        stage.kill(unit);
        let answer = up.end();
        if answer.code != Some(0) {
            answer.refuses(1, &[]);
        }
        heals(&stage);
    }
}

#[test]
fn a_build_does_not_go_on_beside_the_one_that_replaces_it() {
    for killed in [&["control"][..], &["control", "keeper", "edge"]] {
        let stage = Stage::new();
        stage.write("web/build.sh", &format!("echo $$ >> ../builds\n{SLOW_BUILD}"));
        let builds = || {
            let text = std::fs::read_to_string(stage.project.join("builds")).unwrap_or_default();
            text.lines().map(|line| line.parse().unwrap()).collect::<Vec<u32>>()
        };
        let up = stage.begin("up --detach --no-gate");
        stage.until("the first build runs", || builds().len() == 1);
        let victims: Vec<u32> = killed.iter().filter_map(|unit| stage.pid_of(unit)).collect();
        stage::signals(&victims, "STOP");
        stage::signals(&victims, "KILL");
        stage.until("the second build runs", || builds().len() == 2);
        assert!(!alive(builds()[0]), "two builds at once in one folder");
        stage.write("go", "");
        // Whoever waits brings back what it waits for.
        up.end().exits(0).says(&["going on"]);
        heals(&stage);
        assert_eq!(builds().len(), 2);
    }
}

#[test]
fn after_everything_was_killed_at_once_up_takes_it_up_again() {
    let stage = Stage::new();
    stage.up();
    stage.kill_all();
    stage.roadbed("status").exits(0).says(&["nobody keeps the environment", "`roadbed up` takes it up again"]);
    heals(&stage);
    stage.kill_all();
    stage.roadbed("down").exits(0);
    stage.is_empty();
    heals(&stage);
}

#[test]
fn after_all_but_the_app_were_killed_the_app_is_found_again() {
    let stage = Stage::new();
    stage.up();
    let web = stage.pid_of("web-1").unwrap();
    let rest: Vec<u32> = stage.processes().iter().filter(|ours| ours.unit != "web-1").map(|ours| ours.pid).collect();
    stage::signals(&rest, "KILL");
    heals(&stage);
    assert_eq!(stage.pid_of("web-1"), Some(web), "it lived on and is the same");
    stage::signals(
        &stage.processes().iter().filter(|ours| ours.pid != web).map(|ours| ours.pid).collect::<Vec<_>>(),
        "KILL",
    );
    stage.roadbed("down").exits(0);
    stage.is_empty();
}
