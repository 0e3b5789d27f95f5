//! The published descriptions, cut to what is asked here: whether a request is one that they know, and whether an answer may be so.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use boon::{Compiler, Draft, SchemaIndex, Schemas};
use managed::atlas::wire::Action;
use manifest::{AtlasCloud, AtlasSize, UpstashPlan, UpstashRegion};
use serde_json::{Map, Value, json};

pub(crate) struct Description {
    document: Value,
    schemas: Schemas,
    /// By operation, `sent` or the status, and media type.
    known: BTreeMap<(String, String, String), SchemaIndex>,
    /// What paths begin with that are no part of the description's.
    prefix: &'static str,
}

/// An operation, and what stands for the variable parts of its path.
pub(crate) struct Known<'d> {
    pub(crate) id: &'d str,
    pub(crate) parts: Vec<String>,
    operation: &'d Value,
}

pub(crate) fn of_upstash() -> &'static Description {
    static READ: OnceLock<Description> = OnceLock::new();
    READ.get_or_init(|| Description::read(include_str!("../openapi/upstash.json"), "/v2"))
}

pub(crate) fn of_atlas() -> &'static Description {
    static READ: OnceLock<Description> = OnceLock::new();
    READ.get_or_init(|| Description::read(include_str!("../openapi/atlas.json"), ""))
}

impl Description {
    fn read(text: &str, prefix: &'static str) -> Self {
        let mut document: Value = serde_json::from_str(text).unwrap();
        closed(&mut document["components"]["schemas"]);
        closed(&mut document["paths"]);
        let mut places = Vec::new();
        let mut all = Vec::new();
        let operations =
            document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
        for operation in operations {
            let answers = operation["responses"].as_object().unwrap().iter();
            let sent = [("sent", &operation["requestBody"])].into_iter();
            for (way, told) in sent.chain(answers.map(|(code, told)| (code.as_str(), told))) {
                for (media, content) in told["content"].as_object().into_iter().flatten() {
                    if let Some(schema) = content.get("schema") {
                        let id = operation["operationId"].as_str().unwrap();
                        places.push((id.to_owned(), way.to_owned(), media.clone()));
                        all.push(schema.clone());
                    }
                }
            }
        }
        document["asked"] = Value::Array(all);
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.set_default_draft(Draft::V4);
        compiler.add_resource("http://provider/description.json", document.clone()).unwrap();
        let known = places.into_iter().enumerate().map(|(at, place)| {
            let pointer = format!("http://provider/description.json#/asked/{at}");
            (place, compiler.compile(&pointer, &mut schemas).unwrap())
        });
        Self { known: known.collect(), schemas, document, prefix }
    }

    /// The operation that a request is.
    pub(crate) fn operation(&self, method: &str, path: &str) -> Result<Known<'_>, String> {
        let path = path.strip_prefix(self.prefix).ok_or_else(|| format!("{path} begins otherwise"))?;
        let asked: Vec<&str> = path.split('/').collect();
        for (template, methods) in self.document["paths"].as_object().unwrap() {
            let template: Vec<&str> = template.split('/').collect();
            let is_part = |(known, part): (&&str, &&str)| known.starts_with('{') && !part.is_empty() || known == part;
            let is_it = template.len() == asked.len() && template.iter().zip(&asked).all(is_part);
            if let Some(operation) = methods.get(method.to_lowercase()).filter(|_| is_it) {
                let parts = template.iter().zip(&asked).filter(|(known, _)| known.starts_with('{'));
                let decoded =
                    |part: &str| percent_encoding::percent_decode_str(part).decode_utf8().unwrap().into_owned();
                let parts = parts.map(|(_, part)| decoded(part)).collect();
                return Ok(Known { id: operation["operationId"].as_str().unwrap(), parts, operation });
            }
        }
        Err(format!("there is no {method} {path}"))
    }

    /// What is wrong with a request.
    pub(crate) fn wrong(&self, known: &Known<'_>, query: &str, media: &str, body: &Value) -> Option<String> {
        let refers = |one: &Value| one["$ref"].as_str().map(|at| self.document.pointer(&at[1..]).unwrap().clone());
        let parameters = known.operation["parameters"].as_array().into_iter().flatten();
        let parameters: Vec<Value> = parameters.map(|one| refers(one).unwrap_or_else(|| one.clone())).collect();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let Some(parameter) = parameters.iter().find(|one| one["in"] == "query" && one["name"] == *name) else {
                return Some(format!("{} has no parameter {name}", known.id));
            };
            let schema = &parameter["schema"];
            let number = value.parse::<u64>().ok();
            let is_in = |limit: &str, is: fn(u64, u64) -> bool| {
                schema[limit].as_u64().is_none_or(|limit| number.is_some_and(|number| is(number, limit)))
            };
            if schema["type"] == "integer"
                && !(number.is_some() && is_in("maximum", |a, b| a <= b) && is_in("minimum", |a, b| a >= b))
            {
                return Some(format!("{name} of {} is no such number", known.id));
            }
        }
        match &known.operation["requestBody"]["content"] {
            Value::Null if body.is_null() => None,
            Value::Null => Some(format!("{} takes no body", known.id)),
            _ => self.differs(known, "sent", media, body),
        }
    }

    /// What is wrong with an answer that is otherwise a good one.
    pub(crate) fn wrong_answer(&self, known: &Known<'_>, code: u16, media: &str, body: &Value) -> Option<String> {
        let Some(answer) = known.operation["responses"].get(code.to_string()) else {
            return Some(format!("{} does not answer {code}", known.id));
        };
        if answer
            .get("content")
            .is_none_or(|content| content.get(media).is_some_and(|told| told.get("schema").is_none()))
        {
            return None;
        }
        self.differs(known, &code.to_string(), media, body)
    }

    fn differs(&self, known: &Known<'_>, way: &str, media: &str, value: &Value) -> Option<String> {
        match self.known.get(&(known.id.to_owned(), way.to_owned(), media.to_owned())) {
            Some(index) => self.schemas.validate(value, *index).err().map(|error| format!("{}: {error:#}", known.id)),
            None => Some(format!("{} does not know {media}", known.id)),
        }
    }

    fn words(&self, pointer: &str) -> Vec<&str> {
        let words = self.document.pointer(pointer).and_then(Value::as_array).expect("the description lists them");
        words.iter().filter_map(Value::as_str).collect()
    }
}

