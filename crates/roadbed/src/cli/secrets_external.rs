//! The addresses of data services that somebody else runs, and keys by which certificates are ordered: secrets that belong to no
//! variable.

use manifest::environment::Class;
use manifest::{AcmeAuthority, Environment, Provider};
use reconcile::Fault;
use secrets::{SecretName, Store, Writing};
use stores::external::{ADDRESS_CLASS, address_secret};

use crate::cli::command_lock;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::project::no_such;
use crate::cli::secrets::{Kept, cannot};
use crate::cli::secrets_values::read_value;
use crate::cli::session::Session;
use crate::control::access::sign_in::CLIENT_SECRET;
use crate::control::renewing::ZONE_KEY;
use crate::world::ordered::{ATLAS_ACCESS, UPSTASH_ACCESS};
use crate::world::telemetry::metrics_secret;

/// Services that may be somebody else's.
const SERVICES: [&str; 3] = ["mongodb", "redis", "redis-cache"];

/// Whoever has such a key gets certificates for our names, or plays us to a provider.
const KEY_CLASS: Class = Class::Secret;

/// Those that are, in this environment.
fn services(environment: &Environment) -> Vec<&'static str> {
    // What is ordered has its address from there.
    let is_given = |external: &&manifest::External| external.provider.is_none();
    let of_redis = |external: fn(&manifest::environment::Redis) -> Option<&manifest::External>| {
        environment.redis.as_ref().and_then(external).filter(is_given).is_some()
    };
    let mongodb = environment.mongodb.as_ref().and_then(|mongodb| mongodb.external.as_ref());
    let given = [
        mongodb.filter(is_given).is_some(),
        of_redis(|redis| redis.external.as_ref()),
        of_redis(|redis| redis.external_cache.as_ref()),
    ];
    SERVICES.into_iter().zip(given).filter(|(_, is)| *is).map(|(service, _)| service).collect()
}

/// Sets an address, read from stdin or asked for without echo.
pub(super) fn set(session: &Session, name: &str, environment: &Environment, store: &Store) -> Result<Exit, Failure> {
    if keys(environment).iter().any(|key| key == name) {
        return set_key(session, name, store);
    }
    if name == metrics_secret().as_str() {
        return set_metrics_token(session, name, store);
    }
    let service = service_of(environment, name)?;
    let secret = read_value(name)?;
    let wrong = match service {
        "mongodb" => stores::mongo::external::wrong(secret.expose()).map(|wrong| wrong.to_string()),
        _ => stores::redis::external::wrong(secret.expose()).map(|wrong| wrong.to_string()),
    };
    if let Some(why) = wrong {
        return Err(Failure::Usage(
            Fault::new(format!("cannot keep this value of {name}: {why}"))
                .hint("it is the address that the provider shows, with the login of an administrator"),
        ));
    }
    let _lock = command_lock::take(&session.root, &session.surroundings.command_line, session.clock)?;
    let writing = Writing { class: ADDRESS_CLASS, rule: None };
    let version = store.set(&address_secret(service), writing, &secret).map_err(cannot)?;
    session.output.note(format!(
        "{} {name} has version {version}; `{}` makes there what the apps need",
        session.output.notes.good("✓"),
        session.command("up")
    ));
    if session.output.is_json() {
        session.output.json(&kept(address_secret(service), store)?)?;
    }
    Ok(Exit::Done)
}

/// Keys that others gave out: by which certificates are ordered, and by which a provider knows us.
fn keys(environment: &Environment) -> Vec<String> {
    let zone = environment.tls.dns.iter().map(|_| ZONE_KEY.to_owned());
    let bound = environment.tls.authorities.iter().filter(|authority| authority.external_account.is_some());
    let client = environment.sign_in.iter().filter(|sign_in| sign_in.has_secret).map(|_| CLIENT_SECRET.to_owned());
    let channels = environment.monitoring.channels.iter().filter(|channel| channel.needs_secret());
    let channels = channels.map(manifest::monitoring::Channel::secret);
    let exports = environment.exports.iter().map(manifest::Export::secret);
    let repositories = environment.backup.iter().flat_map(manifest::Backup::secrets);
    let ordering = accounts(environment).into_iter().map(str::to_owned);
    let known = zone.chain(bound.map(AcmeAuthority::account_secret)).chain(client);
    known.chain(channels).chain(exports).chain(repositories).chain(ordering).collect()
}

/// What opens accounts at providers where something is ordered.
fn accounts(environment: &Environment) -> Vec<&'static str> {
    let mongodb = environment.mongodb.iter().filter_map(|mongodb| mongodb.external.as_ref());
    let redis = environment.redis.iter().flat_map(|redis| [redis.external.as_ref(), redis.external_cache.as_ref()]);
    let mut all: Vec<&str> = mongodb
        .chain(redis.flatten())
        .filter_map(|external| external.provider.as_ref())
        .map(|provider| match provider {
            Provider::Atlas(_) => ATLAS_ACCESS,
            Provider::Upstash(_) => UPSTASH_ACCESS,
        })
        .collect();
    all.dedup();
    all
}

