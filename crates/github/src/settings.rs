//! Variables, and whether secrets are there. The values of secrets are never sent: whoever has one sets it.

use std::collections::BTreeMap;

use reconcile::Fault;
use serde_json::json;
use ureq::http::Method;

use crate::client::{Client, part};
use crate::plan::{Change, Kind, Request};

pub(crate) fn variables(client: &Client<'_>, wanted: &BTreeMap<String, String>) -> Result<Vec<Change>, Fault> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let path = client.path("/actions/variables");
    let present = client.list(&path, Some("variables"))?;
    let there = |name: &str| {
        present.iter().find(|one| one["name"].as_str().is_some_and(|there| there.eq_ignore_ascii_case(name)))
    };
    Ok(wanted
        .iter()
        .filter_map(|(name, value)| {
            let what = format!("variable {name}");
            let body = Some(json!({"name": name, "value": value}));
            let (kind, details, request) = match there(name) {
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
        .collect())
}

/// Secrets that nobody has set. `environment`: those of an environment, which may not be there yet.
pub(crate) fn secrets(client: &Client<'_>, environment: Option<&str>, wanted: &[String]) -> Result<Vec<Change>, Fault> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let (path, of, option) = match environment {
        Some(name) => (
            client.path(&format!("/environments/{}/secrets", part(name))),
            format!("environment {name}: "),
            format!(" --env {name}"),
        ),
        None => (client.path("/actions/secrets"), String::new(), String::new()),
    };
    let present = client.list(&path, Some("secrets"))?;
    let is_there = |name: &String| {
        present.iter().any(|one| one["name"].as_str().is_some_and(|there| there.eq_ignore_ascii_case(name)))
    };
    Ok(wanted
        .iter()
        .filter(|name| !is_there(name))
        .map(|name| Change {
            what: format!("{of}secret {name}"),
            kind: Kind::Missing,
            details: vec![format!("set it with `gh secret set {name}{option}`")],
            request: None,
        })
        .collect())
}
