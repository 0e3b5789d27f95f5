//! The checks of one environment: what it has decides what it promises.

use std::collections::BTreeSet;
use std::sync::Arc;

use delivery::Role;
use edge::client::EdgeClient;
use engine::artifact::shelf::{self, Shelf};
use gate::Check;
use host::clock::Timestamp;
use manifest::environment::{Access, App, Runs, Source};
use manifest::{Environment, Team};
use reconcile::Fault;
use smoke::Redact;
use stores::redis::Purpose;
use telemetry::TelemetryClient;

use super::smoking::Means;
use super::{World, routes};
use crate::{checks, wanted};

impl World {
    /// The checks of this environment's gate, in the order of the report. `noted` is the newest time that it wrote down.
    pub fn checks(&self, noted: Option<Timestamp>) -> Result<Vec<Box<dyn Check>>, Fault> {
        let visitor = self.visitor()?;
        let units = self.ground.units.clone();
        let clock = self.ground.clock.clone();
        let environment = self.environment.clone();
        let mut all: Vec<Box<dyn Check>> = vec![
            Box::new(checks::VariablesAreOwned { wanted: self.wanted.clone(), facts: self.facts.clone() }),
            Box::new(checks::CodeMatchesTheMatrix { wanted: self.wanted.clone() }),
            Box::new(checks::TargetsFollowBranches { wanted: self.wanted.clone(), environment: environment.clone() }),
        ];
        all.extend(self.store_checks());
        let here = checks::Here {
            root: self.ground.root.clone(),
            wanted: self.wanted.clone(),
            environment: environment.clone(),
            secrets: self.secrets.clone(),
            units: units.clone(),
        };
        let keeps_data = environment.mongodb.is_some() || environment.redis.is_some();
        if keeps_data {
            all.push(Box::new(checks::CredentialsOpenTheirOwn { here: here.clone(), lender: self.lender()? }));
        }
        if let Some(port) = self.addresses.rest {
            all.push(Box::new(checks::TokensOpenTheirOwn { here: here.clone(), port }));
        }
        if let (Some(media), Some(ports)) = (&environment.media, self.addresses.media) {
            all.push(Box::new(checks::VariantsAreDelivered {
                media: media.clone(),
                visitor: visitor.clone(),
                secrets: self.secrets.clone(),
                clock: clock.clone(),
                objects: ports.objects,
            }));
            all.push(Box::new(checks::ObjectsOpenToTheirOwn {
                here: here.clone(),
                media: media.clone(),
                clock: clock.clone(),
                port: ports.objects,
            }));
        }
        all.push(Box::new(checks::EnvironmentsAreIsolated { here }));
        if let Some(check) = self.readiness_check(&visitor) {
            all.push(check);
        }
        all.push(Box::new(checks::AppsAreReachable {
            environment: environment.clone(),
            visitor: visitor.clone(),
            stranger: self.stranger()?,
        }));
        all.push(Box::new(checks::RequestsAreFoundAgain {
            environment: environment.clone(),
            visitor: visitor.clone(),
            telemetry: TelemetryClient::new(self.ground.root.clone()),
        }));
        all.push(Box::new(checks::KilledInstancesReturn {
            environment: environment.clone(),
            visitor: visitor.clone(),
            units,
            clock: clock.clone(),
            fleet: self.live_fleet(),
        }));
        all.push(Box::new(checks::HttpRedirects { environment: environment.clone(), visitor: visitor.clone() }));
        // Where every host is of this machine alone, nothing is promised.
        if environment.apps.iter().flat_map(|app| &app.hosts).any(|host| !host.ends_with("localhost")) {
            all.push(Box::new(checks::BrowsersStayWithHttps {
                environment: environment.clone(),
                visitor: visitor.clone(),
            }));
        }
        all.push(Box::new(checks::CertificatesRenew {
            environment,
            wanted: self.wanted.clone(),
            root: self.ground.root.clone(),
            trust: self.public_trust()?,
            https_port: self.addresses.https,
            clock: clock.clone(),
        }));
        if checks::ForcedErrorsArrive::has_work(&self.environment) {
            let forced = checks::ForcedErrorsArrive {
                environment: self.environment.clone(),
                visitor: visitor.clone(),
                secrets: self.secrets.clone(),
                telemetry: TelemetryClient::new(self.ground.root.clone()),
                clock: clock.clone(),
            };
            all.push(Box::new(forced.clone()));
            let console = self.environment.console.clone();
            all.extend(console.map(|console| Box::new(checks::ErrorsAreShown { forced, console }) as Box<dyn Check>));
        }
        if checks::OutagesAreNoticed::has_work(&self.environment) {
            all.push(Box::new(checks::OutagesAreNoticed {
                environment: self.environment.clone(),
                telemetry: TelemetryClient::new(self.ground.root.clone()),
                clock: clock.clone(),
            }));
        }
        all.extend(self.checks_of_limits(&visitor));
        if wanted::manifest_as_wanted(&self.wanted)?.workflows().is_some() {
            all.push(Box::new(checks::ChangesAreChecked { wanted: self.wanted.clone() }));
        }
        all.extend(self.checks_of_backups());
        if checks::RunbookCanBeFollowed::is_due(&self.wanted)? {
            all.push(Box::new(checks::RunbookCanBeFollowed { wanted: self.wanted.clone() }));
        }
        all.extend(self.checks_of_teams(&visitor)?);
        all.extend(self.checks_of_deliveries()?);
        if let Some(rules) = self.environment.oidc.clone() {
            let (root, clock) = (self.ground.root.clone(), clock.clone());
            all.push(Box::new(checks::NoDeployKeyIsKept { root, rules, clock }));
        }
        // Without secrets there is nothing that could be promised of them.
        if has_secrets(&self.environment) {
            all.push(Box::new(checks::NothingIsOverdue {
                wanted: self.wanted.clone(),
                secrets: self.secrets.clone(),
                clock,
                noted,
            }));
            all.extend(self.checks_of_secrets());
        }
        Ok(all)
    }

