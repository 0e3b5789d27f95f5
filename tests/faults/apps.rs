//! Apps that do not behave.

use std::time::Duration;

use crate::stage::Stage;

/// Listens nowhere, and says what it is doing.
const NEVER_READY: &str = "console.log('waiting for the moon'); setInterval(() => {}, 1000);";

/// Listens, and answers that it is not ready.
const SAYS_NOT_READY: &str = "console.log('no database, no service');
require('node:http').createServer((_, answer) => { answer.statusCode = 503; answer.end('no database'); })
  .listen(Number(process.env.PORT), '127.0.0.1');";

const EXITS: &str = "console.error('cannot read settings: no such file'); process.exit(7);";

/// Serves, and does not hear SIGTERM.
const DEAF: &str = "process.on('SIGTERM', () => console.log('what?'));
require('node:http').createServer((_, answer) => answer.end('tiny\\n')).listen(Number(process.env.PORT), '127.0.0.1');";

#[test]
fn an_app_that_never_listens_is_told_with_its_last_lines() {
    let stage = Stage::new();
    stage.server(NEVER_READY);
    stage.edit("start = \"10s\"", "start = \"1s\"");
    stage
        .roadbed("up --detach --no-gate")
        .refuses(
            1,
            &[
                "cannot start web: web-1 does not get ready",
                "/ready after 1 s: Connection refused",
                "waiting for the moon",
            ],
        )
        .within(Duration::from_secs(15));
    // What came up stays up, and another version of the app is all that is needed.
    stage.server(include_str!("project/web/server.js"));
    stage.up();
    stage.is_whole();
}

#[test]
fn an_app_that_says_it_is_not_ready_is_told_with_what_it_answered() {
    let stage = Stage::new();
    stage.server(SAYS_NOT_READY);
    stage.edit("start = \"10s\"", "start = \"1s\"");
    stage.roadbed("up --detach --no-gate").refuses(1, &["web-1 does not get ready", "503", "no database, no service"]);
}

#[test]
fn an_app_that_exits_at_once_is_told_with_its_exit_code_and_last_lines() {
    let stage = Stage::new();
    stage.server(EXITS);
    stage
        .roadbed("up --detach --no-gate")
        .refuses(1, &["cannot start web", "exit code 7", "cannot read settings: no such file"])
        // Its three deaths are quick; the deadline of ten seconds is not waited for.
        .within(Duration::from_secs(9));
    stage.until("the crash loop is shown", || stage.unit("web-1").is_some_and(|unit| unit["state"] == "crash-loop"));
    stage.roadbed("status").exits(0).says(&["crash-loop"]);
    stage.roadbed("down").exits(0);
    stage.is_empty();
}

#[test]
fn down_does_not_wait_for_ever_for_an_app_that_ignores_the_wish_to_stop() {
    let stage = Stage::new();
    stage.server(DEAF);
    stage.up();
    // drain = 2 s, and one more for an app that is busy ending.
    stage.roadbed("down").exits(0).within(Duration::from_secs(6));
    stage.is_empty();
    stage.roadbed("logs web").exits(0).says(&["what?"]);
}
