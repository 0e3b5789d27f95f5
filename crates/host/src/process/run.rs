//! A short-lived program, run to its end.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::time::sleep;

use super::line::LineSplitter;
use super::{Exit, Limits, Process, ProcessFault, Signal, Spawn, Stream, spawn};

/// A short-lived program: argv only, no shell; the environment is given whole; it leads its own process group.
#[derive(Clone, Debug)]
pub struct Run {
    pub program: PathBuf,
    pub args: Vec<String>,
    pub cwd: PathBuf,
    pub env: BTreeMap<String, String>,
    pub deadline: Duration,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    /// The last lines of both streams, at most [`TAIL_LINES`].
    pub tail: Vec<String>,
}

impl Finished {
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// In words: `exit code 1`, `signal 9`.
    pub fn describe(&self) -> String {
        match (self.code, self.signal) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "an unknown end".to_owned(),
        }
    }
}

/// Enough to see why a build failed.
pub const TAIL_LINES: usize = 200;

/// How long after the program's end a descendant that left its group may go on holding our pipes.
const LINGER: Duration = Duration::from_secs(1);

/// Runs a program to its end and hands out what it writes, line by line. Its whole group is killed when the deadline passes
/// or when the future is dropped; what it left running in its group when it ended is killed too.
pub async fn run(run: &Run, on_line: &mut (dyn FnMut(Stream, &str) + Send)) -> Result<Finished, ProcessFault> {
    let watch_fault = |source| ProcessFault::Watch { program: run.program.clone(), source };
    let (out_read, out_write) = pipe().map_err(watch_fault)?;
    let (err_read, err_write) = pipe().map_err(watch_fault)?;
    let spec = Spawn {
        program: &run.program,
        args: &run.args,
        cwd: &run.cwd,
        env: &run.env,
        stdout: out_write,
        stderr: err_write,
        inherited: &[],
        limits: Limits::default(),
        confine: None,
    };
    let child = KilledOnDrop(spawn(spec, &mut |_| Ok(()))?);
    let mut out = Output::new(Stream::Out, out_read).map_err(watch_fault)?;
    let mut err = Output::new(Stream::Err, err_read).map_err(watch_fault)?;
    let mut tail: VecDeque<String> = VecDeque::new();
    let mut on_line = |stream: Stream, line: &str| {
        // The room of the oldest is that of the newest: an output may have hundreds of millions of lines.
        let mut kept = if tail.len() == TAIL_LINES { tail.pop_front().unwrap_or_default() } else { String::new() };
        kept.clear();
        kept.push_str(line);
        tail.push_back(kept);
        on_line(stream, line);
    };

    let deadline = sleep(run.deadline);
    tokio::pin!(deadline);
    let mut ended = false;
    let linger = sleep(Duration::MAX);
    tokio::pin!(linger);
    while !ended || out.is_open() || err.is_open() {
        tokio::select! {
            read = out.read(), if out.is_open() => out.take(read.map_err(watch_fault)?, &mut on_line),
            read = err.read(), if err.is_open() => err.take(read.map_err(watch_fault)?, &mut on_line),
            end = child.0.ended(), if !ended => {
                end.map_err(watch_fault)?;
                ended = true;
                child.0.signal_group(Signal::KILL).map_err(watch_fault)?;
                linger.set(sleep(LINGER));
            }
            () = &mut linger, if ended => break,
            () = &mut deadline, if !ended => {
                let tail = tail.into();
                return Err(ProcessFault::Deadline { program: run.program.clone(), deadline: run.deadline, tail });
            }
        }
    }
    out.finish(&mut on_line);
    err.finish(&mut on_line);
    let exit = child.0.reap().map_err(watch_fault)?.unwrap_or(Exit::Unseen);
    let (code, signal) = match exit {
        Exit::Code(code) => (Some(code), None),
        Exit::Signal(signal) => (None, Some(signal)),
        Exit::Unseen => (None, None),
    };
    Ok(Finished { code, signal, tail: tail.into() })
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(pipe_with(PipeFlags::CLOEXEC)?)
}

struct Output {
    stream: Stream,
    pipe: Option<Receiver>,
    lines: LineSplitter,
    buffer: Vec<u8>,
}

impl Output {
    fn new(stream: Stream, pipe: OwnedFd) -> io::Result<Self> {
        let pipe = Some(Receiver::from_owned_fd(pipe)?);
        Ok(Self { stream, pipe, lines: LineSplitter::default(), buffer: vec![0; 16 * 1024] })
    }

    fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    /// Fills the buffer; 0 is the end.
    async fn read(&mut self) -> io::Result<usize> {
        match &mut self.pipe {
            Some(pipe) => pipe.read(&mut self.buffer).await,
            None => Ok(0),
        }
    }

    fn take(&mut self, count: usize, on_line: &mut dyn FnMut(Stream, &str)) {
        if count == 0 {
            self.pipe = None;
        }
        let stream = self.stream;
        self.lines.push(&self.buffer[..count], &mut |line| on_line(stream, line));
    }

    fn finish(&mut self, on_line: &mut dyn FnMut(Stream, &str)) {
        let stream = self.stream;
        self.lines.finish(&mut |line| on_line(stream, line));
    }
}

/// Kills the child's group when the caller loses interest, for example by Ctrl-C.
struct KilledOnDrop(Process);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        if let Ok(Some(_)) = self.0.reap() {
            return;
        }
        let _ = self.0.signal_group(Signal::KILL);
        // SIGKILL ends it promptly unless it hangs in the kernel; nobody else would take the zombie away.
        let Ok(child) = Process::find(self.0.identity()).ok_or(()) else {
            let _ = self.0.reap();
            return;
        };
        let _ = std::thread::Builder::new().stack_size(64 * 1024).spawn(move || child.wait_blocking());
    }
}
