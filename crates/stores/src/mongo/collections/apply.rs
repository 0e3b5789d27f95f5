//! Doing the steps, one effect each. Every step may find its work done already, by an earlier run that was killed.

use std::time::Duration;

use manifest::environment::Index;
use mongodb::bson::{Document, doc};
use reconcile::Fault;

use super::observe::as_user;
use super::plan::Step;
use super::wanted::index_spec;
use super::{Collections, USER, duplicates, secret, user};
use crate::mongo::client::{MongoFault, code, command, command_within};
use crate::mongo::members::admin_at_primary;
use crate::mongo::observe::asking;

/// An index of a hundred million documents takes tens of minutes.
const INDEX_DEADLINE: Duration = Duration::from_secs(2 * 60 * 60);

pub(super) async fn perform(collections: &Collections, step: &Step) -> Result<(), Fault> {
    match step {
        Step::PutUser { .. } => put_user(collections).await,
        Step::Create { collection, validator } => {
            let mut create = doc! { "create": collection };
            if !validator.is_empty() {
                create.insert("validator", validator.clone());
            }
            match run(collections, create).await? {
                // Somebody was quicker; whether it is as it should be, the next look finds.
                Err(fault) if fault.code() == Some(code::NAMESPACE_EXISTS) => Ok(()),
                other => set(collection, other),
            }
        }
        Step::SetSchema { collection, validator } => {
            let change = doc! {
                "collMod": collection,
                "validator": validator.clone(),
                "validationLevel": "strict",
                "validationAction": "error",
            };
            set(collection, run(collections, change).await?)
        }
        Step::SetExpiry { collection, index, seconds } => {
            let change = doc! { "collMod": collection, "index": { "name": index, "expireAfterSeconds": *seconds } };
            set(collection, run(collections, change).await?)
        }
        Step::DropIndex { collection, index, .. } => {
            match run(collections, doc! { "dropIndexes": collection, "index": index }).await? {
                Err(fault) if fault.code() == Some(code::INDEX_NOT_FOUND) => Ok(()),
                other => set(collection, other),
            }
        }
        Step::CreateIndex { collection, index } => create_index(collections, collection, index).await,
    }
}

async fn create_index(collections: &Collections, collection: &str, index: &Index) -> Result<(), Fault> {
    let create = doc! { "createIndexes": collection, "indexes": [index_spec(index)] };
    match run(collections, create).await? {
        Err(fault) if fault.code() == Some(code::DUPLICATE_KEY) => {
            let client = as_user(collections).await?;
            Err(duplicates::told(&client, &collections.settings.database, collection, index).await)
        }
        Err(fault) => Err(Fault::because(format!("cannot create the index {} of {collection}", index.name), &fault)
            .hint(format!("see [services.mongodb.collections.{collection}] in roadbed.toml"))),
        Ok(_) => Ok(()),
    }
}

fn set(collection: &str, answer: Result<Document, MongoFault>) -> Result<(), Fault> {
    answer.map(drop).map_err(|fault| {
        Fault::because(format!("cannot make the collection {collection} as the manifest says"), &fault)
            .hint(format!("see [services.mongodb.collections.{collection}] in roadbed.toml, and its schema"))
    })
}

async fn run(collections: &Collections, what: Document) -> Result<Result<Document, MongoFault>, Fault> {
    let client = as_user(collections).await?;
    Ok(command_within(INDEX_DEADLINE, &client, &collections.settings.database, what).await)
}

async fn put_user(collections: &Collections) -> Result<(), Fault> {
    let settings = &collections.settings;
    let admin = admin_at_primary(&collections.ground, &collections.members).await?;
    let password = collections.ground.make_secret(&secret())?;
    let privileges = user::privileges(settings);
    let role = doc! { "createRole": USER, "privileges": &privileges, "roles": [] };
    match command(&admin, &settings.database, role).await {
        Err(fault) if fault.code() == Some(code::ROLE_EXISTS) => {
            let update = doc! { "updateRole": USER, "privileges": privileges, "roles": [] };
            command(&admin, &settings.database, update).await.map_err(|fault| asking(&fault))?;
        }
        other => drop(other.map_err(|fault| asking(&fault))?),
    }
    let fields = || {
        let mut fields = doc! { "pwd": password.secret.expose() };
        fields.extend(user::fields(settings));
        fields
    };
    let mut create = doc! { "createUser": USER };
    create.extend(fields());
    let answer = match command(&admin, &settings.database, create).await {
        Err(fault) if fault.code() == Some(code::USER_EXISTS) => {
            let mut update = doc! { "updateUser": USER };
            update.extend(fields());
            command(&admin, &settings.database, update).await
        }
        other => other,
    };
    answer.map(drop).map_err(|fault| asking(&fault))
}
