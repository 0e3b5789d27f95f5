//! Roadbed itself moves to another program: visitors notice nothing, what does not come up is left, who is killed is followed.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{Crowd, Kept, SendHomeOnDrop, wait_until};

use crate::command::Answer;
use crate::stage::Stage;

/// Answers in every way that takes its time: what was posted, a stream of 30 events in six seconds, and a WebSocket that counts.
const SERVER: &str = r#"
const { createHash } = require("node:crypto");
const server = require("node:http").createServer((request, answer) => {
  if (request.url === "/events") {
    answer.writeHead(200, { "content-type": "text/event-stream" });
    let sent = 0;
    const timer = setInterval(() => {
      answer.write(`data: ${sent++}\n\n`);
      if (sent === 30) { clearInterval(timer); answer.end(); }
    }, 200);
    return;
  }
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => answer.end(request.method === "POST" ? Buffer.concat(parts) : "tiny\n"));
});
server.on("upgrade", (request, socket) => {
  const key = request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  const accept = createHash("sha1").update(key).digest("base64");
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
  let count = 0;
  const timer = setInterval(() => {
    const text = Buffer.from(String(count++));
    socket.write(Buffer.concat([Buffer.from([0x81, text.length]), text]));
  }, 100);
  socket.on("error", () => {});
  socket.on("close", () => clearInterval(timer));
});
server.keepAliveTimeout = Number(process.env.ROADBED_KEEP_ALIVE_MS);
server.listen(Number(process.env.PORT), "127.0.0.1");
process.on("SIGTERM", () => process.exit(0));
"#;

const PROGRAM: &str = env!("CARGO_BIN_EXE_roadbed");

impl Stage {
    fn running() -> Self {
        let stage = Self::new();
        stage.server(SERVER);
        stage.up();
        stage
    }

    /// Another program that does the same, under this name: what is behind its end is not part of it.
    fn another(&self, name: &str) -> PathBuf {
        self.program(name, |bytes| bytes.extend_from_slice(name.as_bytes()))
    }

