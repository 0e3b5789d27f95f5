//! A preview that lives gets a sample in place of what its collections have.
//!
//! What went, what came and the mark of it are one transaction for each collection: whatever is killed in between, a collection has
//! what it had or all of the sample. Begun again it comes to the same.

use std::time::Duration;

use host::clock::Timestamp;
use manifest::environment;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error, TRANSIENT_TRANSACTION_ERROR};
use mongodb::{Client, Database};
use reconcile::Fault;
use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};

use super::file::Contents;
use super::seed::{DEADLINE, is_refusal, mark, replace_mark};
use crate::mongo::observe::asking;

/// An app that writes the same document meanwhile was quicker.
const PAUSE: Duration = Duration::from_millis(50);

/// A collection that got the sample's documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    pub collection: String,
    /// How many documents went.
    pub gone: u64,
    /// How many came.
    pub documents: usize,
}

/// Puts the documents of `contents` in place of those that the same collections have. What `settings` does not declare is left out: it
/// would have neither schema nor index. `client` may write the database.
///
/// # Errors
/// Where the documents are not what a collection takes, or the server does not answer. The collection has what it had then.
pub async fn replace(
    client: &Client,
    settings: &environment::MongoDb,
    contents: &Contents,
    now: Timestamp,
) -> Result<Vec<Replaced>, Fault> {
    let database = client.database(&settings.database);
    let mut done = Vec::new();
    for (name, documents) in &contents.collections {
        if !settings.collections.iter().any(|collection| collection.name.as_str() == name) {
            continue;
        }
        let mark = mark((&contents.header, name), documents.len(), None, now);
        let gone = timeout(DEADLINE, put(client, &database, name, (documents.as_slice(), &mark))).await;
        let gone = gone.unwrap_or_else(|_| {
            let slow = Fault::new(format!("the sample of {name} takes too long to put in"));
            Err(slow.hint("apps that write meanwhile stand in its way; try it again").retry_safe())
        })?;
        done.push(Replaced { collection: name.clone(), gone, documents: documents.len() });
    }
    Ok(done)
}

async fn put(
    client: &Client,
    database: &Database,
    name: &str,
    (documents, mark): (&[Document], &Document),
) -> Result<u64, Fault> {
    loop {
        match once(client, database, name, (documents, mark)).await {
            Ok(gone) => return Ok(gone),
            Err(error) if error.contains_label(TRANSIENT_TRANSACTION_ERROR) => sleep(PAUSE).await,
            Err(error) if is_refusal(&error) => {
                return Err(Fault::new(format!("{name} does not take the documents"))
                    .cause("they do not meet its schema or its indexes")
                    .hint("restore a moment at which both were as they are now, or bring the preview to that commit"));
            }
            Err(error) => return Err(asking(&error.into())),
        }
    }
}

async fn once(
    client: &Client,
    database: &Database,
    name: &str,
    (documents, mark): (&[Document], &Document),
) -> Result<u64, Error> {
    let collection = database.collection::<Document>(name);
    let mut session = client.start_session().await?;
    session.start_transaction().await?;
    let gone = collection.delete_many(doc! {}).session(&mut session).await?.deleted_count;
    if !documents.is_empty() {
        collection.insert_many(documents).session(&mut session).await?;
    }
    replace_mark(database, mark.clone(), Some(&mut session)).await?;
    session.commit_transaction().await?;
    Ok(gone)
}
