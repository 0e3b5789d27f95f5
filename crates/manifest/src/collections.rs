//! Collections of MongoDB: what their documents must be, and by what they are found.

use std::fmt;
use std::time::Duration;

use crate::environment::{Collection, Index, KeyKind};
use crate::id::CollectionName;
use crate::record::record;
use crate::sample::SampleTable;
use crate::scalars::RelativePath;
use crate::shape::{self, text_shape};
use crate::source::At;

record! {
    /// A collection: made where it is missing, its schema and indexes kept as they are here. What the manifest does not name is
    /// left alone.
    pub(crate) struct CollectionTable {
        /// What is in it.
        description: String,
        /// A file with a JSON Schema as MongoDB's `$jsonSchema` takes it, relative to the manifest. Every document that is written
        /// must meet it.
        schema: Option<At<RelativePath>>,
        /// Its indexes, beside the one of `_id`.
        indexes: Vec<At<IndexTable>> = [],
        /// What of it goes into a sample, with which previews begin. Without it nothing does.
        sample: Option<At<SampleTable>>,
    }
}

record! {
    /// An index.
    pub(crate) struct IndexTable {
        /// Fields, most significant first: `"slug"`, `"-placed_at"` for descending, `"name:text"`, `"place:2dsphere"`, `"user:hashed"`.
        keys: At<Vec<At<IndexKey>>>,
        /// No two documents have the same.
        unique: bool = false,
        /// Only documents that this filter, in JSON, lets through are in it.
        only: Option<At<Filter>>,
        /// Documents are removed so long after the time that the field holds.
        expire_after: Option<At<Lifetime>>,
    }
}

/// A field of an index and how it is ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexKey {
    pub(crate) field: String,
    pub(crate) kind: KeyKind,
}

impl shape::Text for IndexKey {
    const WANTS: &'static str = "a field of an index";
    const EXAMPLES: &'static [&'static str] = &["slug", "-placed_at", "name:text"];

    fn read(text: &str) -> Result<Self, Option<String>> {
        let (field, kind) = match text.rsplit_once(':') {
            Some((field, "text")) => (field, KeyKind::Text),
            Some((field, "hashed")) => (field, KeyKind::Hashed),
            Some((field, "2dsphere")) => (field, KeyKind::Sphere),
            Some(_) => return Err(Some("what may stand behind the ':' is text, hashed or 2dsphere".to_owned())),
            None => text.strip_prefix('-').map_or((text, KeyKind::Ascending), |field| (field, KeyKind::Descending)),
        };
        let is_part = |part: &str| !part.is_empty() && !part.starts_with('$');
        if field.split('.').all(is_part) && !field.contains('\0') {
            Ok(Self { field: field.to_owned(), kind })
        } else {
            Err(Some("write a field, or a path of fields joined by '.'".to_owned()))
        }
    }

    fn stand_in() -> Self {
        Self { field: "unreadable".to_owned(), kind: KeyKind::Ascending }
    }
}
text_shape!(IndexKey);

/// A filter in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter(pub(crate) String);

impl shape::Text for Filter {
    const WANTS: &'static str = "a filter in JSON";
    const EXAMPLES: &'static [&'static str] = &[r#"{ "key": { "$type": "string" } }"#];

    fn read(text: &str) -> Result<Self, Option<String>> {
        match serde_json::from_str::<serde_json::Value>(text) {
            Ok(serde_json::Value::Object(fields)) if !fields.is_empty() => Ok(Self(text.to_owned())),
            Ok(_) => Err(Some("write an object with at least one field".to_owned())),
            Err(error) => Err(Some(format!("it is not JSON: {error}"))),
        }
    }

    fn stand_in() -> Self {
        Self("{\"_id\": 0}".to_owned())
    }
}
text_shape!(Filter);

/// How long a document lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime(pub(crate) Duration);

impl shape::Text for Lifetime {
    const WANTS: &'static str = "a time such as \"30d\"";
    const PATTERN: Option<&'static str> = Some("^(0s|[1-9][0-9]*(s|m|h|d))$");
    const EXAMPLES: &'static [&'static str] = &["0s", "12h", "30d"];

    fn read(text: &str) -> Result<Self, Option<String>> {
        let hint = || Some("write a whole number and s, m, h or d, up to \"24855d\": \"12h\", \"30d\"".to_owned());
        let at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(hint)?;
        let seconds_per_unit = match &text[at..] {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(hint()),
        };
        let seconds = text[..at].parse::<u64>().ok().and_then(|number| number.checked_mul(seconds_per_unit));
        // MongoDB keeps it in 31 bits.
        match seconds {
            Some(seconds) if seconds <= u64::from(i32::MAX.unsigned_abs()) => Ok(Self(Duration::from_secs(seconds))),
            _ => Err(hint()),
        }
    }

    fn stand_in() -> Self {
        Self(Duration::from_secs(1))
    }
}
text_shape!(Lifetime);

impl KeyKind {
    /// What MongoDB's own names of indexes say.
    fn word(self) -> &'static str {
        match self {
            Self::Ascending => "1",
            Self::Descending => "-1",
            Self::Text => "text",
            Self::Hashed => "hashed",
            Self::Sphere => "2dsphere",
        }
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if self.unique { f.write_str(" (unique)") } else { Ok(()) }
    }
}

impl IndexTable {
    /// As drivers name an index by themselves: `slug_1`, `customer_1_placed_at_-1`.
    pub(crate) fn name(&self) -> String {
        let parts: Vec<String> =
            self.keys.value.iter().map(|key| format!("{}_{}", key.value.field, key.value.kind.word())).collect();
        parts.join("_")
    }

    fn resolve(&self) -> Index {
        Index {
            name: self.name(),
            keys: self.keys.value.iter().map(|key| (key.value.field.clone(), key.value.kind)).collect(),
            unique: self.unique,
            only: self.only.as_ref().map(|filter| filter.value.0.clone()),
            expire_after: self.expire_after.as_ref().map(|lifetime| lifetime.value.0),
        }
    }
}

impl CollectionTable {
    pub(crate) fn resolve(&self, name: &CollectionName) -> Collection {
        Collection {
            name: name.clone(),
            doc: self.description.clone(),
            schema: self.schema.as_ref().map(|path| path.value.0.clone()),
            indexes: self.indexes.iter().map(|index| index.value.resolve()).collect(),
            sample: self.sample.as_ref().map(|sample| sample.value.resolve()),
        }
    }
}
