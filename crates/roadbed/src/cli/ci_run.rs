//! `roadbed ci run`
use crate::cli::ci_args::CiRun;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::interrupts::Interrupts;
use crate::cli::session::Session;
pub async fn run(_session: &Session, _args: &CiRun, _interrupts: &mut Interrupts) -> Result<Exit, Failure> {
    Ok(Exit::Done)
}
