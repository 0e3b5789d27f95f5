//! What a unit writes, on its way from two named pipes to one log file.

use std::borrow::Cow;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use host::clock::Clock;
use host::confine::User;
use host::confine::ownership::give_file;
use host::fifo::{self, Reader};
use host::files::FileFault;
use host::process::Stream;
use host::process::line::{CUT_MARK, LineSplitter};
use reconcile::Root;
use secrets::redact::Needles;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::fifo_folder;
use super::log::{Batch, UnitLog};
use super::redaction::Known;

/// So many chunks are taken from one pipe before others get their turn.
const CHUNKS_IN_A_ROW: usize = 8;

/// Reads a unit's pipes for as long as it is not dropped.
#[derive(Debug)]
pub(super) struct Output {
    pumps: [Arc<Pump>; 2],
    tasks: [JoinHandle<()>; 2],
}

impl Output {
    /// Creates the pipes where they are missing; goes on reading them where they are not. Must be called on the runtime.
    pub(super) fn open(
        root: &Root,
        unit: &str,
        clock: Arc<dyn Clock>,
        redaction: Redaction,
    ) -> Result<Self, FileFault> {
        let log = Arc::new(Mutex::new(UnitLog::new(root.log_of(unit))));
        let pump = |stream| -> Result<Arc<Pump>, FileFault> {
            let path = pipe_path(root, unit, stream);
            fifo::create(&path)?;
            let reader = Reader::open(&path)?;
            let lines = Mutex::default();
            let (log, clock, redaction) = (Arc::clone(&log), Arc::clone(&clock), redaction.clone());
            Ok(Arc::new(Pump { stream, path, reader, lines, log, clock, redaction }))
        };
        let pumps = [pump(Stream::Out)?, pump(Stream::Err)?];
        let tasks = pumps.clone().map(|pump| tokio::spawn(async move { pump.work().await }));
        Ok(Self { pumps, tasks })
    }

    /// The ends for a child: stdout, stderr.
    pub(super) fn ends(&self) -> Result<(OwnedFd, OwnedFd), FileFault> {
        Ok((fifo::open_for_child(&self.pumps[0].path)?, fifo::open_for_child(&self.pumps[1].path)?))
    }

    /// Takes what waits, so that the last words of a dead process are in the log before its death is told.
    pub(super) fn drain(&self) {
        for pump in &self.pumps {
            // As much as a pipe holds; a descendant may still be writing.
            for _ in 0..4 {
                match pump.turn() {
                    Ok(Turn::More) => {}
                    Ok(Turn::Empty) | Err(_) => break,
                }
            }
            pump.end_line();
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Removes a unit's pipes.
pub(super) fn remove(root: &Root, unit: &str) -> Result<(), FileFault> {
    fifo::remove(&pipe_path(root, unit, Stream::Out))?;
    fifo::remove(&pipe_path(root, unit, Stream::Err))
}

/// Lets a unit's user open its own pipes again, as `/dev/stdout` and `/dev/stderr`.
pub(super) fn give(root: &Root, unit: &str, user: User) -> Result<(), FileFault> {
    [Stream::Out, Stream::Err].into_iter().try_for_each(|stream| give_file(&pipe_path(root, unit, stream), user))
}

fn pipe_path(root: &Root, unit: &str, stream: Stream) -> PathBuf {
    fifo_folder(root).join(format!("{unit}.{stream}"))
}

#[derive(Debug)]
struct Pump {
    stream: Stream,
    path: PathBuf,
    reader: Reader,
    lines: Mutex<LineSplitter>,
    log: Arc<Mutex<UnitLog>>,
    clock: Arc<dyn Clock>,
    redaction: Redaction,
}

/// What is taken out of lines on their way.
#[derive(Clone, Debug)]
pub(super) struct Redaction {
    pub(super) known: watch::Receiver<Known>,
    /// Lines of a process that was begun with secrets to look for wait in their pipe until this keeper knows them too.
    pub(super) is_redacted: bool,
}

impl Redaction {
    async fn is_possible(&self) {
        if self.is_redacted {
            // Ends only with the keeper.
            let _ = self.known.clone().wait_for(Option::is_some).await;
        }
    }

    /// `None`: not yet.
    fn needles(&self) -> Option<Arc<Needles>> {
        let known = self.known.borrow().clone();
        if self.is_redacted { known } else { Some(known.unwrap_or_else(|| Arc::new(Needles::none()))) }
    }
}

/// One line as it may be kept.
fn redacted<'l>(needles: &Needles, line: &'l str) -> Cow<'l, str> {
    match line.strip_suffix(CUT_MARK) {
        // A secret at the cut has lost its end, so its beginning goes too.
        Some(beginning) => Cow::Owned(needles.redact_beginning(beginning) + CUT_MARK),
        None => needles.redact(line),
    }
}

enum Turn {
    Empty,
    More,
}

impl Pump {
    async fn work(&self) {
        self.redaction.is_possible().await;
        loop {
            let turn = match self.reader.readable().await {
                Ok(()) => self.turn(),
                Err(error) => Err(error),
            };
            match turn {
                Ok(Turn::Empty) => {}
                Ok(Turn::More) => tokio::task::yield_now().await,
                Err(error) => {
                    tracing::error!(pipe = %self.path.display(), %error, "cannot read a unit's output any more");
                    return;
                }
            }
        }
    }

    /// Moves some chunks from the pipe to the log. Whole lines are taken from the pipe only after they were written, so a
    /// keeper that is killed here loses none; at worst the next one writes a chunk again.
    fn turn(&self) -> io::Result<Turn> {
        let Some(needles) = self.redaction.needles() else { return Ok(Turn::Empty) };
        let mut buffer = vec![0; fifo::CHUNK];
        for _ in 0..CHUNKS_IN_A_ROW {
            let waiting = self.reader.peek(&mut buffer)?;
            if waiting == 0 {
                return Ok(Turn::Empty);
            }
            // Without any end of line in it, the chunk is part of a line that waits in memory.
            let taken = buffer[..waiting].iter().rposition(|byte| *byte == b'\n').map_or(waiting, |end| end + 1);
            let mut batch = Batch::new(self.clock.now(), self.stream);
            self.lines().push(&buffer[..taken], &mut |line| batch.push(&redacted(&needles, line)));
            self.write(batch);
            self.reader.consume(taken, &mut buffer)?;
        }
        Ok(Turn::More)
    }

    fn end_line(&self) {
        let Some(needles) = self.redaction.needles() else { return };
        let mut batch = Batch::new(self.clock.now(), self.stream);
        self.lines().finish(&mut |line| batch.push(&redacted(&needles, line)));
        self.write(batch);
    }

    fn write(&self, batch: Batch) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        // The unit must not stand still because its log cannot be written: the lines are counted as lost.
        if let Err(fault) = log.append(batch) {
            tracing::error!(error = %fault.source, "{fault}");
        }
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, LineSplitter> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
