//! What people change from the console: by a form of a page of ours, noted before it is done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use delivery::{DeploymentId, ReleaseId};
use http::{HeaderMap, StatusCode, header};
use reconcile::Fault;
use secrets::audit::Action as Noted;
use telemetry::{Change, TelemetryClient};
use url::form_urlencoded;
use web_console::Role;

use super::visitor::Visitor;
use super::{Shown, Told, backups};
use crate::control::Control;
use crate::control::access::record;
use crate::control::api::gate_run;
use crate::control::delivering::{self, ToCancel, ToRollBack};
use crate::control::lending::Peer;

/// Bytes of a form of ours.
const LARGEST: usize = 16 * 1024;

/// A night's sleep, and somebody looks again.
const SNOOZE: Duration = Duration::from_secs(24 * 60 * 60);

type Form = BTreeMap<String, String>;

/// Does what a form says, and leads to a page that shows it.
pub(super) async fn act(
    control: &Arc<Control>,
    visitor: &Visitor,
    path: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<Shown, Told> {
    let form = form(visitor, headers, body).await?;
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    // Approvals are a person's own; everything else an operator's.
    if !matches!(parts[..], ["deployments", _, "approve"]) && visitor.context.role != Role::Operator {
        return Err(refused("you may look here and change nothing"));
    }
    match parts[..] {
        ["errors", id] => decide(control, visitor, id, &form).await,
        ["gate"] => {
            note(control, visitor, "gate", "run the gate").await?;
            gate_run::begin_all(control)?;
            Ok(Shown::Elsewhere("/gate".to_owned()))
        }
        ["backups"] => {
            if visitor.environment.backup.is_none() {
                return Err(Told::nothing("such form"));
            }
            let what = backups::Order::of(&form)?;
            note(control, visitor, "backup", what.words()).await?;
            backups::begin(control, what)?;
            Ok(Shown::Elsewhere("/backups".to_owned()))
        }
        ["deployments", id, what @ ("approve" | "cancel")] => {
            let id: DeploymentId = id.parse().map_err(|_| Told::nothing("such deployment"))?;
            if what == "approve" {
                let person = visitor.person.as_deref().ok_or_else(|| {
                    refused("whose word it is must be proved by a key: `roadbed login`, then `roadbed console`")
                })?;
                let digest = form.get("digest").cloned();
                note(control, visitor, &id.to_string(), &format!("approve {id}")).await?;
                delivering::approve_as(control, id, person, Some(digest.unwrap_or_default()))?;
            } else {
                note(control, visitor, &id.to_string(), &format!("cancel {id}")).await?;
                delivering::cancel(control, id, &ToCancel { by: visitor.to_string(), token: None }, ourselves())?;
            }
            Ok(Shown::Elsewhere(format!("/deployments/{id}")))
        }
        ["rollback"] => {
            let to = form.get("to").and_then(|to| to.parse::<ReleaseId>().ok());
            let to = to.ok_or_else(|| Told::nothing("such release"))?;
            note(control, visitor, &to.to_string(), &format!("roll-back to {to}")).await?;
            let ask = ToRollBack {
                to: Some(to),
                by: visitor.to_string(),
                token: None,
                rehearse: false,
                across_contract: false,
            };
            let way = delivering::roll_back(control, &ask, ourselves())?;
            let shown = way
                .deployment
                .map_or_else(|| "/deployments".to_owned(), |deployment| format!("/deployments/{}", deployment.id));
            Ok(Shown::Elsewhere(shown))
        }
        _ => Err(Told::nothing("such form")),
    }
}

async fn decide(control: &Arc<Control>, visitor: &Visitor, id: &str, form: &Form) -> Result<Shown, Told> {
    let id: i64 = id.parse().map_err(|_| Told::nothing("such error"))?;
    let telemetry = TelemetryClient::new(control.root.clone());
    let known = telemetry.issue(id).await.map_err(|fault| Told::new(StatusCode::NOT_FOUND, fault))?.issue;
    let to = form.get("to").map(String::as_str).unwrap_or_default();
    let change = match to {
        "open" => Change::Open,
        "ignore" => Change::Ignore,
        "resolve" => Change::Resolve { release: None },
        // It is back when a release after the newest that has it has it too.
        "resolve-next" => Change::Resolve { release: known.last_release },
        "snooze" => Change::Snooze { until: Some(control.clock.now().after(SNOOZE).unix_millis()), more_events: None },
        _ => return Err(Told::nothing("such decision")),
    };
    note(control, visitor, &format!("errors/{id}"), &format!("{to} issue {id}")).await?;
    telemetry.change_issue(id, &change).await?;
    Ok(Shown::Elsewhere(format!("/errors/{id}")))
}

/// Control asks itself, in the visitor's name.
fn ourselves() -> Peer {
    Peer { uid: host::own::user(), pid: host::own::pid() }
}

/// What cannot be noted is not done.
async fn note(control: &Control, visitor: &Visitor, name: &str, what: &str) -> Result<(), Fault> {
    tracing::info!(by = %visitor, client = visitor.client, what, "asked for at the console");
    let details = format!("at the console: {what}");
    record::by_visitor(control, Noted::AskedFor, &visitor.context.user, &visitor.client, name.to_owned(), details).await
}

fn refused(why: &str) -> Told {
    Told::new(StatusCode::FORBIDDEN, Fault::new("That was not done").cause(why))
}

/// The fields of a form that a page of this session sent.
async fn form(visitor: &Visitor, headers: &HeaderMap, body: Body) -> Result<Form, Told> {
    let word = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_form = word(header::CONTENT_TYPE).to_ascii_lowercase().starts_with("application/x-www-form-urlencoded");
    // Browsers that say where a form stood tell of one on somebody else's page.
    let site = word(header::HeaderName::from_static("sec-fetch-site"));
    if !is_form || !(site.is_empty() || site == "same-origin") {
        return Err(refused("it is no form of a page of ours"));
    }
    let bytes = to_bytes(body, LARGEST).await.map_err(|_| refused("the form is too long, or broke off"))?;
    let mut fields = Form::new();
    for (name, value) in form_urlencoded::parse(&bytes).take(16) {
        if fields.insert(name.to_string(), value.into_owned()).is_some() {
            return Err(refused("a field stands there twice"));
        }
    }
    match fields.get("token") {
        Some(token) if visitor.sent(token) => Ok(fields),
        _ => Err(refused("the page was of another session: load it again")),
    }
}
