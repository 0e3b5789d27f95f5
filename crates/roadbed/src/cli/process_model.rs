//! `roadbed check process-model`: prove that an app may come and go.

use reconcile::Fault;

use crate::cli::check_args::ProcessModel;
use crate::cli::command_lock;
use crate::cli::conductor::Conductor;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::Voice;
use crate::cli::ready::{self, Json};
use crate::cli::session::Session;
use crate::control::client::ControlClient;
use crate::process_model::ProcessModelRequest;
use crate::render::gate::Detail;

pub async fn run(session: &Session, args: &ProcessModel, conductor: &impl Conductor) -> Result<Exit, Failure> {
    if !conductor.is_up().await {
        let fault = Fault::new(format!("nothing is proven: no environment runs in {}", session.root.path().display()));
        let fault = fault.hint(format!("`{}` starts it", session.command("up")));
        return ready::unproven(session, &session.environment()?, fault);
    }
    // A restart in between would look like an instance that does not go.
    let _lock = command_lock::take(&session.root, &session.surroundings.command_line, session.clock)?;
    let request = ProcessModelRequest { app: args.app.clone(), visits: args.visit.clone() };
    let detail = if session.output.voice == Voice::Quiet { Detail::Trouble } else { Detail::Everything };
    let control = ControlClient::new(session.root.clone());
    let report =
        ready::shown(session, detail, Json::Document, async |on| control.process_model(&request, on).await).await?;
    Ok(if report.holds { Exit::Done } else { Exit::Failed })
}
