//! What two environments must not have in common, looked at.

use std::collections::BTreeSet;

use manifest::Environment;
use manifest::environment::Source;
use secrets::{SecretName, Store, StoreFault};

use super::neighbour::Neighbour;
use super::{Cells, Ours};
use crate::roots::{Roots, place_of};
use crate::seats;

/// Names, ports, folders and generated secrets.
pub(super) fn compare(ours: &Ours<'_>, other: &Neighbour, cells: &mut Cells) {
    let (here, there) = (place_of(ours.root), place_of(&other.root));
    match here.starts_with(&there) || there.starts_with(&here) {
        true => cells.bad(format!("{} and {} lie within each other", here.display(), there.display())),
        false => cells.good(format!("its folder is another one, {}", there.display())),
    }
    // Two checkouts of one environment have the same names, each in stores of its own.
    if let Some(theirs) = other.environment.as_ref().filter(|theirs| theirs.reference() != ours.environment.reference())
    {
        compare_names(ours.environment, theirs, cells);
    }
    if let Some(up) = &other.up {
        let taken: Vec<String> = ours
            .ports
            .iter()
            .flat_map(|(name, port)| {
                up.ports.iter().filter(move |(_, other)| *other == port).map(move |pair| (name, pair))
            })
            .map(|(name, (other, port))| format!("{port} (our {name}, its {other})"))
            .collect();
        match taken.is_empty() {
            true => cells.good(format!("none of our {} ports is one of its {}", ours.ports.len(), up.ports.len())),
            false => cells.bad(format!("both have the port {}", taken.join(", "))),
        }
    }
    compare_secrets(ours, other, cells);
}

fn compare_names(ours: &Environment, theirs: &Environment, cells: &mut Cells) {
    let both = |what: &str, ours: BTreeSet<String>, theirs: BTreeSet<String>, cells: &mut Cells| {
        let common: Vec<&str> = ours.intersection(&theirs).map(String::as_str).collect();
        let shown = |names: &BTreeSet<String>| names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        match (common.is_empty(), ours.is_empty() || theirs.is_empty()) {
            (false, _) => cells.bad(format!("both have the {what} {}", common.join(", "))),
            (true, true) => {}
            (true, false) => cells.good(format!("{what}: ours {}, its {}", shown(&ours), shown(&theirs))),
        }
    };
    let of = |environment: &Environment| {
        let databases = environment.mongodb.iter().map(|mongodb| mongodb.database.clone()).collect();
        let prefixes = environment.redis.iter().map(|redis| redis.key_prefix.clone()).collect();
        let buckets = environment.media.iter().flat_map(|media| &media.buckets);
        let buckets = buckets.map(|bucket| bucket.full_name.clone()).collect();
        let hosts = environment.apps.iter().flat_map(|app| app.hosts.clone()).collect();
        [databases, prefixes, buckets, hosts]
    };
    let whats = ["database", "prefix of keys", "buckets", "host names"];
    for ((what, ours), theirs) in whats.into_iter().zip(of(ours)).zip(of(theirs)) {
        both(what, ours, theirs, cells);
    }
}

/// What Roadbed made up for one environment must be nowhere else. What people set is theirs to choose.
fn compare_secrets(ours: &Ours<'_>, other: &Neighbour, cells: &mut Cells) {
    let by_people = |name: &SecretName| {
        let mut set = ours.environment.variables.iter().filter(|variable| variable.source == Source::Store);
        set.any(|variable| SecretName::variable(variable.name.as_str()) == *name)
    };
    let roots = Roots::new(ours.wanted.state.clone(), ours.wanted.config.clone());
    let theirs = Store::new(seats::of_root(&other.root, &other.identity, &roots));
    let mut compared = 0_usize;
    let mut shared = Vec::new();
    // By fingerprints: nobody's store is opened for it.
    let mut compare = || -> Result<(), StoreFault> {
        let theirs = theirs.fingerprints()?;
        for print in ours.secrets.fingerprints()?.iter().filter(|print| !by_people(&print.name)) {
            compared += theirs.iter().filter(|other| other.key == print.key).count().min(1);
            if theirs.iter().any(|other| other.is_of_the_same_value_as(print)) {
                shared.push(print.name.to_string());
            }
        }
        Ok(())
    };
    match compare() {
        Err(fault) => cells.untried(format!("comparing the generated secrets: {fault}")),
        Ok(()) if !shared.is_empty() => cells.bad(format!("both have the value of {}", shared.join(", "))),
        Ok(()) => cells.good(format!("none of {compared} generated secrets is the same")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Environment {
        let text = include_str!("../../../../../roadbed.toml").to_owned();
        let (manifest, _) = manifest::parse(&manifest::Source { file: "roadbed.toml".to_owned(), text });
        manifest.unwrap().resolve(&name.parse().unwrap()).unwrap()
    }

    #[test]
    fn the_environments_of_urbancart_share_no_name() {
        let names = ["local", "staging", "production", "preview/pr-42", "preview/pr-43"];
        for (one, other) in names.iter().flat_map(|one| names.iter().map(move |other| (one, other))) {
            let mut cells = Cells::default();
            compare_names(&environment(one), &environment(other), &mut cells);
            assert_eq!(cells.is_broken, one == other, "{one} and {other}: {:?}", cells.observed);
        }
    }
}
