//! The description of the API: OpenAPI 3.1, made from the routes and the types that they read and write.

use http::{Method, StatusCode};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::action::Action;
use super::authorise::{Actor, Bearer, Role, Scope, Standing, authorise};
use super::call::Caller;
use super::problem::{self, Problem};
use super::questions::{DeploymentName, Nothing, Sha256Text};
use super::route::{self, Repeats, Route, Takes};
use super::tokens::TokenId;

/// Where Roadbed's own repository keeps it.
pub const PATH: &str = "docs/openapi.json";

/// How the file begins: by it `generate` knows its own.
pub const MARK: &str = "{\n  \"openapi\": \"3.1.0\",\n  \"info\": {\n    \"title\": \"Roadbed\",";

pub(super) async fn answer(_: Caller, _: Nothing) -> Result<Value, Problem> {
    Ok(document())
}

/// The file in the repository.
pub fn text() -> String {
    format!("{}\n", serde_json::to_string_pretty(&document()).expect("a description is plain data"))
}

/// The whole description.
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let problem = generator.subschema_for::<Problem>();
    let mut paths: Map<String, Value> = Map::new();
    for route in route::all() {
        let operation = operation(&route, &problem.clone().to_value(), &mut generator);
        let methods = paths.entry(route.path).or_insert_with(|| json!({}));
        methods[route.method.as_str().to_lowercase()] = operation;
    }
    let schemas: Map<String, Value> = generator.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Roadbed",
            "version": "1",
            "description": "Deployments, approvals and rollbacks of one environment. Problems are told as RFC 9457 has them.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of `roadbed token create`, or of a run of the CI: of one environment, with a role and an end.",
                },
            },
        },
    })
}

fn operation(route: &Route, problem: &Value, generator: &mut SchemaGenerator) -> Value {
    let mut operation = Map::new();
    operation.insert("operationId".to_owned(), operation_id(route).into());
    operation.insert("summary".to_owned(), route.summary.into());
    let roles = roles(route.action);
    let is_open = roles.len() == Role::ALL.len() && authorise(&Actor::Nobody, route.action, &nowhere()).is_ok();
    let who = if is_open { "Takes no token.".to_owned() } else { format!("Roles: {}.", roles.join(", ")) };
    operation.insert("description".to_owned(), who.into());
    operation.insert("security".to_owned(), if is_open { json!([]) } else { json!([{ "token": [] }]) });
    operation.insert("parameters".to_owned(), parameters(route, generator).into());
    if let Some(body) = route.body {
        let schema = body(generator).to_value();
        let body =
            json!({ "required": !route.body_may_be_empty, "content": { "application/json": { "schema": schema } } });
        operation.insert("requestBody".to_owned(), body);
    }
    if route.takes == Takes::Archive {
        let content = json!({ "application/octet-stream": { "schema": { "type": "string", "format": "binary" } } });
        operation.insert("requestBody".to_owned(), json!({ "required": true, "content": content }));
    }
    let mut responses = Map::new();
    let schema = (route.answer)(generator).to_value();
    responses.insert(
        route.status.as_str().to_owned(),
        json!({ "description": "Done, or begun", "content": { "application/json": { "schema": schema } } }),
    );
    for status in refusals(route, is_open) {
        let description = status.canonical_reason().unwrap_or("Refused");
        responses.insert(
            status.as_str().to_owned(),
            json!({ "description": description, "content": { (problem::CONTENT_TYPE): { "schema": problem } } }),
        );
    }
    operation.insert("responses".to_owned(), Value::Object(responses));
    Value::Object(operation)
}

/// `get-deployments`, `approve-deployment`: what code that is made from it calls a route.
fn operation_id(route: &Route) -> String {
    let words = route.path.trim_start_matches("/v1/environments").split('/');
    let words = words.filter(|word| !word.is_empty() && *word != "v1" && *word != "{environment}");
    let words: Vec<&str> = words.map(|word| word.trim_matches(['{', '}'])).collect();
    format!("{}-{}", route.method.as_str().to_lowercase(), words.join("-").replace(".json", ""))
}

