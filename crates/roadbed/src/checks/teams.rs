//! T15: each team can work here: its apps get what the manifest gives them, and what is in the way has an owner.
//!
//! Everything is tried with what the team itself has: its apps' variables, users with its apps' rights, its public addresses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine::variables::{Facts, assemble};
use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact, Outcome};
use host::clock::Clock;
use manifest::environment::{Access, App, Fact, Runs};
use manifest::{Change, Environment, Incidents, Manifest, Owner, Team};
use reconcile::Fault;
use stores::checks::contract;
use stores::redis::Purpose;

use super::Visitor;
use super::isolation::loan::Loan;
use crate::object_requests::{Asked, Caller};
use crate::wanted::{self, Wanted};
use crate::world::lending::Lender;

const HINT: &str = "each line that is broken says whom to ask; `roadbed ready --for TEAM` tries it again";

pub(crate) const BACKEND: Claim = Claim {
    task: "T15",
    id: "backend-can-work",
    claim: "Who works on the apps that serve data has values, databases, caches, addresses and previews for them here",
    hint: HINT,
    impact: Impact::Observes,
};

pub(crate) const FRONTEND: Claim = Claim {
    task: "T15",
    id: "frontend-can-work",
    claim: "Who works on what customers see has values, addresses, the data that pages show, and previews here",
    hint: HINT,
    impact: Impact::Observes,
};

pub(crate) const ADMIN: Claim = Claim {
    task: "T15",
    id: "admin-can-work",
    claim: "Who works on what is protected has values, addresses, the data that pages show, and previews here",
    hint: HINT,
    impact: Impact::Observes,
};

/// A page is there at once, or nobody can work with it.
const PATIENCE: Duration = Duration::from_secs(5);

/// A pull request that nobody has: only where it would go is asked.
const SOME_PULL_REQUEST: u32 = 1;

fn claim(team: Team) -> &'static Claim {
    match team {
        Team::Backend => &BACKEND,
        Team::Frontend => &FRONTEND,
        Team::Admin => &ADMIN,
    }
}

/// The check that says whether somebody can work: by the name of a team, an app or an owner.
///
/// # Errors
/// Where the manifest knows none of that name.
pub(crate) fn row_of(manifest: &Manifest, name: &str) -> Result<&'static str, Fault> {
    let teams = manifest.teams();
    let incidents = manifest.incidents();
    let of_owner = |app: &str| incidents.answers_for_app(app).is_some_and(|owner| owner.name.as_str() == name);
    let by_team = Team::ALL.into_iter().find(|team| team.as_str() == name && teams.iter().any(|(_, of)| of == team));
    let by_app = || teams.iter().find(|(app, _)| app.as_str() == name).map(|(_, team)| *team);
    let by_owner = || teams.iter().find(|(app, _)| of_owner(app.as_str())).map(|(_, team)| *team);
    let team = by_team.or_else(by_app).or_else(by_owner).ok_or_else(|| {
        let mut known: Vec<&str> = teams.iter().flat_map(|(app, team)| [team.as_str(), app.as_str()]).collect();
        known.sort_unstable();
        known.dedup();
        Fault::new(format!("there is no team {name:?}"))
            .hint(format!("name one of {}, or an owner of the manifest who has an app", known.join(", ")))
    })?;
    Ok(claim(team).id)
}

/// Does what a team does on an ordinary day.
#[derive(Debug)]
pub struct TeamCanWork {
    pub team: Team,
    pub wanted: Wanted,
    pub environment: Arc<Environment>,
    pub lender: Lender,
    pub facts: Arc<dyn Facts>,
    pub visitor: Visitor,
    pub clock: Arc<dyn Clock>,
    /// Where object storage listens on loopback.
    pub objects: Option<u16>,
}

impl Check for TeamCanWork {
    fn claim(&self) -> &Claim {
        claim(self.team)
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(async {
            match wanted::manifest_as_wanted(&self.wanted) {
                Ok(manifest) => self.look(&manifest).await,
                Err(fault) => Outcome::inconclusive(format!("{fault}: {}", fault.causes.join(": "))),
            }
        })
    }
}

/// What was tried, with whom to ask where it is broken.
struct Tried<'a> {
    incidents: &'a Incidents,
    findings: Findings,
}

impl Tried<'_> {
    fn good(&mut self, sentence: String) {
        self.findings.good(sentence);
    }

    fn bad(&mut self, sentence: &str, owner: Option<&Owner>) {
        let ask = owner.map_or_else(
            || "nobody is named whom to ask: `[incidents]` of the manifest".to_owned(),
            |owner| format!("ask {}, {}", owner.name, owner.contact),
        );
        self.findings.bad(format!("{sentence}; {ask}"));
    }
}

