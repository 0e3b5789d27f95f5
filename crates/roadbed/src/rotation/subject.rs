//! What can be rotated in an environment.

use std::collections::BTreeSet;

use host::clock::Timestamp;
use manifest::environment::{Fact, Piece, Source, Variable};
use manifest::{AppName, Environment, Rotation, RotationKind};
use reconcile::ResourceId;
use secrets::{SecretName, VersionRow, VersionState};
use stores::redis::{Purpose, Settings};

use crate::world::errors;
use crate::world::telemetry::TELEMETRY;

/// Something that is rotated as one, with the secrets behind it.
#[derive(Clone, Debug)]
pub struct Subject {
    pub behind: Behind,
    pub rotation: Rotation,
    /// What the store keeps for it: one secret, or one per app for the credentials of a data service.
    pub secrets: Vec<SecretName>,
    /// Resources that let it in, beside the apps that hold it.
    pub doors: Vec<ResourceId>,
}

/// Whose value it is.
#[derive(Clone, Debug)]
pub enum Behind {
    Variable(Box<Variable>),
    /// The authority of the data services. These apps are told whom to trust.
    Authority {
        apps: Vec<AppName>,
    },
    /// A password of our own, which nobody else is given.
    OwnPassword,
}

/// Every sensitive variable whose value the store keeps, and what the environment keeps for itself.
pub fn subjects(environment: &Environment) -> Vec<Subject> {
    let of_variables = environment.variables.iter().filter_map(|variable| Subject::of(variable, environment));
    of_variables.chain(Subject::authority(environment)).chain(Subject::own_passwords(environment)).collect()
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
            (RotationKind::MediaDual, _) => each(stores::objects::app_secret),
            (RotationKind::ErrorsDual, _) => each(errors::app_secret),
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
            RotationKind::MediaDual => vec![ResourceId::new(stores::objects::UNIT)],
            RotationKind::ErrorsDual => vec![ResourceId::new(TELEMETRY)],
            RotationKind::Jwks => vec![ResourceId::new("routes")],
            _ => Vec::new(),
        };
        Some(Self { behind: Behind::Variable(Box::new(variable.clone())), rotation, secrets, doors })
    }

    /// `None` where there is no data service.
    fn authority(environment: &Environment) -> Option<Self> {
        let mongodb = environment.mongodb.iter().map(|_| ResourceId::new(stores::mongo::UNIT));
        let redis = environment.redis.iter().flat_map(Settings::all);
        let doors: Vec<ResourceId> = mongodb.chain(redis.map(|one| ResourceId::new(one.unit()))).collect();
        let is_told = |variable: &&Variable| pieces(variable).contains(&Piece::Fact(Fact::ServiceCa));
        let apps: BTreeSet<AppName> =
            environment.variables.iter().filter(is_told).flat_map(|variable| variable.consumers.clone()).collect();
        let rotation = environment.rotation.of_own();
        let behind = Behind::Authority { apps: apps.into_iter().collect() };
        (!doors.is_empty()).then(|| Self { behind, rotation, secrets: vec![stores::authority_secret()], doors })
    }

    /// By which we log in to each kind of Redis.
    fn own_passwords(environment: &Environment) -> Vec<Self> {
        let all: Vec<Settings> = environment.redis.iter().flat_map(Settings::all).collect();
        let purposes: BTreeSet<Purpose> = all.iter().map(|settings| settings.purpose).collect();
        let of = |purpose: Purpose| Self {
            behind: Behind::OwnPassword,
            rotation: environment.rotation.of_own(),
            secrets: vec![purpose.admin_secret()],
            doors: all
                .iter()
                .filter(|settings| settings.purpose == purpose)
                .map(|settings| ResourceId::new(settings.unit()))
                .collect(),
        };
        let of_edges = all
            .iter()
            .any(|settings| settings.counts_limits)
            .then(|| Self { secrets: vec![stores::redis::edge_secret()], ..of(Purpose::Durable) });
        purposes.into_iter().map(of).chain(of_edges).collect()
    }

    /// Of a variable its name, otherwise that of the secret.
    pub fn name(&self) -> &str {
        match &self.behind {
            Behind::Variable(variable) => variable.name.as_str(),
            Behind::Authority { .. } | Behind::OwnPassword => self.secrets.first().map_or("", SecretName::as_str),
        }
    }

    /// How it is rotated, in a word.
    pub fn kind(&self) -> String {
        match &self.behind {
            Behind::Variable(_) => self.rotation.kind.to_string(),
            Behind::Authority { .. } => "authority".to_owned(),
            Behind::OwnPassword => "own-password".to_owned(),
        }
    }

    /// Who answers for it.
    pub fn owner(&self) -> String {
        match &self.behind {
            Behind::Variable(variable) => variable.owner.to_string(),
            Behind::Authority { .. } | Behind::OwnPassword => "Roadbed itself".to_owned(),
        }
    }

    /// The apps that are given it, or of it.
    pub fn apps(&self) -> &[AppName] {
        match &self.behind {
            Behind::Variable(variable) => &variable.consumers,
            Behind::Authority { apps } => apps,
            Behind::OwnPassword => &[],
        }
    }

    /// Whether the environment can rotate it without asking anybody outside of it.
    pub fn takes_nobody(&self) -> bool {
        match self.behind {
            Behind::Variable(_) => self.rotation.kind.takes_nobody(),
            Behind::Authority { .. } | Behind::OwnPassword => true,
        }
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
        let apps = self.apps().iter().map(|app| ResourceId::new(format!("app/{app}")));
        self.doors.iter().cloned().chain(apps).collect()
    }
}

/// What each Redis is for whose address the variable holds.
fn purposes(variable: &Variable) -> impl Iterator<Item = Purpose> {
    let holds =
        move |fact: &Fact| pieces(variable).iter().any(|piece| matches!(piece, Piece::Fact(named) if named == fact));
    Purpose::OF_DATA.into_iter().filter(move |purpose| match purpose {
        Purpose::Durable => {
            holds(&Fact::RedisUrl) || holds(&Fact::RedisRestToken) || holds(&Fact::RedisRestReadOnlyToken)
        }
        Purpose::Cache => holds(&Fact::RedisCacheUrl),
        Purpose::Sentinel => false,
    })
}

fn pieces(variable: &Variable) -> &[Piece] {
    match &variable.source {
        Source::Derived(template) => &template.pieces,
        _ => &[],
    }
}
