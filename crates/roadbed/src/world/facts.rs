//! What templates of the manifest may name, as it is on this machine.

use std::collections::BTreeSet;
use std::sync::Arc;

use delivery::Place;
use engine::variables::{Facts, Value};
use manifest::environment::{Fact, Variable};
use manifest::{AppName, Environment, ValueType};
use reconcile::Fault;
use reconcile::ports::KeySet;
use secrets::{Secret, SecretName, Store, StoreFault, Versioned};
use stores::redis::{Purpose, external};

use super::addresses::{Addresses, https_url};
use super::{errors, rest};

/// Facts from ports that were chosen and secrets that are kept.
#[derive(Debug)]
pub(super) struct LocalFacts {
    environment: Arc<Environment>,
    /// Whose apps are told.
    place: Place,
    addresses: Addresses,
    secrets: Arc<Store>,
    stores: stores::Ground,
}

impl LocalFacts {
    pub(super) fn new(
        environment: Arc<Environment>,
        place: Place,
        addresses: Addresses,
        stores: stores::Ground,
    ) -> Self {
        Self { environment, place, addresses, secrets: stores.secrets.clone(), stores }
    }

    /// An app's own credentials for a store; made when the store is provisioned.
    fn credentials(&self, name: &SecretName, service: &str) -> Result<Versioned, Fault> {
        self.secrets.get(name).map_err(|fault| store_fault(&fault))?.ok_or_else(|| {
            Fault::new(format!("there are no credentials {name} yet")).cause(format!("{service} is not provisioned"))
        })
    }
}

impl LocalFacts {
    fn redis(&self, app: &AppName, purpose: Purpose) -> Option<Result<Value, Fault>> {
        let name = purpose.app_secret(app);
        if let Some(settings) = self.addresses.redis_elsewhere(purpose) {
            let value = |found: Versioned| {
                let place = external::shown(settings, &self.stores)?;
                Ok(Value {
                    text: external::app_url(settings, app, &found, &self.stores)?,
                    shown: format!("{} {place} {name}@{}", purpose.unit(), found.version),
                    loaded: [(name.to_string(), found.version)].into(),
                })
            };
            return Some(self.credentials(&name, "Redis").and_then(value));
        }
        let first = self.addresses.redis(purpose)?;
        let value = |found: Versioned| {
            let port = match purpose {
                Purpose::Durable => self.addresses.primary(&self.stores.root)?.unwrap_or(first),
                Purpose::Cache | Purpose::Sentinel => first,
            };
            Ok(Value {
                text: stores::redis::redis_url(app, port, &found),
                // Not of the primary: an app that asks the sentinels need not start again when there is another.
                shown: format!("{} {first} {name}@{}", purpose.unit(), found.version),
                loaded: [(name.to_string(), found.version)].into(),
            })
        };
        Some(self.credentials(&name, "Redis").and_then(value))
    }

    /// Whether the Redis that apps speak REST with is ordered at Upstash.
    fn is_at_upstash(&self) -> bool {
        let external = self.environment.redis.as_ref().and_then(|redis| redis.external.as_ref());
        external.is_some_and(|external| matches!(external.provider, Some(manifest::Provider::Upstash(_))))
    }

    /// The key that signs now, made at first need.
    fn signing_key(&self, variable: &Variable) -> Result<Value, Fault> {
        let name = SecretName::variable(variable.name.as_str());
        if let Some(found) = self.secrets.get(&name).map_err(|fault| store_fault(&fault))? {
            return Ok(value(&name, found));
        }
        let key = secrets::jwk::generate().map_err(|fault| Fault::because(format!("cannot make {name}"), &fault))?;
        let kept = self.secrets.get_or_keep(&name, variable.class, &key).map_err(|fault| store_fault(&fault))?;
        Ok(value(&name, kept))
    }

    /// What verifiers of an app's tokens are told, if it signs any: the public halves of every key whose signatures hold, and how
    /// long they may be kept.
    pub(super) fn key_set(&self, app: &AppName) -> Result<Option<KeySet>, Fault> {
        let is_key = |variable: &&Variable| variable.rule.value_type == ValueType::Jwk;
        let mut found: Option<KeySet> = None;
        let mut keys = Vec::new();
        for variable in self.environment.variables_of(app).filter(is_key) {
            let name = SecretName::variable(variable.name.as_str());
            self.signing_key(variable)?;
            let mut accepted = self.secrets.accepted(&name).map_err(|fault| store_fault(&fault))?;
            accepted.sort_by_key(|version| version.version);
            for version in accepted {
                let public = secrets::jwk::public_half(&version.secret)
                    .map_err(|fault| Fault::because(format!("cannot serve the key set of {app}: {name}"), &fault))?;
                keys.push(public);
            }
            let max_age = variable.rotation.as_ref().map_or(0, |rotation| rotation.max_age.as_secs());
            let shortest = found.as_ref().map_or(max_age, |set| set.max_age_s.min(max_age));
            found = Some(KeySet { document: secrets::jwk::key_set(&keys), max_age_s: shortest });
        }
        Ok(found)
    }
}

