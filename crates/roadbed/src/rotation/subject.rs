//! What can be rotated in an environment.

use std::collections::BTreeSet;

use host::clock::Timestamp;
use manifest::environment::{Fact, Piece, Source, Variable};
use manifest::{AppName, Environment, Rotation, RotationKind, VarName};
use reconcile::ResourceId;
use secrets::{SecretName, VersionRow, VersionState};
use stores::redis::{Purpose, Settings};

/// A variable with the secrets behind it.
#[derive(Clone, Debug)]
pub struct Subject {
    pub variable: Variable,
    pub rotation: Rotation,
    /// What the store keeps for it: one secret, or one per app for the credentials of a data service.
    pub secrets: Vec<SecretName>,
    /// Resources that let it in, beside the apps that hold it.
    pub doors: Vec<ResourceId>,
}

/// Every sensitive variable whose value the store keeps.
pub fn subjects(environment: &Environment) -> Vec<Subject> {
    environment.variables.iter().filter_map(|variable| Subject::of(variable, environment)).collect()
}

impl Subject {
    /// `None`: its value is not kept, or never grows old.
    pub fn of(variable: &Variable, environment: &Environment) -> Option<Self> {
        let rotation = variable.rotation.clone()?;
        let each = |secret: fn(&AppName) -> SecretName| variable.consumers.iter().map(secret).collect();
        let secrets: Vec<SecretName> = match (rotation.kind, &variable.source) {
            (RotationKind::MongoAb, _) => each(stores::mongo::app_secret),
            (RotationKind::RedisDual, _) => purposes(variable)
                .flat_map(|purpose| variable.consumers.iter().map(move |app| purpose.app_secret(app)))
                .collect(),
            (_, Source::Generated | Source::Store) => vec![SecretName::variable(variable.name.as_str())],
            (_, Source::Literal(_) | Source::Derived(_) | Source::Ci) => return None,
        };
        let doors = match rotation.kind {
            RotationKind::MongoAb => vec![ResourceId::new(stores::mongo::UNIT)],
            RotationKind::RedisDual => {
                let all = environment.redis.iter().flat_map(Settings::all);
                // Who lets the password of a variable in: its replicas and the sentinels too.
                let lets_in = |settings: &Settings| {
                    variable.consumers.iter().any(|app| secrets.contains(&settings.purpose.app_secret(app)))
                };
                all.filter(lets_in).map(|settings| ResourceId::new(settings.unit())).collect()
            }
            RotationKind::Jwks => vec![ResourceId::new("routes")],
            _ => Vec::new(),
        };
        Some(Self { variable: variable.clone(), rotation, secrets, doors })
    }

    pub fn name(&self) -> &VarName {
        &self.variable.name
    }

    /// Its versions among those of the whole store.
    pub fn versions<'a>(&'a self, rows: &'a [VersionRow]) -> impl Iterator<Item = &'a VersionRow> {
        let is_let_in = |state: VersionState| {
            matches!(state, VersionState::Current | VersionState::Pending | VersionState::Previous)
        };
        let ours = |row: &&VersionRow| self.secrets.iter().any(|name| name.as_str() == row.name);
        rows.iter().filter(ours).filter(move |row| is_let_in(row.state))
    }

    pub fn has(&self, rows: &[VersionRow], state: VersionState) -> bool {
        self.versions(rows).any(|row| row.state == state)
    }

    /// Since when the oldest of its versions has been in this state.
    pub fn since(&self, rows: &[VersionRow], state: VersionState) -> Option<Timestamp> {
        self.versions(rows).filter(|row| row.state == state).map(|row| row.changed).max()
    }

    /// The highest version in a state.
    pub fn version(&self, rows: &[VersionRow], state: VersionState) -> Option<u32> {
        self.versions(rows).filter(|row| row.state == state).map(|row| row.version).max()
    }

    /// Whether a rotation of it has begun and not ended.
    pub fn is_under_way(&self, rows: &[VersionRow]) -> bool {
        self.has(rows, VersionState::Pending) || self.has(rows, VersionState::Previous)
    }

    /// What its versions are now: changes with each step of a rotation.
    pub fn mark(&self, rows: &[VersionRow]) -> String {
        let each = self.versions(rows).map(|row| format!("{}@{}={:?}", row.name, row.version, row.state));
        each.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" ")
    }

    /// The resources that must be as they should be before the next step.
    pub fn relies_on(&self) -> Vec<ResourceId> {
        let apps = self.variable.consumers.iter().map(|app| ResourceId::new(format!("app/{app}")));
        self.doors.iter().cloned().chain(apps).collect()
    }
}

/// What each Redis is for whose address the variable holds.
fn purposes(variable: &Variable) -> impl Iterator<Item = Purpose> {
    let pieces = match &variable.source {
        Source::Derived(template) => template.pieces.as_slice(),
        _ => &[],
    };
    let holds = move |fact: &Fact| pieces.iter().any(|piece| matches!(piece, Piece::Fact(named) if named == fact));
    Purpose::OF_DATA.into_iter().filter(move |purpose| match purpose {
        Purpose::Durable => holds(&Fact::RedisUrl),
        Purpose::Cache => holds(&Fact::RedisCacheUrl),
        Purpose::Sentinel => false,
    })
}
