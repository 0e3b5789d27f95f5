//! The hidden roles.

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::session::Session;

pub fn keeper(_session: &Session) -> Result<Exit, Failure> {
    Ok(Exit::Failed)
}
pub fn control(_session: &Session) -> Result<Exit, Failure> {
    Ok(Exit::Failed)
}
pub fn edge(_session: &Session) -> Result<Exit, Failure> {
    Ok(Exit::Failed)
}