fn nowhere() -> Scope {
    Scope { environment: String::new(), root: String::new() }
}

/// Who may, as `authorise` says.
fn roles(action: Action) -> Vec<&'static str> {
    let may = |role: &Role| {
        let bearer = Bearer {
            id: TokenId(1),
            name: String::new(),
            role: *role,
            person: manifest::PersonName::new("anybody").ok(),
            scope: nowhere(),
            commit: None,
            standing: Standing::Holds,
        };
        authorise(&Actor::Bearer(bearer), action, &nowhere()).is_ok()
    };
    Role::ALL.iter().filter(|role| may(role)).map(|role| role.as_str()).collect()
}

fn parameters(route: &Route, generator: &mut SchemaGenerator) -> Vec<Value> {
    let mut all = Vec::new();
    if route.is_of_environment() {
        all.push(json!({
            "name": "environment", "in": "path", "required": true,
            "description": "The environment that is meant: `staging`, `preview/pr-7` (with the slash as `%2F`). A token is of one.",
            "schema": { "type": "string", "minLength": 1 },
        }));
    }
    if route.is_of_deployment() {
        let schema = generator.subschema_for::<DeploymentName>().to_value();
        all.push(json!({ "name": "deployment", "in": "path", "required": true, "schema": schema }));
    }
    if route.is_of_artifact() {
        let schema = generator.subschema_for::<Sha256Text>().to_value();
        all.push(json!({ "name": "artifact", "in": "path", "required": true, "schema": schema }));
    }
    // Parameters have no place for a schema of all of them: one each.
    let query = route.query.map(|query| query(generator).to_value()).unwrap_or_default();
    let required: Vec<&str> = query["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, schema) in query["properties"].as_object().into_iter().flatten() {
        let is_required = required.contains(&name.as_str());
        all.push(json!({ "name": name, "in": "query", "required": is_required, "schema": schema }));
    }
    if route.repeats == Repeats::OnceByKey {
        all.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "Names the request: however often it is sent within a day, it is done once.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$" },
        }));
    }
    all
}

fn refusals(route: &Route, is_open: bool) -> Vec<StatusCode> {
    let mut all = vec![StatusCode::BAD_REQUEST];
    if is_open && route.method == Method::POST {
        all.extend([StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS]);
    }
    if !is_open {
        all.extend([
            StatusCode::UNAUTHORIZED,
            StatusCode::FORBIDDEN,
            StatusCode::CONFLICT,
            StatusCode::TOO_MANY_REQUESTS,
        ]);
    }
    if route.is_of_deployment() || route.is_of_artifact() || (route.method == Method::POST && !is_open) {
        all.push(StatusCode::NOT_FOUND);
    }
    if route.body.is_some() || route.takes == Takes::Archive {
        all.extend([StatusCode::REQUEST_TIMEOUT, StatusCode::PAYLOAD_TOO_LARGE, StatusCode::UNSUPPORTED_MEDIA_TYPE]);
    }
    all.extend([StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE]);
    all.sort();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described_and_every_reference_leads_somewhere() {
        let document = document();
        for route in route::all() {
            let operation = &document["paths"][route.path][route.method.as_str().to_lowercase()];
            assert_eq!(operation["summary"], route.summary);
            assert_eq!(operation["security"] == json!([]), route.action.takes_no_token(), "{}", route.path);
        }
        let mut references = Vec::new();
        collect(&document, &mut references);
        assert!(references.len() > 20);
        for reference in references {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
    }

    fn collect(value: &Value, references: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                references.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| collect(value, references));
            }
            Value::Array(items) => items.iter().for_each(|value| collect(value, references)),
            _ => {}
        }
    }

    #[test]
    fn names_of_operations_are_each_ones_own() {
        let mut names: Vec<String> = route::all().iter().map(operation_id).collect();
        assert!(names.contains(&"post-deployments-deployment-approve".to_owned()), "{names:?}");
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn the_file_begins_with_its_mark() {
        assert!(text().starts_with(MARK));
    }
}
