//! Processes that decode, and how they are spoken to.
//!
//! ```text
//!   pool ──limits, then one frame per picture──► stdin  main  stdout ──one frame back──► pool
//! ```
//!
//! A worker is this program again, started with the arguments that the caller names. Before it reads the first picture it gives up
//! what a picture could use: files, sockets, processes, memory. Its only descriptors are the pipes.

mod frame;
mod sandbox;
mod pool;

use std::io::{self, Read, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use pool::{Pool, Trouble};
pub use sandbox::Allowance;

use crate::Format;
use crate::image::{self, Bounds, Fault, Target, Task};

/// What to start as a worker: it calls [`main`] and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    pub path: PathBuf,
    pub args: Vec<String>,
}

/// What is to be done with the bytes that come with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    Render(Task),
    Reencode(Bounds),
}

impl Job {
    /// Whether it takes seconds where others take tenths.
    pub(crate) fn is_slow(&self) -> bool {
        matches!(self, Self::Render(Task { format: Target::As(Format::Avif), .. }))
    }
}

/// What became of it; the bytes of a picture follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Made { format: Format, width: u32, height: u32 },
    Fault(Fault),
}

/// A worker's life: until its input ends. To be called before the process has opened anything or started a thread: what is open is closed,
/// and what was started would take of the memory that is for pictures.
///
/// # Errors
/// Where a pipe breaks, or where it cannot give up what it must not have: then it decodes nothing.
pub fn main(mut input: impl Read, mut output: impl Write) -> io::Result<()> {
    let Some((allowance, _)) = frame::read::<Allowance>(&mut input)? else { return Ok(()) };
    sandbox::enter(allowance)?;
    while let Some((job, bytes)) = frame::read::<Job>(&mut input)? {
        sandbox::begin_picture(allowance)?;
        let made = match job {
            Job::Render(task) => image::render(&bytes, &task),
            Job::Reencode(bounds) => image::reencode(&bytes, bounds),
        };
        let (outcome, bytes) = match made {
            Ok(made) => (Outcome::Made { format: made.format, width: made.width, height: made.height }, made.bytes),
            Err(fault) => (Outcome::Fault(fault), Vec::new()),
        };
        output.write_all(&frame::head(&outcome, bytes.len())?)?;
        output.write_all(&bytes)?;
        output.flush()?;
    }
    Ok(())
}
