//! By which keys apps report errors, and where.
//!
//! An app's processes have a key of the secret store. Its pages have another, which is made of the first and which every visitor
//! knows; it says nothing about the first.

use engine::variables::Value;
use manifest::environment::{App, Class, Fact, Piece, Source};
use manifest::{AppName, Environment};
use reconcile::Fault;
use reconcile::loaded::Loaded;
use reconcile::ports::TELEMETRY_PATH;
use secrets::{Secret, SecretName, Store, Versioned, generate};
use telemetry::{ErrorLimits, ErrorSettings, KeyOf, Project, ProjectKey};

use super::facts::store_fault;

/// Hexadecimal digits of a key: some of Sentry's clients take no more.
const KEY_LENGTH: usize = 32;

/// Where the key of an app's own processes is kept.
pub fn app_secret(app: &AppName) -> SecretName {
    SecretName::new(format!("errors/app-{app}"))
}

/// A key that was never anybody's.
pub fn fresh_key() -> Result<Secret, Fault> {
    let fresh = generate::credential();
    let fresh = fresh.map_err(|fault| Fault::because("cannot make a key for reports of errors", &fault))?;
    Ok(Secret::new(fresh.expose()[..KEY_LENGTH].to_owned()))
}

/// The key of an app's own processes, made at first need.
fn key(secrets: &Store, app: &AppName) -> Result<(SecretName, Versioned), Fault> {
    let name = app_secret(app);
    if let Some(found) = secrets.get(&name).map_err(|fault| store_fault(&fault))? {
        return Ok((name, found));
    }
    let fresh = fresh_key()?;
    let kept = secrets.get_or_keep(&name, Class::Secret, &fresh).map_err(|fault| store_fault(&fault))?;
    Ok((name, kept))
}

/// Where an app's own processes report.
pub(super) fn dsn(secrets: &Store, app: &AppName, port: u16) -> Result<Value, Fault> {
    let (name, key) = key(secrets, app)?;
    let project = Project::id_of(app.as_str());
    Ok(Value {
        text: Secret::new(format!("http://{}@127.0.0.1:{port}/{project}", key.secret.expose())),
        shown: format!("errors {port} {project} {name}@{}", key.version),
        loaded: [(name.to_string(), key.version)].into(),
    })
}

/// Where its pages report: the host that they come from, so that no browser asks anybody else.
pub(super) fn public_dsn(secrets: &Store, app: &AppName, url: &str) -> Result<Value, Fault> {
    let (_, key) = key(secrets, app)?;
    let page_key = Project::page_key(key.secret.expose());
    let (scheme, host) = url.split_once("://").unwrap_or(("https", url));
    let path = TELEMETRY_PATH.trim_end_matches('/');
    let text = format!("{scheme}://{page_key}@{host}{path}/{}", Project::id_of(app.as_str()));
    Ok(Value { shown: text.clone(), text: Secret::new(text), loaded: Loaded::new() })
}

/// Whether an app has a variable with the fact.
pub fn is_told(environment: &Environment, app: &App, fact: &Fact) -> bool {
    environment.variables_of(&app.name).any(|variable| match &variable.source {
        Source::Derived(template) => template.pieces.contains(&Piece::Fact(fact.clone())),
        _ => false,
    })
}

/// What telemetry is told: digests, and no key. An app that is told of no address has none. While a key is rotated the one before and
/// the next are taken too, and those that pages have of them.
pub(super) fn settings(environment: &Environment, secrets: &Store) -> Result<ErrorSettings, Fault> {
    let project = |app: &AppName| {
        let (name, _) = key(secrets, app)?;
        let accepted = secrets.accepted(&name).map_err(|fault| store_fault(&fault))?;
        let both = |key: &Versioned| {
            let key = key.secret.expose();
            [
                ProjectKey { of: KeyOf::Server, digest: Project::digest_of(key) },
                ProjectKey { of: KeyOf::Page, digest: Project::digest_of(&Project::page_key(key)) },
            ]
        };
        let (app, id) = (app.to_string(), Project::id_of(app.as_str()));
        Ok(Project { app, id, keys: accepted.iter().flat_map(both).collect() })
    };
    let reports =
        |app: &&App| [Fact::ErrorsDsn, Fact::ErrorsPublicDsn].iter().any(|fact| is_told(environment, app, fact));
    let projects = environment.apps.iter().filter(reports).map(|app| project(&app.name));
    let projects = projects.collect::<Result<_, Fault>>()?;
    Ok(ErrorSettings { projects, limits: ErrorLimits::default() })
}
