//! What goes over control's socket when something is lent.
//!
//! | request | body | answer |
//! | --- | --- | --- |
//! | `POST /leases` | [`Asked`] | [`Lent`] |
//! | `POST /leases/ID/renew` | | [`Renewed`] |
//! | `DELETE /leases/ID` | | `null` |
//! | `POST /login/challenge` | | [`Challenge`](super::login::Challenge) |
//! | `POST /login` | [`Signed`](super::login::Signed) | [`LoggedIn`](super::login::LoggedIn) |
//!
//! A fault comes as [`reconcile::Fault`]. Values are in [`Lent`] alone, which goes from memory to memory.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use host::clock::Timestamp;
use serde::{Deserialize, Serialize};
use stores::redis::external::Entrance;

/// What somebody wants to be lent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    pub what: What,
    pub output: Output,
    /// Why, for the record.
    pub reason: Option<String>,
    /// What the borrower is called; for names and the record, not for rights.
    pub name: String,
    /// Of a login: then the lease is that person's, whatever name was given.
    #[serde(default)]
    pub token: Option<Token>,
}

/// Stands for a login for a while. Its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(pub String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum What {
    /// The variables of an app, to run a command with.
    Variables { app: String },
    /// To look into a data service.
    Look { service: Service },
}

/// A data service that can be looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    MongoDb,
    Redis,
}

impl Service {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MongoDb => "mongodb",
            Self::Redis => "redis",
        }
    }

    /// The program that people look into it with.
    pub fn client(self) -> &'static str {
        match self {
            Self::MongoDb => "mongosh",
            Self::Redis => "redis-cli",
        }
    }
}

/// A client that came with its service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    pub program: PathBuf,
    /// What it takes to start.
    pub variables: BTreeMap<String, String>,
}

/// What becomes of the command's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// Secrets are taken out of it.
    Redacted,
    /// It is shown as it is.
    Raw,
}

/// What was lent. Its `Debug` shows no value.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lent {
    /// Name of the lease, and of its users in the data services.
    pub lease: String,
    pub until: Timestamp,
    /// Milliseconds for which it lasts without being renewed.
    pub lasts_ms: u64,
    pub variables: BTreeMap<String, String>,
    /// Names in `variables` that are to be handed over as files.
    pub in_files: Vec<String>,
    /// Variables of the app that are lent to nobody.
    pub withheld: Vec<String>,
    /// Names in `variables`, and texts beside, that must not be shown, with what is shown instead.
    pub secrets: Vec<(String, String)>,
    /// The client that came with it, if one did.
    pub client: Option<Client>,
    /// How its client gets into Redis.
    pub redis: Option<RedisEntrance>,
}

/// The way in to Redis for a client of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisEntrance {
    #[serde(flatten)]
    pub entrance: Entrance,
    /// Where the authorities lie by which it is recognised; `None`: public ones.
    pub authorities: Option<PathBuf>,
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lease, until, variables, withheld, .. } = self;
        let names: Vec<&String> = variables.keys().collect();
        f.debug_struct("Lent")
            .field("lease", lease)
            .field("until", until)
            .field("names", &names)
            .field("withheld", withheld)
            .finish_non_exhaustive()
    }
}

/// A lease that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewed {
    pub until: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lent_is_named_and_not_shown() {
        let lent = Lent {
            lease: "dev-anna-1".to_owned(),
            until: Timestamp::from_unix_millis(0),
            lasts_ms: 1,
            variables: [("MONGODB_URL".to_owned(), "mongodb://dev-anna-1:hunter22@db".to_owned())].into(),
            in_files: Vec::new(),
            withheld: vec!["PAYMENT_SECRET_KEY".to_owned()],
            secrets: vec![("dev-anna-1".to_owned(), "hunter22".to_owned())],
            client: None,
            redis: None,
        };
        let shown = format!("{lent:?}");
        assert!(!shown.contains("hunter22"), "{shown}");
        assert!(shown.contains("MONGODB_URL"), "{shown}");
    }
}
