//! Credentials of MongoDB, and what they open.

use certificates::Leaf;
use futures_util::future::join_all;
use manifest::environment;
use manifest::id::AppName;
use mongodb::Client;
use reconcile::Fault;
use secrets::Secret;

use super::{Became, Borrowed, Cell, LOG_IN, Tried, patiently};
use crate::access::mongodb::{Kind, Operation, end_of, met, operations};
use crate::ground::{Ground, Slot, user_of};
use crate::leases::Rights;
use crate::mongo::handshake::{self, Answer};
use crate::mongo::{
    Address, Identity, Members, MongoFault, OwnUser, Trust, app_secret, code, command, connect, hello, is_refusal,
    key_secret,
};

/// Every credential of one environment's MongoDB.
#[derive(Debug)]
pub struct MongoCredentials(Vec<Credential>);

#[derive(Debug)]
struct Credential {
    kind: Kind,
    told: String,
    proof: Proof,
}

/// By what its holder is known.
#[derive(Debug)]
enum Proof {
    Nothing,
    AppPassword { app: AppName, version: u32, password: Secret },
    Password { user: String, password: Secret },
    MembersKey(Secret),
    Certificate(Leaf),
}

/// The server's own user, by the members' key.
const SYSTEM: (&str, &str) = ("__system", "local");

/// Codes of a server that is just changing its part in the set, or the set itself for somebody else: it is asked again.
const IN_BETWEEN: [i32; 5] = [
    code::CONFIGURATION_IN_PROGRESS,
    code::NOT_WRITABLE_PRIMARY,
    code::NOT_PRIMARY_NO_SECONDARY_OK,
    code::PRIMARY_STEPPED_DOWN,
    code::INTERRUPTED_BY_CHANGE_OF_STATE,
];

impl MongoCredentials {
    /// All that there are: what the secret store and the authority have, and what is lent.
    ///
    /// # Errors
    /// Where the secret store or the authority cannot be used.
    pub fn gather(ground: &Ground, settings: &environment::MongoDb, borrowed: &[Borrowed<'_>]) -> Result<Self, Fault> {
        let mut all = Vec::new();
        for app in &settings.apps {
            all.extend(ground.logins(&app_secret(app))?.into_iter().map(|login| Credential {
                kind: Kind::App,
                told: format!("with the password of {}", user_of(app, Slot::of(login.version))),
                proof: Proof::AppPassword { app: app.clone(), version: login.version, password: login.secret },
            }));
        }
        all.extend(borrowed.iter().map(|borrowed| {
            let (kind, told) = match borrowed.rights {
                Rights::OfApp => (Kind::LentOfApp, "as a lent user with an app's rights"),
                Rights::ReadOnly => (Kind::LentToRead, "as a lent user that reads"),
            };
            let (user, password) = (borrowed.name.to_owned(), Secret::new(borrowed.in_mongodb.expose().to_owned()));
            Credential { kind, told: told.to_owned(), proof: Proof::Password { user, password } }
        }));
        for user in OwnUser::of(settings) {
            let (kind, told) = (Kind::Own(user), format!("with the certificate of {user}"));
            all.push(Credential { kind, told, proof: Proof::Certificate(user.certificate(ground)?) });
        }
        if let Some(key) = ground.secret(&key_secret())? {
            let (kind, told) = (Kind::Members, "with the members' key".to_owned());
            all.push(Credential { kind, told, proof: Proof::MembersKey(key.secret) });
        }
        all.push(Credential { kind: Kind::Nobody, told: "without a login".to_owned(), proof: Proof::Nothing });
        Ok(Self(all))
    }

    /// Tries each at the environment's own server, where it may what the table says. Changes are the primary's.
    ///
    /// # Errors
    /// Where nobody is primary, or it is not known whom to believe.
    pub async fn try_own(
        &self,
        ground: &Ground,
        settings: &environment::MongoDb,
        members: &Members,
    ) -> Result<Vec<Tried>, Fault> {
        let (port, trust) = (members.primary(ground).await?, Trust::of(ground)?);
        let tries = self.0.iter().map(|credential| {
            let door = Door { port, trust: trust.clone(), database: &settings.database };
            async move {
                patiently(|| async {
                    let user = credential.own_user();
                    let (log_in, client) = door.log_in(credential, &user).await;
                    let mut cells = credential.log_in_cell(true, log_in);
                    if let Some(client) = client {
                        let may = |operation: &Operation| credential.kind.may(operation, settings);
                        cells.extend(try_all(&client, &settings.database, may).await);
                    }
                    Tried { who: credential.told.clone(), cells }
                })
                .await
            }
        });
        Ok(join_all(tries).await)
    }

    /// Tries each at a server of another environment, whose apps have their users in `database`. What is refused at the login
    /// leaves its holder with no more than nobody has, and that is tried as well, once: every operation without a login.
    pub async fn try_other(&self, port: u16, database: &str) -> Vec<Tried> {
        // A thief is not particular about whom he talks to.
        let door = Door { port, trust: Trust::Anybody, database };
        let door = &door;
        let tries = self.0.iter().map(|credential| {
            patiently(move || async move {
                let mut cells = Vec::new();
                for user in credential.users_elsewhere() {
                    let (log_in, client) = door.log_in(credential, &user).await;
                    cells = credential.log_in_cell(false, log_in);
                    if let Some(client) = client {
                        cells.extend(try_all(&client, database, |_| false).await);
                        break;
                    }
                }
                Tried { who: credential.told.clone(), cells }
            })
        });
        join_all(tries).await
    }
}

impl Credential {
    fn own_user(&self) -> String {
        match &self.proof {
            Proof::AppPassword { app, version, .. } => user_of(app, Slot::of(*version)),
            Proof::Password { user, .. } => user.clone(),
            Proof::MembersKey(_) => SYSTEM.0.to_owned(),
            Proof::Nothing | Proof::Certificate(_) => String::new(),
        }
    }

