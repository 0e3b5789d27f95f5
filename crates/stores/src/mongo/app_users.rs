//! Making and taking away the apps' users, on whosever server.

use std::time::Duration;

use manifest::environment;
use manifest::id::AppName;
use mongodb::Client;
use mongodb::bson::{Document, doc};
use reconcile::Fault;

use super::app_secret;
use super::certificate::fingerprints;
use super::client::{MongoFault, code, command};
use super::observe::asking;
use super::own_users::MARK;
use super::rights::RoleKey;
use super::roles::{self, UserKey};
use crate::Ground;
use crate::ground::Slot;

/// No instance was given a retired password; what still has it is a process that ends. Apps get ten seconds to drain.
const LEAVING_DEADLINE: Duration = Duration::from_secs(15);

/// Makes an app's user, or makes it right.
pub(super) async fn put(
    client: &Client,
    ground: &Ground,
    settings: &environment::MongoDb,
    app: &AppName,
    slot: Slot,
) -> Result<(), Fault> {
    let key = UserKey::app(settings, app, slot);
    ground.make_secret(&app_secret(app))?;
    let logins = ground.logins(&app_secret(app))?;
    // Retired since the plan was made: the next look finds nothing to do.
    let Some(password) = logins.into_iter().find(|version| Slot::of(version.version) == slot) else { return Ok(()) };
    let mark = match settings.external {
        Some(_) => doc! { "customData": mark(ground)? },
        None => Document::new(),
    };
    let fields = || {
        let mut fields = doc! { "pwd": password.secret.expose() };
        fields.extend(roles::app_user_fields(settings));
        fields.extend(mark.clone());
        fields
    };
    let mut create = doc! { "createUser": &key.name };
    create.extend(fields());
    match command(client, &key.database, create).await {
        Err(fault) if fault.code() == Some(code::USER_EXISTS) => {
            let mut update = doc! { "updateUser": &key.name };
            update.extend(fields());
            done(command(client, &key.database, update).await)
        }
        other => done(other),
    }
}

/// By what a user on somebody else's server is known as ours: others have users there too.
pub(crate) fn mark(ground: &Ground) -> Result<Document, Fault> {
    Ok(doc! { MARK: fingerprints(ground)?.into_iter().next() })
}

pub(super) async fn remove(client: &Client, user: &UserKey) -> Result<(), Fault> {
    match command(client, &user.database, doc! { "dropUser": &user.name }).await {
        Err(fault) if fault.code() == Some(code::USER_NOT_FOUND) => Ok(()),
        other => done(other),
    }
}

pub(super) async fn remove_role(client: &Client, role: &RoleKey) -> Result<(), Fault> {
    match command(client, &role.database, doc! { "dropRole": &role.name }).await {
        Err(fault) if fault.code() == Some(code::ROLE_NOT_FOUND) => Ok(()),
        other => done(other),
    }
}

/// `dropUser` ends connections and open cursors at once: whoever still finishes with the old password is waited for.
pub(super) async fn retire(client: &Client, ground: &Ground, user: &UserKey) -> Result<(), Fault> {
    let give_up = ground.clock.instant() + LEAVING_DEADLINE;
    loop {
        match sessions_of(client, user).await {
            Ok(0) => break,
            Ok(_) => {}
            // Who may not see connections cannot wait for them.
            Err(fault) if fault.code() == Some(code::UNAUTHORIZED) => break,
            Err(fault) => return Err(asking(&fault)),
        }
        if ground.clock.instant() >= give_up {
            tracing::warn!(user = user.name, "still logged in with a retired password: cutting it off");
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    remove(client, user).await
}

/// How many connections are logged in as this user, idle ones too.
async fn sessions_of(client: &Client, user: &UserKey) -> Result<usize, MongoFault> {
    let pipeline = [
        doc! { "$currentOp": { "allUsers": true, "idleConnections": true } },
        doc! { "$match": { "effectiveUsers": { "$elemMatch": { "user": &user.name, "db": &user.database } } } },
        doc! { "$project": { "connectionId": 1 } },
    ];
    let look = doc! { "aggregate": 1, "pipeline": pipeline.to_vec(), "cursor": { "batchSize": 1000 } };
    let answer = command(client, "admin", look).await?;
    Ok(answer.get_document("cursor").map_or(0, |cursor| roles::documents(cursor, "firstBatch").count()))
}

fn done<T>(answer: Result<T, MongoFault>) -> Result<(), Fault> {
    answer.map(|_| ()).map_err(|fault| asking(&fault))
}
