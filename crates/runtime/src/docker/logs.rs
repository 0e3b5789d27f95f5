//! What an instance wrote, from a place on. The engine's own times are the places: they are in its files and outlive it.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::query_parameters::{InspectContainerOptions, LogsOptions};
use futures_util::{Stream, StreamExt, stream};
use host::process::Stream as Which;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::{Instant, sleep};

use super::daemon::Daemon;
use crate::fault::RuntimeFault;
use crate::instance::InstanceId;
use crate::port::{Cursor, Line, Lines, Place, Until};

/// Before the engine is asked again after it fell silent.
const PAUSE: Duration = Duration::from_millis(200);

/// Seconds that are read again; what was had of them is passed over. It is asked by the second, and the engine stamps lines of the two
/// streams before it puts them in order.
const OVERLAP: i128 = 5;

type Output = std::pin::Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>;

struct Reading {
    daemon: Daemon,
    container: String,
    id: InstanceId,
    until: Until,
    /// Behind the last lines that were handed out.
    had: Cursor,
    output: Option<Output>,
    /// Behind the last lines that were read, which may have been had before.
    at: Cursor,
    /// Beginnings of lines that the engine tore apart, by stream.
    torn: [String; 2],
    /// It has ended: what is read now is all there will be.
    last: bool,
    silent_since: Option<Instant>,
    over: bool,
}

/// Lines after `from`.
pub(super) fn of(daemon: Daemon, container: String, id: InstanceId, from: Option<Cursor>, until: Until) -> Lines {
    let reading = Reading {
        daemon,
        container,
        id,
        until,
        had: from.unwrap_or_default(),
        output: None,
        at: Cursor::default(),
        torn: Default::default(),
        last: false,
        silent_since: None,
        over: false,
    };
    Box::pin(stream::unfold(reading, async |mut reading| {
        let next = reading.next().await?;
        Some((next, reading))
    }))
}

impl Reading {
    async fn next(&mut self) -> Option<Result<Line, RuntimeFault>> {
        loop {
            if self.over {
                return None;
            }
            if self.output.is_none() {
                match self.open().await {
                    Ok(output) => self.output = Some(output),
                    Err(error) => match self.fell_silent(error).await {
                        Ok(()) => continue,
                        Err(fault) => return Some(Err(fault)),
                    },
                }
            }
            let said = self.output.as_mut()?.next().await;
            match said {
                Some(Ok(said)) => {
                    self.silent_since = None;
                    if let Some(line) = self.line(&said) {
                        return Some(Ok(line));
                    }
                }
                Some(Err(error)) => {
                    if let Err(fault) = self.fell_silent(error).await {
                        return Some(Err(fault));
                    }
                }
                None => {
                    self.output = None;
                    // The engine ends the stream when the instance ends, and when it ends itself.
                    match self.is_over().await {
                        Ok(true) if self.last || self.until == Until::Now => self.over = true,
                        Ok(true) => self.last = true,
                        Ok(false) if self.until == Until::Now => self.over = true,
                        Ok(false) => sleep(PAUSE).await,
                        Err(fault) => {
                            self.over = true;
                            return Some(Err(fault));
                        }
                    }
                }
            }
        }
    }

    async fn open(&mut self) -> Result<Output, Error> {
        self.at = Cursor::default();
        self.torn = Default::default();
        let docker = self.daemon.client().await?;
        let newest = self.had.out.at.max(self.had.err.at) / 1_000_000_000;
        let since = i32::try_from((newest - OVERLAP).max(0)).unwrap_or(0);
        let follow = self.until == Until::End && !self.last;
        let options =
            LogsOptions { follow, stdout: true, stderr: true, since, timestamps: true, ..LogsOptions::default() };
        Ok(Box::pin(docker.logs(&self.container, Some(options))))
    }

    /// Whether there is anything to come.
    async fn is_over(&mut self) -> Result<bool, RuntimeFault> {
        let found = self.daemon.again(|docker| {
            let container = self.container.clone();
            async move { docker.inspect_container(&container, None::<InspectContainerOptions>).await }
        });
        match found.await? {
            Ok(found) => Ok(!found.state.and_then(|state| state.running).unwrap_or(false)),
            Err(refusal) if refusal.status == 404 => Ok(true),
            Err(refusal) => Err(refusal.fault(format!("look at {}", self.id))),
        }
    }

    async fn fell_silent(&mut self, error: Error) -> Result<(), RuntimeFault> {
        self.output = None;
        let is_gone = matches!(error, Error::DockerResponseServerError { status_code: 404, .. });
        let since = *self.silent_since.get_or_insert_with(Instant::now);
        if is_gone || since.elapsed() >= self.daemon.patience() {
            self.over = true;
            return Err(if is_gone { RuntimeFault::Absent(self.id.clone()) } else { self.daemon.unreachable(error) });
        }
        self.daemon.forget().await;
        sleep(PAUSE).await;
        Ok(())
    }

    /// The line that is complete with this, if it was not had before.
    fn line(&mut self, said: &LogOutput) -> Option<Line> {
        let stream = if matches!(said, LogOutput::StdErr { .. }) { Which::Err } else { Which::Out };
        let text = String::from_utf8_lossy(said.as_ref());
        let (moment, rest) = text.split_once(' ').unwrap_or((&text, ""));
        let at = OffsetDateTime::parse(moment, &Rfc3339).ok()?.unix_timestamp_nanos();
        // Longer ones come in pieces of 16 KiB, each with a time of its own.
        let torn = &mut self.torn[usize::from(stream == Which::Err)];
        torn.push_str(rest);
        if !torn.ends_with('\n') {
            return None;
        }
        let text = std::mem::take(torn);
        let (read, had) = match stream {
            Which::Out => (&mut self.at.out, &mut self.had.out),
            Which::Err => (&mut self.at.err, &mut self.had.err),
        };
        *read = Place { at, nth: if read.at == at { read.nth + 1 } else { 1 } };
        if *read <= *had {
            return None;
        }
        *had = *read;
        let text = text.trim_end_matches('\n').trim_end_matches('\r').to_owned();
        Some(Line { stream, text, cursor: self.had })
    }
}
