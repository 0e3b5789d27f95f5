//! What can be rotated in an environment.

use std::collections::BTreeSet;

use host::clock::Timestamp;
use manifest::environment::{Source, Variable};
use manifest::{AppName, Environment, Rotation, RotationKind, VarName};
use reconcile::ResourceId;
use secrets::{SecretName, VersionRow, VersionState};

/// A variable with the secrets behind it.
#[derive(Clone, Debug)]
pub struct Subject {
    pub variable: Variable,
    pub rotation: Rotation,
    /// What the store keeps for it: one secret, or one per app for the credentials of a data service.
    pub secrets: Vec<SecretName>,
}

/// Every sensitive variable whose value the store keeps.
pub fn subjects(environment: &Environment) -> Vec<Subject> {
    environment.variables.iter().filter_map(Subject::of).collect()
}

impl Subject {
    /// `None`: its value is not kept, or never grows old.
    pub fn of(variable: &Variable) -> Option<Self> {
        let rotation = variable.rotation.clone()?;
        let each = |secret: fn(&AppName) -> SecretName| variable.consumers.iter().map(secret).collect();
        let secrets: Vec<SecretName> = match (rotation.kind, &variable.source) {
            (RotationKind::MongoAb, _) => each(stores::mongo::app_secret),
            (RotationKind::RedisDual, _) => each(stores::redis::app_secret),
            (_, Source::Generated | Source::Store) => vec![SecretName::variable(variable.name.as_str())],
            (_, Source::Literal(_) | Source::Derived(_) | Source::Ci) => return None,
        };
        Some(Self { variable: variable.clone(), rotation, secrets })
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
        let of_kind = match self.rotation.kind {
            RotationKind::MongoAb => Some(stores::mongo::UNIT),
            RotationKind::RedisDual => Some(stores::redis::UNIT),
            RotationKind::Jwks => Some("routes"),
            _ => None,
        };
        let apps = self.variable.consumers.iter().map(|app| ResourceId::new(format!("app/{app}")));
        of_kind.map(ResourceId::new).into_iter().chain(apps).collect()
    }
}
