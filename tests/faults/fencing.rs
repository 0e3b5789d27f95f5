//! A control that has lost its lease: another one took the book of deployments over.

use std::process::Command;

use reconcile::Root;
use reconcile::ports::Units;
use roadbed::keeper::client::KeeperClient;

use crate::stage::Stage;

#[test]
fn a_control_that_was_replaced_stops_and_starts_nothing() {
    let stage = Stage::new();
    stage.up();
    let web = stage.pid_of("web-1");
    // What a second control does when it begins: it counts itself in the book, and lets the keeper know.
    let steal = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); \
                 print(c.execute('UPDATE epoch SET number = number + 1 RETURNING number').fetchone()[0]); c.commit()";
    let stolen =
        Command::new("python3").args(["-c", steal]).arg(stage.root.join("state/delivery.db")).output().unwrap();
    let epoch: u64 = String::from_utf8(stolen.stdout).unwrap().trim().parse().unwrap();
    let keeper = KeeperClient::new(Root::new(stage.root.clone())).of_epoch(epoch);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(keeper.list()).unwrap();

    // The one before still lives, and does as it is told: its orders are not taken.
    stage.edit("start = [\"node\", \"dist/server.js\"]", "start = [\"node\", \"dist/server.js\", \"--other\"]");
    let answer = stage.roadbed("up --detach --no-gate").exits(1);
    answer.says(&["takes no orders of this control", "has taken over", "`roadbed restart control`"]);
    assert_eq!(stage.pid_of("web-1"), web);
    stage.answers();
    // The same after the keeper's own death.
    let before = stage.pid_of("keeper");
    stage.kill("keeper");
    stage.until("another keeper", || stage.pid_of("keeper").is_some_and(|pid| Some(pid) != before));
    stage.roadbed("up --detach --no-gate").exits(1).says(&["has taken over"]);
    assert_eq!(stage.pid_of("web-1"), web);

    // A new one is the newest, and changes what is to be changed.
    stage.roadbed("restart control").exits(0);
    stage.up();
    assert_ne!(stage.pid_of("web-1"), web);
    stage.is_whole();
}
