//! How a value is replaced without anybody being locked out: what the manifest says of it, and what holds where it says nothing.

use std::time::Duration;

use crate::environment::{Class, Fact, Piece, Source};
use crate::record::{choice, record};
use crate::scalars::{Age, Command};
use crate::source::At;
use crate::value::ValueType;

choice! {
    /// How the old value and the new one hold side by side while processes change from one to the other.
    pub enum RotationKind {
        /// Two users of MongoDB, in turn.
        MongoAb = "mongo-ab",
        /// Two users of Redis, in turn.
        RedisDual = "redis-dual",
        /// Two keys for object storage, in turn.
        MediaDual = "media-dual",
        /// Two keys by which an app reports errors, in turn.
        ErrorsDual = "errors-dual",
        /// A signing key whose public half is in the app's key set before it signs, and for as long as its signatures hold.
        Jwks = "jwks",
        /// The process gets a list, joined by commas: it signs with the first and verifies with all.
        Keyring = "keyring",
        /// As a keyring, for what others sign and this app verifies.
        WebhookList = "webhook-list",
        /// A provider lets two values in at once; commands of the manifest make and revoke them.
        ProviderDual = "provider-dual",
        /// A person sets another one.
        Manual = "manual",
    }
}

record! {
    /// How old values may get where their variables do not say, and who sees to it.
    pub(crate) struct RotationTable {
        /// Age of a value of class `auth`. Default: 90 days.
        auth: Option<At<Age>>,
        /// Age of a value of class `secret`. Default: 180 days.
        secret: Option<At<Age>>,
        /// Age of a value of class `pii`. Default: a year.
        pii: Option<At<Age>>,
        /// Age of a value of class `payment`. Default: a year.
        payment: Option<At<Age>>,
        /// Whether the environment rotates what is overdue by itself, where that takes nobody: kinds `mongo-ab`, `redis-dual`, `media-dual`,
        /// `errors-dual`, `jwks` and `keyring`. What people or providers make is told as overdue all the same.
        automatic: bool = false,
    }
}

record! {
    /// How a value is rotated.
    pub(crate) struct RotateTable {
        /// How old and new hold side by side. Default: what follows from where the value comes from, otherwise `manual`.
        kind: Option<At<RotationKind>>,
        /// How old a value may get. Default: what `[rotation]` says of its class.
        every: Option<At<Age>>,
        /// How long the old value holds after the new one took its place. Default: nothing for data services, 1 h for keys of
        /// tokens, 24 h for keyrings and providers, 72 h for webhooks.
        overlap: Option<At<Age>>,
        /// For `jwks`: how long who verifies may keep the key set before asking again.
        max_age: Option<At<Age>>,
        /// For `provider-dual` and `webhook-list`: the command that makes a new value and writes it to its standard output.
        create: Option<At<Command>>,
        /// For `provider-dual`: the command that revokes the value in its variable ROADBED_VALUE.
        revoke: Option<At<Command>>,
    }
}

/// How one variable is rotated in one environment, with every default filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    pub kind: RotationKind,
    /// How old a value may get.
    pub every: Duration,
    /// How long the old value holds after the new one took its place.
    pub overlap: Duration,
    /// How long a key set may be kept by who verifies with it.
    pub max_age: Duration,
    /// Makes a new value and writes it to its standard output.
    pub create: Option<Vec<String>>,
    /// Revokes the value in its variable `ROADBED_VALUE`.
    pub revoke: Option<Vec<String>>,
}