    /// An app has two users in turn, and which of them a password belongs to elsewhere is not ours to know.
    fn users_elsewhere(&self) -> Vec<String> {
        match &self.proof {
            Proof::AppPassword { app, .. } => Slot::ALL.map(|slot| user_of(app, slot)).to_vec(),
            _ => vec![self.own_user()],
        }
    }

    /// Who does not try to log in has no such cell.
    fn log_in_cell(&self, is_allowed: bool, became: Became) -> Vec<Cell> {
        let is_tried = self.kind != Kind::Nobody || became != Became::Done;
        Vec::from_iter(is_tried.then_some(Cell { operation: LOG_IN, is_allowed, became }))
    }
}

/// A port, whom we believe to be behind it, and where its apps have their users.
struct Door<'a> {
    port: u16,
    trust: Trust,
    database: &'a str,
}

impl Door<'_> {
    /// What became of it, and whoever is in now.
    async fn log_in(&self, credential: &Credential, user: &str) -> (Became, Option<Client>) {
        let address = Address::Port { port: self.port, trust: self.trust.clone() };
        let who = match &credential.proof {
            Proof::Nothing => Identity::Stranger,
            Proof::AppPassword { password, .. } | Proof::Password { password, .. } => {
                Identity::User { name: user, database: self.database, password }
            }
            Proof::MembersKey(password) => Identity::User { name: user, database: SYSTEM.1, password },
            // The driver tells a closed door from an empty house no better than this.
            Proof::Certificate(leaf) => match handshake::hello(self.port, Some(leaf)).await {
                Answer::Closed => return (Became::Refused("certificate not believed".to_owned()), None),
                Answer::Silent => return (Became::Silent("no answer to a handshake".to_owned()), None),
                Answer::Answered => Identity::Bearer(leaf),
            },
        };
        let entered = match connect(&address, who) {
            Ok(client) => hello(&client).await.map(|_| client),
            Err(fault) => Err(fault),
        };
        match entered {
            Ok(client) => (Became::Done, Some(client)),
            Err(fault) if fault.is_wrong_password() => (Became::Refused("AuthenticationFailed".to_owned()), None),
            Err(fault) => (judged(&fault, &[]), None),
        }
    }
}

/// One after the other: what is made by one is read and taken away by the next.
async fn try_all(client: &Client, database: &str, may: impl Fn(&Operation) -> bool) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut is_made = false;
    for operation in operations(database) {
        let is_allowed = may(&operation);
        is_made |= is_allowed && operation.in_earnest.is_some();
        let became = try_one(client, &operation, is_allowed, is_made && is_allowed).await;
        cells.push(Cell { operation: operation.name, is_allowed, became });
    }
    cells
}

async fn try_one(client: &Client, operation: &Operation, is_allowed: bool, must_meet: bool) -> Became {
    let in_earnest = operation.in_earnest.as_ref().filter(|_| is_allowed);
    let question = in_earnest.unwrap_or(&operation.question).clone();
    match command(client, &operation.database, question).await {
        Ok(answer) => {
            if let Some(end) = end_of(&answer) {
                // Where it is lost the server ends it by itself, ten minutes later.
                let _ = command(client, &operation.database, end).await;
            }
            match operation.meets.filter(|_| must_meet) {
                Some(wanted) if met(&answer) != wanted => {
                    Became::Otherwise(format!("{} documents instead of {wanted}", met(&answer)))
                }
                _ => Became::Done,
            }
        }
        Err(fault) => judged(&fault, operation.ends_with),
    }
}

/// A refusal is the server's own word and nothing else: not a closed connection, and no error that comes after.
fn judged(fault: &MongoFault, ends_with: &[i32]) -> Became {
    match fault.code() {
        Some(code) if ends_with.contains(&code) => Became::Done,
        Some(code) if IN_BETWEEN.contains(&code) => Became::Silent(fault.to_string()),
        _ if is_refusal(fault) => Became::Refused("Unauthorized".to_owned()),
        Some(_) => Became::Otherwise(fault.to_string()),
        None => Became::Silent(fault.to_string()),
    }
}