    fn program(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
        let folder = self.home.join(name);
        fs::create_dir(&folder).unwrap();
        let path = folder.join("roadbed");
        fs::copy(PROGRAM, &path).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn upgrade_to(&self, program: &std::path::Path) -> Answer {
        self.roadbed(&format!("upgrade --to {}", program.display()))
    }

    /// The digest that all roles run.
    #[track_caller]
    fn runs(&self) -> String {
        let programs = self.programs();
        let digest = programs["keeper"]["digest"].as_str().unwrap().to_owned();
        let roles = programs["roles"].as_object().unwrap();
        assert_eq!(roles.len(), 4, "{programs}");
        assert!(roles.values().all(|runs| *runs == digest.as_str()), "{programs}");
        digest
    }

    fn programs(&self) -> Value {
        self.status()["programs"].clone()
    }

    fn kept_programs(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.root.join("programs"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "current")
            .collect();
        names.sort();
        names
    }
}

#[test]
fn visitors_notice_nothing_of_an_upgrade_and_of_the_way_back() {
    let stage = Stage::running();
    let (url, client) = (stage.url(), stage.client());
    let another = stage.another("another");
    let first = stage.runs();
    let [keeper, web] = ["keeper", "web-1"].map(|unit| stage.pid_of(unit));
    stage
        .roadbed(&format!("upgrade --dry-run --to {}", another.display()))
        .exits(0)
        .says(&["would be followed by", "edge runs"]);
    assert_eq!(stage.runs(), first, "a rehearsal changes nothing");

    let (crowd, listeners) = (Crowd::default(), Crowd::default());
    let mut web_socket = client.web_socket(&url, &[]).unwrap();
    thread::scope(|scope| {
        let _home = (SendHomeOnDrop(&crowd), SendHomeOnDrop(&listeners));
        let body = "posted ".repeat(20_000);
        for _ in 0..3 {
            let (mut visitor, url) = (Kept::new(client.clone()), url.clone());
            crowd.let_in(scope, 40, move || is_well(visitor.request("GET", &url, &[], ""), "tiny\n"));
        }
        for _ in 0..2 {
            let (mut visitor, url, body) = (Kept::new(client.clone()), url.clone(), body.clone());
            crowd.let_in(scope, 10, move || is_well(visitor.request("POST", &url, &[], &body), &body));
        }
        for _ in 0..2 {
            let (client, url) = (client.clone(), url.clone());
            crowd.let_in(scope, 20, move || is_well(client.get(&url), "tiny\n"));
        }
        let (patient, events) = (client.patient_for(Duration::from_secs(30)), format!("{url}/events"));
        let stream: String = (0..30).map(|number| format!("data: {number}\n\n")).collect();
        for _ in 0..3 {
            let (patient, events, stream) = (patient.clone(), events.clone(), stream.clone());
            listeners.let_in(scope, 1, move || is_well(patient.get(&events), &stream));
        }
        let counts = scope.spawn(|| {
            let mut expected = 0;
            while !crowd.is_over() {
                let text = web_socket.next_text(Duration::from_secs(10))?;
                if text != expected.to_string() {
                    return Err(format!("{text} after {expected}"));
                }
                expected += 1;
            }
            Ok(expected)
        });
        let seen = |least: usize| {
            wait_until("visitors come", Duration::from_secs(30), || {
                if crowd.asked() >= least { Ok(()) } else { Err(crowd.asked()) }
            })
        };
        seen(100);
        stage.upgrade_to(&another).exits(0).says(&["✓ keeper", "✓ control", "✓ edge", "runs 0.", "now; before:"]);
        let second = stage.runs();
        assert_ne!(second, first);
        seen(crowd.asked() + 200);
        // And back to the program at hand, which the root kept.
        stage.roadbed("upgrade").exits(0).says(&["now; before:"]);
        assert_eq!(stage.runs(), first);
        seen(crowd.asked() + 200);
        assert_eq!(stage.kept_programs().len(), 2);
        wait_until("streams come to their end and begin anew", Duration::from_secs(60), || {
            if listeners.asked() > 3 { Ok(()) } else { Err(listeners.asked()) }
        });
        crowd.send_home();
        listeners.send_home();
        let counted = counts.join().unwrap();
        assert!(counted.as_ref().is_ok_and(|counted| *counted > 20), "the WebSocket: {counted:?}");
    });
    eprintln!("upgrade: {} requests, the longest took {} ms", crowd.asked(), crowd.longest().as_millis());
    assert_eq!(crowd.failed(), Vec::<String>::new());
    assert_eq!(listeners.failed(), Vec::<String>::new(), "a stream was cut");
    assert_eq!(
        [stage.pid_of("keeper"), stage.pid_of("web-1")],
        [keeper, web],
        "the keeper's process, and the app, go on"
    );
    stage.roadbed("upgrade").exits(0).says(&["runs 0.", "already"]);
}

fn is_well(answer: Result<testkit::Answer, String>, body: &str) -> Result<(), String> {
    let answer = answer?;
    if answer.status == 200 && answer.body == body {
        return Ok(());
    }
    Err(format!("{} with {} bytes instead of {}", answer.status, answer.body.len(), body.len()))
}

#[test]
fn what_runs_does_not_depend_on_the_file_that_it_came_from() {
    let stage = Stage::running();
    let another = stage.another("another");
    stage.upgrade_to(&another).exits(0);
    let digest = stage.runs();
    fs::remove_dir_all(another.parent().unwrap()).unwrap();
    for unit in ["edge", "control", "keeper"] {
        let before = stage.pid_of(unit);
        stage.kill(unit);
        stage.until("it is there again", || stage.pid_of(unit).is_some_and(|pid| Some(pid) != before));
        stage.until("all runs", || stage.units() == ["control", "edge", "keeper", "telemetry", "web-1"]);
    }
    assert_eq!(stage.runs(), digest);
    stage.answers();
    let status = stage.roadbed("status").exits(0);
    status.says(&["this program is", "the environment runs another", "`roadbed upgrade` moves it here"]);
}

#[test]
fn a_program_that_is_no_keeper_is_not_moved_to() {
    let stage = Stage::running();
    let first = stage.runs();
    // It can say who it is, and nothing else.
    let path = stage.home.join("liar");
    let said = format!("#!/bin/sh\n[ \"$1\" = upgrade ] && exec {PROGRAM} \"$@\"\nexit 1\n");
    fs::write(&path, said).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let web = stage.pid_of("web-1");
    let answer = stage.upgrade_to(&path);
    answer.refuses(1, &["was not upgraded", "one of the program before took its place", "goes on"]);
    assert_eq!(stage.runs(), first);
    assert_eq!(stage.pid_of("web-1"), web);
    assert!(!stage.root.join("state/upgrade.json").exists());
    stage.is_whole();
    // Who cannot even do that is not tried.
    stage.upgrade_to(std::path::Path::new("/bin/true")).refuses(1, &["does not say who it is"]);
    stage.upgrade_to(std::path::Path::new("/bin/false")).refuses(1, &["cannot take over", "exit code 1"]);
    stage.upgrade_to(std::path::Path::new("/nowhere/roadbed")).refuses(1, &["/nowhere/roadbed"]);
}

#[test]
fn where_control_does_not_come_up_all_go_back() {
    let stage = Stage::running();
    let first = stage.runs();
    let (edge, web) = (stage.pid_of("edge"), stage.pid_of("web-1"));
    // Looks for its ledger where it is not.
    let blind = stage.program("blind", |bytes| {
        let (name, other) = (b"evidence.db", b"evidence.dx");
        let mut at = 0;
        while let Some(found) = bytes[at..].windows(name.len()).position(|window| window == name) {
            bytes[at + found..at + found + name.len()].copy_from_slice(other);
            at += found + name.len();
        }
        assert!(at > 0, "the program names its ledger");
    });
    stage.upgrade_to(&blind).refuses(1, &["was not upgraded", "control does not come up", "evidence.dx", "goes on"]);
    assert_eq!(stage.runs(), first);
    assert_eq!((stage.pid_of("edge"), stage.pid_of("web-1")), (edge, web));
    stage.is_whole();
}

#[test]
fn where_the_next_edge_does_not_serve_the_one_before_goes_on() {
    let stage = Stage::running();
    let first = stage.runs();
    let edge = stage.pid_of("edge");
    // The one that runs has its log open; the next cannot open one.
    let log = stage.root.join("logs/access.log");
    fs::rename(&log, stage.root.join("logs/access.log.before")).unwrap();
    fs::create_dir(&log).unwrap();
    let another = stage.another("another");
    stage.upgrade_to(&another).refuses(1, &["was not upgraded", "the edge did not come up", "goes on"]);
    assert_eq!(stage.pid_of("edge"), edge, "it never went");
    assert_eq!(stage.runs(), first);
    stage.is_whole();
    // With the cause mended it goes forward.
    fs::remove_dir(&log).unwrap();
    stage.upgrade_to(&another).exits(0);
    assert_ne!(stage.runs(), first);
    stage.is_whole();
}

#[test]
fn a_program_that_is_older_than_the_state_is_refused() {
    let stage = Stage::running();
    let first = stage.runs();
    let newer =
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('PRAGMA user_version = 99'); c.commit()";
    let file = stage.root.join("state/delivery.db");
    let done = std::process::Command::new("python3").args(["-c", newer]).arg(&file).status().unwrap();
    assert!(done.success());
    let another = stage.another("another");
    stage.upgrade_to(&another).refuses(1, &["cannot take over", "was written by a newer Roadbed", "or a later one"]);
    assert_eq!(stage.runs(), first);
    stage.answers();
}

#[test]
fn without_an_environment_there_is_nothing_to_upgrade() {
    let stage = Stage::new();
    stage.roadbed("upgrade").refuses(1, &["nothing runs", "`roadbed up` starts the environment with this program"]);
}

#[test]
fn whoever_is_killed_in_an_upgrade_is_followed_by_somebody_who_ends_it() {
    let stage = Stage::running();
    let another = stage.another("another");
    let first = stage.runs();
    let web = stage.pid_of("web-1");
    let began = Instant::now();
    stage.upgrade_to(&another).exits(0);
    let whole = began.elapsed();
    let second = stage.runs();
    let mut target = PathBuf::from(PROGRAM);
    // Each victim at four moments of it. The command alone, and with those whom it moves.
    for victims in
        [&["command"][..], &["keeper"], &["control"], &["edge"], &["command", "keeper"], &["command", "control"]]
    {
        for part in 1..=4_u32 {
            let wanted = if target == another { &second } else { &first };
            let command = stage.begin(&format!("upgrade --to {}", target.display()));
            thread::sleep(whole * part / 5);
            for victim in victims {
                match *victim {
                    "command" => command.signal("KILL"),
                    unit => stage.kill(unit),
                }
            }
            let _ = command.end();
            let what = format!("{victims:?} killed at part {part} of an upgrade: it comes to its end");
            wait_until(&what, Duration::from_secs(60), || {
                let programs = stage.programs();
                let roles = programs["roles"].as_object().cloned().unwrap_or_default();
                // Before the note was written nothing had begun, and nothing is to be ended.
                let is_one = roles.len() == 4 && roles.values().all(|runs| *runs == roles["keeper"]);
                let is_over = programs["under_way"].is_null() && is_one;
                if is_over { Ok(()) } else { Err(programs.to_string()) }
            });
            stage.until("all runs once", || stage.units() == ["control", "edge", "keeper", "telemetry", "web-1"]);
            stage.answers();
            assert_eq!(stage.pid_of("web-1"), web, "apps are not touched");
            if stage.runs() != *wanted {
                stage.upgrade_to(&target).exits(0);
                assert_eq!(stage.runs(), *wanted);
            }
            target = if target == another { PathBuf::from(PROGRAM) } else { another.clone() };
        }
    }
}
