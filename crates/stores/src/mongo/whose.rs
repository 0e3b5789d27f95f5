//! Whose the data is, as its users tell, where our administrator cannot log in yet or no more.
//!
//! A certificate proves who we are to a server that we have told whom to believe, so it opens data of another secret store too.
//! What tells data apart is the mark that our users carry; and, of data from before there were certificates, the old password.

use mongodb::Client;
use mongodb::bson::{Document, doc};
use reconcile::Fault;
use secrets::SecretName;

use super::certificate::fingerprints;
use super::client::{self, Address, Identity, MongoFault, command, connect};
use super::observe::asking;
use super::own_users::{EXTERNAL, OwnUser, mark_of};
use super::roles::{UserKey, documents};
use super::{Mongo, key_secret};
use crate::Ground;

/// Who guards a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// It has no users.
    Nobody,
    /// Our administrator, as this root names it.
    Ours,
    /// Ours, as a Roadbed before this one made it or before this root was a copy.
    Former,
}

/// The administrator's name and the secret of its password, before it had a certificate.
const FORMER: &str = "roadbed";

/// Where passwords of our own users were, before they had certificates.
pub(super) fn former_secrets() -> [SecretName; 2] {
    [former_secret(), SecretName::new("mongodb/collections")]
}

fn former_secret() -> SecretName {
    SecretName::new("mongodb/admin")
}

/// Whether the store knows the password of the administrator that data from before certificates has.
pub(super) fn has_former_secret(ground: &Ground) -> Result<bool, Fault> {
    Ok(ground.secret(&former_secret())?.is_some())
}

/// The server's own user, by the key of the replica set: it may do everything, and is there before any other. It is for
/// finding and making our administrator, and for nothing else.
pub(super) fn as_system(mongo: &Mongo, address: &Address) -> Result<Client, Fault> {
    let Some(key) = mongo.ground.secret(&key_secret())? else {
        return Err(Fault::new("the key of mongodb's replica set has gone from the secret store"));
    };
    let who = Identity::User { name: "__system", database: "local", password: &key.secret };
    connect(address, who).map_err(|fault| asking(&fault))
}

/// Finds out who guards a server, or that its data is not ours.
pub(super) async fn guard(mongo: &Mongo, address: &Address, system: &Client) -> Result<Guard, Ask> {
    let listed = command(system, "admin", doc! { "usersInfo": { "forAllDBs": true } }).await?;
    let users: Vec<&Document> = documents(&listed, "users").collect();
    if users.is_empty() {
        return Ok(Guard::Nobody);
    }
    let fingerprints = fingerprints(&mongo.ground)?;
    let ours = marked(users.iter().copied(), &fingerprints);
    let administrator = OwnUser::Administrator.key(&mongo.ground.id);
    if ours.contains(&administrator) {
        return Ok(Guard::Ours);
    }
    let former = UserKey { database: "admin".to_owned(), name: FORMER.to_owned() };
    let has_former = users.iter().any(|user| UserKey::of(user).as_ref() == Some(&former));
    if !ours.is_empty() || has_former && former_logs_in(mongo, address).await? {
        return Ok(Guard::Former);
    }
    let data = mongo.place.data.display();
    Err(Ask::Other(
        Fault::new(format!("the data in {data} already has users, and they are not ours"))
            .cause("it belongs to another secret store")
            .hint("bring back the secret store that belongs to this data, or move the data folder away to begin empty"),
    ))
}

/// Those of our users that an authority of ours has made.
pub(super) fn marked<'d>(users: impl Iterator<Item = &'d Document>, fingerprints: &[String]) -> Vec<UserKey> {
    let is_ours = |user: &&Document| {
        user.get_str("db").ok() == Some(EXTERNAL)
            && mark_of(user).is_some_and(|mark| fingerprints.iter().any(|fingerprint| fingerprint == mark))
    };
    users.filter(is_ours).filter_map(UserKey::of).collect()
}

async fn former_logs_in(mongo: &Mongo, address: &Address) -> Result<bool, Ask> {
    let Some(password) = mongo.ground.secret(&former_secret())? else { return Ok(false) };
    let who = Identity::User { name: FORMER, database: "admin", password: &password.secret };
    match client::hello(&connect(address, who)?).await {
        Ok(_) => Ok(true),
        Err(fault) if fault.is_wrong_password() => Ok(false),
        Err(fault) => Err(fault.into()),
    }
}

/// Why something could not be found out.
pub(crate) enum Ask {
    Mongo(MongoFault),
    Other(Fault),
}

impl From<MongoFault> for Ask {
    fn from(fault: MongoFault) -> Self {
        Self::Mongo(fault)
    }
}

impl From<Fault> for Ask {
    fn from(fault: Fault) -> Self {
        Self::Other(fault)
    }
}

impl From<Ask> for Fault {
    fn from(ask: Ask) -> Self {
        match ask {
            Ask::Mongo(fault) => asking(&fault),
            Ask::Other(fault) => fault,
        }
    }
}
