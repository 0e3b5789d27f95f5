//! `roadbed db stats`: how full the data services are.

use reconcile::Fault;

use crate::cli::conductor::Conductor;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::control::client::ControlClient;
use crate::render;

pub async fn run(session: &Session, conductor: &impl Conductor) -> Result<Exit, Failure> {
    if !conductor.is_up().await {
        let fault = Fault::new(format!("nothing runs in {}", session.root.path().display()));
        return Err(fault.hint(format!("`{}` starts the environment", session.command("up"))).into());
    }
    let found = ControlClient::new(session.root.clone()).statistics().await?;
    let output = &session.output;
    if output.is_json() {
        output.json(&found)?;
        return Ok(Exit::Done);
    }
    if found.mongodb.is_none() && found.redis.is_empty() {
        output.note("there is no data service in this environment");
    }
    render::statistics::lines(&found).iter().try_for_each(|line| output.line(line))?;
    Ok(Exit::Done)
}
