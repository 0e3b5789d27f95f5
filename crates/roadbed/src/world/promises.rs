//! The checks of one environment: what it has decides what it promises.

use gate::Check;
use host::clock::Timestamp;
use manifest::Environment;
use manifest::environment::{Access, App, Runs, Source};
use reconcile::Fault;

use super::World;
use crate::checks;

impl World {
    /// The checks of this environment's gate, in the order of the report. `noted` is the newest time that it wrote down.
    pub fn checks(&self, noted: Option<Timestamp>) -> Result<Vec<Box<dyn Check>>, Fault> {
        let ca_file = self.ground.root.ca_certificate();
        let visitor = checks::Visitor::new(&ca_file, self.addresses.http, self.addresses.https)?;
        let units = self.ground.units.clone();
        let clock = self.ground.clock.clone();
        let environment = self.environment.clone();
        let mut all: Vec<Box<dyn Check>> = vec![
            Box::new(checks::VariablesAreOwned { wanted: self.wanted.clone(), facts: self.facts.clone() }),
            Box::new(checks::CodeMatchesTheMatrix { wanted: self.wanted.clone() }),
            Box::new(checks::TargetsFollowBranches { wanted: self.wanted.clone(), environment: environment.clone() }),
        ];
        all.extend(self.store_checks());
        all.push(Box::new(checks::EnvironmentsAreIsolated {
            root: self.ground.root.clone(),
            wanted: self.wanted.clone(),
            environment: environment.clone(),
            secrets: self.secrets.clone(),
            units: units.clone(),
        }));
        if let Some(check) = self.readiness_check(&visitor) {
            all.push(check);
        }
        all.push(Box::new(checks::AppsAreReachable { environment: environment.clone(), visitor: visitor.clone() }));
        all.push(Box::new(checks::KilledInstancesReturn {
            environment: environment.clone(),
            visitor: visitor.clone(),
            units,
            clock,
        }));
        all.push(Box::new(checks::HttpRedirects { environment, visitor }));
        // Without secrets there is nothing that could be promised of them.
        if has_secrets(&self.environment) {
            all.push(Box::new(checks::NothingIsOverdue {
                wanted: self.wanted.clone(),
                secrets: self.secrets.clone(),
                clock: self.ground.clock.clone(),
                noted,
            }));
            all.push(Box::new(checks::SecretsStaySecret {
                root: self.ground.root.clone(),
                secrets: self.secrets.clone(),
            }));
        }
        Ok(all)
    }

    fn readiness_check(&self, visitor: &checks::Visitor) -> Option<Box<dyn Check>> {
        let (mongodb, redis) = (self.environment.mongodb.as_ref()?, self.environment.redis.as_ref()?);
        let uses_both = |app: &&App| mongodb.apps.contains(&app.name) && redis.apps.contains(&app.name);
        let app = self.environment.apps.iter().find(uses_both)?;
        let Runs::Server(server) = &app.runs else { return None };
        Some(Box::new(checks::ReadinessFollowsStores {
            visitor: visitor.clone(),
            host: app.hosts.first()?.clone(),
            ready_path: server.ready.clone(),
            units: self.ground.units.clone(),
            clock: self.ground.clock.clone(),
            stopped: stores::redis::UNIT,
            // Without one of its members the others would serve.
            frozen: self.addresses.mongodb.iter().flat_map(|members| members.units()).collect(),
        }))
    }

    fn store_checks(&self) -> Vec<Box<dyn Check>> {
        let mut checks: Vec<Box<dyn Check>> = Vec::new();
        if let (Some(settings), Some(members)) = (&self.environment.mongodb, &self.addresses.mongodb) {
            checks.push(Box::new(stores::checks::MongoGuardsItsDoor::new(
                settings.clone(),
                members,
                self.secrets.clone(),
            )));
        }
        if let (Some(settings), Some(port)) = (&self.environment.redis, self.addresses.redis) {
            checks.push(Box::new(stores::checks::RedisGuardsItsDoor::new(
                settings.clone(),
                port,
                self.secrets.clone(),
            )));
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
        || environment.variables.iter().any(|variable| is_secret(&variable.source))
}
