//! `roadbed secrets`: the values that people keep, for variables with `source = "store"`.

use std::io::{IsTerminal, Read};

use manifest::Environment;
use manifest::environment::{Source, Variable};
use reconcile::Fault;
use secrets::{FileStore, Secret, SecretName};
use serde::Serialize;
use zeroize::Zeroize;

use crate::cli::args;
use crate::cli::command_lock;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::project::{Project, no_such};
use crate::cli::session::Session;
use crate::control::identity;
use crate::render::table::Table;

/// What `--json` prints of one variable. Never a value.
#[derive(Debug, Serialize)]
struct Kept {
    name: String,
    owner: String,
    required: bool,
    /// Counts the values it has had; `null` while it has none.
    version: Option<u32>,
}

/// Sets the value of one variable, read from stdin or asked for without echo: never an argument, which every user of the
/// machine could see.
pub fn set(session: &Session, args: &args::SetSecret) -> Result<Exit, Failure> {
    let (environment, store) = open(session)?;
    let variable = kept_by_people(&environment, &args.name)?;
    let secret = read_value(variable.name.as_str())?;
    variable.rule.check(secret.expose()).map_err(|wrong| {
        let what = format!("cannot keep this value of {}: it {wrong}", variable.name);
        Failure::Usage(
            Fault::new(what).hint(format!("[variables.{}] in roadbed.toml says type and match", variable.name)),
        )
    })?;
    let _lock = command_lock::take(&session.root, &session.surroundings.command_line, session.clock)?;
    let version = store.set(&SecretName::variable(variable.name.as_str()), &secret).map_err(|fault| cannot(&fault))?;
    session.output.note(format!(
        "{} {} has version {version}; `{}` hands it to its apps",
        session.output.notes.good("✓"),
        variable.name,
        session.command("up")
    ));
    if session.output.is_json() {
        session.output.json(&kept(&store, variable)?)?;
    }
    Ok(Exit::Done)
}

/// Shows which variables have a value, and never the value.
pub fn list(session: &Session) -> Result<Exit, Failure> {
    let (environment, store) = open(session)?;
    let all = environment
        .variables
        .iter()
        .filter(|variable| variable.source == Source::Store)
        .map(|variable| kept(&store, variable))
        .collect::<Result<Vec<_>, _>>()?;
    let output = &session.output;
    if output.is_json() {
        output.json(&all)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::with_head(["VARIABLE", "OWNER", "REQUIRED", "VALUE"].map(str::to_owned).into());
    for one in all {
        let value = one.version.map_or("none".to_owned(), |version| format!("version {version}"));
        let required = if one.required { "yes" } else { "no" };
        table.row(vec![one.name, one.owner, required.to_owned(), value]);
    }
    for line in table.lines() {
        output.line(line)?;
    }
    Ok(Exit::Done)
}

pub(super) fn open(session: &Session) -> Result<(Environment, FileStore), Failure> {
    let project = Project::load(session)?;
    let (name, environment) = project.environment(&session.environment()?)?;
    let name = name.to_string();
    let purpose = identity::Purpose { product: environment.product.as_str(), environment: &name };
    let identity = identity::ensure(&session.root, purpose, &session.roots(), session.clock)?;
    Ok((environment, FileStore::of_root(session.root.secret_store(), &identity.id)))
}

fn kept_by_people<'a>(environment: &'a Environment, name: &str) -> Result<&'a Variable, Failure> {
    let known = environment.variables.iter().map(|variable| variable.name.as_str());
    let variable = environment
        .variables
        .iter()
        .find(|variable| variable.name.as_str() == name)
        .ok_or_else(|| Failure::Usage(no_such("variable", name, known)))?;
    if variable.source == Source::Store {
        return Ok(variable);
    }
    Err(Failure::Usage(Fault::new(format!("cannot set {name}: its value does not come from the secret store")).hint(
        format!(
            "`roadbed env matrix` shows the sources; only `source = \"store\"` in [variables.{name}] is set by hand"
        ),
    )))
}

fn kept(store: &FileStore, variable: &Variable) -> Result<Kept, Failure> {
    let found = store.get(&SecretName::variable(variable.name.as_str())).map_err(|fault| cannot(&fault))?;
    Ok(Kept {
        name: variable.name.to_string(),
        owner: variable.owner.to_string(),
        required: variable.required,
        version: found.map(|found| found.version),
    })
}

/// One line end at the end is the terminal's or the editor's, not the secret's.
fn read_value(name: &str) -> Result<Secret, Failure> {
    let unread =
        |error: &std::io::Error| Failure::Usage(Fault::because(format!("cannot read the value of {name}"), error));
    let mut text = String::new();
    if std::io::stdin().is_terminal() {
        let terminal = console::Term::stderr();
        terminal.write_str(&format!("{name}: ")).map_err(|error| unread(&error))?;
        text = terminal.read_secure_line().map_err(|error| unread(&error))?;
    } else {
        std::io::stdin().read_to_string(&mut text).map_err(|error| unread(&error))?;
    }
    let value = text.strip_suffix('\n').unwrap_or(&text);
    let value = value.strip_suffix('\r').unwrap_or(value).to_owned();
    text.zeroize();
    if value.is_empty() {
        return Err(Failure::Usage(
            Fault::new(format!("the value of {name} is empty")).hint(format!("`roadbed secrets set {name} < FILE`")),
        ));
    }
    Ok(Secret::new(value))
}

fn cannot(fault: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::Work(Fault::because("cannot use the secret store", fault))
}
