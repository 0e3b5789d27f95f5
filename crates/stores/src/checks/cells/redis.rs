//! Credentials of Redis, and what they open.

use futures_util::future::join_all;
use manifest::id::AppName;
use reconcile::Fault;
use redis::aio::MultiplexedConnection;
use redis::{Value, cmd};
use secrets::{Secret, generate};

use super::{Became, Borrowed, Cell, LOG_IN, Tried, patiently};
use crate::access::redis::{Kind, Operation, operations};
use crate::ground::{Ground, Slot, user_of};
use crate::leases::Rights;
use crate::redis::acl::MEMBER;
use crate::redis::{
    ADMIN, Door, EDGE, Identity, Purpose, RedisFault, Settings, edge_secret, is_refusal, member_secret,
};

/// Every credential of all Redis of one environment.
#[derive(Debug)]
pub struct RedisCredentials(Vec<Credential>);

#[derive(Debug)]
struct Credential {
    kind: Kind,
    told: String,
    /// Of which Redis; `None`: of each.
    of: Option<Purpose>,
    user: User,
    /// `None`: it does not even try.
    password: Option<Secret>,
}

#[derive(Debug)]
enum User {
    OfApp { app: AppName, version: u32 },
    Named(String),
}

impl RedisCredentials {
    /// All that there are: what the secret store has, and what is lent. `all` is every Redis of the environment.
    ///
    /// # Errors
    /// Where the secret store cannot be used.
    pub fn gather(ground: &Ground, all: &[Settings], borrowed: &[Borrowed<'_>]) -> Result<Self, Fault> {
        let mut credentials = Vec::new();
        for settings in all.iter().filter(|settings| settings.number == 1) {
            let (purpose, unit) = (settings.purpose, settings.purpose.unit());
            // The sentinels know apps by their password of what they watch.
            for app in settings.apps.iter().filter(|_| purpose != Purpose::Sentinel) {
                credentials.extend(ground.logins(&purpose.app_secret(app))?.into_iter().map(|login| Credential {
                    kind: Kind::App,
                    told: format!("with {unit}'s password of {}", user_of(app, Slot::of(login.version))),
                    of: Some(purpose),
                    user: User::OfApp { app: app.clone(), version: login.version },
                    password: Some(login.secret),
                }));
            }
            credentials.extend(ground.secret(&purpose.admin_secret())?.map(|found| Credential {
                kind: Kind::Administrator,
                told: format!("with {unit}'s password of our own"),
                of: Some(purpose),
                user: User::Named(ADMIN.to_owned()),
                password: Some(found.secret),
            }));
        }
        if all.iter().any(Settings::is_replicated)
            && let Some(found) = ground.secret(&member_secret())?
        {
            credentials.push(Credential {
                kind: Kind::Members,
                told: "with the members' password".to_owned(),
                of: None,
                user: User::Named(MEMBER.to_owned()),
                password: Some(found.secret),
            });
        }
        if all.iter().any(|settings| settings.counts_limits)
            && let Some(found) = ground.secret(&edge_secret())?
        {
            credentials.push(Credential {
                kind: Kind::Edge,
                told: "with the edges' password".to_owned(),
                of: Some(Purpose::Durable),
                user: User::Named(EDGE.to_owned()),
                password: Some(found.secret),
            });
        }
        credentials.extend(borrowed.iter().map(|borrowed| {
            let (kind, told) = match borrowed.rights {
                Rights::OfApp => (Kind::LentOfApp, "as a lent user with an app's rights"),
                Rights::ReadOnly => (Kind::LentToRead, "as a lent user that reads"),
            };
            Credential {
                kind,
                told: told.to_owned(),
                of: None,
                user: User::Named(borrowed.name.to_owned()),
                password: Some(Secret::new(borrowed.in_redis.expose().to_owned())),
            }
        }));
        credentials.push(Credential {
            kind: Kind::Nobody,
            told: "without a login".to_owned(),
            of: None,
            user: User::Named(String::new()),
            password: None,
        });
        Ok(Self(credentials))
    }

    /// Tries each at one of the environment's own, where it may what the table says, if it is of that one.
    ///
    /// # Errors
    /// Where it is not known whom to believe, or there are no random numbers.
    pub async fn try_own(&self, ground: &Ground, settings: &Settings, port: u16) -> Result<Vec<Tried>, Fault> {
        let door = Door::of(ground, port)?;
        self.try_at(&door, settings, Credential::own_users, |credential, operation| {
            credential.is_of(settings) && credential.kind.may(operation, settings.purpose)
        })
        .await
    }

    /// Tries each at one of another environment. What was refused at the login goes on all the same: every operation is asked on
    /// that very connection.
    ///
    /// # Errors
    /// Where there are no random numbers.
    pub async fn try_other(&self, settings: &Settings, port: u16) -> Result<Vec<Tried>, Fault> {
        let door = Door::whoever_it_is(port);
        self.try_at(&door, settings, Credential::users_elsewhere, |_, _| false).await
    }

    async fn try_at(
        &self,
        door: &Door,
        settings: &Settings,
        users: impl Fn(&Credential) -> Vec<String>,
        may: impl Fn(&Credential, &Operation) -> bool,
    ) -> Result<Vec<Tried>, Fault> {
        let nonce = generate::credential().map_err(|error| Fault::because("cannot name a key", &error))?;
        let nonce = &nonce.expose()[..16];
        let (users, may) = (&users, &may);
        let tries = self.0.iter().zip(0_usize..).map(|(credential, number)| {
            patiently(move || async move {
                let mut cells = Vec::new();
                for user in users(credential) {
                    // Keys of its own: all credentials are tried at the same time.
                    let all = operations(settings.purpose, &settings.key_prefix, &format!("{nonce}:{number}"));
                    let (is_in, found) =
                        credential.try_all(door, &user, &all, |operation| may(credential, operation)).await;
                    cells = found;
                    if is_in {
                        break;
                    }
                }
                Tried { who: credential.told.clone(), cells }
            })
        });
        Ok(join_all(tries).await)
    }
}

impl Credential {
    /// Whether it is of this Redis at all.
    fn is_of(&self, settings: &Settings) -> bool {
        match (self.kind, self.of, settings.purpose) {
            (Kind::App, Some(of), Purpose::Sentinel) => of == Purpose::Durable,
            (Kind::Members, ..) => settings.is_replicated(),
            (_, Some(of), purpose) => of == purpose,
            (_, None, _) => true,
        }
    }

