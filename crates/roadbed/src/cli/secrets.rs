//! `roadbed secrets`: the store of one environment as people work with it.

use host::clock::Timestamp;
use manifest::Environment;
use manifest::environment::{Source, Variable};
use reconcile::Fault;
use secrets::{SecretName, Store, StoreFault};
use serde::Serialize;

use crate::cli::conductor::Conductor;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::project::{Project, no_such};
use crate::cli::secrets_args::{Secrets, Versions, With};
use crate::cli::session::Session;
use crate::cli::{
    secrets_audit, secrets_external, secrets_recipients, secrets_rotate, secrets_scan, secrets_transfer,
    secrets_values, wait,
};
use crate::control::identity;
use crate::render::table::Table;
use crate::rotation::due::no_earlier_than;
use crate::rotation::{Due, Subject, due};
use crate::seats;

pub fn run(session: &Session, verb: &Secrets, conductor: &impl Conductor) -> Result<Exit, Failure> {
    match verb {
        Secrets::Set(args) => secrets_values::set(session, args),
        Secrets::Get(args) => secrets_values::get(session, args),
        Secrets::Rotate(args) => wait(secrets_rotate::run(session, args, conductor)),
        Secrets::Scan(args) => secrets_scan::run(session, args),
        Secrets::List => list(session),
        Secrets::Versions(args) => versions(session, args),
        Secrets::Rm(args) => secrets_values::remove(session, args),
        Secrets::Import(args) => secrets_transfer::import(session, args),
        Secrets::Export(args) => secrets_transfer::export(session, args),
        Secrets::Recipients(verb) => secrets_recipients::run(session, verb),
        Secrets::Rekey(args) => secrets_recipients::rekey(session, args),
        Secrets::Audit(args) => secrets_audit::run(session, args),
    }
}

/// What `--json` prints of one variable. Never a value.
#[derive(Debug, Serialize)]
pub(super) struct Kept {
    name: String,
    owner: String,
    required: bool,
    /// Counts the values it has had; `null` while it has none.
    version: Option<u32>,
    /// Since when the value has been older than the manifest lets it be; `null` if it is not.
    overdue_since: Option<Timestamp>,
}

impl Kept {
    /// What no app asks for, and nothing works without.
    pub(super) fn required_by_roadbed(name: String, version: Option<u32>) -> Self {
        Self { name, owner: String::new(), required: true, version, overdue_since: None }
    }
}

/// Shows which variables have a value, and never the value.
fn list(session: &Session) -> Result<Exit, Failure> {
    let (environment, store) = open(session, None)?;
    let all = environment
        .variables
        .iter()
        .filter(|variable| variable.source == Source::Store)
        .map(|variable| kept(session, &environment, &store, variable))
        .collect::<Result<Vec<_>, _>>()?;
    let all: Vec<Kept> = all.into_iter().chain(secrets_external::list(&environment, &store)?).collect();
    let output = &session.output;
    if output.is_json() {
        output.json(&all)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::with_head(["VARIABLE", "OWNER", "REQUIRED", "VALUE"].map(str::to_owned).into());
    for one in all {
        let mut value = one.version.map_or("none".to_owned(), |version| format!("version {version}"));
        if let Some(since) = one.overdue_since {
            value.push_str(&format!(", OVERDUE since {since}"));
        }
        let required = if one.required { "yes" } else { "no" };
        table.row(vec![one.name, one.owner, required.to_owned(), value]);
    }
    for line in table.lines() {
        output.line(line)?;
    }
    Ok(Exit::Done)
}

/// Shows the versions of values.
fn versions(session: &Session, args: &Versions) -> Result<Exit, Failure> {
    let (environment, store) = open(session, None)?;
    let mut rows = store.versions().map_err(cannot)?;
    if let Some(name) = &args.name {
        let name = named(&environment, name)?;
        rows.retain(|row| row.name == name.as_str());
    }
    let output = &session.output;
    if output.is_json() {
        output.json(&rows)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::with_head(["NAME", "VERSION", "STATE", "CLASS", "MADE"].map(str::to_owned).into());
    for row in rows {
        let state = row.state.as_str().to_owned();
        table.row(vec![row.name, row.version.to_string(), state, row.class, row.created.to_string()]);
    }
    for line in table.lines() {
        output.line(line)?;
    }
    Ok(Exit::Done)
}

/// The environment that is meant, and its store.
pub(super) fn open(session: &Session, with: Option<&With>) -> Result<(Environment, Store), Failure> {
    let project = Project::load(session)?;
    let (name, environment) = project.environment(&session.environment()?)?;
    let name = name.to_string();
    let purpose = identity::Purpose { product: environment.product.as_str(), environment: &name };
    let identity = identity::ensure(&session.root, purpose, &session.roots(), session.clock)?;
    let here = &session.surroundings.folder;
    let identities = with.iter().flat_map(|with| &with.identity).map(|path| here.join(path)).collect();
    let reason = with.map_or("", |with| with.reason.as_str());
    identity::refuse_lost_secrets(&session.root)?;
    Ok((environment, Store::new(seats::of_person(&session.root, &identity, &session.roots(), reason, identities))))
}

/// The secret that is meant: of a variable, or by its full name.
pub(super) fn named(environment: &Environment, name: &str) -> Result<SecretName, Failure> {
    if name.contains('/') {
        return Ok(SecretName::new(name));
    }
    variable(environment, name).map(|variable| SecretName::variable(variable.name.as_str()))
}

fn variable<'a>(environment: &'a Environment, name: &str) -> Result<&'a Variable, Failure> {
    let known = environment.variables.iter().map(|variable| variable.name.as_str());
    environment
        .variables
        .iter()
        .find(|variable| variable.name.as_str() == name)
        .ok_or_else(|| Failure::Usage(no_such("variable", name, known)))
}