impl Facts for LocalFacts {
    fn fact(&self, app: &AppName, fact: &Fact) -> Result<Value, Fault> {
        let missing =
            |what: String| Fault::new(format!("{app} asks for {what}, which {} does not have", self.environment.name));
        match fact {
            Fact::EnvironmentName => Ok(Value::plain(self.environment.name.to_string())),
            Fact::Url(of) => {
                let host = self.environment.app(of).and_then(|app| app.hosts.first());
                let host = host.ok_or_else(|| missing(format!("the address of {of}")))?;
                Ok(Value::plain(https_url(host, self.addresses.https)))
            }
            Fact::Internal(of) => {
                let port = self.addresses.internal(self.place, of);
                let port = port.ok_or_else(|| missing(format!("the internal address of {of}")))?;
                Ok(Value::plain(format!("http://127.0.0.1:{port}")))
            }
            Fact::MongoUrl => {
                let (Some(settings), Some(provider)) = (&self.environment.mongodb, &self.addresses.mongodb) else {
                    return Err(missing("MongoDB".into()));
                };
                let name = stores::mongo::app_secret(app);
                let found = self.credentials(&name, "MongoDB")?;
                let text = provider.app_url(settings, app, &found, &self.stores)?;
                let place = provider.shown(&self.stores)?;
                let shown = format!("mongodb {place} {} {name}@{}", settings.database, found.version);
                Ok(Value { text, shown, loaded: [(name.to_string(), found.version)].into() })
            }
            Fact::RedisUrl => self.redis(app, Purpose::Durable).ok_or_else(|| missing("Redis".into()))?,
            Fact::RedisCacheUrl => self.redis(app, Purpose::Cache).ok_or_else(|| missing("a cache in Redis".into()))?,
            Fact::ServiceCa => {
                let elsewhere = self.addresses.externals();
                let bundles =
                    elsewhere.map(|external| external.trusted()).collect::<Result<BTreeSet<String>, Fault>>()?;
                let bundle: String = self.stores.trusted()?.into_iter().chain(bundles).collect();
                if bundle.is_empty() {
                    return Err(Fault::new("the data services have no authority yet"));
                }
                let newest =
                    self.stores.newest_trusted()?.map(|version| (stores::authority_secret().to_string(), version));
                Ok(Value { loaded: newest.into_iter().collect(), ..Value::plain(bundle) })
            }
            Fact::RedisSentinels => {
                let all = self.addresses.redis_of(Purpose::Sentinel).map(|port| format!("127.0.0.1:{port}"));
                Ok(Value::plain(all.collect::<Vec<_>>().join(",")))
            }
            // Upstash speaks it itself.
            Fact::RedisRestUrl if self.is_at_upstash() => Ok(Value::plain(external::rest_url(&self.stores)?)),
            Fact::RedisRestToken | Fact::RedisRestReadOnlyToken if self.is_at_upstash() => {
                let name = Purpose::Durable.app_secret(app);
                let found = self.credentials(&name, "Redis")?;
                let reads = *fact == Fact::RedisRestReadOnlyToken;
                let what = if reads { "read-only token" } else { "token" };
                Ok(Value {
                    text: external::rest_token(app, &found, reads, &self.stores)?,
                    shown: format!("{what} at Upstash of {name}@{}", found.version),
                    loaded: [(name.to_string(), found.version)].into(),
                })
            }
            // Before somebody else's Redis stands no gateway of ours.
            Fact::RedisRestUrl | Fact::RedisRestToken | Fact::RedisRestReadOnlyToken
                if self.addresses.redis_elsewhere(Purpose::Durable).is_some() =>
            {
                Ok(Value::plain(String::new()))
            }
            Fact::RedisRestUrl => {
                let port = self.addresses.rest.ok_or_else(|| missing("a gateway before Redis".into()))?;
                Ok(Value::plain(format!("http://127.0.0.1:{port}")))
            }
            Fact::RedisRestToken | Fact::RedisRestReadOnlyToken => {
                self.addresses.rest.ok_or_else(|| missing("a gateway before Redis".into()))?;
                let name = Purpose::Durable.app_secret(app);
                let found = self.credentials(&name, "Redis")?;
                let (what, (user, password)) = match fact {
                    Fact::RedisRestToken => ("token", stores::redis::rest::app(app, &found)),
                    _ => ("read-only token", stores::redis::rest::reader(app, &found)),
                };
                Ok(Value {
                    text: rest::token(&user, &password)?,
                    shown: format!("{what} of {name}@{}", found.version),
                    loaded: [(name.to_string(), found.version)].into(),
                })
            }
            Fact::MediaEndpoint | Fact::MediaInternalUrl => {
                let ports = self.addresses.media.ok_or_else(|| missing("object storage".into()))?;
                let port = if *fact == Fact::MediaEndpoint { ports.objects } else { ports.delivery };
                Ok(Value::plain(format!("http://127.0.0.1:{port}")))
            }
            Fact::MediaPublicEndpoint | Fact::MediaUrl => {
                let media = self.environment.media.as_ref().ok_or_else(|| missing("object storage".into()))?;
                let host = if *fact == Fact::MediaUrl { &media.host } else { &media.objects_host };
                Ok(Value::plain(https_url(host, self.addresses.https)))
            }
            Fact::MediaBucket(name) => {
                let bucket = self.environment.media.as_ref().and_then(|media| media.bucket(name));
                let bucket = bucket.ok_or_else(|| missing(format!("the bucket {name}")))?;
                Ok(Value::plain(bucket.full_name.clone()))
            }
            Fact::MediaAccessKeyId | Fact::MediaSecretAccessKey => {
                let name = stores::objects::app_secret(app);
                let found = self.credentials(&name, "object storage")?;
                let root = self.credentials(&stores::objects::root_secret(), "object storage")?;
                let key = stores::objects::Key::of_password(&found.secret, &root.secret);
                let loaded = [(name.to_string(), found.version)].into();
                match fact {
                    Fact::MediaAccessKeyId => Ok(Value { loaded, ..Value::plain(key.id) }),
                    _ => Ok(Value { shown: format!("key of {name}@{}", found.version), text: key.secret, loaded }),
                }
            }
            Fact::ErrorsDsn => errors::dsn(&self.secrets, app, self.addresses.telemetry_internal),
            Fact::ErrorsPublicDsn => {
                let host = self.environment.app(app).and_then(|app| app.hosts.first());
                let host = host.ok_or_else(|| missing("a host by which its pages report".into()))?;
                errors::public_dsn(&self.secrets, app, &https_url(host, self.addresses.https))
            }
            Fact::RedisPrefix => {
                let settings = self.environment.redis.as_ref().ok_or_else(|| missing("Redis".into()))?;
                Ok(Value::plain(settings.key_prefix.clone()))
            }
        }
    }

