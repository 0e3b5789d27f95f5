//! Deliberate harm, for checks that watch the environment heal.

use std::io;

use rustix::process::{Pid, Signal, kill_process};

/// Ends a process as a crash would: at once, with no chance to clean up.
pub fn kill(pid: u32) -> io::Result<()> {
    Ok(kill_process(as_pid(pid)?, Signal::KILL)?)
}

/// Stops a process from running until the value is dropped. Its connections stay open and nobody answers on them.
pub fn freeze(pid: u32) -> io::Result<Frozen> {
    let pid = as_pid(pid)?;
    kill_process(pid, Signal::STOP)?;
    Ok(Frozen { pid })
}

/// Lets a process run again that a killed drill left frozen; harmless for one that runs.
pub fn thaw(pid: u32) -> io::Result<()> {
    Ok(kill_process(as_pid(pid)?, Signal::CONT)?)
}

/// A frozen process.
#[derive(Debug)]
#[must_use = "dropping it lets the process run again"]
pub struct Frozen {
    pid: Pid,
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // It may be gone by now; then there is nothing to let run.
        let _ = kill_process(self.pid, Signal::CONT);
    }
}

fn as_pid(pid: u32) -> io::Result<Pid> {
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
    raw.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("{pid} is no process id")))
}
