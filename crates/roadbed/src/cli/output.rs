//! Where a command writes: data to stdout, everything else to stderr.

use std::io::{self, ErrorKind, IsTerminal, Write};

use reconcile::Fault;
use serde::Serialize;

use crate::cli::args::{ColorWhen, Global};
use crate::cli::failure::Failure;
use crate::render::paint::Paint;

/// How a command talks.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    pub format: Format,
    pub voice: Voice,
    /// Colours of stdout and of stderr: each may be a terminal or not.
    pub data: Paint,
    pub notes: Paint,
    /// Whether stderr can show moving lines.
    pub moving: bool,
}

/// What goes to stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Voice {
    Quiet,
    Normal,
    Verbose,
}

impl Output {
    /// Decides from the flags, from what the streams are and from the two variables that everybody knows.
    pub fn new(global: &Global, variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name| variable(name).is_some_and(|value| !value.is_empty());
        let is_dumb = variable("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
        let paint = |is_terminal: bool| match global.color {
            ColorWhen::Always => Paint::Coloured,
            ColorWhen::Auto if is_terminal && !set("NO_COLOR") && !is_dumb => Paint::Coloured,
            ColorWhen::Auto | ColorWhen::Never => Paint::Plain,
        };
        let voice = match (global.quiet, global.verbose) {
            (true, _) => Voice::Quiet,
            (false, true) => Voice::Verbose,
            (false, false) => Voice::Normal,
        };
        Self {
            format: if global.json { Format::Json } else { Format::Text },
            voice,
            data: paint(io::stdout().is_terminal()),
            notes: paint(io::stderr().is_terminal()),
            moving: io::stderr().is_terminal() && !is_dumb,
        }
    }

    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// One line of data.
    pub fn line(&self, line: impl AsRef<str>) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        written(writeln!(stdout, "{}", line.as_ref()).and_then(|()| stdout.flush()))
    }

    /// Data as it is.
    pub fn text(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        written(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
    }

    /// One JSON document on one line.
    pub fn json(&self, document: &impl Serialize) -> Result<(), Failure> {
        self.line(serde_json::to_string(document).expect("what is printed is plain data"))
    }

    /// A line for whoever watches.
    pub fn note(&self, line: impl AsRef<str>) {
        if self.voice >= Voice::Normal {
            self.complain(line);
        }
    }

    /// A line for whoever must know, `--quiet` or not.
    pub fn complain(&self, line: impl AsRef<str>) {
        // There is nobody left to tell if stderr is closed.
        let _ = writeln!(io::stderr().lock(), "{}", line.as_ref());
    }
}

/// Lets work go on whose reader has gone: a verdict must not depend on who looks at it.
pub fn even_unread(printed: Result<(), Failure>) -> Result<(), Failure> {
    match printed {
        Err(Failure::NobodyReads) => Ok(()),
        printed => printed,
    }
}

fn written(result: io::Result<()>) -> Result<(), Failure> {
    result.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::NobodyReads,
        _ => Failure::Work(Fault::because("cannot write to stdout", &error)),
    })
}
