//! Changes of data that come with a release: each made once and in its order, in two halves, and never past a way back unsaid.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use serde_json::Value;

use crate::deployments::says;
use crate::lanes::in_lanes;
use crate::stage::Stage;

/// Who is told of each change by the program that makes it, and says when it ends, and how.
#[derive(Debug)]
struct Clerk {
    port: u16,
    desk: Arc<(Mutex<Desk>, Condvar)>,
}

#[derive(Debug, Default)]
struct Desk {
    came: Vec<String>,
    /// Whose programs wait.
    held: Vec<String>,
    /// Whose programs fail.
    failing: Vec<String>,
}

impl Clerk {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let desk = Arc::new((Mutex::new(Desk::default()), Condvar::new()));
        let all = desk.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, all) = (stream.unwrap(), all.clone());
                thread::spawn(move || {
                    let mut line = String::new();
                    BufReader::new(&stream).read_line(&mut line).unwrap();
                    let name = line.split_whitespace().nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
                    let (desk, changed) = &*all;
                    let mut desk = desk.lock().unwrap();
                    desk.came.push(name.clone());
                    desk = changed.wait_while(desk, |desk| desk.held.contains(&name)).unwrap();
                    let code = i32::from(desk.failing.contains(&name));
                    // The program may have been killed meanwhile.
                    let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\n{code}");
                });
            }
        });
        Self { port, desk }
    }

    fn change(&self, change: impl FnOnce(&mut Desk)) {
        change(&mut self.desk.0.lock().unwrap());
        self.desk.1.notify_all();
    }

    fn came(&self) -> Vec<String> {
        self.desk.0.lock().unwrap().came.clone()
    }
}

/// A product whose changes of data a clerk is told of.
fn shop(clerk: &Clerk, keep_warm: &str) -> Stage {
    let stage = Stage::with_rollout(&format!("verify = \"1s\", keep_warm = \"{keep_warm}\""));
    stage.write("web/build.sh", "mkdir -p dist && cp server.js migrate.js dist/\n");
    let port = clerk.port;
    stage.write(
        "web/migrate.js",
        &format!(
            "if (!process.env.SESSION_SECRET || process.env.PORT) process.exit(9);\n\
             console.log(`changing ${{process.argv[2]}}`);\n\
             fetch(`http://127.0.0.1:{port}/${{process.argv[2]}}`).then((answer) => answer.text())\n\
               .then((code) => process.exit(Number(code)));\n"
        ),
    );
    stage
}

/// The manifest names these, the whole list anew.
fn knows(stage: &Stage, migrations: &[(&str, &str)]) {
    let list = migrations.iter().map(|(name, half)| {
        format!("{{ name = \"{name}\", half = \"{half}\", run = [\"node\", \"dist/migrate.js\", \"{name}\"], deadline = \"20s\" }}, ")
    });
    let line = format!("migrations = [{}]", list.collect::<String>());
    let manifest = std::fs::read_to_string(stage.project.join("roadbed.toml")).unwrap();
    match manifest.lines().find(|line| line.starts_with("migrations = ")) {
        Some(before) => stage.edit(before, &line),
        None => stage.edit("kind = \"node\"", &format!("kind = \"node\"\n{line}")),
    }
}

fn made(stage: &Stage) -> Vec<(String, bool)> {
    let changes = stage.json("db migrations --json");
    let one = |change: &Value| (change["name"].as_str().unwrap().to_owned(), !change["made"].is_null());
    changes["changes"].as_array().unwrap().iter().map(one).collect()
}

fn pairs(expected: &[(&str, bool)]) -> Vec<(String, bool)> {
    expected.iter().map(|(name, made)| ((*name).to_owned(), *made)).collect()
}

#[test]
fn what_is_added_comes_before_a_release_and_what_is_taken_away_when_nobody_needs_it() {
    let clerk = Clerk::new();
    let stage = shop(&clerk, "1h");
    stage.deploy(&says("one")).exits(0);
    knows(&stage, &[("0001-add", "expand"), ("0002-drop", "contract")]);
    let planned = stage.roadbed("plan").exits(0);
    assert!(!planned.to_string().contains("0001-add"), "the release that is live knows of no change: {planned}");
    stage.deploy(&says("two")).exits(0).says(&["migrations/web@green: change data: 0001-add"]);
    assert_eq!(clerk.came(), ["0001-add"]);
    assert_eq!(made(&stage), pairs(&[("0001-add", true), ("0002-drop", false)]));
    // The release before can live with what was added: one may go there and back.
    stage.roadbed("rollback").exits(0);
    assert_eq!(stage.visit().0, "tiny one");
    stage.roadbed("rollback --to r2").exits(0);
    assert_eq!(clerk.came(), ["0001-add"], "it is made once");

    // Nobody needs the old form any more: the one before knows of the change as well.
    stage.edit("keep_warm = \"1h\"", "keep_warm = \"1s\"");
    stage.deploy(&says("three")).exits(0);
    stage.until("what nobody needs is taken away", || made(&stage)[1].1);
    assert_eq!(clerk.came(), ["0001-add", "0002-drop"]);
    stage.until("the program is gone", || stage.units() == ["control", "edge", "keeper", "telemetry", "web-blue-1"]);
    let past = ["cannot run r1: data has gone past it", "0002-drop of web", "--across-contract"];
    stage.roadbed("rollback --to r1 --dry-run").refuses(1, &past);
    stage.roadbed("rollback --to r1").refuses(1, &past);
    stage.roadbed("rollback").exits(0).says(&["from r3 to r2"]);
    stage.roadbed("rollback --to r1 --across-contract").exits(0);
    assert_eq!(stage.visit().0, "tiny one");
    // What was made stays made, whoever is live.
    stage.roadbed("down").exits(0);
    stage.up();
    assert_eq!(made(&stage), pairs(&[("0001-add", true), ("0002-drop", true)]));
    assert_eq!(clerk.came(), ["0001-add", "0002-drop"]);
}

