//! GitHub's published OpenAPI description, cut to what is asked here: whether a request is one that it knows.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use boon::{Compiler, Draft, SchemaIndex, Schemas};
use serde_json::{Value, json};

const PUBLISHED: &str = include_str!("../openapi/github.json");

pub(crate) struct Description {
    document: Value,
    schemas: Schemas,
    /// By operation.
    bodies: BTreeMap<String, SchemaIndex>,
}

/// An operation, and what stands for the variable parts of its path.
pub(crate) struct Known<'d> {
    pub(crate) id: &'d str,
    pub(crate) parts: Vec<String>,
    operation: &'d Value,
}

pub(crate) fn published() -> &'static Description {
    static READ: OnceLock<Description> = OnceLock::new();
    READ.get_or_init(Description::read)
}

impl Description {
    fn read() -> Self {
        let mut document: Value = serde_json::from_str(PUBLISHED).unwrap();
        as_json_schema(&mut document);
        let mut bodies = serde_json::Map::new();
        for operation in
            document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values())
        {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            if !schema.is_null() {
                bodies.insert(operation["operationId"].as_str().unwrap().replace('/', "."), schema.clone());
            }
        }
        let names: Vec<String> = bodies.keys().cloned().collect();
        document["components"]["bodies"] = Value::Object(bodies);
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.set_default_draft(Draft::V4);
        compiler.add_resource("http://github/description.json", document.clone()).unwrap();
        let bodies = names.into_iter().map(|name| {
            let place = format!("http://github/description.json#/components/bodies/{name}");
            let index = compiler.compile(&place, &mut schemas).unwrap();
            (name.replace('.', "/"), index)
        });
        Self { bodies: bodies.collect(), document, schemas }
    }

    /// The operation that a request is.
    pub(crate) fn operation(&self, method: &str, path: &str) -> Result<Known<'_>, String> {
        let asked: Vec<&str> = path.split('/').collect();
        for (template, methods) in self.document["paths"].as_object().unwrap() {
            let template: Vec<&str> = template.split('/').collect();
            let is_it = template.len() == asked.len()
                && template
                    .iter()
                    .zip(&asked)
                    .all(|(known, part)| known.starts_with('{') && !part.is_empty() || known == part);
            if let Some(operation) = methods.get(method.to_lowercase()).filter(|_| is_it) {
                let parts = template.iter().zip(&asked).filter(|(known, _)| known.starts_with('{'));
                let parts = parts
                    .map(|(_, part)| percent_encoding::percent_decode_str(part).decode_utf8().unwrap().into_owned());
                return Ok(Known { id: operation["operationId"].as_str().unwrap(), parts: parts.collect(), operation });
            }
        }
        Err(format!("GitHub has no {method} {path}"))
    }

    /// What is wrong with a request.
    pub(crate) fn wrong(&self, known: &Known<'_>, query: &str, body: &Value) -> Option<String> {
        let parameters = known.operation["parameters"].as_array().unwrap().iter();
        let parameters: Vec<&Value> = parameters
            .map(|one| match one["$ref"].as_str() {
                Some(refers) => self.document.pointer(refers.trim_start_matches('#')).unwrap(),
                None => one,
            })
            .collect();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let Some(parameter) = parameters.iter().find(|one| one["in"] == "query" && one["name"] == *name) else {
                return Some(format!("{} has no parameter {name}", known.id));
            };
            if parameter["schema"]["type"] == "integer" && value.parse::<u32>().is_err() {
                return Some(format!("{name} of {} is no number", known.id));
            }
        }
        match self.bodies.get(known.id) {
            None if body.is_null() => None,
            None => Some(format!("{} takes no body", known.id)),
            Some(index) => self.schemas.validate(body, *index).err().map(|error| format!("{}: {error:#}", known.id)),
        }
    }

    /// Whether it may be answered so.
    pub(crate) fn answers(&self, known: &Known<'_>, code: u16) -> bool {
        known.operation["responses"].get(code.to_string()).is_some()
    }
}

/// OpenAPI 3.0 says of `null` in its own way.
fn as_json_schema(value: &mut Value) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(as_json_schema),
        Value::Object(table) => {
            table.values_mut().for_each(as_json_schema);
            if table.remove("nullable") == Some(Value::Bool(true)) {
                if let Some(all) = table.get_mut("enum").and_then(Value::as_array_mut) {
                    all.push(Value::Null);
                }
                let schema = Value::Object(std::mem::take(table));
                table.insert("anyOf".to_owned(), json!([schema, {"type": "null"}]));
            }
        }
        _ => {}
    }
}

#[test]
fn the_description_refuses_what_github_would() {
    let of = published();
    let wrong = |method: &str, path: &str, body: Value| {
        let known = of.operation(method, &format!("/repos/us/shop{path}")).unwrap_or_else(|why| panic!("{why}"));
        of.wrong(&known, "", &body)
    };
    assert_eq!(wrong("POST", "/rulesets", json!({"name": "x", "enforcement": "active"})), None);
    assert!(wrong("POST", "/rulesets", json!({"enforcement": "active"})).is_some(), "no name");
    assert!(wrong("POST", "/rulesets", json!({"name": "x", "enforcement": "maybe"})).is_some());
    assert!(wrong("POST", "/rulesets", json!({"name": "x", "enforcement": "active", "rules": [{"type": "required_status_checks"}, {"type": "no_such"}]})).is_some());
    assert_eq!(wrong("PUT", "/environments/a%2Fb", json!({"reviewers": null, "deployment_branch_policy": null})), None);
    assert!(wrong("PUT", "/environments/x", json!({"wait": 1})).is_some(), "no such field");
    assert!(wrong("PUT", "/environments/x", json!({"reviewers": [{"type": "Robot", "id": 1}]})).is_some());
    assert!(wrong("POST", "/actions/variables", json!({"name": "X"})).is_some(), "no value");
    assert!(wrong("GET", "/actions/secrets", json!({})).is_some(), "a body where none is taken");
    assert!(of.operation("DELETE", "/repos/us/shop/rulesets").is_err());
    let list = of.operation("GET", "/repos/us/shop/rulesets").unwrap();
    assert_eq!(of.wrong(&list, "per_page=100&page=2", &Value::Null), None);
    assert!(of.wrong(&list, "pages=2", &Value::Null).is_some());
}
