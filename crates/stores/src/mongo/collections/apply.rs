//! Doing the steps, one effect each. Every step may find its work done already, by an earlier run that was killed.

use std::time::Duration;

use manifest::environment::Index;
use mongodb::bson::{Document, doc};
use reconcile::Fault;

use super::plan::Step;
use super::wanted::index_spec;
use super::{Collections, duplicates};
use crate::mongo::client::{MongoFault, code, command_within};

/// An index of a hundred million documents takes tens of minutes.
const INDEX_DEADLINE: Duration = Duration::from_secs(2 * 60 * 60);

pub(super) async fn perform(collections: &Collections, step: &Step) -> Result<(), Fault> {
    match step {
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
            let client = collections.client().await?;
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
    let client = collections.client().await?;
    Ok(command_within(INDEX_DEADLINE, &client, &collections.settings.database, what).await)
}
