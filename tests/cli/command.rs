//! One run of the program, with nothing of the caller's environment.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// A command that needs no running environment answers at once; what takes longer hangs.
const DEADLINE: Duration = Duration::from_secs(60);

/// What a command answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i32,
}

pub(crate) fn roadbed<'a>(
    words: impl Iterator<Item = &'a str>,
    here: &Path,
    variables: &[(String, String)],
    stdin: &str,
) -> Answer {
    let words: Vec<&str> = words.collect();
    let mut child = Command::new(env!("CARGO_BIN_EXE_roadbed"))
        .args(&words)
        .current_dir(here)
        .env_clear()
        .envs(variables.iter().cloned())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Whoever does not read it has ended already: that is no fault.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (ended, end) = mpsc::channel();
    let reader = |mut stream: Box<dyn Read + Send>| {
        let ended = ended.clone();
        thread::spawn(move || {
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).unwrap();
            ended.send(()).unwrap();
            String::from_utf8(bytes).unwrap()
        })
    };
    let (out, err) = (reader(Box::new(stdout)), reader(Box::new(stderr)));
    for _ in 0..2 {
        if end.recv_timeout(DEADLINE).is_err() {
            child.kill().unwrap();
            panic!("`roadbed {}` did not end", words.join(" "));
        }
    }
    let status = child.wait().unwrap();
    Answer { stdout: out.join().unwrap(), stderr: err.join().unwrap(), code: status.code().unwrap_or(-1) }
}
