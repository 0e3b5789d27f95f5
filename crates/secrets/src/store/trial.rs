//! What a key opens: tried, to prove that a store opens for its own and for nobody else.

use super::session::Work;
use super::{Store, keys, rows, values};
use crate::fault::StoreFault;
use crate::identity::PrivateKey;

/// How many of a store's values a key opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    pub opened: usize,
    /// Versions that are kept.
    pub of: usize,
}

impl Store {
    /// Tries each version of each value with this key alone. Nothing that opens leaves this function, so nothing is noted; a store
    /// that is not there has nothing to open.
    pub fn opens_for(&self, key: &PrivateKey) -> Result<Opening, StoreFault> {
        let tried = |connection: &rusqlite::Connection| {
            let mut kept = rows::every(connection)?;
            kept.retain(|sealed| sealed.dek.is_some());
            let of = kept.len();
            let mut unlocked = match keys::unlock_with(connection, &self.seat, &[key]) {
                Ok(unlocked) => unlocked,
                Err(StoreFault::Locked { .. }) => return Ok(Opening { opened: 0, of }),
                Err(fault) => return Err(fault),
            };
            let work = Work::of(connection, &self.seat, &mut unlocked);
            let opened = kept.iter().filter(|sealed| values::open_value(&work, sealed).is_ok()).count();
            Ok(Opening { opened, of })
        };
        self.look(tried, || Opening { opened: 0, of: 0 })
    }
}

#[cfg(test)]
mod tests {
    use manifest::environment::Class;

    use super::*;
    use crate::store::tests::{Bench, name, secret};

    #[test]
    fn a_key_opens_all_of_its_own_store_and_nothing_of_another() {
        let bench = Bench::new();
        let stores = ["production", "preview/pr-1"].map(|environment| bench.store(environment));
        for store in &stores {
            store
                .set(&name("mongodb/admin"), Class::Secret, &secret(&format!("of {}", store.seat().environment)))
                .unwrap();
            store.get_or_generate(&name("redis/admin"), Class::Secret).unwrap();
        }
        let key = |store: &Store| {
            let path = store.seat().keys.host_identity(&store.seat().install).unwrap();
            PrivateKey::read(&path).unwrap().unwrap()
        };
        let [production, preview] = &stores;
        let all = Opening { opened: 2, of: 2 };
        let nothing = Opening { opened: 0, of: 2 };
        let before = production.audit().unwrap().len();
        assert_eq!(production.opens_for(&key(production)).unwrap(), all);
        assert_eq!(production.opens_for(&key(preview)).unwrap(), nothing);
        assert_eq!(production.opens_for(&PrivateKey::of_a_stranger()).unwrap(), nothing);
        assert_eq!(production.audit().unwrap().len(), before);
        production.add_recipient("somebody", &key(preview).public().unwrap()).unwrap();
        assert_eq!(production.opens_for(&key(preview)).unwrap(), all);
    }

    #[test]
    fn a_store_that_is_not_there_has_nothing_to_open() {
        let bench = Bench::new();
        let opening = bench.store("local").opens_for(&PrivateKey::of_a_stranger()).unwrap();
        assert_eq!(opening, Opening { opened: 0, of: 0 });
    }

    #[test]
    fn a_value_is_known_by_its_fingerprint_to_whoever_has_the_key() {
        let bench = Bench::new();
        let store = bench.store("production");
        store.set(&name("var/PAY"), Class::Payment, &secret("the first one of all")).unwrap();
        store.set(&name("var/PAY"), Class::Payment, &secret("the second one of all")).unwrap();
        store.set(&name("var/OTHER"), Class::Secret, &secret("something else again")).unwrap();
        let prints = store.fingerprints_of(Class::Payment).unwrap();
        let user = crate::Fingerprints::of_user(&store.seat().keys).unwrap().unwrap();
        let known = |value: &str| prints.iter().filter(|print| user.is_value_of(value, print)).count();
        assert_eq!(prints.len(), 2);
        let counts = ["the first one of all", "the second one of all", "something else again"].map(known);
        assert_eq!(counts, [1, 1, 0]);
        assert!(crate::Fingerprints::of_user(&crate::UserKeys::default()).unwrap().is_none());
    }
}
