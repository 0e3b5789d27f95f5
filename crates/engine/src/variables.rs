//! The variables of one instance: from the manifest's sources to texts in a process's environment.

use std::collections::BTreeMap;
use std::fmt;

use manifest::AppName;
use manifest::Environment;
use manifest::environment::{Class, Delivery, Fact as FactName, Piece, Source, Variable};
use reconcile::Fault;
use reconcile::loaded::Loaded;
use secrets::Secret;

/// A value, and what may be shown of it.
#[derive(Debug)]
pub struct Value {
    pub text: Secret,
    /// The text itself if it is not sensitive, otherwise the secret's name and version. Goes into revisions.
    pub shown: String,
    /// Which secrets are in it.
    pub loaded: Loaded,
}

impl Value {
    pub fn plain(text: String) -> Self {
        Self { shown: text.clone(), text: Secret::new(text), loaded: Loaded::new() }
    }
}

/// Where values come from. Implemented where stores, ports and secrets are known.
pub trait Facts: Send + Sync + fmt::Debug {
    /// A fact of the environment as this app sees it: its own credentials in a connection string.
    fn fact(&self, app: &AppName, fact: &FactName) -> Result<Value, Fault>;
    /// What a person put into the secret store.
    fn stored(&self, variable: &Variable) -> Result<Option<Value>, Fault>;
    /// What Roadbed made at first need.
    fn generated(&self, variable: &Variable) -> Result<Value, Fault>;
}

/// The variables of an app, ready for a process.
#[derive(Debug, Default)]
pub struct Assembled {
    /// Holds secrets: goes to the keeper and nowhere else.
    pub values: BTreeMap<String, String>,
    /// Which of the values the process gets as files in memory.
    pub in_files: Vec<String>,
    /// `NAME=what may be shown`, for the revision.
    pub shown: Vec<String>,
    /// Which version of which secret is among the values.
    pub loaded: Loaded,
}

/// Assembles what one app may receive. Every required variable without a value, and every value that is not what its variable
/// holds, is named at once. No value is quoted.
pub fn assemble(environment: &Environment, app: &AppName, facts: &dyn Facts) -> Result<Assembled, Fault> {
    let mut assembled = Assembled::default();
    let (mut missing, mut wrong) = (Vec::new(), Vec::new());
    for variable in environment.variables_of(app) {
        match value(variable, app, facts)? {
            // An empty text is no value: programs take an empty variable for a set one and fail later, elsewhere.
            Some(value) if !value.text.expose().is_empty() => {
                if let Err(fault) = variable.rule.check(value.text.expose()) {
                    wrong.push(format!("{} (owner: {}) {fault}", variable.name, variable.owner));
                }
                assembled.shown.push(format!("{}={} by {}", variable.name, value.shown, variable.delivery));
                if variable.delivery == Delivery::File {
                    assembled.in_files.push(variable.name.to_string());
                }
                assembled.loaded.extend(value.loaded);
                assembled.values.insert(variable.name.to_string(), value.text.expose().to_owned());
            }
            _ if variable.required => {
                missing.push(format!("{} (owner: {}): {}", variable.name, variable.owner, variable.doc))
            }
            _ => {}
        }
    }
    let place = format!("cannot start {app} in {}", environment.name);
    let (what, hint) = match (missing.is_empty(), wrong.is_empty()) {
        (true, true) => return Ok(assembled),
        (false, _) => (
            format!("{place}: required variables have no value"),
            format!("ask the owner named above for the value, then `roadbed secrets set --env {} NAME`", environment.reference()),
        ),
        (true, false) => (
            format!("{place}: variables have values that their type does not allow"),
            "`roadbed env matrix --json` shows type and match of each; `roadbed secrets set NAME` replaces a kept value".to_owned(),
        ),
    };
    let mut fault = Fault::new(what).hint(hint);
    fault.causes = missing.into_iter().chain(wrong).collect();
    Err(fault)
}

/// What a static app reads at run time: its public variables, nothing else.
pub fn public_config(
    environment: &Environment,
    app: &AppName,
    facts: &dyn Facts,
) -> Result<BTreeMap<String, String>, Fault> {
    let mut config = BTreeMap::new();
    for variable in environment.variables_of(app).filter(|variable| variable.class == Class::Public) {
        if let Some(value) = value(variable, app, facts)? {
            variable.rule.check(value.text.expose()).map_err(|fault| {
                Fault::new(format!("cannot serve {app} in {}: {} {fault}", environment.name, variable.name))
                    .hint(format!("see [variables.{}] in roadbed.toml", variable.name))
            })?;
            config.insert(variable.name.to_string(), value.text.expose().to_owned());
        }
    }
    Ok(config)
}

fn value(variable: &Variable, app: &AppName, facts: &dyn Facts) -> Result<Option<Value>, Fault> {
    match &variable.source {
        Source::Literal(text) => Ok(Some(Value::plain(text.clone()))),
        Source::Generated => facts.generated(variable).map(Some),
        Source::Store => facts.stored(variable),
        // Only a build reads it: `Environment::variables_of` leaves it out.
        Source::Ci => Ok(None),
        Source::Derived(template) => {
            let (mut text, mut shown, mut loaded) = (String::new(), String::new(), Loaded::new());
            for piece in &template.pieces {
                match piece {
                    Piece::Text(part) => {
                        text.push_str(part);
                        shown.push_str(part);
                    }
                    Piece::Fact(name) => {
                        let value = facts.fact(app, name)?;
                        text.push_str(value.text.expose());
                        shown.push_str(&value.shown);
                        loaded.extend(value.loaded);
                    }
                }
            }
            Ok(Some(Value { text: Secret::new(text), shown, loaded }))
        }
    }
}
