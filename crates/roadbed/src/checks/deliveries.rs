//! T10 and T14: visitors get the release that was looked at and approved, and one can go back to the one before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use delivery::{Deployment, Kind, Release, ReleaseId, Role, State};
use engine::artifact::archive;
use engine::artifact::shelf::Shelf;
use engine::probe;
use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact};
use reconcile::ports::{Routes, Site, Target};

use super::Visitor;
use crate::control::delivering::way_back;
use crate::world::Delivered;
use crate::world::deployable::{Instance, Page};

pub(crate) const SERVED: Claim = Claim {
    task: "T10",
    id: "visitors-get-what-was-looked-at",
    claim: "Visitors get one release, whole: the one that was looked at, watched and, where the manifest says so, approved",
    hint: "`roadbed releases` and `roadbed deploy list` show what is live and how it came to be",
    impact: Impact::Observes,
};

pub(crate) const WAY_BACK: Claim = Claim {
    task: "T14",
    id: "one-can-go-back",
    claim: "The release before is there, whole, and everybody agrees which one it is",
    hint: "`roadbed rollback --dry-run` says what would be done; `roadbed deploy` makes a release anew",
    impact: Impact::Observes,
};

/// A page is there at once, or visitors are gone.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// Compares what the edge serves with the book of deployments.
#[derive(Debug)]
pub struct VisitorsGetWhatWasLookedAt {
    pub delivered: Delivered,
    pub live: Release,
    /// Of the live slot.
    pub instances: Vec<Instance>,
    pub pages: Vec<Page>,
    /// What else is routed (pictures, object storage, the console) comes with Roadbed and not with a release.
    pub apps: BTreeSet<String>,
    pub routes: Arc<dyn Routes>,
    pub visitor: Visitor,
}

impl Check for VisitorsGetWhatWasLookedAt {
    fn claim(&self) -> &Claim {
        &SERVED
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(async {
            let mut findings = Findings::default();
            let name = self.live.name();
            match self.routes.current().await {
                Ok(Some(table)) => {
                    for site in
                        table.sites.iter().filter(|site| !site.hosts.is_empty() && self.apps.contains(&site.app))
                    {
                        self.judge_site(site, &name, &mut findings);
                    }
                }
                Ok(None) => findings.bad("the edge serves nothing"),
                Err(fault) => findings.bad(format!("the edge does not say what it serves: {fault}")),
            }
            for page in &self.pages {
                self.visit(page, &name, &mut findings).await;
            }
            self.judge_history(&mut findings);
            findings.outcome()
        })
    }
}

impl VisitorsGetWhatWasLookedAt {
    fn judge_site(&self, site: &Site, name: &str, findings: &mut Findings) {
        let app = &site.app;
        if site.release.as_deref() != Some(name) {
            findings.bad(format!("{app} is routed to {:?} and not to {name}", site.release));
            return;
        }
        match &site.target {
            Target::Console => {}
            Target::Files { folder, .. } => {
                let digest = self.live.contents.artifact(app).map(|artifact| artifact.digest.as_str());
                match digest.is_some_and(|digest| folder.ends_with(digest)) {
                    true => findings.good(format!("{app}: files of its artifact in {name}")),
                    false => findings.bad(format!("{app} is served from {}", folder.display())),
                }
            }
            Target::Instances { upstreams, .. } => {
                let known: BTreeMap<&str, u16> =
                    self.instances.iter().map(|instance| (instance.name.as_str(), instance.port)).collect();
                let stranger =
                    upstreams.iter().find(|upstream| known.get(upstream.instance.as_str()) != Some(&upstream.port));
                match stranger {
                    None => findings.good(format!("{app}: {} of {name}", upstreams.len())),
                    Some(other) => {
                        findings.bad(format!("{app} is routed to {} on port {}", other.instance, other.port))
                    }
                }
            }
        }
    }

