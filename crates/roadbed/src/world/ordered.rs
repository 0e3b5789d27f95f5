//! What is ordered at providers, as resources.

use std::path::Path;

use managed::atlas::{AppUsers, AtlasMongo, Inside};
use managed::upstash::UpstashRedis;
use managed::{Keeping, Way};
use manifest::{Environment, Provider, environment};
use reconcile::Fault;
use secrets::SecretName;
use stores::External;
use stores::redis::Settings;

use super::addresses::external_of;

/// Under which name it lies in the secret store what opens the account at Upstash.
pub const UPSTASH_ACCESS: &str = "redis/upstash";

/// And the organization at Atlas.
pub const ATLAS_ACCESS: &str = "mongodb/atlas";

/// The Redis of this purpose, where it is ordered.
pub(super) fn redis(
    settings: &Settings,
    environment: &Environment,
    ground: &stores::Ground,
) -> Result<Option<UpstashRedis>, Fault> {
    let external = environment.redis.as_ref().and_then(|redis| external_of(redis, settings.purpose));
    let Some(Provider::Upstash(wanted)) = external.and_then(|external| external.provider.as_ref()) else {
        return Ok(None);
    };
    let keeping = keeping(environment, &settings.unit(), UPSTASH_ACCESS, ground);
    Ok(Some(UpstashRedis::new(wanted.clone(), way(&wanted.api)?, keeping)))
}

/// MongoDB, where it is ordered.
pub(super) fn mongodb(
    settings: &environment::MongoDb,
    environment: &Environment,
    ground: &stores::Ground,
) -> Result<Option<AtlasMongo>, Fault> {
    let provider = settings.external.as_ref().and_then(|external| external.provider.as_ref());
    let Some(Provider::Atlas(wanted)) = provider else { return Ok(None) };
    let app = |app| AppUsers {
        secret: stores::mongo::app_secret(app),
        names: stores::mongo::external::names_of_app(settings, app),
    };
    let inside = Inside {
        database: settings.database.clone(),
        apps: settings.apps.iter().map(app).collect(),
        apps_index: settings.collections.is_empty(),
    };
    let keeping = keeping(environment, "mongodb", ATLAS_ACCESS, ground);
    Ok(Some(AtlasMongo::new(wanted.clone(), inside, way(&wanted.api)?, keeping)))
}

fn keeping(environment: &Environment, service: &str, access: &str, ground: &stores::Ground) -> Keeping {
    let environment = environment.reference().to_string();
    Keeping::new(&ground.root, ground.secrets.clone(), &environment, service, SecretName::new(access))
}

/// By the public authorities that this machine knows.
fn way(api: &str) -> Result<Way, Fault> {
    let public = manifest::External { ca: None, provider: None };
    let authorities = External::new(&public, Path::new("/")).trusted()?;
    Ok(Way::new(api.to_owned(), authorities.into_bytes()))
}
