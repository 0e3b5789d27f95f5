//! From what was seen to what is to be done, and to what is only told.

use std::fmt;

use manifest::environment::Index;
use mongodb::bson::Document;

use super::Destroy;
use super::observe::{Seen, SeenCollection, SeenIndex};
use super::wanted::{WantedCollection, expiry, filter, keys};

/// One effect on collections.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Create { collection: String, validator: Document },
    SetSchema { collection: String, validator: Document },
    SetExpiry { collection: String, index: String, seconds: i32 },
    DropIndex { collection: String, index: String, because: &'static str },
    CreateIndex { collection: String, index: Index },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { collection, .. } => write!(f, "create the collection {collection}"),
            Self::SetSchema { collection, validator } if validator.is_empty() => {
                write!(f, "take away the schema of {collection}")
            }
            Self::SetSchema { collection, .. } => write!(f, "set the schema of {collection}"),
            Self::SetExpiry { collection, index, seconds } => {
                write!(f, "let documents of {collection} expire by {index} after {seconds} s")
            }
            Self::DropIndex { collection, index, because } => {
                write!(f, "drop the index {index} of {collection}: {because}")
            }
            Self::CreateIndex { collection, index } => write!(f, "create the index {index} of {collection}"),
        }
    }
}

const NOT_DECLARED: &str = "the manifest does not declare it";
const DIFFERENT: &str = "the manifest declares it otherwise";

/// Pure.
pub(super) fn plan(seen: &Seen, destroy: Destroy) -> Vec<Step> {
    let mut steps = Vec::new();
    for wanted in &seen.wanted.collections {
        match found(seen, wanted) {
            None => steps.push(Step::Create { collection: wanted.name.clone(), validator: wanted.validator.clone() }),
            Some(there) if there.validator != wanted.validator || !there.is_strict => {
                steps.push(Step::SetSchema { collection: wanted.name.clone(), validator: wanted.validator.clone() });
            }
            Some(_) => {}
        }
        let there = found(seen, wanted).map_or(&[][..], |there| &there.indexes);
        if destroy == Destroy::Allowed {
            steps.extend(drops(wanted, there));
        }
        steps.extend(wanted.indexes.iter().filter_map(|index| put(&wanted.name, index, there, destroy)));
    }
    steps
}

/// What differs and is left alone.
pub(super) fn drift(seen: &Seen, destroy: Destroy) -> Vec<String> {
    if destroy == Destroy::Allowed {
        return Vec::new();
    }
    let drops = seen.wanted.collections.iter().flat_map(|wanted| {
        let there = found(seen, wanted).map_or(&[][..], |there| &there.indexes);
        drops(wanted, there)
    });
    drops.map(|step| format!("{step}; `--allow-destroy` does it")).collect()
}

fn found<'s>(seen: &'s Seen, wanted: &WantedCollection) -> Option<&'s SeenCollection> {
    seen.collections.iter().find(|there| there.name == wanted.name)
}

fn drops(wanted: &WantedCollection, there: &[SeenIndex]) -> Vec<Step> {
    let drop = |seen: &SeenIndex| {
        let because = match wanted.indexes.iter().find(|index| index.name == seen.name) {
            None => NOT_DECLARED,
            Some(index) if is_same(index, seen) => return None,
            Some(_) => DIFFERENT,
        };
        Some(Step::DropIndex { collection: wanted.name.clone(), index: seen.name.clone(), because })
    };
    there.iter().filter_map(drop).collect()
}

/// How an index gets to be as it is wanted, if it can without destroying another of its name.
fn put(collection: &str, index: &Index, there: &[SeenIndex], destroy: Destroy) -> Option<Step> {
    let collection = collection.to_owned();
    let Some(seen) = there.iter().find(|seen| seen.name == index.name) else {
        return Some(Step::CreateIndex { collection, index: index.clone() });
    };
    if !is_same(index, seen) {
        return (destroy == Destroy::Allowed).then(|| Step::CreateIndex { collection, index: index.clone() });
    }
    let seconds = expiry(index)?;
    let step = Step::SetExpiry { collection, index: index.name.clone(), seconds };
    (seen.expiry != Some(seconds.into())).then_some(step)
}

/// All but the time after which documents expire, which can be changed in place. Whether they do cannot.
fn is_same(index: &Index, seen: &SeenIndex) -> bool {
    keys(index) == seen.keys
        && index.unique == seen.unique
        && filter(index) == seen.filter
        && index.expire_after.is_some() == seen.expiry.is_some()
}
