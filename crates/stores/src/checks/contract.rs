//! What an app does with the data services, tried by its own way in: connect, write, read, remove.

use std::time::Duration;

use ::redis::{Cmd, RedisError, cmd};
use mongodb::Client;
use mongodb::options::ClientOptions;
use reconcile::Fault;
use secrets::{Secret, generate};
use tokio::time::timeout;

use super::Tried;
use crate::ground::Ground;
use crate::mongo::MongoFault;
use crate::redis::{Door, Identity};

/// A server that is there answers within milliseconds; one that is away must not use up the whole check.
const PATIENCE: Duration = Duration::from_secs(6);

/// A document of its own in the app's database, by the connection string that the app gets.
///
/// # Errors
/// What went wrong, in words that have no password in them.
pub async fn in_mongodb(url: &Secret, database: &str) -> Result<(), String> {
    let work = async {
        let mut options =
            ClientOptions::parse(url.expose()).await.map_err(|error| MongoFault::from(error).to_string())?;
        options.server_selection_timeout = Some(PATIENCE / 2);
        let client = Client::with_options(options).map_err(|error| MongoFault::from(error).to_string())?;
        told(super::mongo::write_and_read(&client, database).await)
    };
    timeout(PATIENCE, work).await.map_err(|_| late())?
}

/// A key of its own below the app's prefix, that goes by itself should somebody be killed in between.
///
/// # Errors
/// What went wrong, in words that have no password in them.
pub async fn in_redis(ground: &Ground, port: u16, user: &str, password: &Secret, prefix: &str) -> Result<(), String> {
    let work = async {
        let door = Door::of(ground, port).map_err(|fault: Fault| fault.to_string())?;
        let mut connection =
            door.enter(Identity::User { name: user, password }).await.map_err(|fault| fault.to_string())?;
        let nonce = generate::credential().map_err(|error| error.to_string())?;
        let key = format!("{prefix}roadbed-contract:{}", &nonce.expose()[..16]);
        let of = |name: &str, words: &[&str]| -> Cmd {
            let mut command = cmd(name);
            command.arg(&key).arg(words);
            command
        };
        let said = |error: RedisError| format!("{:?}, {}", error.kind(), error.code().unwrap_or("without a code"));
        of("SET", &["written", "EX", "10"]).query_async::<()>(&mut connection).await.map_err(said)?;
        let read: Option<String> = of("GET", &[]).query_async(&mut connection).await.map_err(said)?;
        let removed: i64 = of("DEL", &[]).query_async(&mut connection).await.map_err(said)?;
        match (read.as_deref(), removed) {
            (Some("written"), 1) => Ok(()),
            _ => Err("what was read is not what was written".to_owned()),
        }
    };
    timeout(PATIENCE, work).await.map_err(|_| late())?
}

fn late() -> String {
    format!("no answer within {} s", PATIENCE.as_secs())
}

fn told(tried: Tried) -> Result<(), String> {
    match tried {
        Tried::Allowed => Ok(()),
        Tried::Refused => Err("the server refuses it".to_owned()),
        Tried::Broken(how) => Err(how),
    }
}
