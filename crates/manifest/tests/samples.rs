//! Samples and the schemas of their collections.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may well panic")]

use manifest::environment::Collection;
use manifest::{Mask, Seed, Source, parse};

const SCHEMA: &str = r#"{
    "bsonType": "object",
    "required": ["_id", "email", "lines", "total"],
    "properties": {
        "_id": { "bsonType": "string" },
        "email": { "bsonType": "string" },
        "state": { "enum": ["open", "paid"] },
        "code": { "bsonType": "string", "pattern": "^[A-Z]{3}$" },
        "total": { "bsonType": ["int", "long"] },
        "note": {},
        "lines": {
            "bsonType": "array",
            "items": {
                "bsonType": "object",
                "required": ["sku", "quantity"],
                "properties": { "sku": { "bsonType": "string" }, "quantity": { "bsonType": "int" }, "extra": { "bsonType": "object" } }
            }
        }
    }
}"#;

fn source(fields: &str) -> Source {
    let text = format!(
        "[product]\nname = \"shop\"\n[owners.team]\ndescription = \"All\"\ncontact = \"t@shop.example\"\n\
         [environments.local]\ndomain = \"shop.localhost\"\n\
         [environments.preview]\ndomain = \"pr-{{pr}}.shop.example\"\nper = \"pull-request\"\nttl = \"7d\"\n\
         [apps.api]\nowner = \"team\"\npath = \"api\"\nkind = \"node\"\nhosts = [\"api\"]\nstart = [\"node\", \"x\"]\nneeds = [\"mongodb\"]\n\
         [services.mongodb.collections.orders]\ndescription = \"Orders\"\nschema = \"orders.json\"\n\
         [services.mongodb.collections.orders.sample]\nfields = {fields}\n"
    );
    Source::new("roadbed.toml", text)
}

fn told(fields: &str) -> Vec<String> {
    let source = source(fields);
    let (manifest, diagnostics) = parse(&source);
    assert_eq!(diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>(), [] as [String; 0]);
    let told = manifest.unwrap().check_samples(&source, |path| (path == "orders.json").then(|| SCHEMA.to_owned()));
    assert!(told.iter().all(|told| told.hint.is_some()), "{told:#?}");
    told.into_iter().map(|told| told.message).collect()
}

#[test]
fn a_sample_that_agrees_with_its_schema_has_no_fault() {
    let nothing: [String; 0] = [];
    let all = "{ _id = \"id\", email = \"email\", total = \"number-noise\", lines = { sku = \"keep\", quantity = \"keep\" } }";
    assert_eq!(told(all), nothing);
    let by_ways = "{ email = \"email\", total = \"keep\", \"lines[].sku\" = \"id\", \"lines.quantity\" = \"keep\", \"note.anything\" = \"text\" }";
    assert_eq!(told(by_ways), nothing);
}

#[test]
fn every_disagreement_with_the_schema_is_told() {
    let fields = "{ emial = \"email\", state = \"text\", code = \"id\", total = \"text\", note = \"number-noise\", \"lines.sku\" = \"number-noise\", \"lines.extra\" = \"keep\" }";
    assert_eq!(
        told(fields),
        [
            "\"email\" does not leave, and the collection's schema requires it",
            "\"lines.quantity\" does not leave, and the collection's schema requires it",
            "the collection's schema has no \"emial\"",
            "what \"text\" makes of \"state\" would not pass the schema's enum",
            "what \"id\" makes of \"code\" would not pass the schema's pattern",
            "\"text\" does not make what the schema wants of \"total\": int, long",
            "\"number-noise\" does not make what the schema wants of \"lines.sku\": string",
            "\"lines.extra\" is a document: what of it leaves is said field by field",
        ]
    );
}

#[test]
fn previews_begin_with_the_sample_and_others_with_nothing() {
    let (manifest, _) = parse(&source("{ email = \"email\", lines = { sku = \"id\" } }"));
    let manifest = manifest.unwrap();
    let mongodb = |name: &str| manifest.resolve(&name.parse().unwrap()).unwrap().mongodb.unwrap();
    assert_eq!((mongodb("local").seed, mongodb("preview/pr-7").seed), (Seed::Nothing, Seed::Sample));
    let [Collection { sample: Some(sample), .. }] = &mongodb("local").collections[..] else { panic!("one collection") };
    assert_eq!((sample.limit, sample.filter.as_deref()), (200, None));
    assert_eq!(sample.fields, [("email".to_owned(), Mask::Email), ("lines.sku".to_owned(), Mask::Id)]);
    let ttl = |name: &str| manifest.resolve(&name.parse().unwrap()).unwrap().preview.ttl.map(|ttl| ttl.as_secs());
    assert_eq!((ttl("local"), ttl("preview/pr-7")), (None, Some(7 * 86_400)));
}