    async fn visit(&self, page: &Page, name: &str, findings: &mut Findings) {
        let Page { host, path, login, .. } = page;
        let url = self.visitor.https_url(host, path);
        let answer = match login {
            Some((user, password)) => self.visitor.get_as(host, path, user, password, PATIENCE).await,
            None => self.visitor.get(host, path, PATIENCE).await,
        };
        match answer.map(|answer| answer.headers.get(reconcile::ports::RELEASE_HEADER).cloned()) {
            Ok(Some(release)) if release == name => findings.good(format!("{url} is of {name}")),
            Ok(other) => findings.bad(format!("{url} is of {other:?} and not of {name}")),
            Err(why) => findings.bad(format!("{url}: {why}")),
        }
    }

    fn judge_history(&self, findings: &mut Findings) {
        let of_live = || self.delivered.deployments.iter().filter(|one| one.release == self.live.id);
        let brought = of_live().find(|one| matches!(one.state, State::Live | State::Verifying | State::Draining));
        match brought {
            Some(one) => findings.good(format!("{} brought it: {}", one.id, one.state)),
            None => findings.bad(format!("no deployment brought {}", self.live.id)),
        }
        // Whoever goes back asks nobody; it was approved when it was new.
        let Some(first) = of_live().rfind(|one| one.kind == Kind::Deploy) else { return };
        let wanted = first.policy.approvals;
        if wanted == 0 {
            return;
        }
        match first.policy.is_approved(&first.digest, &first.approvals) {
            true => findings.good(format!("approved by {}", people(first))),
            false => findings.bad(format!("{} wanted {wanted} approvals and has {}", first.id, people(first))),
        }
    }
}

fn people(deployment: &Deployment) -> String {
    let names: Vec<&str> = deployment.approvals.iter().map(|word| word.by.as_str()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Looks at the release that a rollback would go to.
#[derive(Debug)]
pub struct OneCanGoBack {
    pub delivered: Delivered,
    pub live: ReleaseId,
    pub shelf: Shelf,
    /// Of the slot that is kept warm.
    pub warm: Vec<Instance>,
}

impl Check for OneCanGoBack {
    fn claim(&self) -> &Claim {
        &WAY_BACK
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(async {
            let mut findings = Findings::default();
            let warm = self.delivered.in_role(Role::Warm).and_then(|(slot, _)| slot.release);
            match way_back(Some(self.live), warm, &self.delivered.releases) {
                None => findings.bad(format!("there is no release before {}", self.live)),
                Some(to) if Some(to) == warm => {
                    findings.good(format!("a rollback goes from {} to {to}, which stands ready", self.live));
                    for Instance { name, port, ready } in &self.warm {
                        match probe::get(*port, ready, PATIENCE).await {
                            answer if answer.is_ok() => findings.good(format!("{name} is ready")),
                            answer => findings.bad(format!("{name} is not ready: {}", answer.describe())),
                        }
                    }
                }
                Some(to) => {
                    findings.good(format!("a rollback goes from {} to {to}, from its artifacts", self.live));
                    self.judge_artifacts(to, &mut findings).await;
                }
            }
            findings.outcome()
        })
    }
}

impl OneCanGoBack {
    async fn judge_artifacts(&self, to: ReleaseId, findings: &mut Findings) {
        let Some(release) = self.delivered.releases.iter().find(|release| release.id == to) else { return };
        for artifact in &release.contents.artifacts {
            let app = &artifact.app;
            let Ok(digest) = artifact.digest.parse::<engine::artifact::Digest>() else {
                findings.bad(format!("{app}: {:?} is no digest", artifact.digest));
                continue;
            };
            let (path, wanted) = (self.shelf.archive(&digest), digest.clone());
            let held = tokio::task::spawn_blocking(move || archive::hold(&path, &wanted)).await;
            match held {
                Ok(Ok(())) => findings.good(format!("{app}: artifact {} is whole", digest.short())),
                Ok(Err(fault)) => findings.bad(format!("{app}: artifact {}: {fault}", digest.short())),
                Err(panic) => findings.bad(format!("{app}: artifact {}: {panic}", digest.short())),
            }
        }
    }
}
