//! Trying the keys of one environment at the stores of another.
//!
//! A login is all that is tried: what opens is already too much, and nothing is read or written behind it.

use std::time::Duration;

use certificates::Leaf;
use manifest::id::AppName;
use mongodb::bson::doc;
use secrets::Secret;
use tokio::time::{Instant, sleep};

use crate::ground::{Ground, Slot, user_of};
use crate::mongo::handshake::{self, Answer};
use crate::{mongo, redis};

/// What is tried at a door.
#[derive(Clone, Copy, Debug)]
pub enum Key<'a> {
    /// No login at all.
    None,
    App {
        app: &'a AppName,
        password: &'a Secret,
    },
    /// Our own user's password.
    Admin(&'a Secret),
    /// Our own user's certificate.
    Certificate(&'a AdminCertificate),
}

/// By what our administrator of MongoDB is known.
#[derive(Debug)]
pub struct AdminCertificate(Leaf);

impl AdminCertificate {
    /// `None` where there is no authority that could sign one.
    pub fn new(ground: &Ground) -> Option<Self> {
        mongo::OwnUser::Administrator.certificate(ground).ok().map(Self)
    }
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Became {
    Opened,
    /// With the server's own word for it.
    Refused(String),
    /// The server did not answer.
    Silent(String),
}

/// The other environment's own gate freezes a store for some seconds and stops another: a server that is silent is asked again
/// for longer than that.
const PATIENCE: Duration = Duration::from_secs(12);

const PAUSE: Duration = Duration::from_millis(250);

/// Tries `key` at the MongoDB on this port, whose apps have their users in `database`.
pub async fn try_mongodb(port: u16, database: &str, key: Key<'_>) -> Became {
    try_each(port, Some(database), key).await
}

/// Tries `key` at the Redis on this port.
pub async fn try_redis(port: u16, key: Key<'_>) -> Became {
    try_each(port, None, key).await
}

/// An app has two users in turn, and which of them a password belongs to there is not ours to know: each is tried.
fn users(key: Key<'_>) -> Vec<String> {
    match key {
        Key::App { app, .. } => Slot::ALL.map(|slot| user_of(app, slot)).to_vec(),
        Key::None | Key::Admin(_) | Key::Certificate(_) => vec![String::new()],
    }
}

/// Until one opens.
async fn try_each(port: u16, database: Option<&str>, key: Key<'_>) -> Became {
    let mut became = Became::Silent("nobody was tried".to_owned());
    for user in users(key) {
        became = match database {
            Some(database) => patiently(|| mongodb_once(port, database, key, &user)).await,
            None => patiently(|| redis_once(port, key, &user)).await,
        };
        if became == Became::Opened {
            break;
        }
    }
    became
}

async fn patiently<F: Future<Output = Became>>(mut once: impl FnMut() -> F) -> Became {
    let give_up = Instant::now() + PATIENCE;
    loop {
        match once().await {
            Became::Silent(_) if Instant::now() < give_up => sleep(PAUSE).await,
            became => return became,
        }
    }
}

async fn mongodb_once(port: u16, database: &str, key: Key<'_>, app: &str) -> Became {
    // A thief is not particular about whom he talks to.
    let address = mongo::Address { port, trust: mongo::Trust::Anybody };
    let who = match key {
        Key::None => mongo::Identity::Stranger,
        Key::App { password, .. } => mongo::Identity::User { name: app, database, password },
        Key::Admin(_) => return Became::Refused("no user of ours has a password".to_owned()),
        Key::Certificate(AdminCertificate(leaf)) => match handshake::hello(port, Some(leaf)).await {
            Answer::Closed => return Became::Refused("certificate not believed".to_owned()),
            Answer::Silent => return Became::Silent("no answer to a handshake".to_owned()),
            Answer::Answered => mongo::Identity::Bearer(leaf),
        },
    };
    let asked = match mongo::connect(&address, who) {
        // Anybody may say hello; who has no name has to ask for more to be refused.
        Ok(client) if matches!(key, Key::None) => mongo::command(&client, "admin", doc! { "listDatabases": 1 }).await,
        Ok(client) => mongo::hello(&client).await,
        Err(fault) => Err(fault),
    };
    match asked {
        Ok(_) => Became::Opened,
        Err(fault) if mongo::is_refusal(&fault) => {
            let is_nobody = matches!(key, Key::None);
            Became::Refused(if is_nobody { "Unauthorized" } else { "AuthenticationFailed" }.to_owned())
        }
        Err(fault) => Became::Silent(fault.to_string()),
    }
}

async fn redis_once(port: u16, key: Key<'_>, app: &str) -> Became {
    let who = match key {
        Key::None => redis::Identity::Stranger,
        Key::App { password, .. } => redis::Identity::User { name: app, password },
        Key::Admin(password) => redis::Identity::User { name: redis::ADMIN, password },
        Key::Certificate(_) => return Became::Refused("nobody is known by a certificate".to_owned()),
    };
    let asked = match redis::Door::whoever_it_is(port).enter(who).await {
        Ok(mut connection) => ::redis::cmd("PING").query_async::<::redis::Value>(&mut connection).await,
        Err(fault) => Err(fault),
    };
    match asked {
        Ok(_) => Became::Opened,
        // Logged in, and only then told that this user may not ping.
        Err(fault) if fault.code() == Some("NOPERM") => Became::Opened,
        Err(fault) if redis::is_refusal(&fault) => Became::Refused(fault.code().unwrap_or("WRONGPASS").to_owned()),
        Err(fault) => Became::Silent(fault.to_string()),
    }
}
