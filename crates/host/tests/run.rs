//! Short-lived programs, on real processes.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::process::{self, Finished, ProcessFault, Run, Stream, table};

fn shell(script: &str) -> Run {
    Run {
        program: PathBuf::from("/bin/sh"),
        args: vec!["-c".to_owned(), script.to_owned()],
        cwd: PathBuf::from("/tmp"),
        env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
        deadline: Duration::from_secs(20),
    }
}

async fn collect(run: &Run) -> (Finished, Vec<(Stream, String)>) {
    let mut lines = Vec::new();
    let finished = process::run(run, &mut |stream, line| lines.push((stream, line.to_owned()))).await.unwrap();
    (finished, lines)
}

/// Waits for a state of the world; says what it waited for if it never comes.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(10), wait).await.is_ok(), "not seen in 10 s: {what}");
}

fn is_dead(pid: u32) -> bool {
    table::entry(pid).is_none_or(|entry| entry.is_dead())
}

#[tokio::test]
async fn both_streams_arrive_line_by_line_and_the_code_is_told() {
    let (finished, lines) = collect(&shell("echo one; echo two >&2; printf three; exit 3")).await;
    assert_eq!((finished.code, finished.signal, finished.success()), (Some(3), None, false));
    assert!(lines.contains(&(Stream::Out, "one".to_owned())), "{lines:?}");
    assert!(lines.contains(&(Stream::Err, "two".to_owned())), "{lines:?}");
    assert!(lines.contains(&(Stream::Out, "three".to_owned())), "{lines:?}");
    assert_eq!(finished.tail.len(), 3);
}

#[tokio::test]
async fn nothing_is_inherited_but_what_is_given() {
    let (finished, lines) = collect(&shell("env; pwd; cat; ls /proc/self/fd; exit 0")).await;
    assert!(finished.success());
    let text: Vec<&str> = lines.iter().map(|(_, line)| line.as_str()).collect();
    assert!(text.contains(&"/tmp"));
    assert!(!text.iter().any(|line| line.starts_with("CARGO") || line.starts_with("HOME")), "{text:?}");
    // 0, 1, 2 and the folder that `ls` itself reads.
    assert_eq!(text.iter().filter(|line| line.parse::<u32>().is_ok()).count(), 4, "{text:?}");
}

#[tokio::test]
async fn signals_are_as_after_boot() {
    let (_, lines) = collect(&shell("grep -E '^Sig(Blk|Ign|Cgt)|NoNewPrivs' /proc/self/status")).await;
    let of = |name: &str| lines.iter().find_map(|(_, line)| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!(of("SigBlk:"), "0000000000000000");
    assert_eq!(of("SigIgn:"), "0000000000000000");
    assert_eq!(of("NoNewPrivs:"), "1");
}

#[tokio::test]
async fn a_signal_is_told() {
    let (finished, _) = collect(&shell("kill -9 $$")).await;
    assert_eq!((finished.code, finished.signal), (None, Some(9)));
}

#[tokio::test]
async fn what_is_left_running_in_the_group_is_killed_at_the_end() {
    let (finished, lines) = collect(&shell("sleep 1000 & echo $!; exit 0")).await;
    assert!(finished.success());
    let left: u32 = lines[0].1.parse().unwrap();
    eventually("the background process is dead", || is_dead(left)).await;
}

#[tokio::test]
async fn the_deadline_kills_the_whole_group_and_shows_the_last_lines() {
    let mut run = shell("echo waiting; sleep 1000 & echo $!; trap '' TERM; wait");
    run.deadline = Duration::from_millis(300);
    let mut lines = Vec::new();
    let fault = process::run(&run, &mut |_, line| lines.push(line.to_owned())).await.unwrap_err();
    let ProcessFault::Deadline { tail, .. } = &fault else { panic!("{fault:?}") };
    assert_eq!(tail[0], "waiting");
    assert!(fault.to_string().contains("/bin/sh did not end within 0.3 s"), "{fault}");
    let sleeper: u32 = lines[1].parse().unwrap();
    eventually("the background process is dead", || is_dead(sleeper)).await;
}

#[tokio::test]
async fn losing_interest_kills_the_whole_group() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let task = tokio::spawn(async move {
        let run = shell("sleep 1000 & echo $!; echo $$; wait");
        process::run(&run, &mut |_, line| tell.send(line.parse::<u32>().unwrap()).unwrap()).await
    });
    let (sleeper, leader) = (told.recv().await.unwrap(), told.recv().await.unwrap());
    task.abort();
    eventually("both are dead", || is_dead(sleeper) && is_dead(leader)).await;
    eventually("no zombie stays", || table::entry(leader).is_none()).await;
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let mut run = shell("");
    run.program = PathBuf::from("/nowhere/to/be/found");
    let fault = process::run(&run, &mut |_, _| {}).await.unwrap_err();
    assert_eq!(fault.to_string(), "cannot start /nowhere/to/be/found");
    let ProcessFault::Start { source, .. } = fault else { panic!("not a start fault") };
    assert_eq!(source.kind(), std::io::ErrorKind::NotFound);

    let mut run = shell("");
    run.cwd = Path::new("/nowhere/to/stand").to_owned();
    let fault = process::run(&run, &mut |_, _| {}).await.unwrap_err();
    assert!(fault.to_string().contains("/nowhere/to/stand"), "{fault}");
}

#[tokio::test]
async fn a_flood_keeps_the_last_lines_only() {
    let (finished, lines) = collect(&shell("i=0; while [ $i -lt 5000 ]; do echo $i; i=$((i+1)); done")).await;
    assert_eq!(lines.len(), 5000);
    assert_eq!(finished.tail.len(), 200);
    assert_eq!(finished.tail.last().unwrap(), "4999");
}
