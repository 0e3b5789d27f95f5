//! What collections are to be, in the server's own words.

use std::path::Path;

use host::files;
use manifest::environment::{Collection, Index, KeyKind};
use mongodb::bson::{Bson, Document, doc};
use reconcile::Fault;

/// What the manifest and its schema files say.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    pub collections: Vec<WantedCollection>,
}

/// A collection as it is to be.
#[derive(Clone, Debug, PartialEq)]
pub struct WantedCollection {
    pub name: String,
    /// What `create` and `collMod` take as `validator`; empty: every document is welcome.
    pub validator: Document,
    pub indexes: Vec<Index>,
}

/// Reads the schema files.
pub(super) fn wanted(project: &Path, collections: &[Collection]) -> Result<Wanted, Fault> {
    let one = |collection: &Collection| {
        let validator = match &collection.schema {
            Some(file) => doc! { "$jsonSchema": schema(project, file, collection)? },
            None => Document::new(),
        };
        Ok(WantedCollection { name: collection.name.to_string(), validator, indexes: collection.indexes.clone() })
    };
    Ok(Wanted { collections: collections.iter().map(one).collect::<Result<_, Fault>>()? })
}

fn schema(project: &Path, file: &str, collection: &Collection) -> Result<Document, Fault> {
    let cannot = |why: &dyn std::fmt::Display| {
        Fault::new(format!("cannot use {file}, the schema of the collection {}", collection.name))
            .cause(why.to_string())
            .hint(format!("mend the file, or `schema` in [services.mongodb.collections.{}]", collection.name))
    };
    let text = files::read_string(&project.join(file)).map_err(|fault| cannot(&fault.source))?;
    document(&text).map_err(|fault| cannot(&fault))
}

/// An object of JSON as the server's document. Whole numbers are its 32-bit ones where they fit, as in every shell.
pub(super) fn document(text: &str) -> Result<Document, serde_json::Error> {
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)?;
    Ok(fields.into_iter().map(|(name, value)| (name, bson(value))).collect())
}

fn bson(value: serde_json::Value) -> Bson {
    match value {
        serde_json::Value::Null => Bson::Null,
        serde_json::Value::Bool(value) => Bson::Boolean(value),
        serde_json::Value::String(text) => Bson::String(text),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) => i32::try_from(whole).map_or(Bson::Int64(whole), Bson::Int32),
            None => Bson::Double(number.as_f64().unwrap_or(f64::MAX)),
        },
        serde_json::Value::Array(items) => Bson::Array(items.into_iter().map(bson).collect()),
        serde_json::Value::Object(fields) => {
            Bson::Document(fields.into_iter().map(|(name, value)| (name, bson(value))).collect())
        }
    }
}

/// The document that `createIndexes` takes.
pub(super) fn index_spec(index: &Index) -> Document {
    let mut spec = doc! { "name": &index.name, "key": keys(index) };
    if index.unique {
        spec.insert("unique", true);
    }
    if let Some(filter) = filter(index) {
        spec.insert("partialFilterExpression", filter);
    }
    if let Some(seconds) = expiry(index) {
        spec.insert("expireAfterSeconds", seconds);
    }
    spec
}

pub(super) fn keys(index: &Index) -> Document {
    let key = |kind: &KeyKind| -> Bson {
        match kind {
            KeyKind::Ascending => 1.into(),
            KeyKind::Descending => (-1).into(),
            KeyKind::Text => "text".into(),
            KeyKind::Hashed => "hashed".into(),
            KeyKind::Sphere => "2dsphere".into(),
        }
    };
    index.keys.iter().map(|(field, kind)| (field.clone(), key(kind))).collect()
}

pub(super) fn filter(index: &Index) -> Option<Document> {
    let text = index.only.as_ref()?;
    Some(document(text).expect("the manifest takes only objects of JSON"))
}

/// A filter of the manifest as the server takes it.
pub(crate) fn filter_of(text: &str) -> Document {
    document(text).expect("the manifest takes only objects of JSON")
}

pub(super) fn expiry(index: &Index) -> Option<i32> {
    let lifetime = index.expire_after?;
    Some(i32::try_from(lifetime.as_secs()).expect("the manifest takes only what 31 bits hold"))
}
