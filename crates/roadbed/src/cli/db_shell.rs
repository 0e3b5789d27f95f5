//! `roadbed db shell`: a look into a data service, as a user that reads and ends with the look.

use reconcile::Fault;

use crate::cli::args;
use crate::cli::env_exec::borrower;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::lent_command::{self, LentCommand};
use crate::cli::project::Project;
use crate::cli::session::Session;
use crate::control::lent::{Asked, Lent, Output, Service, What};

/// Where customers' data is: whoever looks says why.
pub(super) const SAYS_WHY: &str = "production";

pub async fn run(session: &Session, args: &args::DbShell) -> Result<Exit, Failure> {
    let service = match args.service {
        args::DataService::Mongodb => Service::MongoDb,
        args::DataService::Redis => Service::Redis,
    };
    let (environment, _) = Project::load(session)?.environment(&session.environment()?)?;
    if environment.name.as_str() == SAYS_WHY && args.reason.is_none() {
        let fault = Fault::new(format!("a look into {SAYS_WHY} needs a reason"));
        return Err(Failure::Usage(fault.hint("say it with --reason \"…\"; it is kept with the record")));
    }
    let asked = Asked {
        what: What::Look { service },
        output: if args.raw { Output::Raw } else { Output::Redacted },
        reason: args.reason.clone(),
        name: borrower(session),
        token: None,
    };
    lent_command::run(session, &asked, |lent| {
        let command = if args.command.is_empty() { client(service, lent) } else { args.command.clone() };
        Ok(LentCommand { command, variables: [].into() })
    })
    .await
}

/// The service's own client. Address and user may be arguments, which everybody sees; the password is in its environment.
fn client(service: Service, lent: &Lent) -> Vec<String> {
    let words: &[&str] = match service {
        Service::MongoDb => {
            &["mongosh", "--quiet", "--nodb", "--shell", "--eval", "db = connect(process.env.MONGODB_URL)"]
        }
        Service::Redis => &["redis-cli", "-h", "127.0.0.1", "--no-auth-warning", "--user", &lent.lease],
    };
    let mut command: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    if let (Service::Redis, Some(port)) = (service, lent.port) {
        command.extend(["-p".to_owned(), port.to_string()]);
    }
    command
}
