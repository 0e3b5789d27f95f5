//! What people ask of deployments: a new one, a look, a word, a way back.

use std::sync::Arc;

use delivery::book::Request;
use delivery::deployment::Happened;
use delivery::policy::{Approval, Refusal};
use delivery::release::{Contents, Origin};
use delivery::{Artifact, BookFault, Deployment, DeploymentId, Kind, Policy, Release, ReleaseId, Role};
use engine::artifact::shelf::{self, Shelf};
use manifest::Environment;
use reconcile::Fault;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::rehearsal::{self, Rehearsal};
use super::{crossing, promises, told};
use crate::control::Control;
use crate::control::lending::Peer;
use crate::control::lent::Token;
use crate::wanted::{self, Wanted};

/// A release that shall be deployed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ask {
    pub artifacts: Vec<Artifact>,
    /// Text of the manifest.
    pub manifest: String,
    pub origin: Origin,
    /// Who wrote it, as the repository says; else who asks.
    pub author: String,
    /// Who asks.
    pub by: String,
    /// Says who somebody is; without it a user of this machine is meant.
    pub token: Option<Token>,
    /// Also where a change of data took away what the release may need.
    #[serde(default)]
    pub across_contract: bool,
    /// Why it is asked for although a promise of the gate is broken.
    #[serde(default)]
    pub despite: Option<String>,
}

/// Somebody's word on a deployment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ToApprove {
    pub token: Option<Token>,
    /// The digest that was looked at; absent: whatever waits.
    pub digest: Option<String>,
}

/// Who calls a deployment off.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ToCancel {
    pub by: String,
    pub token: Option<Token>,
}

/// Where to go back to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ToRollBack {
    /// Absent: to the release that served before.
    pub to: Option<ReleaseId>,
    pub by: String,
    pub token: Option<Token>,
    /// Only says what would be done.
    pub rehearse: bool,
    /// Also where a change of data took away what the release may need.
    #[serde(default)]
    pub across_contract: bool,
}

/// A deployment, and what happened to it since the line that was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Happening {
    pub deployment: Deployment,
    pub release: Release,
    pub lines: Vec<Happened>,
}

/// What a rollback does, or would do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WayBack {
    pub from: Option<ReleaseId>,
    pub to: ReleaseId,
    /// Whether it stands ready and is switched to at once.
    pub warm: bool,
    /// What it goes through, and what becomes of each app.
    pub course: Rehearsal,
    /// Absent when it was only rehearsed.
    pub deployment: Option<Deployment>,
}

/// Who asks: whoever logged in, else the user of this machine whom control works for, by the name that they give.
fn person(control: &Control, token: Option<&Token>, name: &str, peer: Peer) -> Result<String, Fault> {
    match token {
        Some(token) => {
            let person = control.desk.bearer(&token.0, control.clock.now());
            Ok(person.ok_or_else(|| Fault::new("the login is over").hint("`roadbed login` renews it"))?.to_string())
        }
        None if peer.uid == 0 || peer.uid == host::own::user() => Ok(name.to_owned()),
        None => {
            Err(Fault::new(format!("user {} has nothing to say here", peer.uid))
                .hint("`roadbed login` tells who you are"))
        }
    }
}

/// By whose rules a release is deployed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// Its manifest's own: whoever has the machine could change those of the environment as well.
    OfItsManifest,
    /// Its manifest's own, and at least the approvals that the environment wants now.
    NoLooserThanNow,
}

/// Keeps a release and asks for its deployment.
pub fn ask(control: &Arc<Control>, ask: &Ask, peer: Peer) -> Result<Deployment, Fault> {
    ask_by(control, ask, peer, Rules::OfItsManifest)
}

