//! Workers that die, hang, and are fed bombs.

use std::io::Write;
use std::process::Stdio;

use media::{Limits, Settings};
use rustix::process::{Pid, Signal, kill_process};

use crate::pictures::read;
use crate::role::{Role, children, program, settings, until};

fn impatient(milliseconds: u64) -> Settings {
    Settings { limits: Limits { milliseconds, ..Limits::default() }, ..settings() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_hangs_is_ended_and_costs_its_request_alone() {
    let role = Role::start_with(impatient(300), program("hang")).await;
    role.put("shoe.jpg", &read("quarters.jpg"));
    let answer = role.get("/shop/shoe.jpg?w=320", &[]).await;
    assert_eq!(answer.status, 504, "{}", answer.text());
    assert_eq!(role.metric("worker_deaths_total").await, 1);
    assert_eq!(role.get(media::HEALTH, &[]).await.status, 200);
    let other = role.get("/shop/shoe.jpg?w=640", &[]).await;
    assert_eq!(other.status, 504);
    assert_eq!(role.metric("worker_deaths_total").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_killed_in_the_middle_costs_its_request_alone() {
    // Each of them says "hanging" by doing nothing; so it is in the middle whenever it is killed.
    let role = Role::start_with(impatient(60_000), program("hang-until-killed")).await;
    role.put("shoe.jpg", &read("quarters.jpg"));
    let killed = async {
        until("a worker is there", || async { !children("hang-until-killed").is_empty() }).await;
        for pid in children("hang-until-killed") {
            kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        }
    };
    let (answer, ()) = tokio::join!(role.get("/shop/shoe.jpg?w=320", &[]), killed);
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_eq!(role.metric("worker_deaths_total").await, 1);
    assert!(children("hang-until-killed").is_empty(), "no zombie stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_died_while_nobody_asked_is_replaced() {
    let role = Role::start_with(settings(), program("worker-that-is-killed")).await;
    role.put("shoe.jpg", &read("quarters.jpg"));
    assert_eq!(role.get("/shop/shoe.jpg?w=320", &[]).await.status, 200);
    for pid in children("worker-that-is-killed") {
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    }
    until("they are gone or wait to be reaped", || async {
        children("worker-that-is-killed")
            .iter()
            .all(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z")))
    })
    .await;
    assert_eq!(role.get("/shop/shoe.jpg?w=640", &[]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bombs_cost_an_answer_and_no_worker() {
    let role = Role::start(settings()).await;
    for name in ["bomb.png", "profile-bomb.png", "text-bomb.png", "liar.png", "animated.gif", "thin.jpg"] {
        role.put(name, &read(name));
        let answer = role.get(&format!("/shop/{name}?w=640"), &[]).await;
        assert!(answer.status.as_u16() < 500, "{name}: {} {}", answer.status, answer.text());
    }
    assert_eq!(role.get("/shop/bomb.png?w=640", &[]).await.status, 413);
    assert_eq!(role.metric("worker_deaths_total").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_without_memory_dies_alone() {
    let limits = Limits { memory: 60 << 20, pixels: 1 << 40, ..Limits::default() };
    let role = Role::start(Settings { limits, ..settings() }).await;
    role.put("bomb.png", &read("bomb.png"));
    role.put("shoe.jpg", &read("quarters.jpg"));
    let answer = role.get("/shop/bomb.png?w=640", &[]).await;
    assert!([422, 502].contains(&answer.status.as_u16()), "{} {}", answer.status, answer.text());
    assert_eq!(role.get("/shop/shoe.jpg?w=640", &[]).await.status, 200);
}

/// What a worker holds while it waits for the next picture.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_has_two_pipes_and_nothing_else() {
    let role = Role::start_with(settings(), program("worker-that-is-watched")).await;
    role.put("shoe.jpg", &read("quarters.jpg"));
    assert_eq!(role.get("/shop/shoe.jpg?w=320", &[]).await.status, 200);
    let pids = children("worker-that-is-watched");
    assert_eq!(pids.len(), 1);
    let place = format!("/proc/{}", pids[0]);
    let mut open: Vec<String> = std::fs::read_dir(format!("{place}/fd"))
        .unwrap()
        .map(|fd| fd.unwrap().file_name().into_string().unwrap())
        .collect();
    open.sort();
    assert_eq!(open, ["0", "1", "2"]);
    let limits = std::fs::read_to_string(format!("{place}/limits")).unwrap();
    for name in ["Max open files", "Max processes", "Max file size"] {
        let row = limits.lines().find(|line| line.starts_with(name)).unwrap();
        let values: Vec<&str> = row[name.len()..].split_whitespace().take(2).collect();
        assert_eq!(values, ["0", "0"], "{row}");
    }
    let status = std::fs::read_to_string(format!("{place}/status")).unwrap();
    assert!(status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"), "{status}");
}

/// Code of a picture's that runs in a worker can compute, and nothing else.
#[test]
fn who_takes_a_worker_over_gets_at_nothing() {
    let program = program("escape");
    let mut started = std::process::Command::new(program.path);
    let started = started.args(program.args).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut escape = started.spawn().unwrap();
    let words = br#"{"memory": 1073741824, "seconds": 15, "niceness": 5}"#;
    let mut frame = u32::try_from(words.len()).unwrap().to_le_bytes().to_vec();
    frame.extend_from_slice(&[0; 8]);
    frame.extend_from_slice(words);
    escape.stdin.take().unwrap().write_all(&frame).unwrap();
    let ended = escape.wait_with_output().unwrap();
    assert_eq!((String::from_utf8_lossy(&ended.stdout).trim(), ended.status.success()), ("", true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_may_wait_are_turned_away() {
    let limits = Limits { waiting: 1, milliseconds: 2000, ..Limits::default() };
    let role = Role::start_with(Settings { limits, workers: Some(1), ..settings() }, program("hang")).await;
    role.put("shoe.jpg", &read("quarters.jpg"));
    let widths = [160, 320, 480, 640, 800];
    let targets: Vec<String> = widths.iter().map(|width| format!("/shop/shoe.jpg?w={width}")).collect();
    let answers = futures_util::future::join_all(targets.iter().map(|target| role.get(target, &[]))).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert!(statuses.contains(&503) && statuses.contains(&504), "{statuses:?}");
}
