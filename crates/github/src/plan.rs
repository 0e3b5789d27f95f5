//! What differs between a repository and what is wanted of it, and making it so.

use reconcile::Fault;
use serde::Serialize;
use serde_json::Value;
use ureq::http::Method;

use crate::client::Client;
use crate::wanted::Wanted;
use crate::{environments, rules, settings};

/// What is done about a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Create,
    Update,
    Delete,
    /// A person has to.
    Missing,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// `environment production`.
    pub what: String,
    pub kind: Kind,
    /// In a line each.
    pub details: Vec<String>,
    #[serde(skip)]
    pub(crate) request: Option<Request>,
}

/// What is sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
}

/// Asks, and changes nothing.
pub fn plan(client: &Client<'_>, wanted: &Wanted) -> Result<Vec<Change>, Fault> {
    if client.get(&client.path(""))?.is_none() {
        return Err(Fault::new("GitHub has no such repository, or the token may not see it")
            .hint("see `repository` in [ci.github], and what the token is for"));
    }
    let mut found = Vec::new();
    for environment in &wanted.environments {
        found.extend(environments::changes(client, environment)?);
    }
    found.extend(settings::variables(client, &wanted.variables)?);
    found.extend(settings::secrets(client, None, &wanted.secrets)?);
    for environment in &wanted.environments {
        found.extend(settings::secrets(client, Some(&environment.name), &environment.secrets)?);
    }
    // Last: from then on a push needs what the rest makes possible.
    found.extend(rules::changes(client, wanted)?);
    Ok(found)
}

/// Sends what a change wants. One that a person has to make is not sent.
pub fn apply(client: &Client<'_>, change: &Change) -> Result<(), Fault> {
    match &change.request {
        Some(request) => client.send(request.method.clone(), &request.path, request.body.as_ref()),
        None => Ok(()),
    }
}
