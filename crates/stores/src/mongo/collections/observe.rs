//! Looking at collections. Nothing here changes anything.

use futures_util::future::try_join_all;
use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};
use reconcile::Fault;

use super::Collections;
use super::wanted::{Wanted, wanted};
use crate::mongo::client::{MongoFault, command};
use crate::mongo::observe::asking;
use crate::mongo::roles::documents;

/// What a look found.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub wanted: Wanted,
    /// Of the collections that the manifest names, those that are there.
    pub collections: Vec<SeenCollection>,
}

/// A collection on the server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeenCollection {
    pub name: String,
    pub validator: Document,
    /// Every document is held to it, and refused otherwise.
    pub is_strict: bool,
    pub indexes: Vec<SeenIndex>,
}

/// An index on the server, beside the one of `_id`.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenIndex {
    pub name: String,
    /// The keys as `createIndexes` would have been given them.
    pub keys: Document,
    pub unique: bool,
    pub filter: Option<Document>,
    pub expiry: Option<i64>,
}

pub(super) async fn observe(collections: &Collections) -> Result<Seen, Fault> {
    let wanted = wanted(&collections.project, &collections.settings.collections)?;
    if wanted.collections.is_empty() {
        return Ok(Seen { wanted, collections: Vec::new() });
    }
    let client = collections.client().await?;
    let seen = look(&client, &collections.settings.database, &wanted).await.map_err(|fault| asking(&fault))?;
    Ok(Seen { wanted, collections: seen })
}

async fn look(client: &Client, database: &str, wanted: &Wanted) -> Result<Vec<SeenCollection>, MongoFault> {
    let names: Vec<&str> = wanted.collections.iter().map(|collection| collection.name.as_str()).collect();
    let list = doc! { "listCollections": 1, "filter": { "name": { "$in": names } }, "cursor": { "batchSize": MANY } };
    let listed = command(client, database, list).await?;
    let found = batch(&listed).filter_map(|item| {
        let options = item.get_document("options").cloned().unwrap_or_default();
        let word = |key: &str, usual: &str| options.get_str(key).unwrap_or(usual).to_owned();
        let is_strict = word("validationLevel", "strict") == "strict" && word("validationAction", "error") == "error";
        let validator = options.get_document("validator").cloned().unwrap_or_default();
        Some(SeenCollection { name: item.get_str("name").ok()?.to_owned(), validator, is_strict, indexes: Vec::new() })
    });
    let found: Vec<SeenCollection> = found.collect();
    try_join_all(found.into_iter().map(|seen| async move {
        let list = doc! { "listIndexes": &seen.name, "cursor": { "batchSize": MANY } };
        let listed = command(client, database, list).await?;
        Ok(SeenCollection { indexes: batch(&listed).filter_map(index).collect(), ..seen })
    }))
    .await
}

/// More than the manifest can name and the server can have, so that one batch holds them all.
const MANY: i32 = 10_000;

fn batch(answer: &Document) -> impl Iterator<Item = &Document> {
    let cursor = answer.get_document("cursor").ok();
    cursor.into_iter().flat_map(|cursor| documents(cursor, "firstBatch"))
}

fn index(seen: &Document) -> Option<SeenIndex> {
    let name = seen.get_str("name").ok().filter(|name| *name != "_id_")?.to_owned();
    Some(SeenIndex {
        name,
        keys: keys(seen),
        unique: seen.get_bool("unique").unwrap_or(false),
        filter: seen.get_document("partialFilterExpression").ok().cloned(),
        expiry: seen.get("expireAfterSeconds").and_then(whole),
    })
}

/// Directions as whole numbers, whatever number was sent; fields of a text index in place of the server's own two.
fn keys(seen: &Document) -> Document {
    let mut keys = Document::new();
    for (field, kind) in seen.get_document("key").into_iter().flatten() {
        match (field.as_str(), whole(kind)) {
            ("_fts", _) => {
                let fields = seen.get_document("weights").into_iter().flatten();
                keys.extend(fields.map(|(field, _)| (field.clone(), Bson::from("text"))));
            }
            ("_ftsx", _) => {}
            (_, Some(direction)) => drop(keys.insert(field.clone(), if direction < 0 { -1 } else { 1 })),
            (_, None) => drop(keys.insert(field.clone(), kind.clone())),
        }
    }
    keys
}

fn whole(value: &Bson) -> Option<i64> {
    match value {
        Bson::Int32(value) => Some((*value).into()),
        Bson::Int64(value) => Some(*value),
        #[expect(clippy::cast_possible_truncation, reason = "directions and seconds of 31 bits")]
        Bson::Double(value) => Some(*value as i64),
        _ => None,
    }
}
