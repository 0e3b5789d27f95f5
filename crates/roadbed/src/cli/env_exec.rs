//! `roadbed env exec`: a command with an app's variables, and users of its own in the data services.

use manifest::Environment;

use crate::cli::args;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::lent_command::{self, LentCommand};
use crate::cli::project::{Project, no_such};
use crate::cli::session::Session;
use crate::control::lent::{Asked, Output, What};
use reconcile::Fault;

pub async fn run(session: &Session, args: &args::EnvExec) -> Result<Exit, Failure> {
    let app = app(session, args.app.as_deref())?;
    let asked = Asked {
        what: What::Variables { app },
        output: if args.raw { Output::Raw } else { Output::Redacted },
        reason: args.reason.clone(),
        name: borrower(session),
        token: None,
    };
    let command = LentCommand { command: args.command.clone(), variables: [].into() };
    lent_command::run(session, &asked, |_| Ok(command)).await
}

/// What the user is called, for names and the record.
pub fn borrower(session: &Session) -> String {
    ["USER", "LOGNAME"].iter().find_map(|name| session.surroundings.variable(name)).unwrap_or_default()
}

/// The app that is asked for, else the one in whose folder we are, else the only one there is.
fn app(session: &Session, asked: Option<&str>) -> Result<String, Failure> {
    let project = Project::load(session)?;
    let (_, environment) = project.environment(&session.environment()?)?;
    let names = || environment.apps.iter().map(|app| app.name.as_str());
    if let Some(asked) = asked {
        let known = names().any(|name| name == asked);
        return if known { Ok(asked.to_owned()) } else { Err(Failure::Usage(no_such("app", asked, names()))) };
    }
    let folder = project.path.parent().unwrap_or(&project.path);
    let here = session.surroundings.folder.strip_prefix(folder).ok();
    here.and_then(|here| around(&environment, here)).or_else(|| only(&environment)).ok_or_else(|| {
        let known: Vec<&str> = names().collect();
        Failure::Usage(
            Fault::new("cannot tell whose variables are meant: this is no app's folder")
                .hint(format!("name one with --app: {}", known.join(", "))),
        )
    })
}

fn around(environment: &Environment, here: &std::path::Path) -> Option<String> {
    let app = environment.apps.iter().find(|app| here.starts_with(&app.path))?;
    Some(app.name.to_string())
}

fn only(environment: &Environment) -> Option<String> {
    let [app] = environment.apps.as_slice() else { return None };
    Some(app.name.to_string())
}