    /// Whether anything is for those alone who signed in.
    pub(crate) fn has_protected(&self) -> bool {
        self.environment.apps.iter().any(|app| app.access == Access::Protected)
    }

    /// Of those who work here: each team that has an app in this environment.
    fn checks_of_teams(&self, visitor: &checks::Visitor) -> Result<Vec<Box<dyn Check>>, Fault> {
        let manifest = wanted::manifest_as_wanted(&self.wanted)?;
        let teams: BTreeSet<Team> = manifest.teams().into_iter().map(|(_, team)| team).collect();
        let check = |team| {
            Ok(Box::new(checks::TeamCanWork {
                team,
                wanted: self.wanted.clone(),
                environment: self.environment.clone(),
                lender: self.lender()?,
                facts: self.facts.clone(),
                visitor: visitor.clone(),
                clock: self.ground.clock.clone(),
                objects: self.addresses.media.map(|ports| ports.objects),
            }) as Box<dyn Check>)
        };
        teams.into_iter().map(check).collect()
    }

    /// Of how often visitors may ask; where nothing is limited, there is nothing to promise.
    fn checks_of_limits(&self, visitor: &checks::Visitor) -> Vec<Box<dyn Check>> {
        let environment = self.environment.clone();
        if environment.rate_limits.is_empty() {
            return Vec::new();
        }
        vec![
            Box::new(checks::BurstsAreThrottled { environment: environment.clone(), visitor: visitor.clone() }),
            Box::new(checks::AccountsAndMoneyAreGuardedMore {
                wanted: routes::rate_limits(&environment, &self.fleets),
                environment,
                edge: EdgeClient::new(self.ground.root.clone()),
            }),
        ]
    }

    /// Of backups, where there are to be any.
    fn checks_of_backups(&self) -> Vec<Box<dyn Check>> {
        let Some(backup) = self.environment.backup.clone() else { return Vec::new() };
        let backups = checks::Backups {
            root: self.ground.root.clone(),
            wanted: self.wanted.clone(),
            backup,
            secrets: self.secrets.clone(),
            clock: self.ground.clock.clone(),
            has_changes: self.addresses.members().is_some(),
        };
        backups.checks()
    }

