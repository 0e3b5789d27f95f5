//! `roadbed secrets set`, `get` and `rm`: one value.

use std::io::{IsTerminal, Read};

use manifest::environment::Variable;
use reconcile::Fault;
use secrets::{Secret, SecretName, Writing};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::cli::command_lock;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::secrets::{cannot, kept, kept_by_people, named, open, require_reason};
use crate::cli::secrets_args::{GetSecret, RemoveSecret, SetSecret};
use crate::cli::secrets_external;
use crate::cli::session::Session;

/// Sets the value of one variable, read from stdin or asked for without echo: never an argument, which every user of the
/// machine could see.
pub fn set(session: &Session, args: &SetSecret) -> Result<Exit, Failure> {
    let name = &args.name;
    if !args.value.is_empty() || name.contains('=') {
        let name = name.split('=').next().unwrap_or(name);
        return Err(Failure::Usage(
            Fault::new(format!("the value of {name} must not be an argument: every user of this machine can see those"))
                .hint(format!(
                    "`roadbed secrets set {name}` asks for it or reads it from stdin; replace the value, and take it out of the shell's history"
                )),
        ));
    }
    let (environment, store) = open(session, Some(&args.with))?;
    if name.contains('/') {
        return secrets_external::set(session, name, &environment, &store);
    }
    let variable = kept_by_people(&environment, name)?;
    let secret = read_value(variable.name.as_str())?;
    check(variable, &secret)?;
    let _lock = command_lock::take(&session.root, &session.surroundings.command_line, session.clock)?;
    let writing = Writing { class: variable.class, rule: Some(&variable.rule) };
    let version = store.set(&SecretName::variable(variable.name.as_str()), writing, &secret).map_err(cannot)?;
    session.output.note(format!(
        "{} {} has version {version}; `{}` hands it to its apps",
        session.output.notes.good("✓"),
        variable.name,
        session.command("up")
    ));
    if session.output.is_json() {
        session.output.json(&kept(session, &environment, &store, variable)?)?;
    }
    Ok(Exit::Done)
}

/// Refuses a value that the manifest does not allow, without quoting it.
pub(super) fn check(variable: &Variable, secret: &Secret) -> Result<(), Failure> {
    let refused = |why: String| {
        Failure::Usage(
            Fault::new(format!("cannot keep this value of {}: it {why}", variable.name))
                .hint(format!("[variables.{}] in roadbed.toml says type and match", variable.name)),
        )
    };
    if secret.expose().contains('\0') {
        return Err(refused("must not hold a NUL: no process can be handed one".to_owned()));
    }
    variable.rule.check(secret.expose()).map_err(|wrong| refused(wrong.to_string()))
}

/// What `--json` prints of a value that was asked for.
#[derive(Serialize)]
struct Printed<'a> {
    name: &'a str,
    version: u32,
    value: &'a str,
}

/// Prints one value where it was asked to go.
pub fn get(session: &Session, args: &GetSecret) -> Result<Exit, Failure> {
    require_reason(&args.with, "get")?;
    if std::io::stdout().is_terminal() && !args.show {
        return Err(Failure::Usage(
            Fault::new("a value is not printed to a terminal unasked").hint("give --show, or send it into a pipe"),
        ));
    }
    let (environment, store) = open(session, Some(&args.with))?;
    let name = named(&environment, &args.name)?;
    let Some(found) = store.get(&name).map_err(cannot)? else {
        return Err(Failure::Work(
            Fault::new(format!("{name} has no value in {}", environment.reference()))
                .hint("`roadbed secrets list` shows what has one"),
        ));
    };
    if session.output.is_json() {
        let printed = Printed { name: name.as_str(), version: found.version, value: found.secret.expose() };
        session.output.json(&printed)?;
    } else {
        session.output.line(found.secret.expose())?;
    }
    Ok(Exit::Done)
}

/// Destroys a value, or one version of it.
pub fn remove(session: &Session, args: &RemoveSecret) -> Result<Exit, Failure> {
    let (environment, store) = open(session, Some(&args.with))?;
    let name = named(&environment, &args.name)?;
    let _lock = command_lock::take(&session.root, &session.surroundings.command_line, session.clock)?;
    let what = match args.version {
        None => store.remove(&name).map(|()| format!("all versions of {name}")),
        Some(version) => store.destroy(&name, version).map(|()| format!("version {version} of {name}")),
    };
    let what = what.map_err(cannot)?;
    session.output.note(format!("{} {what} destroyed", session.output.notes.good("✓")));
    if session.output.is_json() {
        let rows = store.versions().map_err(cannot)?;
        session.output.json(&rows.into_iter().filter(|row| row.name == name.as_str()).collect::<Vec<_>>())?;
    }
    Ok(Exit::Done)
}

/// One line end at the end is the terminal's or the editor's, not the secret's.
pub(super) fn read_value(name: &str) -> Result<Secret, Failure> {
    let unread =
        |error: &std::io::Error| Failure::Usage(Fault::because(format!("cannot read the value of {name}"), error));
    let mut bytes = Zeroizing::new(Vec::new());
    if std::io::stdin().is_terminal() {
        let terminal = console::Term::stderr();
        terminal.write_str(&format!("{name}: ")).map_err(|error| unread(&error))?;
        *bytes = terminal.read_secure_line().map_err(|error| unread(&error))?.into_bytes();
    } else {
        std::io::stdin().read_to_end(&mut bytes).map_err(|error| unread(&error))?;
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| {
        Failure::Usage(Fault::new(format!("the value of {name} is not UTF-8")).hint("encode it, for example as base64"))
    })?;
    let value = text.strip_suffix('\n').unwrap_or(text);
    let value = value.strip_suffix('\r').unwrap_or(value);
    if value.is_empty() {
        return Err(Failure::Usage(
            Fault::new(format!("the value of {name} is empty")).hint(format!("`roadbed secrets set {name} < FILE`")),
        ));
    }
    Ok(Secret::new(value.to_owned()))
}
