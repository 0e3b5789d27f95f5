//! One run of a program to its end, within a deadline.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use host::process::{Process, Signal};
use serde_json::Value;

/// What a command answered.
#[derive(Clone, Debug)]
pub struct Ran {
    pub command: String,
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Ran {
    /// Panics unless the exit code is `code`.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert!(
            self.code == code,
            "`{}` ended with {} and not {code}\n---- stdout\n{}\n---- stderr\n{}",
            self.command,
            self.code,
            self.stdout,
            self.stderr
        );
        self
    }

    /// What was printed, as the JSON document that it must be.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!("`{}` printed no JSON: {error}\n{}\n---- stderr\n{}", self.command, self.stdout, self.stderr)
        })
    }
}

/// Runs `program` with these variables and no others. Past the deadline its process group is killed and the test fails.
#[track_caller]
#[must_use = "a command that failed must not pass unseen"]
pub fn run(
    program: &Path,
    args: &[&str],
    folder: &Path,
    variables: &BTreeMap<String, String>,
    deadline: Duration,
) -> Ran {
    run_with(program, args, folder, variables, deadline, "")
}

/// As [`run`], with `input` on its stdin.
#[track_caller]
#[must_use = "a command that failed must not pass unseen"]
pub fn run_with(
    program: &Path,
    args: &[&str],
    folder: &Path,
    variables: &BTreeMap<String, String>,
    deadline: Duration,
    input: &str,
) -> Ran {
    let start = Instant::now();
    let command = format!("{} {}", program.file_name().unwrap_or_default().display(), args.join(" "));
    let mut child = Command::new(program)
        .args(args)
        .current_dir(folder)
        .env_clear()
        .envs(variables)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
    // Who does not read it may have ended before.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let (ended, end) = mpsc::channel();
    let stdout = read(child.stdout.take().unwrap(), &ended);
    let stderr = read(child.stderr.take().unwrap(), &ended);
    for _ in 0..2 {
        if end.recv_timeout(deadline.saturating_sub(start.elapsed())).is_err() {
            kill_group(&mut child);
            let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
            panic!("`{command}` did not end within {} s\n{stdout}\n---- stderr\n{stderr}", deadline.as_secs());
        }
    }
    let status = child.wait().unwrap();
    Ran {
        command,
        code: status.code().unwrap_or(-1),
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
        took: start.elapsed(),
    }
}

fn read(mut stream: impl Read + Send + 'static, ended: &mpsc::Sender<()>) -> thread::JoinHandle<String> {
    let ended = ended.clone();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        // Nobody listens any more once the deadline has passed.
        let _ = ended.send(());
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The child and all it started, unless that made a session of its own.
pub(crate) fn kill_group(child: &mut Child) {
    if let Ok(process) = Process::open(child.id()) {
        let _ = process.signal_group(Signal::KILL);
    }
    let _ = child.wait();
}
