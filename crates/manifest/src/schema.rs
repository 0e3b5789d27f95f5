//! The JSON Schema of `roadbed.toml`, for editors.

use serde_json::{Value as Json, json};

use crate::shape::{Definitions, Shape};
use crate::tables::Document;

/// Draft 2020-12. It says what a table may hold; rules across tables are only in [`crate::parse`].
pub fn schema() -> Json {
    let mut definitions = Definitions::default();
    Document::schema(&mut definitions);
    let document = definitions.0.shift_remove("Document").expect("the document defines itself");
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "roadbed.toml",
    });
    if let (Some(schema), Json::Object(document)) = (schema.as_object_mut(), document) {
        schema.extend(document);
        definitions.0.sort_keys();
        schema.insert("$defs".to_owned(), Json::Object(definitions.0));
    }
    schema
}
