//! Values of secrets for GitHub: where they are taken from, and what is remembered of those that were written.
//!
//! GitHub shows no value again. So that one that has become another is seen, a keyed fingerprint of what was written is noted, with the
//! time that GitHub has it from, in `$XDG_STATE_HOME/roadbed/github/OWNER+NAME.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::PathBuf;

use ::github::{Given, Place, Value, Wanted, Written};
use ::secrets::{Fingerprints, Secret, SecretName};
use host::files::{self, Access};
use manifest::environment::Source;
use reconcile::Fault;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::cli::failure::Failure;
use crate::cli::github_args::GithubApply;
use crate::cli::project::no_such;
use crate::cli::secrets::{cannot, open, require_reason};
use crate::cli::secrets_transfer::assignments;
use crate::cli::session::Session;

/// What fingerprints are noted for.
const PURPOSE: &str = "github";

/// Of what is noted.
const FORMAT: u32 = 1;

/// Values for the places that the manifest names.
#[derive(Debug)]
pub(super) struct Values {
    of: Vec<(Vec<Place>, Secret)>,
    rotate: BTreeSet<String>,
}

/// What was written to one repository.
pub(super) struct Memory {
    /// `None`: this user keeps nothing anywhere, so nothing is remembered.
    file: Option<PathBuf>,
    prints: Option<Fingerprints>,
    written: BTreeMap<Place, Written>,
}

/// As it is noted.
#[derive(Serialize, Deserialize)]
struct Noted {
    format: u32,
    written: Vec<One>,
}

#[derive(Serialize, Deserialize)]
struct One {
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
    name: String,
    print: String,
    updated: String,
}

/// Every place where the manifest wants a secret.
fn places(wanted: &Wanted) -> Vec<Place> {
    let of = |environment: Option<&str>, names: &[String]| {
        let place = |name: &String| Place { environment: environment.map(str::to_owned), name: name.clone() };
        names.iter().map(place).collect::<Vec<_>>()
    };
    let environments = wanted.environments.iter().flat_map(|one| of(Some(&one.name), &one.secrets));
    of(None, &wanted.secrets).into_iter().chain(environments).collect()
}

impl Values {
    /// What stdin and the secret store give. Nothing is taken that the manifest does not want.
    pub(super) fn given(session: &Session, args: &GithubApply, wanted: &Wanted) -> Result<Self, Failure> {
        let all = places(wanted);
        let names: BTreeSet<&str> = all.iter().map(|place| place.name.as_str()).collect();
        let unknown = |name: &str| Failure::Usage(no_such("secret in [ci.github]", name, names.iter().copied()));
        if let Some(name) = args.rotate.iter().find(|name| !names.contains(name.as_str())) {
            return Err(unknown(name));
        }
        if let Some(name) = &args.for_environment
            && !wanted.environments.iter().any(|one| one.name == *name)
        {
            let known = wanted.environments.iter().map(|one| one.name.as_str());
            return Err(Failure::Usage(no_such("environment in [ci.github]", name, known)));
        }
        let is_meant = |place: &&Place| {
            args.for_environment.is_none() || place.environment.as_deref() == args.for_environment.as_deref()
        };
        let mut of: Vec<(Vec<Place>, Secret)> = Vec::new();
        if args.secrets_stdin {
            for (name, secret) in from_stdin()? {
                let places: Vec<Place> =
                    all.iter().filter(is_meant).filter(|place| place.name == name).cloned().collect();
                if places.is_empty() {
                    return Err(unknown(&name));
                }
                of.push((places, secret));
            }
        }
        if args.from_store {
            of.extend(from_store(session, args, &all, &of)?);
        }
        let rotate: BTreeSet<String> = args.rotate.iter().cloned().collect();
        let has = |name: &String| of.iter().any(|(places, _)| places.iter().any(|place| place.name == *name));
        if let Some(name) = rotate.iter().find(|name| !has(name)) {
            return Err(Failure::Usage(
                Fault::new(format!("cannot write {name} anew: nobody gives a value for it"))
                    .hint(format!("`... | roadbed github apply --rotate {name} --secrets-stdin`, or --from-store")),
            ));
        }
        Ok(Self { of, rotate })
    }