/// As [`ask`], by these rules.
pub fn ask_by(control: &Arc<Control>, ask: &Ask, peer: Peer, rules: Rules) -> Result<Deployment, Fault> {
    let by = person(control, ask.token.as_ref(), &ask.by, peer)?;
    let want = wanted::read(&control.root)?.ok_or_else(|| {
        Fault::new("cannot deploy: nothing is wanted of this environment").hint("`roadbed deploy` brings it up first")
    })?;
    let as_asked = Wanted { text: ask.manifest.clone(), ..want.clone() };
    let environment = wanted::resolve(&as_asked)?;
    crossing::refuse(control, None, &environment, ask.across_contract)?;
    let (own, now) = (policy(&environment), policy(&wanted::resolve(&want)?));
    let trusted = promises::trusted(&own, &now);
    let despite = promises::despite(control, &want, &trusted, ask.despite.as_deref())?;
    let shelf = Shelf::new(shelf::folder(&want.cache));
    let mut artifacts = Vec::new();
    for app in &environment.apps {
        artifacts.push(on_shelf(&shelf, ask, app.name.as_str())?);
    }
    let contents = Contents {
        artifacts,
        manifest: ask.manifest.clone(),
        manifest_digest: hex(&Sha256::digest(ask.manifest.as_bytes())),
        settings: settings(control, &environment)?,
        origin: ask.origin.clone(),
        author: ask.author.clone(),
    };
    let book = &control.delivering.book;
    let digest = digest_of(&environment, &contents);
    let release = book.keep(&contents).map_err(|fault| told(&fault))?;
    let policy = match rules {
        Rules::OfItsManifest => own,
        Rules::NoLooserThanNow => no_looser(own, now.clone()),
    };
    let policy = Policy { across_contract: ask.across_contract, ..policy };
    let policy = if despite.is_some() { promises::stricter(policy, &now, trusted) } else { policy };
    let request = Request { kind: Kind::Deploy, release, by, policy, digest };
    let deployment = book.ask(&request).map_err(|fault| told(&fault))?;
    if let Some(despite) = despite {
        tracing::warn!(deployment = %deployment.id, by = request.by, "{despite}");
        book.note(deployment.id, &format!("{}: {despite}", request.by)).map_err(|fault| told(&fault))?;
    }
    tracing::info!(deployment = %deployment.id, %release, by = request.by, "asked for");
    control.delivering.changed.notify_waiters();
    Ok(deployment)
}

/// An artifact that is asked for is one that is here, of that very app.
fn on_shelf(shelf: &Shelf, ask: &Ask, app: &str) -> Result<Artifact, Fault> {
    let missing = |why: String| {
        Fault::new(format!("cannot deploy {app}: {why}"))
            .hint("`roadbed build` makes artifacts; `roadbed deploy` does it too")
    };
    let asked = ask.artifacts.iter().find(|artifact| artifact.app == app);
    let asked = asked.ok_or_else(|| missing("no artifact of it was named".to_owned()))?;
    let digest = asked.digest.parse().map_err(|error| Fault::because(format!("cannot deploy {app}"), &error))?;
    let record = shelf.get(&digest).map_err(|fault| Fault::because(format!("cannot deploy {app}"), &fault))?;
    let record = record.ok_or_else(|| missing(format!("its artifact {} is not here", digest.short())))?;
    if record.app != app {
        return Err(missing(format!("the artifact {} is of {}", digest.short(), record.app)));
    }
    Ok(Artifact { app: app.to_owned(), digest: digest.to_string(), bytes: record.bytes })
}

/// What each app is told, without what is secret: of that, the version.
fn settings(
    control: &Control,
    environment: &Environment,
) -> Result<std::collections::BTreeMap<String, Vec<String>>, Fault> {
    let versions = secrets::Store::new(crate::seats::of_control(
        &control.root,
        &control.id,
        &control.clock,
        &wanted::read(&control.root)?.ok_or_else(|| Fault::new("nothing is wanted of this environment"))?,
    ));
    let line = |variable: &manifest::environment::Variable| {
        let name = &variable.name;
        match &variable.source {
            manifest::environment::Source::Store | manifest::environment::Source::Generated => {
                let secret = secrets::SecretName::variable(name.as_str());
                let found = versions.get(&secret).ok().flatten();
                found.map_or_else(|| format!("{name} unset"), |found| format!("{name}={secret}@{}", found.version))
            }
            _ => format!("{name} as the manifest says"),
        }
    };
    let of = |app: &manifest::environment::App| {
        (app.name.to_string(), environment.variables_of(&app.name).map(line).collect())
    };
    Ok(environment.apps.iter().map(of).collect())
}

