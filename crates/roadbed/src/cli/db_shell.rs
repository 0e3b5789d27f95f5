//! `roadbed db shell`: a look into a data service, as a user that reads and ends with the look.

use reconcile::Fault;
use stores::redis::external::Entrance;

use crate::cli::db_args::{DataService, DbShell};
use crate::cli::env_exec::borrower;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::lent_command::{self, LentCommand};
use crate::cli::project::Project;
use crate::cli::session::Session;
use crate::control::lent::{Asked, Lent, Output, RedisEntrance, Service, What};

/// Where customers' data is: whoever looks says why.
pub(super) const SAYS_WHY: &str = "production";

pub async fn run(session: &Session, args: &DbShell) -> Result<Exit, Failure> {
    let service = match args.service {
        DataService::Mongodb => Service::MongoDb,
        DataService::Redis => Service::Redis,
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
    lent_command::run(session, &asked, |lent| match args.command.as_slice() {
        [] => client(service, lent),
        own => Ok(LentCommand { command: own.to_vec(), variables: [].into() }),
    })
    .await
}

/// The service's own client: the one in `PATH`, else the one that came with the engine. Address and user may be arguments, which
/// everybody sees; the password is in its environment.
fn client(service: Service, lent: &Lent) -> Result<LentCommand, Failure> {
    let name = service.client();
    let (program, variables) = match (lent_command::found(name), &lent.client) {
        (Some(program), _) => (program, [].into()),
        (None, Some(client)) => (client.program.clone(), client.variables.clone()),
        (None, None) => return Err(Failure::Usage(no_client(service))),
    };
    let mut command = vec![program.display().to_string()];
    match (service, &lent.redis) {
        (Service::MongoDb, _) => {
            let words = ["--quiet", "--nodb", "--shell", "--eval", "db = connect(process.env.MONGODB_URL)"];
            command.extend(words.map(str::to_owned));
        }
        (Service::Redis, Some(redis)) => command.extend(words_for_redis(redis)),
        (Service::Redis, None) => {}
    }
    Ok(LentCommand { command, variables })
}

fn words_for_redis(RedisEntrance { entrance, authorities }: &RedisEntrance) -> Vec<String> {
    let Entrance { host, port, is_encrypted, user } = entrance;
    let mut words =
        ["-h", host, "-p", &port.to_string(), "--no-auth-warning", "--user", user].map(str::to_owned).to_vec();
    if *is_encrypted {
        words.push("--tls".to_owned());
        words.extend(authorities.iter().flat_map(|file| ["--cacert".to_owned(), file.to_string_lossy().into_owned()]));
    }
    words
}

fn no_client(service: Service) -> Fault {
    let (name, service) = (service.client(), service.as_str());
    Fault::new(format!("there is no {name} to look into {service} with, neither in PATH nor beside the engine"))
        .hint(format!("install {name}, or look with a program of your own: `roadbed db shell {service} -- PROGRAM`"))
}
