//! Long-lived children: what they get, and what they do not.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, PipeReader, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use host::process::{self, Exit, Limits, Process, ProcessFault, Signal, Spawn, table};

/// Starts a shell script; the pipe is its stdout.
fn shell(
    script: &str,
    inherited: &[BorrowedFd<'_>],
    limits: Limits,
    before_exec: &mut (dyn FnMut(&Process) -> io::Result<()> + Send),
) -> (Result<Process, ProcessFault>, PipeReader) {
    let (read, write) = io::pipe().unwrap();
    let env = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
    let spawn = Spawn {
        program: Path::new("/bin/sh"),
        args: &["-c".to_owned(), script.to_owned()],
        cwd: Path::new("/tmp"),
        env: &env,
        stderr: write.try_clone().unwrap().into(),
        stdout: write.into(),
        inherited,
        limits,
        confine: None,
    };
    (process::spawn(spawn, before_exec), read)
}

/// Numbers of descriptors belong to the whole process: a test that closes one would change what another sees.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn said_by(script: &str, inherited: &[BorrowedFd<'_>], limits: Limits) -> String {
    let (process, mut output) = shell(script, inherited, limits, &mut |_| Ok(()));
    let process = process.unwrap();
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    process.wait_blocking();
    text
}

fn file_saying(text: &str) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.rewind().unwrap();
    file
}

#[test]
fn descriptors_arrive_from_three_on_in_the_given_order_and_nothing_else_does() {
    let _alone = alone();
    let files: Vec<File> = (3..=8).map(|number| file_saying(&format!("file {number}\n"))).collect();
    // Backwards, so that some have to change places.
    let inherited: Vec<_> = files.iter().rev().map(AsFd::as_fd).collect();
    // The shell opens descriptor 10 for itself as soon as it redirects: so look first.
    let said = said_by("ls -l /proc/$$/fd; for fd in 3 4 5 6 7 8; do cat <&$fd; done", &inherited, Limits::default());
    assert!(said.ends_with("\nfile 8\nfile 7\nfile 6\nfile 5\nfile 4\nfile 3\n"), "{said}");
    assert_eq!(said.matches(" -> ").count(), 9, "0 to 8 and no more: {said}");
}

#[test]
fn limits_are_set_and_too_high_ones_are_as_high_as_allowed() {
    let _alone = alone();
    let limits = |open_files| Limits { open_files: Some(open_files), ..Limits::default() };
    assert_eq!(said_by("ulimit -n; ulimit -Hn", &[], limits(100)), "100\n100\n");
    let hard = said_by("ulimit -Hn", &[], Limits::default());
    assert_eq!(said_by("ulimit -n", &[], limits(u64::MAX - 1)), hard);
    let space = Limits { address_space: Some(1 << 30), ..Limits::default() };
    assert_eq!(said_by("ulimit -v", &[], space), format!("{}\n", (1 << 30) / 1024));
}

#[test]
fn the_child_leads_its_own_session() {
    let _alone = alone();
    let (process, _output) = shell("sleep 1000", &[], Limits::default(), &mut |_| Ok(()));
    let process = process.unwrap();
    let entry = table::entry(process.pid()).unwrap();
    assert_eq!((entry.session, entry.group), (process.pid(), process.pid()));
    process.signal_group(Signal::KILL).unwrap();
    process.wait_blocking();
}

#[test]
fn its_identity_is_told_before_the_program_begins() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let sign = folder.path().join("begun");
    let mut told = None;
    let script = format!("echo > {sign:?}");
    let (process, _output) = shell(&script, &[], Limits::default(), &mut |process| {
        std::thread::sleep(Duration::from_millis(50));
        assert!(!host::files::exists(&sign), "it waits");
        told = Some(process.identity());
        Ok(())
    });
    let process = process.unwrap();
    assert_eq!(told, Some(process.identity()));
    process.wait_blocking();
    assert!(host::files::exists(&sign));
}

#[test]
fn a_program_whose_identity_could_not_be_kept_never_begins() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let sign = folder.path().join("begun");
    let mut pid = 0;
    let (refused, mut output) = shell(&format!("echo > {sign:?}"), &[], Limits::default(), &mut |process| {
        pid = process.pid();
        Err(io::Error::other("the disk is full"))
    });
    let ProcessFault::Start { source, .. } = refused.unwrap_err() else { panic!("not a start fault") };
    assert_eq!(source.to_string(), "the disk is full");
    output.read_to_end(&mut Vec::new()).unwrap();
    assert!(!host::files::exists(&sign));
    assert_eq!(table::entry(pid), None, "not even a zombie stays");
}

#[test]
fn a_failed_exec_is_told_also_with_descriptors_to_hand_over() {
    let _alone = alone();
    let files: Vec<File> = (0..20).map(|_| file_saying("x")).collect();
    let inherited: Vec<_> = files.iter().map(AsFd::as_fd).collect();
    let (_read, write) = io::pipe().unwrap();
    let spawn = Spawn {
        program: Path::new("/nowhere"),
        args: &[],
        cwd: Path::new("/"),
        env: &BTreeMap::new(),
        stderr: write.try_clone().unwrap().into(),
        stdout: write.into(),
        inherited: &inherited,
        limits: Limits::default(),
        confine: None,
    };
    let ProcessFault::Start { source, .. } = process::spawn(spawn, &mut |_| Ok(())).unwrap_err() else {
        panic!("not a start fault")
    };
    assert_eq!(source.kind(), io::ErrorKind::NotFound);
}

#[tokio::test]
async fn the_end_is_seen_by_whoever_watches_and_the_group_can_still_be_reached() {
    let (process, mut output) =
        shell("sleep 1000 >/dev/null 2>&1 & echo $!; exit 5", &[], Limits::default(), &mut |_| Ok(()));
    let process = process.unwrap();
    process.ended().await.unwrap();
    assert!(!process.is_alive());
    assert_eq!(Process::find(process.identity()).map(|found| found.pid()), None, "a zombie is dead");
    assert_eq!(process.reap().unwrap(), Some(Exit::Code(5)));
    assert_eq!(process.reap().unwrap(), Some(Exit::Unseen), "taken note of once");
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    let left = Process::open(text.trim().parse().unwrap()).unwrap();
    process.signal_group(Signal::KILL).unwrap();
    tokio::time::timeout(Duration::from_secs(5), left.ended()).await.expect("its group was reached").unwrap();
    process.signal_group(Signal::KILL).unwrap();
    process.signal(Signal::KILL).unwrap();
}
