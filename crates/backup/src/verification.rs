//! Whether a repository is whole.

use std::panic::{AssertUnwindSafe, catch_unwind};

use reconcile::Fault;
use rustic_core::{CheckOptions, CheckResults, ReadSubsetOption, RusticResult};
use serde::{Deserialize, Serialize};

use crate::repository::Repository;
use crate::{damage, told};

/// So often the library may give up before it is believed.
const ATTEMPTS: usize = 5;

/// What a look at a repository found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// What is wrong, each in one line; empty where nothing is.
    pub damage: Vec<String>,
    /// Whether everything was read, or a part drawn by lot.
    pub read_all: bool,
    /// Names of backups that can be read whole all the same. Looked for where everything was read and something is damaged.
    #[serde(default)]
    pub readable: Vec<String>,
    /// Those that cannot, and why.
    #[serde(default)]
    pub lost: Vec<(String, String)>,
}

/// The library has no public name for what it finds, so its words are what there is to go by. Warnings are of space that a crash left
/// unused. Of a pack that such a crash left in no index, the one that marks it for deletion knows no contents and so no size: nobody
/// reads it, and it goes with the next prune but one.
fn is_damage(level: &str, text: &str) -> bool {
    level == "Error" && !text.contains("marked to delete: true: size computed by index")
}

impl Repository {
    /// Looks for damage. `most_bytes`: how much data is read, drawn by lot; all of it where that is `None`.
    ///
    /// # Errors
    /// Where it cannot be looked at all.
    pub fn verify(&self, most_bytes: Option<u64>) -> Result<Verification, Fault> {
        let subset = most_bytes.map_or(ReadSubsetOption::All, ReadSubsetOption::Size);
        let options = CheckOptions::default().read_data(true).read_data_subset(subset);
        let mut found = Verification { read_all: most_bytes.is_none(), ..Verification::default() };
        match self.checked(options) {
            Ok(Ok(results)) => {
                if results.is_ok().is_err() {
                    let told = results.0.iter().map(|(level, error)| (format!("{level:?}"), error.to_string()));
                    found.damage = told.filter(|(level, text)| is_damage(level, text)).map(|(_, text)| text).collect();
                }
            }
            Ok(Err(error)) => found.damage.push(told(&error)),
            Err(fault) => found.damage.extend(fault.causes.into_iter().chain([fault.message]).take(1)),
        }
        if found.read_all && !found.damage.is_empty() {
            damage::survey(self, &mut found);
        }
        Ok(found)
    }

    /// The library gives threads of its own a tenth of a second to end, and panics where a busy machine gives them none: what it looked at
    /// may be whole all the same, so it looks again.
    fn checked(&self, options: CheckOptions) -> Result<RusticResult<CheckResults>, Fault> {
        for _ in 0..ATTEMPTS {
            let repository = self.opened()?;
            if let Ok(found) = catch_unwind(AssertUnwindSafe(|| repository.check(options))) {
                return Ok(found);
            }
        }
        Err(Fault::new(format!("cannot look for damage in {}", self.place()))
            .cause("the library that reads it gave up, again and again")
            .hint("`restic check --read-data` looks at it too")
            .retry_safe())
    }
}
