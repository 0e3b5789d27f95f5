//! Secrets: whether they are there, whether they are still those that were written, and writing them. GitHub never shows a value.

use reconcile::Fault;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::client::{Client, part};
use crate::given::{Given, Place, Written};
use crate::plan::{Body, Change, Kind, Request};
use crate::sealed;

/// Below the repository.
fn path(client: &Client<'_>, environment: Option<&str>) -> String {
    match environment {
        Some(name) => client.path(&format!("/environments/{}/secrets", part(name))),
        None => client.path("/actions/secrets"),
    }
}

/// `environment`: those of an environment, which may not be there yet.
pub(crate) fn changes(
    client: &Client<'_>,
    environment: Option<&str>,
    wanted: &[String],
    given: &Given<'_>,
) -> Result<Vec<Change>, Fault> {
    let folder = path(client, environment);
    let present = client.list(&folder, Some("secrets"))?;
    let named = |one: &Value, name: &str| one["name"].as_str().is_some_and(|there| there.eq_ignore_ascii_case(name));
    let mut found: Vec<Change> = wanted
        .iter()
        .filter_map(|name| {
            let place = Place { environment: environment.map(str::to_owned), name: name.clone() };
            let there = present.iter().find(|one| named(one, name));
            let (kind, details) = change(&place, there, given)?;
            let is_written = matches!(kind, Kind::Create | Kind::Update);
            let request = is_written.then(|| Request {
                method: Method::PUT,
                path: format!("{folder}/{}", part(name)),
                body: Body::Secret(place.clone()),
            });
            Some(Change { what: place.to_string(), kind, details: vec![details], request })
        })
        .collect();
    let extra = present.iter().filter(|one| !wanted.iter().any(|name| named(one, name)));
    found.extend(extra.map(|one| {
        let name = one["name"].as_str().unwrap_or("?").to_owned();
        Change::undeclared(Place { environment: environment.map(str::to_owned), name }.to_string())
    }));
    Ok(found)
}

/// What is done about one, and why. `None`: nothing.
fn change(place: &Place, there: Option<&Value>, given: &Given<'_>) -> Option<(Kind, String)> {
    let value = given.values.get(place);
    let Some(there) = there else {
        return Some(match value {
            Some(_) => (Kind::Create, "a value that is given".to_owned()),
            None => (Kind::Missing, "give its value: --secrets-stdin or --from-store".to_owned()),
        });
    };
    let updated = there["updated_at"].as_str().unwrap_or_default();
    let remembered = given.written.get(place);
    let is_theirs = remembered.is_some_and(|remembered| remembered.updated != updated);
    let elsewhere = || format!("somebody else set it at {updated}");
    match (value, remembered) {
        (Some(_), _) if given.rotate.contains(&place.name) => Some((Kind::Update, "--rotate".to_owned())),
        (Some(_), Some(_)) if is_theirs => Some((Kind::Update, elsewhere())),
        (Some(value), Some(remembered)) if value.print != remembered.print => {
            Some((Kind::Update, format!("another value than that of {updated}")))
        }
        (None, _) if is_theirs => {
            Some((Kind::Changed, format!("{}; `--rotate {}` writes a value anew", elsewhere(), place.name)))
        }
        _ => None,
    }
}

/// Writes one, and says when GitHub has it from.
pub(crate) fn write(
    client: &Client<'_>,
    request: &Request,
    place: &Place,
    given: &Given<'_>,
) -> Result<Written, Fault> {
    let cannot = |why: &str| Fault::new(format!("cannot write {place}")).cause(why.to_owned()).hint("run this again");
    let value = given.values.get(place).ok_or_else(|| cannot("its value is not given"))?;
    let folder = path(client, place.environment.as_deref());
    let key =
        client.get(&format!("{folder}/public-key"))?.ok_or_else(|| cannot("GitHub shows no public key for it"))?;
    let (Some(id), Some(key)) = (key["key_id"].as_str(), key["key"].as_str()) else {
        return Err(cannot("GitHub shows no public key for it"));
    };
    let body = json!({"encrypted_value": sealed::seal(key, value.secret)?, "key_id": id});
    client.send(request.method.clone(), &request.path, Some(&body))?;
    let there = client.get(&request.path)?.ok_or_else(|| cannot("it is not there after it was written"))?;
    let updated = there["updated_at"].as_str().unwrap_or_default().to_owned();
    Ok(Written { print: value.print.clone(), updated })
}
