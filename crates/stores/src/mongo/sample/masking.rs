//! From documents as they are to documents that may leave.

use std::collections::{BTreeMap, BTreeSet};

use manifest::Mask;
use mongodb::bson::{Bson, Document};
use zeroize::Zeroizing;

use super::mask::Masker;
use super::proof::{Finders, Leak, Originals, Proof};
use super::rules::{Rule, Rules};

/// The documents of one collection, and what becomes of them.
#[derive(Clone, Debug)]
pub struct Taken {
    pub rules: Rules,
    pub documents: Vec<Document>,
}

/// What may leave.
#[derive(Debug, Default)]
pub struct Masked {
    pub collections: BTreeMap<String, Vec<Document>>,
    /// Fields that were met and stay, by collection: those that were not named, and values that are not what their mask is for.
    pub left_out: BTreeMap<String, BTreeSet<String>>,
}

/// Masks all collections of a sample with one key, which is gone when this returns.
///
/// # Errors
/// With what is found in the result of what came in. Then nothing may leave.
pub fn mask(taken: &[Taken], key: [u8; 32]) -> Result<Masked, BTreeSet<Leak>> {
    let key = Zeroizing::new(key);
    let proof = proof(taken);
    let mut masker = Masker::new(key, &proof);
    let mut masked = Masked::default();
    let mut leaks = BTreeSet::new();
    for Taken { rules, documents } in taken {
        let mut left_out = BTreeSet::new();
        let out: Vec<Document> =
            documents.iter().map(|document| below("", document, &rules.fields, &mut masker, &mut left_out)).collect();
        for document in &out {
            leaks.extend(proof.leaks(&rules.collection, document));
        }
        masked.collections.insert(rules.collection.clone(), out);
        masked.left_out.insert(rules.collection.clone(), left_out);
    }
    if leaks.is_empty() { Ok(masked) } else { Err(leaks) }
}

fn proof(taken: &[Taken]) -> Proof {
    let finders = Finders::new();
    let mut originals = Originals::default();
    for Taken { rules, documents } in taken {
        for document in documents {
            originals.seen(document, &finders);
            note(document, &rules.fields, &mut originals);
        }
    }
    originals.proof(finders)
}

/// Notes the values that will be masked.
fn note(document: &Document, rules: &BTreeMap<String, Rule>, originals: &mut Originals) {
    for (name, value) in document {
        match rules.get(name) {
            Some(Rule::Below(rules)) => each(value, &mut |value| {
                if let Bson::Document(document) = value {
                    note(document, rules, originals);
                }
            }),
            Some(Rule::Mask(mask)) => each(value, &mut |value| originals.masked(*mask, value)),
            None => {}
        }
    }
}

/// A value, or each of a list, however deep lists lie in it.
fn each(value: &Bson, tell: &mut dyn FnMut(&Bson)) {
    match value {
        Bson::Array(items) => items.iter().for_each(|item| each(item, tell)),
        value => tell(value),
    }
}

fn below(
    above: &str,
    document: &Document,
    rules: &BTreeMap<String, Rule>,
    masker: &mut Masker<'_>,
    left_out: &mut BTreeSet<String>,
) -> Document {
    let mut out = Document::new();
    for (name, value) in document {
        let way = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
        let made = rules.get(name).and_then(|rule| self::value(&way, value, rule, masker, left_out));
        match made {
            Some(made) => drop(out.insert(name.clone(), made)),
            None => drop(left_out.insert(way)),
        }
    }
    out
}

fn value(
    way: &str,
    value: &Bson,
    rule: &Rule,
    masker: &mut Masker<'_>,
    left_out: &mut BTreeSet<String>,
) -> Option<Bson> {
    match (value, rule) {
        (Bson::Array(items), rule) => {
            let made = items.iter().filter_map(|item| {
                let made = self::value(way, item, rule, masker, left_out);
                if made.is_none() {
                    left_out.insert(way.to_owned());
                }
                made
            });
            Some(Bson::Array(made.collect()))
        }
        (Bson::Document(document), Rule::Below(rules)) => {
            Some(Bson::Document(below(way, document, rules, masker, left_out)))
        }
        (Bson::Document(_), Rule::Mask(_)) => None,
        (Bson::Null, Rule::Below(_)) => Some(Bson::Null),
        (_, Rule::Below(_)) => None,
        (value, Rule::Mask(Mask::Keep)) => Some(value.clone()),
        (value, Rule::Mask(mask)) => masker.mask(*mask, value),
    }
}
