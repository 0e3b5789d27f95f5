//! Which fields of a collection's documents leave, as a tree.

use std::collections::BTreeMap;

use manifest::{Mask, environment::Collection};

use crate::engines::checksum;

/// So many digits of a digest tell sets of rules apart.
const DIGITS: usize = 16;

/// The rules of one collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    pub collection: String,
    pub(crate) fields: BTreeMap<String, Rule>,
    /// Tells these rules from others.
    pub digest: String,
}

/// What becomes of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Mask(Mask),
    /// It is a document, or a list of them, of which these fields leave.
    Below(BTreeMap<String, Rule>),
}

impl Rules {
    /// Those of a collection; `None` if nothing of it goes into samples.
    pub fn of(collection: &Collection) -> Option<Self> {
        let sample = collection.sample.as_ref()?;
        Some(Self::new(collection.name.as_str(), &sample.fields))
    }

    /// Ways of fields, and what becomes of each.
    pub fn new(collection: &str, ways: &[(String, Mask)]) -> Self {
        let mut fields = BTreeMap::new();
        // Whatever it is, it is unique, and what refers to it may be masked alike.
        fields.insert("_id".to_owned(), Rule::Mask(Mask::Id));
        for (way, mask) in ways {
            put(&mut fields, way, *mask);
        }
        let text: String = ways.iter().map(|(way, mask)| format!("{way}\t{mask}\n")).collect();
        let digest = checksum::of_bytes(text.as_bytes())[..DIGITS].to_owned();
        Self { collection: collection.to_owned(), fields, digest }
    }
}

fn put(fields: &mut BTreeMap<String, Rule>, way: &str, mask: Mask) {
    match way.split_once('.') {
        None => drop(fields.insert(way.to_owned(), Rule::Mask(mask))),
        Some((first, rest)) => {
            let below = fields.entry(first.to_owned()).or_insert_with(|| Rule::Below(BTreeMap::new()));
            if let Rule::Mask(_) = below {
                *below = Rule::Below(BTreeMap::new());
            }
            if let Rule::Below(below) = below {
                put(below, rest, mask);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_become_a_tree_and_other_rules_have_another_digest() {
        let ways = [("a.b".to_owned(), Mask::Keep), ("a.c".to_owned(), Mask::Email), ("d".to_owned(), Mask::Name)];
        let rules = Rules::new("users", &ways);
        let below = [("b".to_owned(), Rule::Mask(Mask::Keep)), ("c".to_owned(), Rule::Mask(Mask::Email))];
        assert_eq!(rules.fields["a"], Rule::Below(below.into()));
        assert_eq!(rules.fields["_id"], Rule::Mask(Mask::Id));
        assert_ne!(rules.digest, Rules::new("users", &ways[1..]).digest);
        let kept = Rules::new("users", &[("_id".to_owned(), Mask::Keep)]);
        assert_eq!(kept.fields["_id"], Rule::Mask(Mask::Keep));
    }
}
