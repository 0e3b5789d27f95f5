//! `roadbed edge top`: who asked most in the last five minutes.

use edge::AskedTop;
use edge::abuse::top::By;
use edge::client::EdgeClient;

use crate::cli::edge_args::{Top, TopBy};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::render::table::Table;

pub(super) async fn run(session: &Session, args: &Top) -> Result<Exit, Failure> {
    let by = match args.by {
        TopBy::Client => By::Client,
        TopBy::Path => By::Path,
        TopBy::App => By::App,
        TopBy::Status => By::Status,
    };
    let edge = EdgeClient::new(session.root.clone());
    let rows = edge.top(AskedTop { by, count: usize::from(args.count) }).await?;
    if session.output.is_json() {
        session.output.json(&rows)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new([by.as_str().to_uppercase().as_str(), "REQUESTS", "FAILED", "ERROR"]);
    for row in rows {
        table.row(vec![row.key, row.requests.to_string(), row.failed.to_string(), row.error.to_string()]);
    }
    table.lines().iter().try_for_each(|line| session.output.line(line))?;
    Ok(Exit::Done)
}
