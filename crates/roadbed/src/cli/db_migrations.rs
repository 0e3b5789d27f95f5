//! `roadbed db migrations`: which changes of data were made.

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::control::client::ControlClient;
use crate::render;

pub(super) async fn run(session: &Session) -> Result<Exit, Failure> {
    let found = ControlClient::new(session.root.clone()).migrations().await?;
    let output = &session.output;
    if output.is_json() {
        output.json(&found)?;
        return Ok(Exit::Done);
    }
    if found.changes.is_empty() {
        output.note("no app has changes of data");
    }
    render::deployment::changes(&found).iter().try_for_each(|line| output.line(line))?;
    Ok(Exit::Done)
}