    fn stored(&self, variable: &Variable) -> Result<Option<Value>, Fault> {
        let name = SecretName::variable(variable.name.as_str());
        if is_list(variable) {
            let all = self.secrets.accepted(&name).map_err(|fault| store_fault(&fault))?;
            return Ok((!all.is_empty()).then(|| list(&name, all)));
        }
        let found = self.secrets.get(&name).map_err(|fault| store_fault(&fault))?;
        Ok(found.map(|found| value(&name, found)))
    }

    fn generated(&self, variable: &Variable) -> Result<Value, Fault> {
        let name = SecretName::variable(variable.name.as_str());
        if variable.rule.value_type == ValueType::Jwk {
            return self.signing_key(variable);
        }
        let found = self.secrets.get_or_generate(&name, variable.class).map_err(|fault| store_fault(&fault))?;
        if is_list(variable) {
            return Ok(list(&name, self.secrets.accepted(&name).map_err(|fault| store_fault(&fault))?));
        }
        Ok(value(&name, found))
    }
}

fn is_list(variable: &Variable) -> bool {
    variable.rotation.as_ref().is_some_and(|rotation| rotation.kind.is_list())
}

/// The value that is in use comes first; those that are let in beside it follow. Commas are in no generated value.
fn list(name: &SecretName, accepted: Vec<Versioned>) -> Value {
    let mut text = String::new();
    let newest = accepted.first().map(|version| version.version);
    let mut versions = Vec::new();
    for version in accepted {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(version.secret.expose());
        versions.push(version.version.to_string());
    }
    let loaded = newest.into_iter().map(|version| (name.to_string(), version)).collect();
    Value { shown: format!("{name}@{}", versions.join(",")), text: Secret::new(text), loaded }
}

fn value(name: &SecretName, found: Versioned) -> Value {
    Value {
        shown: format!("{name}@{}", found.version),
        text: Secret::new(found.secret.expose().to_owned()),
        loaded: [(name.to_string(), found.version)].into(),
    }
}

pub(super) fn store_fault(fault: &StoreFault) -> Fault {
    Fault::because("cannot use the secrets of this environment", fault).hint(fault.hint())
}
