//! A question that a restored database must answer: whether what people need first is there and can be read.

use mongodb::Database;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, RawDocumentBuf};
use reconcile::Fault;
use serde_json::Value as Json;

use crate::mongo_fault;

/// A question.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// What it proves, for people.
    pub name: String,
    pub collection: String,
    filter: Document,
    sort: Document,
    /// So many documents are read, and must be there.
    at_least: u32,
    or_all: bool,
}

impl Probe {
    /// Of a filter and an order as the manifest has them, in JSON, with `$date` and `$oid` of extended JSON for what JSON lacks.
    ///
    /// # Errors
    /// Where one of them is none that MongoDB takes.
    pub fn new(
        name: &str,
        collection: &str,
        filter: Option<&str>,
        sort: Option<&str>,
        at_least: u32,
    ) -> Result<Self, Fault> {
        let document = |text: Option<&str>, what: &str| -> Result<Document, Fault> {
            let cannot = |error: &(dyn std::error::Error + 'static)| {
                Fault::because(format!("cannot use the {what} of the probe {name:?}"), error)
                    .hint("write an object in JSON, such as { \"paid\": true }")
            };
            let Some(text) = text else { return Ok(Document::new()) };
            let fields: serde_json::Map<String, Json> = serde_json::from_str(text).map_err(|error| cannot(&error))?;
            Ok(fields.into_iter().map(|(name, value)| (name, bson(value))).collect())
        };
        Ok(Self {
            name: name.to_owned(),
            collection: collection.to_owned(),
            filter: document(filter, "filter")?,
            sort: document(sort, "sort")?,
            at_least,
            or_all: false,
        })
    }

    /// Fewer are enough where the collection had no more when it was saved.
    #[must_use]
    pub fn or_all(self, or_all: bool) -> Self {
        Self { or_all, ..self }
    }

    /// Asks; what was seen, in one line without a byte of a document. The collection had so many when it was `saved`.
    pub(crate) async fn ask(&self, database: &Database, saved: u64) -> Result<String, Fault> {
        let Self { name, collection, .. } = self;
        let at_least = match u32::try_from(saved) {
            Ok(saved) if self.or_all => self.at_least.min(saved),
            _ => self.at_least,
        };
        let cannot = |error: &mongodb::error::Error| {
            mongo_fault(format!("{name}: {collection} does not answer in the restored database"), error)
        };
        let documents = database.collection::<RawDocumentBuf>(collection);
        let found = documents.find(self.filter.clone()).sort(self.sort.clone()).limit(i64::from(self.at_least));
        let mut found = found.await.map_err(|error| cannot(&error))?;
        let mut read = 0;
        while found.advance().await.map_err(|error| cannot(&error))? {
            // Each field is looked at: a document whose length alone is right is not read.
            for element in found.current() {
                element.map_err(|error| {
                    Fault::because(format!("{name}: a document of {collection} cannot be read"), &error)
                })?;
            }
            read += 1;
        }
        if read >= at_least {
            Ok(format!("{name}: {read} read of {collection}"))
        } else {
            Err(Fault::new(format!("{name}: {read} of {collection} are there where at least {at_least} are wanted")))
        }
    }
}

fn bson(value: Json) -> Bson {
    match value {
        Json::Null => Bson::Null,
        Json::Bool(value) => Bson::Boolean(value),
        Json::String(text) => Bson::String(text),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => i32::try_from(whole).map_or(Bson::Int64(whole), Bson::Int32),
            None => Bson::Double(number.as_f64().unwrap_or(0.0)),
        },
        Json::Array(items) => Bson::Array(items.into_iter().map(bson).collect()),
        Json::Object(fields) => extended(&fields)
            .unwrap_or_else(|| Bson::Document(fields.into_iter().map(|(name, value)| (name, bson(value))).collect())),
    }
}

/// A moment or an id, where it is one.
fn extended(fields: &serde_json::Map<String, Json>) -> Option<Bson> {
    let (name, value) = fields.iter().next().filter(|_| fields.len() == 1)?;
    match name.as_str() {
        "$date" => DateTime::parse_rfc3339_str(value.as_str()?).ok().map(Bson::DateTime),
        "$oid" => ObjectId::parse_str(value.as_str()?).ok().map(Bson::ObjectId),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_json_with_what_json_lacks() {
        let filter = r#"{ "at": { "$gte": { "$date": "2026-01-01T00:00:00Z" } }, "paid": true }"#;
        let probe = Probe::new("newest", "orders", Some(filter), Some(r#"{ "at": -1 }"#), 10).unwrap();
        assert!(probe.filter.get_document("at").unwrap().get_datetime("$gte").is_ok(), "{probe:?}");
        let fault = Probe::new("newest", "orders", Some("{"), None, 10).unwrap_err();
        assert_eq!(fault.message, "cannot use the filter of the probe \"newest\"");
    }
}
