//! Which version of a secret a living process was started with: what a rotation asks before it takes a version away.

use std::collections::{BTreeMap, BTreeSet};

use crate::ports::UnitStatus;

/// Versions of secrets by name: `var/SESSION_SECRET` 3. Never a value.
pub type Loaded = BTreeMap<String, u32>;

/// Who holds which version of one secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holders {
    /// Version to the units that were started with it.
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
    for unit in units.iter().filter(|unit| unit.pid.is_some()) {
        match &unit.loaded {
            Some(loaded) => {
                if let Some(version) = loaded.get(secret) {
                    holders.by_version.entry(*version).or_default().insert(unit.name.clone());
                }
            }
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
        }
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
