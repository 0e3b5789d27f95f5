//! `roadbed secrets import` and `export`: many values at once.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Read};

use host::files;
use manifest::environment::Source;
use reconcile::Fault;
use secrets::identity::wrap_as_text;
use secrets::store::Setting;
use secrets::{Secret, SecretName, Writing};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::cli::command_lock;
use crate::cli::dotenv::{self, Assignment};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::secrets::{cannot, kept_by_people, open, require_reason};
use crate::cli::secrets_args::{Export, Import};
use crate::cli::secrets_recipients::key;
use crate::cli::secrets_values::check;
use crate::cli::session::Session;

/// What `--json` prints of a value that was imported.
#[derive(Serialize)]
struct Imported {
    name: String,
    version: u32,
}

/// Sets the values of a file, all or none.
pub fn import(session: &Session, args: &Import) -> Result<Exit, Failure> {
    let (environment, store) = open(session, Some(&args.with))?;
    let shown = args.file.display().to_string();
    let text = read_text(session, args)?;
    let mut wrong = Vec::new();
    let mut settings = Vec::new();
    for one in assignments(&text, &shown)? {
        let place = format!("{shown}:{}", one.line);
        let variable = match kept_by_people(&environment, &one.name) {
            Ok(variable) => variable,
            Err(failure) => {
                wrong.push(format!("{place}: {}", said(failure)));
                continue;
            }
        };
        let secret = Secret::new(one.value.to_string());
        if secret.expose().is_empty() {
            wrong.push(format!("{place}: the value of {} is empty", one.name));
        } else if let Err(failure) = check(variable, &secret) {
            wrong.push(format!("{place}: {}", said(failure)));
        }
        let name = SecretName::variable(variable.name.as_str());
        if settings.iter().any(|setting: &Setting<'_>| setting.name == name) {
            wrong.push(format!("{place}: {} is set twice", one.name));
        }
        let writing = Writing { class: variable.class, rule: Some(&variable.rule) };
        settings.push(Setting { name, writing, secret });
    }
    if !wrong.is_empty() {
        return Err(Failure::Usage(
            Fault::new(format!("cannot import {shown}: nothing was kept"))
                .hint("mend the lines that are named, then import the file again")
                .output(wrong),
        ));
    }
    let _lock = command_lock::take(&session.root, &session.surroundings.command_line, session.clock)?;
    let versions = store.set_all(&settings).map_err(cannot)?;
    let kept = settings.iter().zip(versions);
    let kept: Vec<Imported> =
        kept.map(|(setting, version)| Imported { name: setting.name.to_string(), version }).collect();
    session.output.note(format!("{} values kept: {}", session.output.notes.good("✓"), kept.len()));
    if session.output.is_json() {
        session.output.json(&kept)?;
    }
    Ok(Exit::Done)
}

fn said(failure: Failure) -> String {
    match failure {
        Failure::Usage(fault) | Failure::Work(fault) => fault.to_string(),
        other => format!("{other:?}"),
    }
}

fn read_text(session: &Session, args: &Import) -> Result<Zeroizing<String>, Failure> {
    let mut bytes = Zeroizing::new(Vec::new());
    if args.file.as_os_str() == "-" {
        std::io::stdin()
            .read_to_end(&mut bytes)
            .map_err(|error| Failure::Usage(Fault::because("cannot read stdin", &error).hint("name a file")))?;
    } else {
        let path = session.surroundings.folder.join(&args.file);
        *bytes = files::read(&path).map_err(|fault| {
            Failure::Usage(Fault::because("cannot import", &fault).hint("name a dotenv or JSON file, or - for stdin"))
        })?;
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(error) => {
            let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
            Err(Failure::Usage(
                Fault::new(format!("cannot import {}: line {line} is not UTF-8", args.file.display()))
                    .hint("encode such a value, for example as base64"),
            ))
        }
    }
}

pub(super) fn assignments(text: &str, shown: &str) -> Result<Vec<Assignment>, Failure> {
    let refuse = |lines: Vec<String>| {
        Failure::Usage(
            Fault::new(format!("cannot import {shown}: nothing was kept"))
                .hint("mend the lines that are named, then import the file again")
                .output(lines),
        )
    };
    if !text.trim_start().starts_with('{') {
        return dotenv::read(text).map_err(|wrong| {
            refuse(wrong.iter().map(|one| format!("{shown}:{}:{}: {}", one.line, one.column, one.what)).collect())
        });
    }
    // What the parser says of a value could quote it; its place cannot.
    let parsed: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).map_err(|error| {
        refuse(vec![format!("{shown}:{}:{}: this is no JSON object", error.line(), error.column())])
    })?;
    let mut found = Vec::new();
    let mut wrong = Vec::new();
    for (name, value) in parsed {
        // Where the key first stands in quotes: good enough to find it.
        let at = text.find(&format!("\"{name}\"")).unwrap_or(0);
        let line = text[..at].matches('\n').count() + 1;
        match value {
            serde_json::Value::String(value) => found.push(Assignment { name, value: Zeroizing::new(value), line }),
            _ => wrong.push(format!("{shown}:{line}: the value of {name} is no string")),
        }
    }
    if wrong.is_empty() { Ok(found) } else { Err(refuse(wrong)) }
}

/// Prints what people set, sealed or in clear.
pub fn export(session: &Session, args: &Export) -> Result<Exit, Failure> {
    require_reason(&args.with, "export")?;
    if args.plain && std::io::stdout().is_terminal() {
        return Err(Failure::Usage(
            Fault::new("values in clear are not printed to a terminal").hint("send them into a pipe or a file"),
        ));
    }
    let keys = args.to.iter().map(|text| key(text)).collect::<Result<Vec<_>, _>>()?;
    let (environment, store) = open(session, Some(&args.with))?;
    let mut all: BTreeMap<&str, Secret> = BTreeMap::new();
    for variable in environment.variables.iter().filter(|variable| variable.source == Source::Store) {
        let found = store.export(&SecretName::variable(variable.name.as_str())).map_err(cannot)?;
        all.extend(found.map(|found| (variable.name.as_str(), found.secret)));
    }
    let exposed: BTreeMap<&str, &str> = all.iter().map(|(name, secret)| (*name, secret.expose())).collect();
    let json = Zeroizing::new(serde_json::to_string_pretty(&exposed).expect("texts are plain data"));
    let text = match args.plain {
        true => Zeroizing::new(format!("{}\n", *json)),
        false => {
            let keys: Vec<_> = keys.iter().collect();
            Zeroizing::new(wrap_as_text(&keys, json.as_bytes()).map_err(|fault| cannot(fault.into()))?)
        }
    };
    session.output.text(&text)?;
    session.output.note(format!("{} values exported: {}", session.output.notes.good("✓"), all.len()));
    Ok(Exit::Done)
}