fn set_key(session: &Session, name: &str, store: &Store) -> Result<Exit, Failure> {
    let secret = read_value(name)?;
    // A provider may give out any text.
    let is_account = [ATLAS_ACCESS, UPSTASH_ACCESS].contains(&name);
    let of_services = ["alerts/", "backup/", "exports/"];
    let is_keys = name != CLIENT_SECRET && !is_account && !of_services.iter().any(|of| name.starts_with(of));
    if is_account
        && !secret.expose().trim().split_once(':').is_some_and(|(who, key)| !who.is_empty() && !key.is_empty())
    {
        return Err(Failure::Usage(
            Fault::new(format!("cannot keep this value of {name}: it is not two parts with a colon between"))
                .hint("EMAIL:API_KEY for Upstash, CLIENT_ID:CLIENT_SECRET of a service account for Atlas"),
        ));
    }
    if is_keys && acme::dns::Secret::of_base64(secret.expose()).is_none() {
        return Err(Failure::Usage(
            Fault::new(format!("cannot keep this value of {name}: it is no base64"))
                .hint("it is the key itself, as who gave it out shows it, without its name"),
        ));
    }
    let _lock = command_lock::take(&session.root, &session.surroundings.command_line, session.clock)?;
    let writing = Writing { class: KEY_CLASS, rule: None };
    let version = store.set(&SecretName::new(name), writing, &secret).map_err(cannot)?;
    session.output.note(format!(
        "{} {name} has version {version}; the next {} with it",
        session.output.notes.good("✓"),
        match name {
            CLIENT_SECRET => "person signs in",
            _ if name.starts_with("backup/") => "backup logs in",
            _ if is_account => "`roadbed up` orders",
            _ if name.starts_with("exports/") => "export goes out",
            _ if is_keys => "certificate is ordered",
            _ => "alert goes out",
        }
    ));
    if session.output.is_json() {
        session.output.json(&kept(SecretName::new(name), store)?)?;
    }
    Ok(Exit::Done)
}

/// Shorter tokens are guessed by whoever may ask on loopback as often as he likes.
const SHORTEST_TOKEN: usize = 16;

/// With which a Prometheus reads what telemetry counts.
fn set_metrics_token(session: &Session, name: &str, store: &Store) -> Result<Exit, Failure> {
    let secret = read_value(name)?;
    if secret.expose().len() < SHORTEST_TOKEN {
        let fault =
            Fault::new(format!("cannot keep this value of {name}: it is shorter than {SHORTEST_TOKEN} letters"));
        return Err(Failure::Usage(
            fault.hint(format!("`openssl rand -hex 32 | roadbed secrets set {name}` sets a random one")),
        ));
    }
    let _lock = command_lock::take(&session.root, &session.surroundings.command_line, session.clock)?;
    let writing = Writing { class: KEY_CLASS, rule: None };
    let version = store.set(&SecretName::new(name), writing, &secret).map_err(cannot)?;
    session.output.note(format!(
        "{} {name} has version {version}; after `{}` it opens /metrics on the port of telemetry",
        session.output.notes.good("✓"),
        session.command("up")
    ));
    if session.output.is_json() {
        session.output.json(&kept(SecretName::new(name), store)?)?;
    }
    Ok(Exit::Done)
}

/// What `secrets list` shows of them.
pub(super) fn list(environment: &Environment, store: &Store) -> Result<Vec<Kept>, Failure> {
    let addresses = services(environment).into_iter().map(address_secret);
    addresses.chain(keys(environment).into_iter().map(SecretName::new)).map(|name| kept(name, store)).collect()
}

fn kept(name: SecretName, store: &Store) -> Result<Kept, Failure> {
    let version = store.current_version(&name).map_err(cannot)?;
    Ok(Kept::required_by_roadbed(name.to_string(), version))
}

fn service_of(environment: &Environment, name: &str) -> Result<&'static str, Failure> {
    let known = services(environment);
    if let Some(service) = known.iter().find(|service| address_secret(service).as_str() == name) {
        return Ok(service);
    }
    let here = environment.reference();
    if let Some(service) = SERVICES.iter().find(|service| address_secret(service).as_str() == name) {
        return Err(Failure::Usage(
            Fault::new(format!("cannot set {name}: {service} of {here} is no external one"))
                .hint("`driver = \"external\"` in roadbed.toml says that somebody else runs it"),
        ));
    }
    let names = known.iter().map(|service| address_secret(service).to_string());
    let names: Vec<String> = names.chain(keys(environment)).collect();
    Err(Failure::Usage(match names.is_empty() {
        true => Fault::new(format!("cannot set {name}: it is none of a variable, and Roadbed makes it itself"))
            .hint("`roadbed secrets list` shows what people set"),
        false => no_such("secret that people set", name, names.iter().map(String::as_str)),
    }))
}