impl TeamCanWork {
    async fn look(&self, manifest: &Manifest) -> Outcome {
        let incidents = manifest.incidents();
        let mut tried = Tried { incidents: &incidents, findings: Findings::default() };
        let teams: BTreeMap<_, _> = manifest.teams().into_iter().collect();
        let ours = self.environment.apps.iter().filter(|app| teams.get(&app.name) == Some(&self.team));
        for app in ours {
            self.values(app, &mut tried);
            self.data(app, &mut tried).await;
            self.objects(app, &mut tried).await;
            self.addresses(app, &mut tried).await;
        }
        if self.team != Team::Backend {
            let serving = self.environment.apps.iter().filter(|app| teams.get(&app.name) == Some(&Team::Backend));
            for app in serving {
                self.addresses(app, &mut tried).await;
            }
        }
        self.previews(manifest, &mut tried);
        tried.findings.outcome()
    }

    /// Whatever an app must be told has a value.
    fn values(&self, app: &App, tried: &mut Tried<'_>) {
        match assemble(&self.environment, &app.name, self.facts.as_ref()) {
            Ok(assembled) => {
                tried.good(format!("{}: {} variables have their values", app.name, assembled.values.len()))
            }
            Err(fault) => {
                let causes =
                    if fault.causes.is_empty() { String::new() } else { format!(": {}", fault.causes.join(", ")) };
                // The sentence names the owner of each variable.
                tried
                    .bad(&format!("{}: {fault}{causes}", app.name), tried.incidents.answers_for_app(app.name.as_str()));
            }
        }
    }

    /// Connect, write, read and remove, as a user with the app's rights.
    async fn data(&self, app: &App, tried: &mut Tried<'_>) {
        let lender = &self.lender;
        let uses_mongodb = lender.mongodb.as_ref().is_some_and(|(settings, _)| settings.apps.contains(&app.name));
        let uses_redis = lender.redis_settings().is_some_and(|settings| settings.apps.contains(&app.name));
        if !uses_mongodb && !uses_redis {
            return;
        }
        let owner = tried.incidents.answers_for("T4", "data");
        let loan = match Loan::take_as(lender, app.name.clone()).await {
            Ok(loan) => loan,
            Err(fault) => {
                let why = format!(
                    "{}: no user of its own in the data services: {fault}: {}",
                    app.name,
                    fault.causes.join(": ")
                );
                return tried.bad(&why, owner);
            }
        };
        if let Some((lease, passwords)) = loan.first() {
            if uses_mongodb {
                let database = lease.mongodb.clone().unwrap_or_default();
                let done = match lender.mongo_url(lease, passwords) {
                    Ok(Some(url)) => contract::in_mongodb(&url, &database).await,
                    Ok(None) => Err("it has no address".to_owned()),
                    Err(fault) => Err(fault.to_string()),
                };
                match done {
                    Ok(()) => {
                        tried.good(format!("{}: connected to mongodb, wrote, read and removed in {database}", app.name))
                    }
                    Err(why) => tried.bad(&format!("{}: cannot work with mongodb: {why}", app.name), owner),
                }
            }
            for purpose in [Purpose::Durable, Purpose::Cache].into_iter().filter(|_| uses_redis) {
                let what = purpose.unit();
                let prefix = lender.redis_settings().map(|settings| settings.key_prefix.clone()).unwrap_or_default();
                match lender.redis_port(purpose) {
                    Ok(None) => {}
                    Ok(Some(port)) => {
                        let done = contract::in_redis(&lender.ground, port, &lease.id, &passwords.redis, &prefix).await;
                        match done {
                            Ok(()) => tried.good(format!(
                                "{}: connected to {what}, wrote, read and removed below {prefix}",
                                app.name
                            )),
                            Err(why) => tried.bad(&format!("{}: cannot work with {what}: {why}", app.name), owner),
                        }
                    }
                    Err(fault) => tried.bad(&format!("{}: cannot work with {what}: {fault}", app.name), owner),
                }
            }
        }
        // What this cannot take away is swept by control.
        if let Err(fault) = loan.give_back(lender).await {
            tried.bad(&format!("{}: its lent users could not be taken back: {fault}", app.name), owner);
        }
    }