    /// For a plan, with what is remembered.
    pub(super) fn with<'s>(&'s self, memory: &Memory) -> Given<'s> {
        let mut given = Given { rotate: self.rotate.clone(), written: memory.written.clone(), ..Given::default() };
        for (places, secret) in &self.of {
            for place in places {
                let print = memory.prints.as_ref().map(|prints| prints.note_of(PURPOSE, secret)).unwrap_or_default();
                given.values.insert(place.clone(), Value { secret, print });
            }
        }
        given
    }
}

/// `NAME=value` in lines, or an object of JSON.
fn from_stdin() -> Result<Vec<(String, Secret)>, Failure> {
    let mut text = Zeroizing::new(String::new());
    let read = std::io::stdin().lock().read_to_string(&mut text);
    read.map_err(|error| Failure::Usage(Fault::because("cannot read the values from stdin", &error)))?;
    let mut found = Vec::new();
    for mut one in assignments(&text, "stdin")? {
        if one.value.is_empty() {
            return Err(Failure::Usage(
                Fault::new(format!("the value of {} is empty", one.name)).hint("leave its line out, or give a value"),
            ));
        }
        found.push((one.name, Secret::new(std::mem::take(&mut *one.value))));
    }
    Ok(found)
}

/// Those that people keep in the store of the environment that `--env` names: for it, and for the repository.
fn from_store(
    session: &Session,
    args: &GithubApply,
    all: &[Place],
    given: &[(Vec<Place>, Secret)],
) -> Result<Vec<(Vec<Place>, Secret)>, Failure> {
    require_reason(&args.with, "github apply --from-store")?;
    let (environment, store) = open(session, Some(&args.with))?;
    let here = session.environment()?;
    let mut found = Vec::new();
    for place in all.iter().filter(|place| place.environment.as_ref().is_none_or(|of| *of == here)) {
        let is_kept = environment
            .variables
            .iter()
            .any(|variable| variable.name.as_str() == place.name && variable.source == Source::Store);
        if !is_kept || given.iter().any(|(places, _)| places.contains(place)) {
            continue;
        }
        if let Some(kept) = store.get(&SecretName::variable(&place.name)).map_err(cannot)? {
            found.push((vec![place.clone()], kept.secret));
        }
    }
    Ok(found)
}

impl Memory {
    pub(super) fn of(session: &Session, repository: &str) -> Result<Self, Failure> {
        let folder = session.surroundings.state().map(|state| state.join("github"));
        let file = folder.map(|folder| folder.join(format!("{}.json", repository.replace('/', "+"))));
        let prints = Fingerprints::ensure_of_user(&session.roots().keys())?;
        let mut memory = Self { file, prints, written: BTreeMap::new() };
        let Some(file) = &memory.file else { return Ok(memory) };
        let Some(bytes) = files::read_if_exists(file)? else { return Ok(memory) };
        let damaged = |why: String| {
            Fault::new(format!("cannot tell what was written to {repository}: {} is damaged", file.display()))
                .cause(why)
                .hint("remove it; then --rotate writes values anew")
        };
        let noted: Noted = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if noted.format != FORMAT {
            return Err(damaged(format!("it is of format {}, and this program reads {FORMAT}", noted.format)).into());
        }
        let place = |one: One| {
            let place = Place { environment: one.environment, name: one.name };
            (place, Written { print: one.print, updated: one.updated })
        };
        memory.written = noted.written.into_iter().map(place).collect();
        Ok(memory)
    }

    /// Kept at once: whatever fails after this was written all the same.
    pub(super) fn note(&mut self, place: Place, written: Written) -> Result<(), Failure> {
        self.written.insert(place, written);
        let Some(file) = &self.file else { return Ok(()) };
        let one = |(place, written): (&Place, &Written)| One {
            environment: place.environment.clone(),
            name: place.name.clone(),
            print: written.print.clone(),
            updated: written.updated.clone(),
        };
        let noted = Noted { format: FORMAT, written: self.written.iter().map(one).collect() };
        if let Some(folder) = file.parent() {
            files::create_dir(folder, Access::Owner)?;
        }
        let text = serde_json::to_vec_pretty(&noted).expect("what is noted is plain data");
        Ok(files::write_durable(file, &text, Access::Owner)?)
    }
}
