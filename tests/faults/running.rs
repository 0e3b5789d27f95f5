//! Everyday commands while things come and go.

use std::time::Duration;

use crate::stage::Stage;

/// Serves, and dies soon.
const DIES_SOON: &str = "setTimeout(() => { console.error('out of luck'); process.exit(3); }, 150);
require('node:http').createServer((_, answer) => answer.end('tiny\\n')).listen(Number(process.env.PORT), '127.0.0.1');";

#[test]
fn restart_makes_another_process_of_the_same_unit() {
    let stage = Stage::new();
    stage.up();
    let before = stage.pid_of("web-1").unwrap();
    stage.roadbed("restart web").exits(0).says(&["web-1  restarted"]);
    assert_ne!(stage.pid_of("web-1"), Some(before));
    stage.until("it answers again", || stage.client().get(&stage.url()).is_ok_and(|answer| answer.status == 200));
    stage.is_whole();
    stage.roadbed("restart wbe").refuses(2, &["wbe", "web"]);
    stage.roadbed("down").exits(0);
    stage.roadbed("restart web").refuses(1, &["nothing runs", "roadbed up"]);
}

#[test]
fn followed_logs_go_on_across_a_restart_and_a_crash() {
    let stage = Stage::new();
    stage.up();
    let logs = stage.begin("logs web -f");
    logs.wait_for("listening");
    stage.roadbed("restart web").exits(0);
    stage.until("the second one listens", || logs.count("listening") == 2);
    assert_eq!(logs.count("closing"), 1);
    stage.kill("web-1");
    stage.until("the third one listens", || logs.count("listening") == 3);
    stage.kill("keeper");
    stage.until("there is another keeper", || stage.pid_of("keeper").is_some());
    stage.until("it restarts", || stage.roadbed("restart web").code == Some(0));
    stage.until("the fourth one listens", || logs.count("listening") == 4);
    logs.signal("INT");
    logs.end().exits(130).says_not("error:");
}

#[test]
fn status_tells_while_things_crash() {
    let stage = Stage::new();
    stage.server(DIES_SOON);
    stage.up();
    for unit in ["control", "edge", "keeper", "control", "keeper"] {
        stage.kill(unit);
        for _ in 0..4 {
            let status = stage.status();
            assert_eq!(status["environment"], "local", "{status}");
            assert!(status["units"].as_array().unwrap().iter().any(|unit| unit["name"] == "web-1"), "{status}");
        }
    }
    stage.until("its deaths are counted", || {
        stage.unit("web-1").is_some_and(|unit| unit["restarts"].as_u64() > Some(0))
    });
    stage.roadbed("logs web").exits(0).says(&["out of luck"]);
    stage.roadbed("down").exits(0).within(Duration::from_secs(10));
    stage.is_empty();
}

#[test]
fn down_twice_is_down() {
    let stage = Stage::new();
    stage.roadbed("down").exits(0).says(&["nothing runs"]);
    stage.up();
    stage.roadbed("down").exits(0).says(&["stopped in"]);
    stage.roadbed("down").exits(0).says(&["nothing runs"]);
    stage.is_empty();
    stage.roadbed("status").exits(0).says(&["nothing runs"]);
}

#[test]
fn up_twice_changes_nothing_and_says_so() {
    let stage = Stage::new();
    stage.up();
    let before = stage.processes();
    stage.up().says(&["nothing to change"]);
    assert_eq!(stage.processes(), before);
}
