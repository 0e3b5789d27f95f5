//! What differs between a repository and what is wanted of it, and making it so.

use reconcile::Fault;
use serde::Serialize;
use serde_json::Value;
use ureq::http::Method;

use crate::client::Client;
use crate::given::{Given, Place, Written};
use crate::wanted::Wanted;
use crate::{environments, rules, secret, variables};

/// What is done about a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Create,
    Update,
    Delete,
    /// Somebody has to give its value.
    Missing,
    /// Somebody else changed what cannot be compared.
    Changed,
    /// It is there, and the manifest does not speak of it. It stays.
    Undeclared,
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
    pub(crate) body: Body,
}

/// What goes with it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    Nothing,
    Plain(Value),
    /// The value of a secret, sealed when it is sent: nothing else ever holds it.
    Secret(Place),
}

impl Change {
    pub(crate) fn undeclared(what: String) -> Self {
        let details = vec!["the manifest does not speak of it; it stays".to_owned()];
        Self { what, kind: Kind::Undeclared, details, request: None }
    }

    /// Whether nothing is sent for it.
    pub fn is_left_to_people(&self) -> bool {
        self.request.is_none()
    }
}

/// Asks, and changes nothing.
pub fn plan(client: &Client<'_>, wanted: &Wanted, given: &Given<'_>) -> Result<Vec<Change>, Fault> {
    if client.get(&client.path(""))?.is_none() {
        return Err(Fault::new("GitHub has no such repository, or the token may not see it")
            .hint("see `repository` in [ci.github], and what the token is for"));
    }
    let mut found = Vec::new();
    for environment in &wanted.environments {
        found.extend(environments::changes(client, environment)?);
    }
    found.extend(environments::undeclared(client, &wanted.environments)?);
    found.extend(variables::changes(client, None, &wanted.variables)?);
    for environment in &wanted.environments {
        found.extend(variables::changes(client, Some(&environment.name), &environment.variables)?);
    }
    found.extend(secret::changes(client, None, &wanted.secrets, given)?);
    for environment in &wanted.environments {
        found.extend(secret::changes(client, Some(&environment.name), &environment.secrets, given)?);
    }
    // Last: from then on a push needs what the rest makes possible.
    found.extend(rules::changes(client, wanted)?);
    Ok(found)
}

/// Sends what a change wants; of a secret it says what to remember. One that a person has to make is not sent.
pub fn apply(client: &Client<'_>, change: &Change, given: &Given<'_>) -> Result<Option<(Place, Written)>, Fault> {
    let Some(request) = &change.request else { return Ok(None) };
    let body = match &request.body {
        Body::Nothing => None,
        Body::Plain(body) => Some(body),
        Body::Secret(place) => {
            let written = secret::write(client, request, place, given)?;
            return Ok(Some((place.clone(), written)));
        }
    };
    client.send(request.method.clone(), &request.path, body)?;
    Ok(None)
}
