//! Ctrl-C and SIGTERM at every moment of `up`: what was begun is stopped, and the next `up` works.

use std::time::Duration;

use crate::roots::SLOW_BUILD;
use crate::stage::{self, Stage};

const NEVER_READY: &str = "setInterval(() => {}, 1000);";

/// Serves, and needs long to go.
const SLOW_TO_GO: &str = "process.on('SIGTERM', () => console.log('not yet'));
require('node:http').createServer((_, answer) => answer.end('tiny\\n')).listen(Number(process.env.PORT), '127.0.0.1');";

/// Interrupts `up` when `moment` has come, and sees that nothing stays and the next `up` works.
fn interrupted(words: &str, signal: &str, prepare: impl Fn(&Stage), moment: impl Fn(&Stage, &crate::command::Running)) {
    let stage = Stage::new();
    prepare(&stage);
    let up = stage.begin(words);
    moment(&stage, &up);
    up.signal(signal);
    up.end().exits(130).says(&["stopped in"]).says_not("error:");
    stage.is_empty();
    stage.until("no build is left", || stage.strays().is_empty());

    stage.server(include_str!("project/web/server.js"));
    stage.write("web/build.sh", include_str!("project/web/build.sh"));
    stage.up();
    stage.is_whole();
}

#[test]
fn in_the_middle_of_a_build() {
    for (words, signal) in [("up", "INT"), ("up", "TERM"), ("up --detach", "INT")] {
        interrupted(
            words,
            signal,
            |stage| stage.write("web/build.sh", SLOW_BUILD),
            |stage, _| stage.until("the build runs", || stage.project.join("begun").exists()),
        );
    }
}

#[test]
fn while_an_app_starts() {
    for signal in ["INT", "TERM"] {
        interrupted("up", signal, |stage| stage.server(NEVER_READY), |_, up| up.wait_for("wait until web-1 is ready"));
    }
}

#[test]
fn while_the_gate_runs() {
    interrupted("up", "INT", |_| {}, |_, up| up.wait_for("web  https://"));
    interrupted("up", "TERM", |_| {}, |_, up| up.wait_for("web  https://"));
}

#[test]
fn when_everything_is_up() {
    for signal in ["INT", "TERM"] {
        interrupted("up", signal, |_| {}, |_, up| up.wait_for("Ctrl-C stops everything."));
    }
}

#[test]
fn an_interrupted_change_leaves_the_environment_up() {
    let stage = Stage::new();
    stage.up();
    stage.write("web/build.sh", SLOW_BUILD);
    let change = stage.begin("up --detach --no-gate");
    stage.until("the build runs", || stage.project.join("begun").exists());
    change.signal("INT");
    change.end().exits(130).says(&["the environment goes on as it is"]);
    stage.answers();
    stage.write("go", "");
    stage.up();
    stage.is_whole();
    stage.roadbed("down").exits(0);
    stage.until("no build is left", || stage.strays().is_empty());
}

#[test]
fn a_second_ctrl_c_waits_for_nobody() {
    let stage = Stage::new();
    stage.server(SLOW_TO_GO);
    stage.edit("drain = \"2s\"", "drain = \"60s\"");
    let up = stage.begin("up --no-gate");
    up.wait_for("Ctrl-C stops everything.");
    up.signal("INT");
    up.wait_for("stopping in order");
    stage.until("the app was asked", || {
        std::fs::read_to_string(stage.root.join("logs/web-1.log")).is_ok_and(|log| log.contains("not yet"))
    });
    up.signal("INT");
    up.end().exits(130).says(&["killing what is left"]).within(Duration::from_secs(20));
    stage.is_empty();
}

#[test]
fn a_client_that_is_killed_leaves_a_control_that_goes_on() {
    let stage = Stage::new();
    stage.write("web/build.sh", SLOW_BUILD);
    let client = stage.begin("up --detach --no-gate");
    stage.until("the build runs", || stage.project.join("begun").exists());
    stage::signal(client.pid(), "KILL");
    let _ = client.end();
    stage.write("go", "");
    stage.until("the app is up", || stage.pid_of("web-1").is_some());
    stage.up().says(&["build/web  as it should be"]);
    stage.is_whole();
}

#[test]
fn a_foreground_that_is_killed_leaves_an_environment_that_can_be_stopped() {
    let stage = Stage::new();
    let up = stage.begin("up --no-gate");
    up.wait_for("Ctrl-C stops everything.");
    up.signal("KILL");
    let _ = up.end();
    stage.is_whole();
    stage.roadbed("down").exits(0);
    stage.is_empty();
}