/// A table has the fields that are described and no others, and what only an answer has is not asked of a request.
fn closed(value: &mut Value) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(closed),
        Value::Object(table) => {
            table.values_mut().for_each(closed);
            // Of networks the published ones are in a dialect of their own, and mean what stands in a path.
            let of_networks = |pattern: &str| pattern.contains("(?!") || pattern.contains("%2[fF]");
            if table.get("pattern").and_then(Value::as_str).is_some_and(of_networks) {
                table.remove("pattern");
            }
            if let Some(properties) = table.get("properties").and_then(Value::as_object).cloned() {
                let is_told = |name: &str| properties.get(name).is_some_and(|one| one["readOnly"] == true);
                if let Some(required) = table.get_mut("required").and_then(Value::as_array_mut) {
                    // What only one direction has is not asked of the other.
                    let is_sent = |name: &str| properties.get(name).is_some_and(|one| one["writeOnly"] == true);
                    required.retain(|name| name.as_str().is_some_and(|name| !is_told(name) && !is_sent(name)));
                    if required.is_empty() {
                        table.remove("required");
                    }
                }
                table.insert("additionalProperties".to_owned(), json!(false));
            }
        }
        _ => {}
    }
}

#[test]
fn the_descriptions_refuse_what_the_providers_would() {
    let of = of_upstash();
    let wrong = |body: Value| {
        let known = of.operation("POST", "/v2/redis/database").unwrap();
        of.wrong(&known, "", "application/json", &body)
    };
    let sound = json!({ "database_name": "x", "platform": "aws", "primary_region": "eu-central-1" });
    assert_eq!(wrong(sound.clone()), None);
    for (key, value) in
        [("primary_region", json!("mars-1")), ("plan", json!("free2")), ("tsl", json!(true)), ("tls", json!("yes"))]
    {
        let mut body = sound.clone();
        body[key] = value;
        assert!(wrong(body).is_some(), "{key}");
    }
    assert!(wrong(json!({ "database_name": "x" })).is_some(), "no region");
    assert!(of.operation("PUT", "/v2/redis/database").is_err());
    let of = of_atlas();
    let known = of.operation("POST", "/api/atlas/v2/groups/32b6e34b3d91647abb20e7b8/clusters").unwrap();
    let media = "application/vnd.atlas.2024-10-23+json";
    assert_eq!(of.wrong(&known, "", media, &json!({ "name": "x", "backupEnabled": true })), None);
    assert!(of.wrong(&known, "", media, &json!({ "name": "x", "backupEnbled": true })).is_some());
    assert!(of.wrong(&known, "", "application/vnd.atlas.2023-01-01+json", &json!({})).is_some());
}

#[test]
fn every_word_that_is_sent_is_a_published_one() {
    let of = of_upstash();
    let request = "/components/schemas/CreateDatabaseRequest/properties";
    let regions: Vec<&str> = UpstashRegion::ALL.iter().map(|one| one.as_str()).collect();
    assert_eq!(regions, of.words(&format!("{request}/primary_region/enum")));
    let plans: Vec<&str> = UpstashPlan::ALL.iter().map(|one| one.as_str()).collect();
    assert_eq!(plans, of.words(&format!("{request}/plan/enum")));
    for region in UpstashRegion::ALL {
        // Amazon's end with a direction, a dash and a number.
        assert_eq!(region.is_google(), region.as_str().split('-').count() == 2, "{region}");
    }
    let clouds = "/components/schemas/CloudRegionConfig20240805/properties/providerName/description";
    let clouds = of_atlas().document.pointer(clouds).unwrap().as_str().unwrap();
    assert!(AtlasCloud::ALL.iter().all(|cloud| clouds.contains(&format!("`{cloud}`"))), "{clouds}");
    // The description of Atlas that can be had lists no others. These are of clients that were generated from the whole one:
    // github.com/wtrocki/python-client-atlas at c01b7ac2, DBAction and AWSHardwareSpec.
    let sizes = ["M10", "M20", "M30", "M40", "M50", "M60", "M80", "M100", "M140", "M200", "M300"];
    assert!(AtlasSize::ALL.iter().all(|size| sizes.contains(&size.as_str())));
    let published = [
        "FIND",
        "INSERT",
        "REMOVE",
        "UPDATE",
        "CREATE_COLLECTION",
        "CREATE_INDEX",
        "CHANGE_STREAM",
        "COLL_MOD",
        "DROP_INDEX",
        "COLL_STATS",
        "DB_STATS",
        "LIST_COLLECTIONS",
        "LIST_INDEXES",
    ];
    let sent = published.map(|word| serde_json::from_value::<Action>(json!(word)).unwrap());
    assert!(!sent.contains(&Action::Another), "{sent:?}");
    assert_eq!(serde_json::to_value(sent).unwrap(), json!(published));
}

/// Only for who answers: what was asked with, as a table.
pub(crate) fn table(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}
