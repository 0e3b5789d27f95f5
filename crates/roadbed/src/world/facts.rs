//! What templates of the manifest may name, as it is on this machine.

use std::sync::Arc;

use engine::variables::{Facts, Value};
use manifest::environment::Fact;
use manifest::{AppName, Environment, VarName};
use reconcile::Fault;
use secrets::file_store::{StoreFault, Versioned};
use secrets::{FileStore, Secret, SecretName};

use super::addresses::{Addresses, https_url};

/// Facts from ports that were chosen and secrets that are kept.
#[derive(Debug)]
pub(super) struct LocalFacts {
    environment: Arc<Environment>,
    addresses: Addresses,
    secrets: Arc<FileStore>,
}

impl LocalFacts {
    pub(super) fn new(environment: Arc<Environment>, addresses: Addresses, secrets: Arc<FileStore>) -> Self {
        Self { environment, addresses, secrets }
    }

    /// An app's own credentials for a store; made when the store is provisioned.
    fn credentials(&self, name: &SecretName, service: &str) -> Result<Versioned, Fault> {
        self.secrets.get(name).map_err(|fault| store_fault(&fault))?.ok_or_else(|| {
            Fault::new(format!("there are no credentials {name} yet")).cause(format!("{service} is not provisioned"))
        })
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
                let port = self.addresses.internal.get(of);
                let port = port.ok_or_else(|| missing(format!("the internal address of {of}")))?;
                Ok(Value::plain(format!("http://127.0.0.1:{port}")))
            }
            Fact::MongoUrl => {
                let (Some(settings), Some(port)) = (&self.environment.mongodb, self.addresses.mongodb) else {
                    return Err(missing("MongoDB".into()));
                };
                let name = stores::mongo::app_secret(app);
                let found = self.credentials(&name, "MongoDB")?;
                let text = stores::mongo::mongo_url(settings, app, port, &found.secret);
                let shown = format!("mongodb {port} {} {name}@{}", settings.database, found.version);
                Ok(Value { text, shown, loaded: [(name.to_string(), found.version)].into() })
            }
            Fact::RedisUrl => {
                let (Some(_), Some(port)) = (&self.environment.redis, self.addresses.redis) else {
                    return Err(missing("Redis".into()));
                };
                let name = stores::redis::app_secret(app);
                let found = self.credentials(&name, "Redis")?;
                let text = stores::redis::redis_url(app, port, &found.secret);
                let shown = format!("redis {port} {name}@{}", found.version);
                Ok(Value { text, shown, loaded: [(name.to_string(), found.version)].into() })
            }
            Fact::RedisPrefix => {
                let settings = self.environment.redis.as_ref().ok_or_else(|| missing("Redis".into()))?;
                Ok(Value::plain(settings.key_prefix.clone()))
            }
        }
    }

    fn stored(&self, variable: &VarName) -> Result<Option<Value>, Fault> {
        let name = SecretName::variable(variable.as_str());
        let found = self.secrets.get(&name).map_err(|fault| store_fault(&fault))?;
        Ok(found.map(|found| value(&name, found)))
    }

    fn generated(&self, variable: &VarName) -> Result<Value, Fault> {
        let name = SecretName::variable(variable.as_str());
        let found = self.secrets.get_or_generate(&name).map_err(|fault| store_fault(&fault))?;
        Ok(value(&name, found))
    }
}

fn value(name: &SecretName, found: Versioned) -> Value {
    Value {
        shown: format!("{name}@{}", found.version),
        text: Secret::new(found.secret.expose().to_owned()),
        loaded: [(name.to_string(), found.version)].into(),
    }
}

fn store_fault(fault: &StoreFault) -> Fault {
    Fault::because("cannot use the secrets of this environment", fault)
        .hint("restore the file from a backup: new credentials would lock the apps out of their data")
}
