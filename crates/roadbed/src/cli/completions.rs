//! `roadbed completions`: scripts for shells.

use clap_complete::generate;

use crate::cli::args::{self, Arguments};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::session::Session;

pub fn run(session: &Session, args: &args::Completions) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    generate(args.shell, &mut Arguments::definition(), "roadbed", &mut script);
    session.output.text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
