//! A program that is spoken to: we write to its stdin and read its stdout.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::ProcessFault;

/// As much of its errors is kept: the end, where it says why it gave up.
const KEPT_ERRORS: usize = 4096;

/// One that runs. Dropping it ends it.
#[derive(Debug)]
pub struct Dialogue {
    child: Child,
    pub input: ChildStdin,
    pub output: ChildStdout,
    errors: Arc<Mutex<Vec<u8>>>,
    listener: Option<thread::JoinHandle<()>>,
}

/// Starts a program by an argument vector, with an environment that is given whole. It sees the end of its input when we die.
///
/// # Errors
/// Where it cannot be started.
pub fn start(program: &Path, args: &[String], env: &BTreeMap<String, String>) -> Result<Dialogue, ProcessFault> {
    let fault = |source| ProcessFault::Start { program: program.to_owned(), source };
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(env).current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(fault)?;
    let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(input), Some(output), Some(mut stderr)) = streams else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(fault(std::io::Error::other("it has no pipes")));
    };
    let errors = Arc::new(Mutex::new(Vec::new()));
    let kept = errors.clone();
    let listener = thread::spawn(move || {
        let mut buffer = [0; 1024];
        while let Ok(length @ 1..) = stderr.read(&mut buffer) {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend_from_slice(&buffer[..length]);
            let over = kept.len().saturating_sub(KEPT_ERRORS);
            kept.drain(..over);
        }
    });
    Ok(Dialogue { child, input, output, errors, listener: Some(listener) })
}

impl Dialogue {
    /// Ends it, and returns the last lines that it wrote to stderr.
    pub fn last_words(mut self) -> Vec<String> {
        self.end();
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&errors).lines().map(str::to_owned).collect()
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_is_written_comes_back_and_its_last_words_are_kept() {
        let args = ["-c".to_owned(), "read line; echo \"$line\"; echo gone >&2; read line".to_owned()];
        let mut dialogue = start(Path::new("/bin/sh"), &args, &BTreeMap::new()).unwrap();
        dialogue.input.write_all(b"hello\n").unwrap();
        let mut answer = [0; 6];
        dialogue.output.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"hello\n");
        // Its input ends, and with it the program.
        dialogue.input.write_all(b"\n").unwrap();
        let mut rest = Vec::new();
        dialogue.output.read_to_end(&mut rest).unwrap();
        assert_eq!(dialogue.last_words(), ["gone"]);
    }
}