    /// Upload, fetch and remove, with the key that the app is told.
    async fn objects(&self, app: &App, tried: &mut Tried<'_>) {
        let media = self.environment.media.as_ref().filter(|media| media.apps.contains(&app.name));
        let Some((media, port)) = media.zip(self.objects) else { return };
        let owner = tried.incidents.answers_for("T4", "data");
        let told = |fact: &Fact| self.facts.fact(&app.name, fact).map(|value| value.text);
        let (id, key) = match (told(&Fact::MediaAccessKeyId), told(&Fact::MediaSecretAccessKey)) {
            (Ok(id), Ok(key)) => (id, key),
            (Err(fault), _) | (_, Err(fault)) => {
                return tried.bad(&format!("{}: no key of object storage: {fault}", app.name), owner);
            }
        };
        for bucket in media.buckets.iter().filter(|bucket| bucket.writers.contains(&app.name)) {
            let path = format!("/{}/roadbed-probe/{}-works-{}", bucket.full_name, app.name, std::process::id());
            let mut done = Ok(());
            for (method, must) in [("PUT", 200), ("GET", 200), ("DELETE", 204)] {
                let key = sigv4::Key { id: id.expose().to_owned(), secret: sigv4::Secret::new(key.expose()) };
                let caller = Caller { port, key, now: self.clock.now() };
                let body: &[u8] = if method == "PUT" { b"probe" } else { b"" };
                done = match caller.ask(&Asked { method, path: &path, body }).await {
                    Ok((status, _)) if status == must => continue,
                    Ok((status, said)) => Err(format!("{method} is answered {status} {said}")),
                    Err(error) => Err(format!("{method}: {error}")),
                };
                break;
            }
            match done {
                Ok(()) => tried.good(format!("{}: uploaded to {}, fetched and removed", app.name, bucket.full_name)),
                Err(why) => tried.bad(&format!("{}: cannot work with {}: {why}", app.name, bucket.full_name), owner),
            }
        }
    }

    /// Its public addresses answer, by a certificate that verifies; what is protected answers with its door.
    async fn addresses(&self, app: &App, tried: &mut Tried<'_>) {
        let owner = tried.incidents.answers_for_app(app.name.as_str());
        let path = app.smoke.first().map_or("/", |page| page.path.as_str());
        let path = match &app.runs {
            Runs::Server(server) if app.smoke.is_empty() => server.ready.as_str(),
            _ => path,
        };
        for host in app.hosts.iter().take(1) {
            let url = self.visitor.https_url(host, path);
            match self.visitor.get(host, path, PATIENCE).await {
                Ok(answer) if answer.status < 400 => tried.good(format!("{url} answers {}", answer.status)),
                Ok(answer) if answer.status < 500 && app.access == Access::Protected => {
                    tried.good(format!("{url} answers with its door, {}", answer.status));
                }
                Ok(answer) => tried.bad(&format!("{}: {url} answers {}", app.name, answer.status), owner),
                Err(_) if app.client_ca.is_some() => tried.good(format!("{url} asks for a certificate")),
                Err(why) => tried.bad(&format!("{}: {url}: {why}", app.name), owner),
            }
        }
    }

    /// A pull request would get an environment of its own, where the manifest has such.
    fn previews(&self, manifest: &Manifest, tried: &mut Tried<'_>) {
        let Some(target) = manifest.target(&Change::PullRequest(SOME_PULL_REQUEST)) else { return };
        let lead = tried.incidents.answers_for("T9", "previews");
        match manifest.resolve(&target) {
            Ok(preview) => {
                let hosts: Vec<&str> =
                    preview.apps.iter().filter_map(|app| app.hosts.first()).map(String::as_str).collect();
                tried.good(format!("a pull request gets {target}, with {}", hosts.join(", ")));
            }
            Err(error) => tried.bad(&format!("a pull request gets no preview: {error}"), lead),
        }
    }
}

#[cfg(test)]
mod tests {
    use manifest::Source;

    use super::*;

    const SHOP: &str = "[product]\nname = \"shop\"\n[owners.core]\ndescription = \"API\"\ncontact = \"core@shop.example\"\n\
        [owners.web]\ndescription = \"Pages\"\ncontact = \"web@shop.example\"\n\
        [environments.local]\ndomain = \"shop.localhost\"\n\
        [apps.api]\nowner = \"core\"\npath = \"api\"\nkind = \"static\"\nhosts = [\"api\"]\nserves = \"data\"\n\
        [apps.site]\nowner = \"web\"\npath = \"site\"\nkind = \"static\"\nhosts = [\"www\"]\n\
        [apps.desk]\nowner = \"web\"\npath = \"desk\"\nkind = \"static\"\nhosts = [\"desk\"]\naccess = \"protected\"\nin.local.access = \"public\"\n";

    #[test]
    fn a_team_is_known_by_its_work_its_app_and_its_owner() {
        let manifest = manifest::parse(&Source::new("roadbed.toml", SHOP)).0.expect("it is sound");
        let row = |name: &str| row_of(&manifest, name);
        assert_eq!(row("backend").unwrap(), "backend-can-work");
        assert_eq!(row("core").unwrap(), "backend-can-work");
        assert_eq!(row("site").unwrap(), "frontend-can-work");
        assert_eq!(row("admin").unwrap(), "admin-can-work", "protected somewhere is protected");
        assert_eq!(row("desk").unwrap(), "admin-can-work");
        let fault = row("nobody").unwrap_err();
        assert!(fault.to_string().contains("no team \"nobody\""));
    }
}