fn policy(environment: &Environment) -> Policy {
    let rollout = &environment.rollout;
    Policy {
        approvals: rollout.approvals,
        approvers: rollout.approvers.iter().map(ToString::to_string).collect(),
        approval_lasts: rollout.approval_lasts,
        verify: rollout.verify,
        keep_warm: rollout.keep_warm,
        drain: rollout.drain,
        keep_releases: rollout.keep_releases,
        ..Policy::default()
    }
}

/// One with the approvals of another, where that wants as many or more.
fn no_looser(policy: Policy, now: Policy) -> Policy {
    if policy.approvals > now.approvals {
        return policy;
    }
    Policy { approvals: now.approvals, approvers: now.approvers, ..policy }
}

/// What approvers approve of: these artifacts, run by this manifest, in this environment.
fn digest_of(environment: &Environment, contents: &Contents) -> String {
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    };
    add(environment.product.as_str());
    add(&environment.reference().to_string());
    add(&contents.manifest_digest);
    for artifact in &contents.artifacts {
        add(&artifact.app);
        add(&artifact.digest);
    }
    hex(&hash.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A deployment, with what happened after line `after`.
pub fn happening(control: &Control, id: DeploymentId, after: i64) -> Result<Happening, Fault> {
    let book = &control.delivering.book;
    // Lines first: a state that is told has its lines told with the next look.
    let lines = book.happened(id, after).map_err(|fault| told(&fault))?;
    let deployment = book.deployment(id).map_err(|fault| told(&fault))?;
    let release = book.release(deployment.release).map_err(|fault| told(&fault))?;
    Ok(Happening { deployment, release, lines })
}

/// The newest deployments first.
pub fn list(control: &Control) -> Result<Vec<Deployment>, Fault> {
    control.delivering.book.deployments(50).map_err(|fault| told(&fault))
}

/// A release, and what its slot is to visitors.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Listed {
    #[serde(flatten)]
    pub release: Release,
    pub role: Option<Role>,
}

/// The newest releases first.
pub fn releases(control: &Control) -> Result<Vec<Listed>, Fault> {
    let book = &control.delivering.book;
    let slots = book.slots().map_err(|fault| told(&fault))?;
    let role = |id: ReleaseId| slots.iter().find(|slot| slot.release == Some(id)).map(|slot| slot.role);
    let releases = book.releases(50).map_err(|fault| told(&fault))?;
    Ok(releases.into_iter().map(|release| Listed { role: role(release.id), release }).collect())
}

pub fn cancel(control: &Control, id: DeploymentId, ask: &ToCancel, peer: Peer) -> Result<Deployment, Fault> {
    let by = person(control, ask.token.as_ref(), &ask.by, peer)?;
    let deployment = control.delivering.book.cancel(id, &by).map_err(|fault| told(&fault))?;
    control.delivering.changed.notify_waiters();
    Ok(deployment)
}

/// Takes somebody's word. Who has the machine has no word here: an approval is a person's, proved by their key.
pub fn approve(control: &Control, id: DeploymentId, ask: &ToApprove) -> Result<Deployment, Fault> {
    let login = "`roadbed login` says who you are, by an SSH key that the manifest names";
    let token =
        ask.token.as_ref().ok_or_else(|| Fault::new(format!("cannot approve {id}: who are you?")).hint(login))?;
    let person = control.desk.bearer(&token.0, control.clock.now());
    let person = person.ok_or_else(|| Fault::new("the login is over").hint(login))?;
    approve_as(control, id, person.as_str(), ask.digest.clone())
}

