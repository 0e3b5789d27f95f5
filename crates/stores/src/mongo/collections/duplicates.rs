//! Which documents stand in the way of a unique index.

use std::time::Duration;

use manifest::environment::Index;
use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};
use reconcile::Fault;

use super::wanted::filter;
use crate::mongo::client::command_within;
use crate::mongo::roles::documents;

/// How many groups of documents are named, and how many of each: enough to see the pattern.
const GROUPS: i32 = 5;
const OF_EACH: i32 = 5;

/// The whole collection is read.
const DEADLINE: Duration = Duration::from_secs(10 * 60);

/// The fault that names them by `_id`. Values are not told: they may be customers' addresses.
pub(super) async fn told(client: &Client, database: &str, collection: &str, index: &Index) -> Fault {
    let fields: Vec<&str> = index.keys.iter().map(|(field, _)| field.as_str()).collect();
    let fault = Fault::new(format!("cannot create the unique index {} of {collection}", index.name));
    let same = format!("have the same {}", fields.join(", "));
    let hint = format!("change or remove all but one of each group, then run `roadbed up` again; they {same}");
    match groups(client, database, collection, index, &fields).await {
        Ok(groups) if !groups.is_empty() => groups
            .iter()
            .fold(fault, |fault, group| fault.cause(format!("the documents with _id {} {same}", group.join(", "))))
            .hint(hint),
        Ok(_) => fault.cause(format!("documents {same}, and were changed meanwhile")).retry_safe(),
        Err(error) => fault.cause(format!("documents {same}; which, cannot be told: {error}")).hint(hint),
    }
}

async fn groups(
    client: &Client,
    database: &str,
    collection: &str,
    index: &Index,
    fields: &[&str],
) -> Result<Vec<Vec<String>>, crate::mongo::MongoFault> {
    let key = |(at, field): (usize, &&str)| (format!("f{at}"), Bson::from(format!("${field}")));
    let keys: Document = fields.iter().enumerate().map(key).collect();
    let pipeline = vec![
        doc! { "$match": filter(index).unwrap_or_default() },
        doc! { "$group": { "_id": keys, "n": { "$sum": 1 }, "ids": { "$push": "$_id" } } },
        doc! { "$match": { "n": { "$gt": 1 } } },
        doc! { "$limit": GROUPS },
        doc! { "$project": { "ids": { "$slice": ["$ids", OF_EACH] } } },
    ];
    let ask = doc! { "aggregate": collection, "pipeline": pipeline, "cursor": {}, "allowDiskUse": true };
    let answer = command_within(DEADLINE, client, database, ask).await?;
    let group = |document: &Document| {
        let ids = document.get_array("ids").into_iter().flatten();
        ids.map(ToString::to_string).collect()
    };
    Ok(answer
        .get_document("cursor")
        .map(|cursor| documents(cursor, "firstBatch").map(group).collect())
        .unwrap_or_default())
}
