//! Requests of Upstash's Developer API. What is sent is a type of its own, and its words are closed lists; what is read is what is
//! needed, and must be there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use manifest::{UpstashPlan, UpstashRegion};
use reconcile::Fault;
use secrets::Secret;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ureq::http::Method;

use crate::exchange::{Exchange, Order, Reply, Way, part};

const JSON: &str = "application/json";

/// Whose machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    Aws,
    Gcp,
}

/// `POST /redis/database`.
#[derive(Clone, Debug, Serialize)]
pub struct CreateDatabase<'a> {
    pub database_name: &'a str,
    pub platform: Platform,
    pub primary_region: UpstashRegion,
    pub plan: UpstashPlan,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<u32>,
    pub eviction: bool,
    pub tls: bool,
}

#[derive(Serialize)]
struct Budget {
    budget: u32,
}

#[derive(Serialize)]
struct BackupName<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct BackupId<'a> {
    backup_id: &'a str,
}

/// What a database does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Active,
    /// Stopped by the provider, such as for its budget.
    Suspended,
    /// Not used for long, and put away.
    Passive,
}

/// A database, without what opens it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Database {
    pub database_id: String,
    pub database_name: String,
    pub endpoint: String,
    pub port: u16,
    pub state: State,
    pub tls: bool,
    #[serde(default)]
    pub eviction: bool,
    #[serde(default)]
    pub budget: Option<u32>,
    #[serde(default)]
    pub primary_region: Option<String>,
    #[serde(default)]
    pub daily_backup_enabled: bool,
    /// What it is being changed into; empty if it is not.
    #[serde(default)]
    pub modifying_state: String,
}

impl Database {
    /// The host that clients connect to: where only its beginning is told, the rest is always the same.
    pub fn host(&self) -> String {
        match self.endpoint.contains('.') {
            true => self.endpoint.clone(),
            false => format!("{}.upstash.io", self.endpoint),
        }
    }
}

/// What opens a database.
#[derive(Debug)]
pub struct Keys {
    pub password: Secret,
    pub rest_token: Secret,
}

/// A copy that the provider keeps.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Backup {
    pub backup_id: String,
    #[serde(default)]
    pub name: Option<String>,
    /// Unix time.
    #[serde(default)]
    pub creation_time: i64,
    pub state: BackupState,
}

/// How far a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupState {
    Pending,
    Completed,
    Failed,
}

/// Somebody's word that data may go.
#[derive(Debug)]
pub struct MayDestroy(());

impl MayDestroy {
    /// Said by whoever gave `--allow-destroy`.
    pub fn said() -> Self {
        Self(())
    }
}

/// An account at Upstash.
#[derive(Debug)]
pub struct Client {
    exchange: Exchange,
    authorization: Secret,
}

impl Client {
    /// # Errors
    /// Where the API's address would send the key in the clear.
    pub fn new(way: &Way, mail: &Secret, key: &Secret) -> Result<Self, Fault> {
        let login = Secret::new(format!("{}:{}", mail.expose(), key.expose()));
        let authorization = Secret::new(format!("{} {}", "Basic", STANDARD.encode(login.expose())));
        Ok(Self { exchange: Exchange::new("Upstash", way)?, authorization })
    }

    /// All databases of the account.
    ///
    /// # Errors
    /// As with every request: what Upstash or the way there says.
    pub fn list(&self) -> Result<Vec<Database>, Fault> {
        let path = "/redis/databases";
        let found = self.ask(Method::GET, path)?.ok_or_else(|| gone(path))?;
        read(found, path)
    }

    /// One, by its id.
    ///
    /// # Errors
    /// As with every request.
    pub fn get(&self, id: &str) -> Result<Option<Database>, Fault> {
        let path = format!("/redis/database/{}", part(id));
        self.ask(Method::GET, &format!("{path}?credentials=hide"))?.map(|found| read(found, &path)).transpose()
    }

    /// What opens one. It is asked for apart, so that it is in memory only where it is needed.
    ///
    /// # Errors
    /// Also where the answer holds none: the published description promises none.
    pub fn keys(&self, id: &str) -> Result<Keys, Fault> {
        let path = format!("/redis/database/{}", part(id));
        let found = self.ask(Method::GET, &path)?.ok_or_else(|| gone(&path))?;
        let key = |name: &str| {
            let found = found.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
            found.map(|text| Secret::new(text.to_owned())).ok_or_else(|| {
                Fault::new(format!("Upstash does not tell what opens the database {id}"))
                    .cause(format!("its answer holds no `{name}`"))
                    .hint("see whether the key of the account may read credentials, and is no read-only one")
            })
        };
        Ok(Keys { password: key("password")?, rest_token: key("rest_token")? })
    }

