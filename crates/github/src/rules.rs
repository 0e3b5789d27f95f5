//! Protected branches, as a ruleset: rulesets are layered, so that what others protect besides stays theirs.

use reconcile::Fault;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::client::Client;
use crate::covers::differences;
use crate::plan::{Body, Change, Kind, Request};
use crate::wanted::Wanted;

/// Ours is known by it.
pub(crate) const NAME: &str = "roadbed";

/// The app that GitHub Actions are. Bound to it, nobody else's check of the same name counts.
const ACTIONS: u32 = 15_368;

fn body(wanted: &Wanted) -> Value {
    let mut rules = vec![json!({"type": "deletion"}), json!({"type": "non_fast_forward"})];
    if !wanted.checks.is_empty() {
        let checks: Vec<Value> =
            wanted.checks.iter().map(|check| json!({"context": check, "integration_id": ACTIONS})).collect();
        rules.push(json!({
            "type": "required_status_checks",
            "parameters": {"strict_required_status_checks_policy": true, "required_status_checks": checks},
        }));
    }
    if let Some(approvals) = wanted.approvals {
        rules.push(json!({
            "type": "pull_request",
            "parameters": {
                "required_approving_review_count": approvals,
                "dismiss_stale_reviews_on_push": true,
                "require_code_owner_review": false,
                "require_last_push_approval": approvals > 0,
                "required_review_thread_resolution": false,
            },
        }));
    }
    let branches: Vec<String> = wanted.branches.iter().map(|branch| format!("refs/heads/{branch}")).collect();
    json!({
        "name": NAME,
        "target": "branch",
        "enforcement": "active",
        "bypass_actors": [],
        "conditions": {"ref_name": {"include": branches, "exclude": []}},
        "rules": rules,
    })
}

pub(crate) fn changes(client: &Client<'_>, wanted: &Wanted) -> Result<Vec<Change>, Fault> {
    let all = client.list(&client.path("/rulesets?includes_parents=false"), None)?;
    let ours: Vec<u64> = all.iter().filter(|one| one["name"] == NAME).filter_map(|one| one["id"].as_u64()).collect();
    let others = all.iter().filter(|one| one["name"] != NAME);
    let mut found: Vec<Change> = others
        .map(|one| Change::undeclared(format!("ruleset {:?}", one["name"].as_str().unwrap_or_default())))
        .collect();
    found.extend(ours_changed(client, wanted, &ours)?);
    Ok(found)
}

fn ours_changed(client: &Client<'_>, wanted: &Wanted, ours: &[u64]) -> Result<Option<Change>, Fault> {
    let what = format!("ruleset {NAME}");
    if wanted.branches.is_empty() {
        return Ok(ours.first().map(|_| Change::undeclared(what)));
    }
    let body = body(wanted);
    match ours[..] {
        [] => {
            let request =
                Request { method: Method::POST, path: client.path("/rulesets"), body: Body::Plain(body.clone()) };
            let details = differences(&body, &json!({}));
            Ok(Some(Change { what, kind: Kind::Create, details, request: Some(request) }))
        }
        [id] => {
            let path = client.path(&format!("/rulesets/{id}"));
            let there = client.get(&path)?.unwrap_or_default();
            let details = differences(&body, &there);
            if details.is_empty() {
                return Ok(None);
            }
            let request = Request { method: Method::PUT, path, body: Body::Plain(body) };
            Ok(Some(Change { what, kind: Kind::Update, details, request: Some(request) }))
        }
        _ => Err(Fault::new(format!("there are {} rulesets called {NAME}", ours.len())).hint("delete all but one")),
    }
}