    fn own_users(&self) -> Vec<String> {
        vec![match &self.user {
            User::OfApp { app, version } => user_of(app, Slot::of(*version)),
            User::Named(name) => name.clone(),
        }]
    }

    /// An app has two users in turn, and which of them a password belongs to elsewhere is not ours to know.
    fn users_elsewhere(&self) -> Vec<String> {
        match &self.user {
            User::OfApp { app, .. } => Slot::ALL.map(|slot| user_of(app, slot)).to_vec(),
            User::Named(name) => vec![name.clone()],
        }
    }

    /// Logs in and asks everything on that connection, whatever became of the login. Says whether it got in.
    async fn try_all(
        &self,
        door: &Door,
        user: &str,
        all: &[Operation],
        may: impl Fn(&Operation) -> bool,
    ) -> (bool, Vec<Cell>) {
        let cell =
            |operation: &Operation, became| Cell { operation: operation.name, is_allowed: may(operation), became };
        let mut connection = match door.enter(Identity::Stranger).await {
            Ok(connection) => connection,
            Err(fault) => return (false, vec![cell(&all[0], Became::Silent(fault.to_string()))]),
        };
        let refused = match &self.password {
            None => None,
            Some(password) => {
                let asked = cmd("AUTH").arg(user).arg(password.expose()).query_async::<Value>(&mut connection).await;
                asked.err().map(|fault| judged(&fault, &[]))
            }
        };
        let mut cells = Vec::new();
        for operation in all {
            let became = match &refused {
                Some(refused) if operation.name == LOG_IN => refused.clone(),
                _ => ask(&mut connection, operation).await,
            };
            cells.push(cell(operation, became));
        }
        (refused.is_none() && self.password.is_some(), cells)
    }
}

async fn ask(connection: &mut MultiplexedConnection, operation: &Operation) -> Became {
    let mut question = cmd(&operation.words[0]);
    question.arg(&operation.words[1..]);
    match question.query_async::<Value>(connection).await {
        Ok(_) => Became::Done,
        Err(fault) => judged(&fault, operation.ends_with),
    }
}

/// A refusal is the server's own word and nothing else: not a closed connection, and no error that comes after.
fn judged(fault: &RedisFault, ends_with: &[&str]) -> Became {
    match fault.code() {
        Some(code) if is_refusal(fault) => Became::Refused(code.to_owned()),
        None if is_refusal(fault) => Became::Refused("WRONGPASS".to_owned()),
        Some(code) if ends_with.contains(&code) => Became::Done,
        Some(_) => Became::Otherwise(fault.to_string()),
        None => Became::Silent(fault.to_string()),
    }
}