#[test]
fn a_change_that_fails_keeps_the_release_from_visitors_and_is_made_by_the_next() {
    let clerk = Clerk::new();
    let stage = shop(&clerk, "1h");
    stage.deploy(&says("one")).exits(0);
    clerk.change(|desk| desk.failing = vec!["0002-fill".into()]);
    knows(&stage, &[("0001-add", "expand"), ("0002-fill", "expand")]);
    stage.deploy(&says("two")).exits(10).says(&[
        "cannot change data of web: 0002-fill",
        "its program ended with exit code 1",
        "saw nothing",
    ]);
    assert_eq!(stage.visit().0, "tiny one");
    assert_eq!(stage.instances(), ["web-blue-1"], "nothing of it is left");
    clerk.change(|desk| desk.failing.clear());
    stage.deploy(&says("two")).exits(0);
    assert_eq!(clerk.came(), ["0001-add", "0002-fill", "0002-fill"], "what was made before is not made again");
    // A program that does not end is ended.
    clerk.change(|desk| desk.held = vec!["0003-slow".into()]);
    knows(&stage, &[("0001-add", "expand"), ("0002-fill", "expand"), ("0003-slow", "expand")]);
    stage.edit(
        "dist/migrate.js\", \"0003-slow\"], deadline = \"20s\"",
        "dist/migrate.js\", \"0003-slow\"], deadline = \"1s\"",
    );
    stage.deploy(&says("three")).exits(10).says(&["its program ran for 1 s and was stopped"]);
    assert_eq!(stage.visit().0, "tiny two");
}

#[test]
fn what_takes_away_what_the_live_release_needs_waits_and_nothing_overtakes_it() {
    let clerk = Clerk::new();
    let stage = shop(&clerk, "1h");
    stage.deploy(&says("one")).exits(0);
    knows(&stage, &[("0001-drop", "contract"), ("0002-add", "expand")]);
    stage.deploy(&says("two")).exits(10).says(&["0002-add must wait for 0001-drop", "put 0002-add before it"]);
    knows(&stage, &[("0002-add", "expand"), ("0001-drop", "contract")]);
    stage.deploy(&says("two")).exits(0);
    assert_eq!(clerk.came(), ["0002-add"]);

    // Where nobody serves from the data yet all are made, as they came.
    let clerk = Clerk::new();
    let mut stage = shop(&clerk, "1h");
    knows(&stage, &[("0001-drop", "contract"), ("0002-add", "expand")]);
    stage.flags = ["--env", "production", "--free-ports"].map(str::to_owned).to_vec();
    stage.deploy(&says("one")).exits(0);
    assert_eq!(clerk.came(), ["0001-drop", "0002-add"]);
}

#[test]
fn whoever_is_killed_while_data_changes_the_release_goes_live() {
    in_lanes([("control", 1), ("keeper", 2), ("web-migrate", 2)], |(unit, times)| {
        let clerk = Clerk::new();
        let stage = shop(&clerk, "1h");
        stage.deploy(&says("one")).exits(0);
        clerk.change(|desk| desk.held = vec!["0001-add".into()]);
        knows(&stage, &[("0001-add", "expand")]);
        stage.server(&says("two"));
        let looking = stage.begin("deploy");
        stage.until("the change is being made", || clerk.came() == ["0001-add"]);
        assert_eq!(stage.visit().0, "tiny one", "the release before serves meanwhile");
        let before = stage.pid_of(unit).unwrap();
        stage.kill(unit);
        if unit == "web-migrate" {
            // Whoever kills the program has made it fail.
            looking.end().exits(10).says(&["its program ended with killed by SIGKILL"]);
            clerk.change(|desk| desk.held.clear());
            stage.deploy(&says("two")).exits(0);
        } else {
            stage.until("another has taken over", || stage.pid_of(unit).is_some_and(|now| now != before));
            clerk.change(|desk| desk.held.clear());
            looking.end().exits(0);
        }
        assert_eq!(stage.visit().0, "tiny two", "{unit}");
        // Control's next goes on waiting for the same program. A keeper's next has not seen how it ended, so it is run again.
        assert_eq!(clerk.came().len(), times, "{unit}");
        assert_eq!(made(&stage), pairs(&[("0001-add", true)]));
    });
}
