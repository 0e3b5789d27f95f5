//! Root folders: held by another command, of another environment, in places where none can be.

use crate::stage::Stage;

/// A build that takes until the file `go` is there.
pub(crate) const SLOW_BUILD: &str =
    "echo building; touch ../begun; until [ -e ../go ]; do sleep 0.02; done; mkdir -p dist && cp server.js dist/\n";

#[test]
fn the_second_up_at_once_learns_who_holds_the_root() {
    let stage = Stage::new();
    stage.write("web/build.sh", SLOW_BUILD);
    let first = stage.begin("up --detach --no-gate");
    stage.until("the first one builds", || stage.project.join("begun").exists());
    let pid = format!("process {}", first.pid());
    for second in ["up --detach", "down", "restart web", "ready", "plan"] {
        stage
            .roadbed(second)
            .refuses(3, &["is held by", &pid, "roadbed up --detach --no-gate", &format!("kill {}", first.pid())]);
    }
    // Looking is always allowed.
    stage.roadbed("status").exits(0).says(&["control"]);
    stage.write("go", "");
    first.end().exits(0);
    stage.is_whole();
}

#[test]
fn a_root_of_another_environment_is_refused() {
    let stage = Stage::new();
    stage.up();
    stage.roadbed("down").exits(0);
    stage.roadbed("up --detach --env production").refuses(1, &["belongs to the environment local", "--root"]);
    stage.is_empty();
}

#[test]
fn a_root_that_cannot_be_made_is_told_as_such() {
    let mut stage = Stage::new();
    stage.write("file", "");
    let beneath_a_file = stage.project.join("file/root");
    for root in [beneath_a_file, "/proc/roadbed".into(), "/sys/roadbed".into()] {
        stage.root = root;
        stage.roadbed("up --detach").refuses(1, &["cannot ", " the root ", &stage.root.display().to_string()]);
        stage.roadbed("down").exits(0).says(&["nothing runs"]);
    }
}

#[test]
fn a_root_may_lie_deeper_than_a_socket_s_name_is_long() {
    let mut stage = Stage::new();
    stage.root = stage.root.join("long".repeat(30));
    stage.up();
    stage.is_whole();
    stage.roadbed("down").exits(0);
    stage.is_empty();
}
