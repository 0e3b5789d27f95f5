//! Which version of a secret a process was started with, or is to be: what a rotation asks before it takes a version away.

use std::collections::{BTreeMap, BTreeSet};

use crate::ports::UnitStatus;

/// Versions of secrets by name: `var/SESSION_SECRET` 3. Never a value.
pub type Loaded = BTreeMap<String, u32>;

/// Who holds which version of one secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holders {
    /// Version to the units that were started with it, and those that have no process and would be.
    pub by_version: BTreeMap<u32, BTreeSet<String>>,
    /// Units with a process of which nobody knows what it was started with: any version may be theirs.
    pub unknown: BTreeSet<String>,
}

impl Holders {
    /// Who stands in the way of taking `version` away; empty: nobody.
    pub fn of(&self, version: u32) -> BTreeSet<&str> {
        let known = self.by_version.get(&version).into_iter().flatten();
        known.chain(&self.unknown).map(String::as_str).collect()
    }
}

/// Who holds which version of `secret`, among `units`.
pub fn holders(units: &[UnitStatus], secret: &str) -> Holders {
    let mut holders = Holders::default();
    for unit in units {
        // A process that is on its way out has what it was given, whatever the next one gets.
        let loaded = if unit.pid.is_some() { unit.loaded.as_ref() } else { Some(&unit.specified) };
        match loaded.map(|loaded| loaded.get(secret)) {
            Some(Some(version)) => drop(holders.by_version.entry(*version).or_default().insert(unit.name.clone())),
            Some(None) => {}
            None => drop(holders.unknown.insert(unit.name.clone())),
        }
    }
    holders
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::{UnitKind, UnitState};

    fn unit(name: &str, pid: Option<u32>, loaded: Option<&[(&str, u32)]>) -> UnitStatus {
        UnitStatus {
            name: name.to_owned(),
            kind: UnitKind::App,
            state: UnitState::Running,
            pid,
            restarts: 0,
            revision: "1".to_owned(),
            last_exit: None,
            loaded: loaded.map(|all| all.iter().map(|(name, version)| ((*name).to_owned(), *version)).collect()),
            specified: Loaded::new(),
        }
    }

    #[test]
    fn who_is_dead_holds_what_it_would_be_started_with() {
        let specified: Loaded = [("var/KEY".to_owned(), 1)].into();
        let dead = UnitStatus { specified: specified.clone(), ..unit("api-1", None, None) };
        // Replaced: the process of before holds what it has, and its successor is specified already.
        let leaving = UnitStatus { specified, ..unit("api-2", Some(2), Some(&[("var/KEY", 7)])) };
        let holders = holders(&[dead, leaving], "var/KEY");
        assert_eq!(holders.of(1), BTreeSet::from(["api-1"]));
        assert_eq!(holders.of(7), BTreeSet::from(["api-2"]));
    }

    #[test]
    fn a_version_is_held_by_whoever_lives_and_was_started_with_it() {
        let units = [
            unit("api-1", Some(1), Some(&[("var/KEY", 1)])),
            unit("api-2", Some(2), Some(&[("var/KEY", 2), ("var/OTHER", 1)])),
            unit("web-1", Some(3), Some(&[])),
            unit("dead-1", None, None),
        ];
        let holders = holders(&units, "var/KEY");
        assert_eq!(holders.of(1), BTreeSet::from(["api-1"]));
        assert_eq!(holders.of(2), BTreeSet::from(["api-2"]));
        assert!(holders.of(3).is_empty());
    }

    #[test]
    fn of_whom_nothing_is_known_may_hold_any_version() {
        let holders = holders(&[unit("api-1", Some(1), None)], "var/KEY");
        assert_eq!(holders.of(1), BTreeSet::from(["api-1"]));
        assert_eq!(holders.of(7), BTreeSet::from(["api-1"]));
    }
}