    /// Orders one. An answer that does not come is a fault, whether it was made or not: whoever goes on looks.
    ///
    /// # Errors
    /// As with every request.
    pub fn create(&self, wanted: &CreateDatabase<'_>) -> Result<Database, Fault> {
        let path = "/redis/database";
        let made = self.tell(Method::POST, path, Some(wanted))?;
        read(made, path)
    }

    /// Deletes one with all that is in it.
    ///
    /// # Errors
    /// As with every request.
    pub fn delete(&self, id: &str, _word: &MayDestroy) -> Result<(), Fault> {
        self.ask(Method::DELETE, &format!("/redis/database/{}", part(id))).map(drop)
    }

    /// From then on it speaks TLS alone. There is no way back.
    ///
    /// # Errors
    /// As with every request.
    pub fn enable_tls(&self, id: &str) -> Result<(), Fault> {
        self.about(Method::POST, "enable-tls", id)
    }

    /// Whether it drops keys when it is full.
    ///
    /// # Errors
    /// As with every request.
    pub fn set_eviction(&self, id: &str, drops: bool) -> Result<(), Fault> {
        self.about(Method::POST, if drops { "enable-eviction" } else { "disable-eviction" }, id)
    }

    /// # Errors
    /// As with every request.
    pub fn enable_daily_backup(&self, id: &str) -> Result<(), Fault> {
        self.about(Method::PATCH, "enable-dailybackup", id)
    }

    /// `dollars` a month.
    ///
    /// # Errors
    /// As with every request.
    pub fn set_budget(&self, id: &str, dollars: u32) -> Result<(), Fault> {
        let path = format!("/redis/update-budget/{}", part(id));
        self.tell(Method::PATCH, &path, Some(&Budget { budget: dollars })).map(drop)
    }

    /// Another password and other tokens, at once: what logs in with those before is locked out. So nothing here rotates by it; it
    /// is for a password that got out.
    ///
    /// # Errors
    /// As with every request.
    pub fn reset_password(&self, id: &str, _word: &MayDestroy) -> Result<(), Fault> {
        self.about(Method::POST, "reset-password", id)
    }

    /// # Errors
    /// As with every request.
    pub fn backups(&self, id: &str) -> Result<Vec<Backup>, Fault> {
        let path = format!("/redis/list-backup/{}", part(id));
        let found = self.ask(Method::GET, &path)?.ok_or_else(|| gone(&path))?;
        read(found, &path)
    }

    /// # Errors
    /// As with every request.
    pub fn create_backup(&self, id: &str, name: &str) -> Result<(), Fault> {
        let path = format!("/redis/create-backup/{}", part(id));
        self.tell(Method::POST, &path, Some(&BackupName { name })).map(drop)
    }

    /// Puts a backup in place of everything that is there.
    ///
    /// # Errors
    /// As with every request.
    pub fn restore_backup(&self, id: &str, backup: &str, _word: &MayDestroy) -> Result<(), Fault> {
        let path = format!("/redis/restore-backup/{}", part(id));
        self.tell(Method::POST, &path, Some(&BackupId { backup_id: backup })).map(drop)
    }

    /// Waits a moment.
    pub(crate) fn pause(&self, time: std::time::Duration) {
        (self.exchange.pause)(time);
    }

    fn about(&self, method: Method, what: &str, id: &str) -> Result<(), Fault> {
        self.tell(method, &format!("/redis/{what}/{}", part(id)), None::<&Budget>).map(drop)
    }

    fn ask(&self, method: Method, path: &str) -> Result<Option<Value>, Fault> {
        self.send(method, path, None)?.found()
    }

    fn tell(&self, method: Method, path: &str, body: Option<&impl Serialize>) -> Result<Value, Fault> {
        let body = body.map(|body| serde_json::to_vec(body).expect("what is sent is JSON"));
        self.send(method, path, body)?.found()?.ok_or_else(|| gone(path))
    }

    fn send(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Reply, Fault> {
        let (authorization, hidden) = (&self.authorization, Vec::new());
        self.exchange.send(&Order { method, path, authorization, media: JSON, sent_as: None, body, hidden })
    }
}

fn gone(path: &str) -> Fault {
    Fault::new(format!("Upstash has nothing at {path}"))
        .cause("it went meanwhile, or belongs to another account or team")
        .hint("see which account the key in `redis/upstash` opens")
}

fn read<T: serde::de::DeserializeOwned>(found: Value, path: &str) -> Result<T, Fault> {
    serde_json::from_value(found).map_err(|error| {
        Fault::because(format!("cannot understand what Upstash says of {path}"), &error)
            .hint("see whether `api` in roadbed.toml is right, or take a Roadbed that knows this answer")
    })
}
