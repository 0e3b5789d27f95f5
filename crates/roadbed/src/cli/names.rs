//! Which units a name means: itself, or all instances of an app.

use engine::instance::app_of;

use crate::cli::failure::Failure;
use crate::cli::project::no_such;

/// The units that `names` mean, without repetition, in the order asked for.
pub fn units_named(names: &[String], known: &[&str]) -> Result<Vec<String>, Failure> {
    let mut chosen: Vec<String> = Vec::new();
    for name in names {
        let meant: Vec<&str> =
            known.iter().copied().filter(|unit| *unit == name || app_of(unit) == Some(name)).collect();
        if meant.is_empty() {
            let mut apps_and_units: Vec<&str> =
                known.iter().filter_map(|unit| app_of(unit)).chain(known.iter().copied()).collect();
            apps_and_units.dedup();
            return Err(Failure::Usage(no_such("app or unit", name, apps_and_units.into_iter())));
        }
        for unit in meant {
            if !chosen.iter().any(|chosen| chosen == unit) {
                chosen.push(unit.to_owned());
            }
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 6] = ["api-1", "api-blue-2", "edge", "mongodb", "web-api-1", "web-green-1"];

    fn named(names: &[&str]) -> Result<Vec<String>, Failure> {
        units_named(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), &KNOWN)
    }

    #[test]
    fn an_app_means_its_instances_and_a_unit_itself() {
        assert_eq!(named(&["api"]).unwrap(), ["api-1", "api-blue-2"]);
        assert_eq!(named(&["web"]).unwrap(), ["web-green-1"]);
        assert_eq!(named(&["edge", "api-blue-2", "api"]).unwrap(), ["edge", "api-blue-2", "api-1"]);
    }

    #[test]
    fn an_unknown_name_is_a_usage_fault_with_a_hint() {
        let Err(Failure::Usage(fault)) = named(&["mongdb"]) else { panic!("was found") };
        assert_eq!(fault.hint.as_deref(), Some("did you mean \"mongodb\"?"));
    }
}