/// A variable whose value people set.
pub(super) fn kept_by_people<'a>(environment: &'a Environment, name: &str) -> Result<&'a Variable, Failure> {
    let variable = variable(environment, name)?;
    if variable.source == Source::Store {
        return Ok(variable);
    }
    Err(Failure::Usage(Fault::new(format!("cannot set {name}: its value does not come from the secret store")).hint(
        format!(
            "`roadbed env matrix` shows the sources; only `source = \"store\"` in [variables.{name}] is set by hand"
        ),
    )))
}

pub(super) fn kept(
    session: &Session,
    environment: &Environment,
    store: &Store,
    variable: &Variable,
) -> Result<Kept, Failure> {
    let name = SecretName::variable(variable.name.as_str());
    let version = store.current_version(&name).map_err(cannot)?;
    let rows = store.versions().map_err(cannot)?;
    let now = no_earlier_than(None, &rows, session.clock.now());
    let overdue_since = Subject::of(variable, environment).and_then(|subject| match due(&subject, &rows, now) {
        Due::Overdue { since } => Some(since),
        Due::NoValue | Due::Later { .. } => None,
    });
    Ok(Kept {
        name: variable.name.to_string(),
        owner: variable.owner.to_string(),
        required: variable.required,
        version,
        overdue_since,
    })
}

/// What a store refuses because of the value is the caller's fault; nothing was changed.
pub(super) fn cannot(fault: StoreFault) -> Failure {
    let is_usage = matches!(
        fault,
        StoreFault::Empty { .. }
            | StoreFault::Short { .. }
            | StoreFault::Long { .. }
            | StoreFault::Forbidden { .. }
            | StoreFault::Shared { .. }
            | StoreFault::NotAName { .. }
    );
    match is_usage {
        true => Failure::Usage(Fault::new(fault.to_string()).hint(fault.hint())),
        false => Failure::Work(Fault::because("cannot use the secret store", &fault).hint(fault.hint())),
    }
}

/// What only goes on with a reason goes into the audit log with it.
pub(super) fn require_reason(with: &With, verb: &str) -> Result<(), Failure> {
    match with.reason.trim().is_empty() {
        true => Err(Failure::Usage(
            Fault::new(format!("`secrets {verb}` takes a reason, which is noted in the audit log"))
                .hint(format!("`roadbed secrets {verb} ... --reason 'why'`")),
        )),
        false => Ok(()),
    }
}
