//! Variables of the repository and of its environments.

use std::collections::BTreeMap;

use reconcile::Fault;
use serde_json::json;
use ureq::http::Method;

use crate::client::{Client, part};
use crate::plan::{Body, Change, Kind, Request};

/// `environment`: those of an environment, which may not be there yet.
pub(crate) fn changes(
    client: &Client<'_>,
    environment: Option<&str>,
    wanted: &BTreeMap<String, String>,
) -> Result<Vec<Change>, Fault> {
    let (path, of) = match environment {
        Some(name) => {
            (client.path(&format!("/environments/{}/variables", part(name))), format!("environment {name}: "))
        }
        None => (client.path("/actions/variables"), String::new()),
    };
    let present = client.list(&path, Some("variables"))?;
    let named = |one: &serde_json::Value, name: &str| {
        one["name"].as_str().is_some_and(|there| there.eq_ignore_ascii_case(name))
    };
    let mut found: Vec<Change> = wanted
        .iter()
        .filter_map(|(name, value)| {
            let what = format!("{of}variable {name}");
            let body = Body::Plain(json!({"name": name, "value": value}));
            let (kind, details, request) = match present.iter().find(|one| named(one, name)) {
                None => (Kind::Create, value.clone(), Request { method: Method::POST, path: path.clone(), body }),
                Some(one) if one["value"] == value.as_str() => return None,
                Some(one) => {
                    let path = format!("{path}/{}", part(name));
                    let before = one["value"].as_str().unwrap_or_default();
                    (Kind::Update, format!("{before} → {value}"), Request { method: Method::PATCH, path, body })
                }
            };
            Some(Change { what, kind, details: vec![details], request: Some(request) })
        })
        .collect();
    let extra = present.iter().filter(|one| !wanted.keys().any(|name| named(one, name)));
    found.extend(extra.map(|one| Change::undeclared(format!("{of}variable {}", one["name"].as_str().unwrap_or("?")))));
    Ok(found)
}
