//! What an app receives, and what it does not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

use engine::variables::{Assembled, Facts, Value, assemble, public_config};
use manifest::environment::{Fact, Variable};
use manifest::{AppName, Environment, Source, ValueType};
use reconcile::Fault;
use secrets::Secret;

/// UrbanCart's own manifest, in `staging`: there every kind of variable is required by somebody.
fn staging() -> Environment {
    let text = include_str!("../../../roadbed.toml").to_owned();
    let (manifest, diagnostics) = manifest::parse(&Source::new("roadbed.toml", text));
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    manifest.unwrap().resolve(&"staging".parse().unwrap()).unwrap()
}

#[derive(Debug)]
struct Known {
    payment_key: Option<&'static str>,
}

impl Facts for Known {
    fn fact(&self, app: &AppName, fact: &Fact) -> Result<Value, Fault> {
        Ok(match fact {
            Fact::MongoUrl => secret(&format!("mongodb://{app}:hunter2-mongo@db/shop"), "mongodb/app-api@3"),
            Fact::ErrorsDsn => secret("http://5eed5eed@127.0.0.1:4001/7", "errors/app-api@1"),
            Fact::ErrorsPublicDsn => Value::plain("https://5eed@www.staging.example/.roadbed/telemetry/7".to_owned()),
            Fact::RedisSentinels => Value::plain(String::new()),
            Fact::RedisCacheUrl => secret(&format!("redis://{app}:hunter2-cache@cache"), "redis-cache/app-api@1"),
            Fact::RedisUrl => secret(&format!("redis://{app}:hunter2-redis@cache"), "redis/app-api@1"),
            Fact::RedisRestUrl => Value::plain("http://127.0.0.1:8079".to_owned()),
            Fact::RedisRestToken => secret("rbrd_hunter2-rest", "token of redis/app-api@1"),
            Fact::RedisRestReadOnlyToken => secret("rbrd_hunter2-reads", "read-only token of redis/app-api@1"),
            Fact::MediaEndpoint | Fact::MediaInternalUrl => Value::plain("http://127.0.0.1:9000".to_owned()),
            Fact::MediaPublicEndpoint => Value::plain("https://objects.staging.example".to_owned()),
            Fact::MediaUrl => Value::plain("https://media.staging.example".to_owned()),
            Fact::MediaBucket(bucket) => Value::plain(format!("urbancart-staging-{bucket}")),
            Fact::MediaAccessKeyId => Value::plain("RBEXAMPLE".to_owned()),
            Fact::MediaSecretAccessKey => secret("hunter2-objects", "key of objects/app-api@1"),
            Fact::Url(of) => Value::plain(format!("https://{of}.staging.example")),
            Fact::Internal(_) => Value::plain("http://127.0.0.1:4000".to_owned()),
            Fact::ServiceCa => Value::plain("-----BEGIN CERTIFICATE-----".to_owned()),
            Fact::RedisPrefix => Value::plain("urbancart:staging:".to_owned()),
            Fact::EnvironmentName => Value::plain("staging".to_owned()),
        })
    }

    fn stored(&self, _: &Variable) -> Result<Option<Value>, Fault> {
        Ok(self.payment_key.map(|key| secret(key, "var/PAYMENT_SECRET_KEY@7")))
    }

    fn generated(&self, variable: &Variable) -> Result<Value, Fault> {
        let name = &variable.name;
        let shown = format!("var/{name}@1");
        if variable.rule.value_type == ValueType::Jwk {
            return Ok(Value { text: secrets::jwk::generate().unwrap(), shown, loaded: Default::default() });
        }
        Ok(secret(&format!("generated-{name}-generated-generated"), &shown))
    }
}

fn secret(text: &str, shown: &str) -> Value {
    let (name, version) = shown.split_once('@').unwrap();
    let loaded = [(name.to_owned(), version.parse().unwrap())].into();
    Value { text: Secret::new(text.to_owned()), shown: shown.to_owned(), loaded }
}

fn of(app: &str, facts: &Known) -> Result<Assembled, Fault> {
    assemble(&staging(), &AppName::new(app).unwrap(), facts)
}

#[test]
fn an_app_gets_its_own_variables_and_no_others() {
    let known = Known { payment_key: Some("sk_test_123") };
    let api = of("api", &known).unwrap();
    assert_eq!(api.values["MONGODB_URL"], "mongodb://api:hunter2-mongo@db/shop");
    assert_eq!(api.values["PAYMENT_SECRET_KEY"], "sk_test_123");
    let storefront = of("storefront", &known).unwrap();
    let names: Vec<&str> = storefront.values.keys().map(String::as_str).collect();
    assert_eq!(names, ["API_INTERNAL_URL", "LOG_LEVEL", "PUBLIC_API_URL", "PUBLIC_SITE_URL", "SENTRY_DSN"]);
}

#[test]
fn what_is_shown_holds_versions_and_no_values() {
    let api = of("api", &Known { payment_key: Some("sk_test_123") }).unwrap();
    let shown = api.shown.join("\n");
    for value in ["hunter2", "sk_test_123", "generated-"] {
        assert!(!shown.contains(value), "{value} in {shown}");
    }
    assert!(shown.contains("MONGODB_URL=mongodb/app-api@3"), "{shown}");
    assert!(shown.contains("PAYMENT_SECRET_KEY=var/PAYMENT_SECRET_KEY@7"), "{shown}");
}

#[test]
fn what_an_app_is_given_is_noted_by_name_and_version() {
    let api = of("api", &Known { payment_key: Some("sk_test_123") }).unwrap();
    assert_eq!(api.loaded["mongodb/app-api"], 3, "also where it is a part of a value");
    assert_eq!(api.loaded["var/PAYMENT_SECRET_KEY"], 7);
    let storefront = of("storefront", &Known { payment_key: None }).unwrap();
    assert_eq!(storefront.loaded, [("errors/app-api".to_owned(), 1)].into(), "where it reports errors, and no store's");
}

#[test]
fn a_missing_value_is_named_with_its_owner() {
    let fault = of("api", &Known { payment_key: None }).unwrap_err();
    assert_eq!(fault.message, "cannot start api in staging: required variables have no value");
    assert!(fault.causes[0].starts_with("PAYMENT_SECRET_KEY (owner: payments)"), "{:?}", fault.causes);
}

#[test]
fn an_empty_value_is_no_value() {
    assert!(of("api", &Known { payment_key: Some("") }).is_err());
}

#[test]
fn a_static_app_is_told_public_values_only() {
    let config = public_config(&staging(), &AppName::new("admin").unwrap(), &Known { payment_key: None }).unwrap();
    let names: Vec<&str> = config.keys().map(String::as_str).collect();
    assert_eq!(names, ["PUBLIC_API_URL", "PUBLIC_SENTRY_DSN", "PUBLIC_SITE_URL"]);
}

#[test]
fn a_value_that_its_type_does_not_allow_is_refused_and_not_quoted() {
    let mut environment = staging();
    let level = environment.variables.iter_mut().find(|variable| variable.name.as_str() == "LOG_LEVEL").unwrap();
    level.source = manifest::environment::Source::Literal("loud".to_owned());
    let known = Known { payment_key: Some("sk_test_123") };
    let fault = assemble(&environment, &AppName::new("api").unwrap(), &known).unwrap_err();
    assert_eq!(fault.message, "cannot start api in staging: variables have values that their type does not allow");
    assert_eq!(fault.causes, ["LOG_LEVEL (owner: platform) must be one of debug, info, warn, error"]);
}