/// Takes the word of somebody who has proved who they are.
pub fn approve_as(
    control: &Control,
    id: DeploymentId,
    person: &str,
    digest: Option<String>,
) -> Result<Deployment, Fault> {
    let book = &control.delivering.book;
    let waiting = book.deployment(id).map_err(|fault| told(&fault))?;
    let word = Approval { by: person.to_owned(), digest: digest.unwrap_or(waiting.digest) };
    let deployment = book.approve(id, &word).map_err(|fault| {
        let hint = match &fault {
            BookFault::Approval(Refusal::OwnRelease(_) | Refusal::NotAnApprover(_)) => {
                "`approvers` of [environments.E.rollout] says who may, and `roadbed login` who you are"
            }
            BookFault::Approval(_) => "`roadbed deploy list --json` shows what waits, with its digest",
            _ => "`roadbed deploy list` shows what waits",
        };
        Fault::new(format!("cannot approve {id}")).cause(fault.to_string()).hint(hint)
    })?;
    tracing::info!(deployment = %id, by = word.by, "approved");
    control.delivering.changed.notify_waiters();
    Ok(deployment)
}

/// Goes back to a release that served well.
pub fn roll_back(control: &Control, ask: &ToRollBack, peer: Peer) -> Result<WayBack, Fault> {
    let by = person(control, ask.token.as_ref(), &ask.by, peer)?;
    let book = &control.delivering.book;
    let slots = book.slots().map_err(|fault| told(&fault))?;
    let live = slots.iter().find(|slot| slot.role == Role::Live).and_then(|slot| slot.release);
    let warm = slots.iter().find(|slot| slot.role == Role::Warm).and_then(|slot| slot.release);
    let releases = book.releases(u32::MAX).map_err(|fault| told(&fault))?;
    let to = match ask.to {
        Some(to) => {
            let release = releases.iter().find(|release| release.id == to);
            let release = release.ok_or_else(|| Fault::new(format!("there is no release {to}")).hint(SHOWS))?;
            if !release.stable {
                return Err(Fault::new(format!("{to} never served well")).hint(SHOWS));
            }
            to
        }
        None => way_back(live, warm, &releases)
            .ok_or_else(|| Fault::new("there is no release to go back to").hint(SHOWS))?,
    };
    if Some(to) == live {
        return Err(Fault::new(format!("{to} is live already")).hint(SHOWS));
    }
    let release = book.release(to).map_err(|fault| told(&fault))?;
    let before = releases.iter().find(|release| Some(release.id) == live);
    let under_way = book.current().map_err(|fault| told(&fault))?.map(|deployment| deployment.id);
    let course = rehearsal::of(before, &release, warm == Some(to), under_way);
    let way = WayBack { from: live, to, warm: warm == Some(to), course, deployment: None };
    let want = wanted::read(&control.root)?.ok_or_else(|| Fault::new("nothing is wanted of this environment"))?;
    let environment = wanted::resolve(&Wanted { text: release.contents.manifest.clone(), ..want })?;
    crossing::refuse(control, Some(to), &environment, ask.across_contract)?;
    if ask.rehearse {
        return Ok(way);
    }
    let digest = digest_of(&environment, &release.contents);
    let policy = Policy { across_contract: ask.across_contract, ..policy(&environment) };
    let request = Request { kind: Kind::Rollback, release: to, by, policy, digest };
    let deployment = book.ask(&request).map_err(|fault| told(&fault))?;
    control.delivering.changed.notify_waiters();
    Ok(WayBack { deployment: Some(deployment), ..way })
}

/// Which release a rollback goes to, if nobody names one: the one that stands ready, else the newest before the live one that
/// served well. `releases` are the newest first.
pub fn way_back(live: Option<ReleaseId>, warm: Option<ReleaseId>, releases: &[Release]) -> Option<ReleaseId> {
    let served = |id: &ReleaseId| releases.iter().any(|release| release.id == *id && release.stable);
    let mut before = releases.iter().map(|release| release.id).filter(|id| live.is_none_or(|live| *id < live));
    warm.filter(served).or_else(|| before.find(served))
}

const SHOWS: &str = "`roadbed releases` shows them";
