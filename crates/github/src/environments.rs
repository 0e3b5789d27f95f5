//! Environments: who approves a deployment, how long it waits, and from which branches it may come.

use reconcile::Fault;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::client::{Client, part};
use crate::covers::differences;
use crate::plan::{Body, Change, Kind, Request};
use crate::wanted::{Reviewer, WantedEnvironment};

pub(crate) fn changes(client: &Client<'_>, wanted: &WantedEnvironment) -> Result<Vec<Change>, Fault> {
    let path = client.path(&format!("/environments/{}", part(&wanted.name)));
    let there = client.get(&path)?;
    let body = body(client, wanted)?;
    let what = format!("environment {}", wanted.name);
    let details = differences(&body, &there.as_ref().map_or_else(|| json!({}), as_sent));
    let mut found = Vec::new();
    if !details.is_empty() {
        let kind = if there.is_some() { Kind::Update } else { Kind::Create };
        let request = Request { method: Method::PUT, path: path.clone(), body: Body::Plain(body) };
        found.push(Change { what: what.clone(), kind, details, request: Some(request) });
    }
    found.extend(branches(client, wanted, &format!("{path}/deployment-branch-policies"), there.as_ref())?);
    Ok(found)
}

/// Those that the manifest does not know: whoever may write workflows can deploy by one that nothing protects.
pub(crate) fn undeclared(client: &Client<'_>, wanted: &[WantedEnvironment]) -> Result<Vec<Change>, Fault> {
    let present = client.list(&client.path("/environments"), Some("environments"))?;
    let names = present.iter().filter_map(|one| one["name"].as_str());
    let extra = names.filter(|name| !wanted.iter().any(|one| one.name.eq_ignore_ascii_case(name)));
    Ok(extra.map(|name| Change::undeclared(format!("environment {name}"))).collect())
}

fn body(client: &Client<'_>, wanted: &WantedEnvironment) -> Result<Value, Fault> {
    let reviewers: Vec<Value> =
        wanted.reviewers.iter().map(|one| reviewer(client, one)).collect::<Result<_, Fault>>()?;
    let policy = match wanted.branches.is_empty() {
        true => Value::Null,
        false => json!({"protected_branches": false, "custom_branch_policies": true}),
    };
    Ok(json!({
        "wait_timer": wanted.wait,
        "prevent_self_review": !reviewers.is_empty(),
        "reviewers": reviewers,
        "deployment_branch_policy": policy,
    }))
}

/// GitHub takes numbers, people write names.
fn reviewer(client: &Client<'_>, wanted: &Reviewer) -> Result<Value, Fault> {
    let (kind, name, path) = match wanted {
        Reviewer::User(name) => ("User", name, format!("/users/{}", part(name))),
        Reviewer::Team(name) => ("Team", name, format!("/orgs/{}/teams/{}", part(client.owner()), part(name))),
    };
    let id = client.get(&path)?.and_then(|found| found["id"].as_u64());
    let id = id.ok_or_else(|| {
        Fault::new(format!("there is no {} {name:?} on GitHub that could approve", kind.to_lowercase()))
            .hint("correct `reviewers` in [ci.github]; to see a team the token needs `members` (read)")
    })?;
    Ok(json!({"type": kind, "id": id}))
}

/// What GitHub says of an environment, in the form in which it is sent.
fn as_sent(there: &Value) -> Value {
    let rules: Vec<&Value> = there["protection_rules"].as_array().into_iter().flatten().collect();
    let rule = |kind: &str| rules.iter().find(|rule| rule["type"] == kind);
    let reviewers = rule("required_reviewers");
    let each = reviewers.and_then(|rule| rule["reviewers"].as_array()).into_iter().flatten();
    let each: Vec<Value> = each.map(|one| json!({"type": one["type"], "id": one["reviewer"]["id"]})).collect();
    json!({
        "wait_timer": rule("wait_timer").map_or(json!(0), |rule| rule["wait_timer"].clone()),
        "prevent_self_review": reviewers.is_some_and(|rule| rule["prevent_self_review"] == true),
        "reviewers": each,
        "deployment_branch_policy": there["deployment_branch_policy"],
    })
}

fn branches(
    client: &Client<'_>,
    wanted: &WantedEnvironment,
    path: &str,
    there: Option<&Value>,
) -> Result<Vec<Change>, Fault> {
    if wanted.branches.is_empty() {
        return Ok(Vec::new());
    }
    // There are none to ask for before it is there, or where it has no list of its own.
    let has_list = there.is_some_and(|there| there["deployment_branch_policy"]["custom_branch_policies"] == true);
    let present = if has_list { client.list(path, Some("branch_policies"))? } else { Vec::new() };
    let is_branch = |one: &&Value| one.get("type").is_none_or(|kind| kind == "branch" || kind.is_null());
    let names: Vec<&str> = present.iter().filter(is_branch).filter_map(|one| one["name"].as_str()).collect();
    let what = |branch: &str| format!("environment {}: branch {branch}", wanted.name);
    let missing = wanted.branches.iter().filter(|branch| !names.contains(&branch.as_str())).map(|branch| {
        let body = json!({"name": branch, "type": "branch"});
        let request = Request { method: Method::POST, path: path.to_owned(), body: Body::Plain(body) };
        Change { what: what(branch), kind: Kind::Create, details: Vec::new(), request: Some(request) }
    });
    let extra = present.iter().filter(|one| {
        !is_branch(one) || one["name"].as_str().is_none_or(|name| !wanted.branches.iter().any(|branch| branch == name))
    });
    let extra = extra.filter_map(|one| {
        let path = format!("{path}/{}", one["id"].as_u64()?);
        let request = Request { method: Method::DELETE, path, body: Body::Nothing };
        let name = one["name"].as_str().unwrap_or("?");
        Some(Change { what: what(name), kind: Kind::Delete, details: Vec::new(), request: Some(request) })
    });
    Ok(missing.chain(extra).collect())
}