    /// Of what was deployed; where nothing was, there is nothing to promise.
    fn checks_of_deliveries(&self) -> Result<Vec<Box<dyn Check>>, Fault> {
        let mut checks: Vec<Box<dyn Check>> = Vec::new();
        let Some((slot, Some(live))) = self.delivered.in_role(Role::Live) else { return Ok(checks) };
        checks.push(Box::new(checks::VisitorsGetWhatWasLookedAt {
            delivered: self.delivered.clone(),
            live: live.clone(),
            instances: self.instances_in(slot.place),
            pages: self.pages_of(slot.place)?,
            apps: self.environment.apps.iter().map(|app| app.name.to_string()).collect(),
            routes: Arc::new(EdgeClient::new(self.ground.root.clone())),
            visitor: self.visitor()?,
        }));
        if let Some(book) = &self.delivered.book {
            let browser = smoke::find(self.wanted.tools.get("PATH").map_or("", String::as_str));
            checks.push(Box::new(checks::FailedLooksFailDeployments {
                // What pages say is redacted with all that the gate saw.
                plan: self.smoke_plan(&[], Means { browser, evidence: None, redact: Redact::nothing() })?,
                book: book.clone(),
                deployments: self.delivered.deployments.clone(),
                clock: self.ground.clock.clone(),
            }));
        }
        if self.delivered.releases.iter().filter(|release| release.stable).count() > 1 {
            let warm = self.delivered.in_role(Role::Warm);
            checks.push(Box::new(checks::OneCanGoBack {
                delivered: self.delivered.clone(),
                live: live.id,
                shelf: Shelf::new(shelf::folder(&self.wanted.cache)),
                warm: warm.map(|(slot, _)| self.instances_in(slot.place)).unwrap_or_default(),
            }));
        }
        Ok(checks)
    }

    /// Where secrets are, and who gets at them.
    fn checks_of_secrets(&self) -> [Box<dyn Check>; 4] {
        let (root, secrets) = (self.ground.root.clone(), self.secrets.clone());
        let (wanted, environment) = (self.wanted.clone(), self.environment.clone());
        [
            Box::new(checks::SecretsStaySecret { root: root.clone(), secrets: secrets.clone() }),
            Box::new(checks::NoSecretIsPublished {
                root: root.clone(),
                wanted: wanted.clone(),
                environment: environment.clone(),
                secrets: secrets.clone(),
                clock: self.ground.clock.clone(),
            }),
            Box::new(checks::StoreOpensForItsOwn {
                root: root.clone(),
                wanted: wanted.clone(),
                secrets: secrets.clone(),
            }),
            Box::new(checks::PaymentsStayOutOfPreviews {
                root,
                wanted,
                environment,
                secrets,
                units: self.ground.units.clone(),
            }),
        ]
    }

    fn readiness_check(&self, visitor: &checks::Visitor) -> Option<Box<dyn Check>> {
        let (mongodb, redis) = (self.environment.mongodb.as_ref()?, self.environment.redis.as_ref()?);
        // What somebody else runs cannot be taken away for a moment.
        if redis.external.is_some() {
            return None;
        }
        let uses_both = |app: &&App| mongodb.apps.contains(&app.name) && redis.apps.contains(&app.name);
        let app = self.environment.apps.iter().find(uses_both)?;
        let Runs::Server(server) = &app.runs else { return None };
        Some(Box::new(checks::ReadinessFollowsStores {
            visitor: visitor.clone(),
            host: app.hosts.first()?.clone(),
            ready_path: server.ready.clone(),
            units: self.ground.units.clone(),
            clock: self.ground.clock.clone(),
            stopped: Purpose::Durable.unit(),
            // Without one of its members the others would serve.
            frozen: self.addresses.members().into_iter().flat_map(|members| members.units()).collect(),
        }))
    }

    fn store_checks(&self) -> Vec<Box<dyn Check>> {
        let mut checks: Vec<Box<dyn Check>> = Vec::new();
        if let (Some(settings), Some(provider)) = (&self.environment.mongodb, &self.addresses.mongodb) {
            let (settings, ground) = (settings.clone(), self.ground.of_stores(&self.environment, &self.secrets));
            checks.push(Box::new(stores::checks::MongoGuardsItsDoor::new(settings.clone(), provider, ground.clone())));
            checks.push(Box::new(stores::checks::MongoGivesLeastPrivilege::new(settings, provider, ground)));
        }
        if self.environment.redis.is_some() {
            let elsewhere = self.addresses.external_redis.clone();
            let (all, ground) = (self.addresses.redis.clone(), self.ground.of_stores(&self.environment, &self.secrets));
            checks.push(Box::new(
                stores::checks::RedisGuardsItsDoor::new(all.clone(), ground.clone()).and_elsewhere(elsewhere.clone()),
            ));
            checks.push(Box::new(stores::checks::RedisKeepsItsPromises::new(all, ground).and_elsewhere(elsewhere)));
        }
        checks
    }
}

/// Whether the environment has anything that must stay secret: credentials of stores and doors, or variables.
fn has_secrets(environment: &Environment) -> bool {
    let is_secret = |source: &Source| matches!(source, Source::Generated | Source::Store);
    environment.mongodb.is_some()
        || environment.redis.is_some()
        || environment.apps.iter().any(|app| app.access == Access::Protected)
        || environment.console.is_some()
        || environment.variables.iter().any(|variable| is_secret(&variable.source))
}
