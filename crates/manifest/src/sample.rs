//! What of a collection may leave its environment in a sample, and what becomes of it on the way.
//!
//! It is a list of what leaves: a field that is not named stays where it is.

use serde_json::{Value as Json, json};
use toml::de::DeTable;

use crate::collections::Filter;
use crate::record::{choice, record};
use crate::shape::{self, Definitions, Reader, Shape, Text, Value, text_shape};
use crate::source::{At, Span};

record! {
    /// What of a collection goes into a sample, with which previews begin.
    pub(crate) struct SampleTable {
        /// At most so many documents, drawn at random.
        limit: At<SampleSize> = 200,
        /// Only documents that this filter, in JSON, lets through.
        filter: Option<At<Filter>>,
        /// What becomes of each field. A field that is not named does not leave; `_id` that is not named is replaced by another.
        fields: Fields,
    }
}

choice! {
    /// What becomes of a field's value in a sample. The same value becomes the same everywhere in one sample, and something else in
    /// the next: the key is thrown away.
    pub enum Mask {
        /// As it is. For what tells nothing about a person.
        Keep = "keep",
        /// Another identifier of the same type: what refers to it still does, where it is masked so too.
        Id = "id",
        /// An address that nobody has: `k3f9…@masked.invalid`.
        Email = "email",
        /// A name that nobody has.
        Name = "name",
        /// A street, a town, a whole address in one text.
        Address = "address",
        /// A number that no network has.
        Phone = "phone",
        /// A card, an account, a reference of a payment provider.
        PaymentReference = "payment-reference",
        /// As many words that mean nothing.
        Text = "text",
        /// A number that is up to a tenth more or less; whole ones stay whole, and zero stays zero.
        NumberNoise = "number-noise",
    }
}

impl Mask {
    /// Whether different values stay different, so that a unique index holds.
    pub fn keeps_apart(self) -> bool {
        matches!(self, Self::Keep | Self::Id | Self::Email | Self::Phone | Self::PaymentReference)
    }

    /// Whether what it makes is a text.
    pub(crate) fn makes_text(self) -> bool {
        !matches!(self, Self::Keep | Self::Id | Self::NumberNoise)
    }
}

/// What of a collection goes into a sample, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    pub limit: u32,
    /// A filter in JSON.
    pub filter: Option<String>,
    /// Path and mask of each field that leaves, in the order of the paths.
    pub fields: Vec<(String, Mask)>,
}

impl SampleTable {
    pub(crate) fn resolve(&self) -> Sample {
        let mut fields: Vec<(String, Mask)> =
            self.fields.0.iter().map(|(path, mask)| (path.value.0.clone(), mask.value)).collect();
        fields.sort();
        Sample { limit: self.limit.value.0, filter: self.filter.as_ref().map(|filter| filter.value.0.clone()), fields }
    }
}

/// How many documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SampleSize(pub(crate) u32);

impl Shape for SampleSize {
    // All of it is put into a preview in one transaction.
    const WANTS: &'static str = "a whole number from 1 to 10000";
    fn decode(value: &Value<'_>, reader: &mut Reader) -> Self {
        crate::scalars::integer(value, 1..=10_000).map(Self).unwrap_or_else(|| {
            reader.wrong(value, Self::WANTS).hint("write the number without quotes; a preview needs a few hundred");
            Self::stand_in()
        })
    }
    fn stand_in() -> Self {
        Self(1)
    }
    fn schema(_: &mut Definitions) -> Json {
        json!({ "type": "integer", "minimum": 1, "maximum": 10_000 })
    }
}

/// The way to a field: `lines.sku` is `sku` of each document in the list `lines`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FieldPath(pub(crate) String);

impl FieldPath {
    pub(crate) fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }

    /// Whether `other` is a field below this one.
    fn holds(&self, other: &Self) -> bool {
        other.0.strip_prefix(&self.0).is_some_and(|rest| rest.starts_with('.'))
    }
}

impl Text for FieldPath {
    const WANTS: &'static str = "the way to a field";
    const EXAMPLES: &'static [&'static str] = &["email", "address.street", "lines.sku"];

    fn read(text: &str) -> Result<Self, Option<String>> {
        // `lines[].sku` is how others write it.
        let path = text.replace("[]", "");
        let is_part =
            |part: &str| !part.is_empty() && !part.starts_with('$') && part.bytes().any(|b| !b.is_ascii_digit());
        if path.split('.').all(is_part) && !path.contains('\0') && !path.contains(['[', ']']) {
            Ok(Self(path))
        } else {
            Err(Some("write a field, or a path of fields joined by '.'; lists are passed through".to_owned()))
        }
    }

    fn stand_in() -> Self {
        Self("unreadable".to_owned())
    }
}
text_shape!(FieldPath);

/// Fields by their ways, whether these are written in one (`"lines.sku"`) or as tables within tables.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(pub(crate) Vec<(At<FieldPath>, At<Mask>)>);

impl Fields {
    fn read(&mut self, above: &str, table: &DeTable<'_>, reader: &mut Reader) {
        for (key, value) in table {
            let span: Span = key.span().into();
            let text = if above.is_empty() { key.get_ref().to_string() } else { format!("{above}.{}", key.get_ref()) };
            reader.within(key.get_ref(), |reader| match (FieldPath::read(&text), value.get_ref().as_table()) {
                (Ok(path), Some(below)) => self.read(&path.0, below, reader),
                (Ok(path), None) => self.0.push((At { value: path, span }, At::<Mask>::decode(value, reader))),
                (Err(hint), _) => {
                    let finding = reader.findings.error(span, format!("{text:?} is no way to a field"));
                    finding.hint(hint.unwrap_or_default());
                }
            });
        }
    }

    /// Two entries that speak of the same field, or of one that holds another.
    pub(crate) fn collisions(&self) -> impl Iterator<Item = (&At<FieldPath>, &At<FieldPath>)> {
        let pairs = self.0.iter().flat_map(|(path, _)| self.0.iter().map(move |(other, _)| (path, other)));
        pairs.filter(|(path, other)| {
            let twice = path.value == other.value && path.span.start < other.span.start;
            twice || path.value.holds(&other.value)
        })
    }
}

impl Shape for Fields {
    const WANTS: &'static str = "a table";

    fn decode(value: &Value<'_>, reader: &mut Reader) -> Self {
        let mut fields = Self::default();
        match value.get_ref().as_table() {
            Some(table) => fields.read("", table, reader),
            None => {
                reader.wrong(value, Self::WANTS).hint("write fields = { email = \"email\", created_at = \"keep\" }");
            }
        }
        fields
    }

    fn stand_in() -> Self {
        Self::default()
    }

    fn schema(definitions: &mut Definitions) -> Json {
        definitions.refer("SampleFields", |definitions| {
            let mask = Mask::schema(definitions);
            let below = json!({ "$ref": "#/$defs/SampleFields" });
            json!({
                "type": "object",
                "description": "Fields, or ways to them: `lines.sku` is `sku` of each document in the list `lines`.",
                "properties": {},
                "propertyNames": <FieldPath as shape::Text>::text_schema(),
                "additionalProperties": { "anyOf": [mask, below] },
            })
        })
    }
}

choice! {
    /// With what data an environment begins.
    pub enum Seed {
        /// With none: apps make their own.
        Nothing = "nothing",
        /// With the sample that `roadbed sample take` made.
        Sample = "sample",
    }
}
