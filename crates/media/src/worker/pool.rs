//! Workers at hand: as many as may run at once, each started when it is first needed and again after it died.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use host::process::dialogue::{self, Dialogue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Allowance, Job, Outcome, Program, frame};
use crate::Limits;
use crate::image::{Fault, Made};

/// Starts workers and gives them pictures.
#[derive(Debug)]
pub struct Pool {
    program: Program,
    limits: Limits,
    niceness: i32,
    idle: Mutex<Vec<Worker>>,
    turns: Semaphore,
    waiting: AtomicUsize,
    begun: AtomicU64,
    deaths: AtomicU64,
}

/// Why there is no picture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("the process that decoded it ended: {0}")]
    Died(String),
    #[error("it was not done within {} ms", .0.as_millis())]
    Late(Duration),
    #[error("too many pictures wait to be made already")]
    Busy,
}

/// One process.
#[derive(Debug)]
struct Worker {
    dialogue: Dialogue,
    input: pipe::Sender,
    output: pipe::Receiver,
}

impl Pool {
    /// None is started yet.
    ///
    /// `niceness` is how far other processes go first, 0 to 19.
    pub fn new(program: Program, workers: usize, limits: Limits, niceness: i32) -> Self {
        Self {
            program,
            limits,
            niceness,
            idle: Mutex::default(),
            turns: Semaphore::new(workers.max(1)),
            waiting: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
            deaths: AtomicU64::new(0),
        }
    }

    /// Pictures that were given to a worker.
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Workers that ended before they answered, or were ended because they did not.
    pub fn deaths(&self) -> u64 {
        self.deaths.load(Ordering::Relaxed)
    }

    /// Waits for a worker and then for the picture. Whoever drops this ends the worker.
    ///
    /// # Errors
    /// Where the bytes are no picture, and where the worker died of them or took too long. The next one has another worker.
    pub async fn run(&self, job: Job, bytes: Bytes) -> Result<Made, Trouble> {
        let place = Waiting::enter(&self.waiting, self.limits.waiting)?;
        let _turn = self.turns.acquire().await.expect("nobody closes the semaphore");
        drop(place);
        let mut worker = self.worker().await?;
        self.begun.fetch_add(1, Ordering::Relaxed);
        let patience = Duration::from_millis(self.limits.milliseconds);
        // Counted as a death unless it is found to be none, also where nobody waits any more.
        let death = Death(&self.deaths);
        match timeout(patience, worker.ask(&job, &bytes, self.limits.memory)).await {
            Ok(Ok((outcome, bytes))) => {
                std::mem::forget(death);
                self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
                match outcome {
                    Outcome::Made { format, width, height } => Ok(Made { format, width, height, bytes }),
                    Outcome::Fault(fault) => Err(fault.into()),
                }
            }
            Ok(Err(error)) => Err(Trouble::Died(worker.last_words(&error).await)),
            Err(_) => {
                worker.last_words(&io::ErrorKind::TimedOut.into()).await;
                Err(Trouble::Late(patience))
            }
        }
    }

    async fn worker(&self) -> Result<Worker, Trouble> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match idle {
                Some(worker) if worker.is_ready() => return Ok(worker),
                // It ended while nobody asked.
                Some(worker) => {
                    self.deaths.fetch_add(1, Ordering::Relaxed);
                    worker.last_words(&io::ErrorKind::BrokenPipe.into()).await;
                }
                None => break,
            }
        }
        let program = self.program.clone();
        let started = tokio::task::spawn_blocking(move || {
            dialogue::start(&program.path, &program.args, &BTreeMap::new()).map_err(io::Error::other)
        });
        let dialogue = started.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        let unstarted = |error: io::Error| Trouble::Died(format!("it could not be started: {error}"));
        let mut worker = Worker::new(dialogue.map_err(unstarted)?).map_err(unstarted)?;
        let seconds = self.limits.milliseconds.div_ceil(1000);
        let allowance = Allowance { memory: self.limits.memory, seconds, niceness: self.niceness };
        let head = frame::head(&allowance, 0).map_err(unstarted)?;
        worker.input.write_all(&head).await.map_err(unstarted)?;
        Ok(worker)
    }
}

impl Worker {
    fn new(dialogue: Dialogue) -> io::Result<Self> {
        let input = pipe::Sender::from_owned_fd(dialogue.input.as_fd().try_clone_to_owned()?)?;
        let output = pipe::Receiver::from_owned_fd(dialogue.output.as_fd().try_clone_to_owned()?)?;
        Ok(Self { dialogue, input, output })
    }

    /// Nothing is said between two pictures, and an end would be read.
    fn is_ready(&self) -> bool {
        matches!(self.output.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    async fn ask(&mut self, job: &Job, bytes: &[u8], most: u64) -> io::Result<(Outcome, Vec<u8>)> {
        self.input.write_all(&frame::head(job, bytes.len())?).await?;
        self.input.write_all(bytes).await?;
        let mut head = [0; frame::LENGTHS];
        self.output.read_exact(&mut head).await?;
        // A worker that was taken over says what it likes.
        let (words, length) = frame::lengths(head)?;
        if length as u64 > most {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a picture is larger than the memory for it"));
        }
        let mut text = vec![0; words];
        self.output.read_exact(&mut text).await?;
        let mut bytes = vec![0; length];
        self.output.read_exact(&mut bytes).await?;
        Ok((serde_json::from_slice(&text)?, bytes))
    }

    /// Ends it. What it said on stderr says most, else what happened to the pipe.
    async fn last_words(self, error: &io::Error) -> String {
        let said = tokio::task::spawn_blocking(move || self.dialogue.last_words()).await.unwrap_or_default();
        said.last().cloned().unwrap_or_else(|| error.to_string())
    }
}

/// A place among those who wait.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a AtomicUsize, most: usize) -> Result<Self, Trouble> {
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        let place = Self(waiting);
        if before >= most { Err(Trouble::Busy) } else { Ok(place) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Death<'a>(&'a AtomicU64);

impl Drop for Death<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