/// Long enough that a busy shop is not asked for its keys all the time, short enough to wait for it twice a month.
pub(crate) const DEFAULT_MAX_AGE: Duration = Duration::from_secs(60);

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl RotationKind {
    /// Whether Roadbed can make the next value itself, or have it made by a command of the manifest.
    pub fn is_automatic(self) -> bool {
        self != Self::Manual
    }

    /// Whether processes get every accepted value, not the current one alone.
    pub fn is_list(self) -> bool {
        matches!(self, Self::Keyring | Self::WebhookList)
    }

    /// Whether the environment can rotate it without asking anybody outside of it.
    pub fn takes_nobody(self) -> bool {
        matches!(
            self,
            Self::MongoAb | Self::RedisDual | Self::MediaDual | Self::ErrorsDual | Self::Jwks | Self::Keyring
        )
    }

    pub(crate) fn default_overlap(self) -> Duration {
        match self {
            // Whoever holds the old value is waited for in any case.
            Self::MongoAb | Self::RedisDual | Self::MediaDual | Self::Manual => Duration::ZERO,
            Self::Jwks => HOUR,
            // A day is how long the shop's sessions live, and how long most providers let two values in.
            Self::Keyring | Self::ProviderDual => DAY,
            // Pages that somebody has open have a key that is made of the old one.
            Self::ErrorsDual => DAY,
            // Providers repeat a webhook that failed for up to three days.
            Self::WebhookList => DAY * 3,
        }
    }

    /// What follows from where a value comes from.
    pub(crate) fn of(source: &Source, value_type: ValueType) -> Self {
        let names = |wanted: Fact| match source {
            Source::Derived(template) => {
                template.pieces.iter().any(|piece| matches!(piece, Piece::Fact(fact) if *fact == wanted))
            }
            _ => false,
        };
        match source {
            Source::Generated if value_type == ValueType::Jwk => Self::Jwks,
            _ if names(Fact::MongoUrl) => Self::MongoAb,
            _ if names(Fact::RedisUrl) || names(Fact::RedisCacheUrl) => Self::RedisDual,
            // They are the same users.
            _ if names(Fact::RedisRestToken) || names(Fact::RedisRestReadOnlyToken) => Self::RedisDual,
            _ if names(Fact::MediaSecretAccessKey) => Self::MediaDual,
            _ if names(Fact::ErrorsDsn) => Self::ErrorsDual,
            _ => Self::Manual,
        }
    }
}

impl RotationTable {
    /// How old a value of a class may get where its variable does not say.
    pub(crate) fn age(&self, class: Class) -> Duration {
        let (said, otherwise) = match class {
            Class::Auth => (&self.auth, DAY * 90),
            Class::Public | Class::Internal | Class::Secret => (&self.secret, DAY * 180),
            Class::Pii => (&self.pii, DAY * 365),
            Class::Payment => (&self.payment, DAY * 365),
        };
        said.as_ref().map_or(otherwise, |age| age.0)
    }

    pub(crate) fn schedule(&self) -> RotationSchedule {
        let by = if self.automatic { RotatedBy::Environment } else { RotatedBy::People };
        RotationSchedule { by, own_credentials: self.age(Class::Secret) }
    }
}

/// Who sees to what is overdue, and what belongs to no variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotationSchedule {
    pub by: RotatedBy,
    /// How old a credential that Roadbed makes for itself may get.
    pub own_credentials: Duration,
}

impl RotationSchedule {
    /// How a credential is rotated that Roadbed makes for itself: nobody outside is asked, and nothing outside learns of it.
    pub fn of_own(&self) -> Rotation {
        Rotation {
            kind: RotationKind::Manual,
            every: self.own_credentials,
            overlap: Duration::ZERO,
            max_age: DEFAULT_MAX_AGE,
            create: None,
            revoke: None,
        }
    }
}

/// Who begins a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotatedBy {
    People,
    /// The environment itself, where it takes nobody else.
    Environment,
}

impl Rotation {
    /// What is said, and what holds where nothing is.
    pub(crate) fn new(table: Option<&RotateTable>, source: &Source, age: Duration, value_type: ValueType) -> Self {
        let said = |key: fn(&RotateTable) -> Option<&At<Age>>| table.and_then(key).map(|age| age.0);
        let command = |key: fn(&RotateTable) -> Option<&At<Command>>| table.and_then(key).map(|words| words.0.clone());
        let kind = table.and_then(|table| table.kind.as_ref()).map(|kind| kind.value);
        let kind = kind.unwrap_or_else(|| RotationKind::of(source, value_type));
        Self {
            kind,
            every: said(|table| table.every.as_ref()).unwrap_or(age),
            overlap: said(|table| table.overlap.as_ref()).unwrap_or_else(|| kind.default_overlap()),
            max_age: said(|table| table.max_age.as_ref()).unwrap_or(DEFAULT_MAX_AGE),
            create: command(|table| table.create.as_ref()),
            revoke: command(|table| table.revoke.as_ref()),
        }
    }
}
