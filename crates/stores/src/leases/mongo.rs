//! A lent user of MongoDB, in the database of the apps.

use manifest::environment;
use mongodb::bson::{DateTime, Document, doc};
use reconcile::Fault;
use secrets::Secret;

use super::{Lease, Rights};
use crate::Ground;
use crate::mongo::observe::asking;
use crate::mongo::{OwnUser, Provider, app_users, code, command, roles, url};

/// MongoDB's own role: documents, indexes and statistics of one database, and no change.
pub(crate) const READER: &str = "read";

/// Makes the user of a lease that the book has.
///
/// # Errors
/// Where the server does not answer, or knows such a user already.
pub async fn lend(ground: &Ground, provider: &Provider, lease: &Lease, password: &Secret) -> Result<(), Fault> {
    let Some(database) = &lease.mongodb else { return Ok(()) };
    let role = match lease.rights {
        Rights::OfApp => roles::APP_ROLE,
        Rights::ReadOnly => READER,
    };
    let mut create = doc! { "createUser": &lease.id, "pwd": password.expose() };
    create.extend(roles::user_fields(role, database));
    if provider.members().is_some() {
        create.insert("authenticationRestrictions", roles::loopback_only());
    }
    create.insert("customData", custom_data(ground, lease)?);
    let client = provider.client(OwnUser::Administrator, ground).await?;
    command(&client, database, create).await.map(|_| ()).map_err(|fault| provider.explain(asking(&fault)))
}

/// Notes at the user how long it lasts now: who looks at the server alone sees what to think of it.
pub async fn renew(ground: &Ground, provider: &Provider, lease: &Lease) -> Result<(), Fault> {
    let Some(database) = &lease.mongodb else { return Ok(()) };
    let update = doc! { "updateUser": &lease.id, "customData": custom_data(ground, lease)? };
    let client = provider.client(OwnUser::Administrator, ground).await?;
    command(&client, database, update).await.map(|_| ()).map_err(|fault| provider.explain(asking(&fault)))
}

/// Takes the user away, and with it its connections. One that is gone already is fine.
pub async fn take_back(ground: &Ground, provider: &Provider, lease: &Lease) -> Result<(), Fault> {
    let Some(database) = &lease.mongodb else { return Ok(()) };
    let client = provider.client(OwnUser::Administrator, ground).await?;
    match command(&client, database, doc! { "dropUser": &lease.id }).await {
        Err(fault) if fault.code() == Some(code::USER_NOT_FOUND) => Ok(()),
        answer => answer.map(|_| ()).map_err(|fault| provider.explain(asking(&fault))),
    }
}

fn custom_data(ground: &Ground, lease: &Lease) -> Result<Document, Fault> {
    let mut data = doc! { "lease": &lease.id, "exp": DateTime::from_millis(lease.until.unix_millis()) };
    // Where others have users too, one that a crash left behind is known as ours.
    data.extend(app_users::mark(ground)?);
    Ok(data)
}

/// The connection string of a lent user. Whoever borrows is on this machine, so it names the file of those to trust.
///
/// # Errors
/// Where the address of somebody else's server is missing or wrong.
pub fn mongo_url(
    settings: &environment::MongoDb,
    lease: &Lease,
    ground: &Ground,
    provider: &Provider,
    password: &Secret,
) -> Result<Secret, Fault> {
    let url = provider.url(settings, &lease.id, password, ground)?;
    Ok(match provider.authorities_file(&ground.root) {
        Some(file) => url::with_authorities(&url, &file),
        None => url,
    })
}
