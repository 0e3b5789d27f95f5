//! Collections of MongoDB.

use std::collections::BTreeMap;

use crate::collections::CollectionTable;
use crate::environment::KeyKind;
use crate::findings::Findings;
use crate::id::CollectionName;
use crate::source::At;

/// MongoDB takes at most this many for a collection, the one of `_id` among them.
const MOST_INDEXES: usize = 63;

pub(super) fn check(name: &At<CollectionName>, collection: &CollectionTable, findings: &mut Findings) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for index in &collection.indexes {
        let keys = &index.value.keys;
        if keys.value.is_empty() {
            findings.error(keys.span, "an index has at least one field").hint("write keys = [\"slug\"]");
            continue;
        }
        let fields: Vec<&str> = keys.value.iter().map(|key| key.value.field.as_str()).collect();
        if let Some(twice) =
            keys.value.iter().enumerate().find(|(at, key)| fields[..*at].contains(&key.value.field.as_str()))
        {
            findings
                .error(twice.1.span, format!("the field {:?} is in this index twice", twice.1.value.field))
                .hint("leave it out where it stands second");
        }
        if fields == ["_id"] {
            findings.error(keys.span, "the index of _id is always there").hint("leave it out");
        }
        let index_name = index.value.name();
        *seen.entry(index_name.clone()).or_default() += 1;
        if seen[&index_name] == 2 {
            findings
                .error(index.span, format!("the collection \"{}\" has the index {index_name} twice", name.value))
                .hint("leave one of them out");
        }
        if let Some(lifetime) = &index.value.expire_after {
            let is_single = matches!(keys.value.as_slice(), [key] if matches!(key.value.kind, KeyKind::Ascending | KeyKind::Descending));
            if !is_single {
                findings
                    .error(lifetime.span, "documents expire by one field that holds a time")
                    .hint("give this index one field, or leave expire_after out");
            }
        }
        if index.value.unique && keys.value.iter().any(|key| key.value.kind == KeyKind::Hashed) {
            findings
                .error(index.span, "a hashed index cannot be unique")
                .hint("add a second index of the field itself");
        }
    }
    if collection.indexes.len() > MOST_INDEXES {
        findings
            .error(name.span, format!("\"{}\" has more than {MOST_INDEXES} indexes", name.value))
            .hint("MongoDB takes no more: leave some out");
    }
}
