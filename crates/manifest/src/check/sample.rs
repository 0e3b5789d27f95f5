//! What goes into samples: that a preview can begin with it, and that its author sees what does not leave.

use serde_json::{Map, Value as Json};

use crate::Manifest;
use crate::collections::CollectionTable;
use crate::findings::Findings;
use crate::id::CollectionName;
use crate::sample::{FieldPath, Mask, SampleTable, Seed};
use crate::source::{At, Diagnostic, Source};
use crate::tables::Document;

/// Where customers' data is: it begins with what customers do.
const PRODUCTION: &str = "production";

pub(super) fn check(document: &Document, findings: &mut Findings) {
    environments(document, findings);
    let Some(mongodb) = &document.services.mongodb else { return };
    for (name, collection) in mongodb.collections.iter() {
        let Some(sample) = &collection.sample else { continue };
        let fields = &sample.value.fields;
        if fields.0.is_empty() {
            findings
                .error(sample.span, format!("nothing of \"{}\" would be in the sample", name.value))
                .hint("name what leaves: fields = { email = \"email\", created_at = \"keep\" }");
        }
        for (outer, inner) in fields.collisions() {
            if outer.value == inner.value {
                findings
                    .error(inner.span, format!("\"{}\" is in this sample twice", inner.value.0))
                    .hint("leave one of them out");
            } else {
                findings
                    .error(outer.span, format!("\"{}\" holds \"{}\", which is named too", outer.value.0, inner.value.0))
                    .hint("name the fields of the documents in it, each by its way, and not the whole");
            }
        }
        unique_indexes(name, collection, sample, findings);
    }
}

fn environments(document: &Document, findings: &mut Findings) {
    for (name, table) in document.environments.iter() {
        if let Some(seed) = &table.seed
            && seed.value == Seed::Sample
            && name.as_str() == PRODUCTION
        {
            findings
                .error(seed.span, format!("{PRODUCTION} cannot begin with a sample"))
                .hint("leave seed out: its data is its customers'");
        }
    }
}

/// Two documents that differ must not be made the same where an index lets only one of them in.
fn unique_indexes(
    name: &At<CollectionName>,
    collection: &CollectionTable,
    sample: &At<SampleTable>,
    findings: &mut Findings,
) {
    for index in collection.indexes.iter().filter(|index| index.value.unique) {
        for key in &index.value.keys.value {
            let field = &key.value.field;
            match sample.value.fields.0.iter().find(|(path, _)| path.value.0 == *field) {
                Some((_, mask)) if !mask.value.keeps_apart() => {
                    let message = format!(
                        "\"{}\" makes the same of different values, and {} is unique",
                        mask.value,
                        index.value.name()
                    );
                    let kinds = Mask::ALL.iter().filter(|mask| mask.keeps_apart()).map(|mask| mask.as_str());
                    let kinds: Vec<&str> = kinds.collect();
                    findings
                        .error(mask.span, message)
                        .hint(format!("take one that keeps them apart: {}", kinds.join(", ")));
                }
                Some(_) => {}
                // Documents without it are not in the index.
                None if index.value.only.is_some() || field == "_id" => {}
                None => {
                    findings
                        .error(
                            sample.span,
                            format!(
                                "\"{field}\" does not leave, and the unique index {} of \"{}\" needs it",
                                index.value.name(),
                                name.value
                            ),
                        )
                        .hint(format!("add {field} to fields; `id` makes another value of it"));
                }
            }
        }
    }
}

impl Manifest {
    /// What of the samples does not agree with the schemas of their collections. `read` gives the text of a schema by its path, as the
    /// manifest has it; one that cannot be read or is no JSON is told elsewhere.
    pub fn check_samples(&self, source: &Source, read: impl Fn(&str) -> Option<String>) -> Vec<Diagnostic> {
        let mut findings = Findings::default();
        let collections = self.document.services.mongodb.as_ref().map(|mongodb| &mongodb.collections);
        for (_, collection) in collections.into_iter().flat_map(crate::shape::Table::iter) {
            let (Some(sample), Some(path)) = (&collection.sample, &collection.schema) else { continue };
            let Some(schema) = read(&path.value.0).and_then(|text| serde_json::from_str::<Json>(&text).ok()) else {
                continue;
            };
            for (path, mask) in &sample.value.fields.0 {
                field(path, mask, &schema, &mut findings);
            }
            required("", &schema, sample, &mut findings);
        }
        findings.into_diagnostics(source)
    }
}

/// The schema of what lies below: that of a list is that of its items.
fn through_lists(schema: &Json) -> &Json {
    match schema.get("items") {
        Some(items @ Json::Object(_)) => through_lists(items),
        _ => schema,
    }
}

fn properties(schema: &Json) -> Option<&Map<String, Json>> {
    through_lists(schema).get("properties")?.as_object()
}

fn field(path: &At<FieldPath>, mask: &At<Mask>, schema: &Json, findings: &mut Findings) {
    let mut at = schema;
    for part in path.value.parts() {
        // It says nothing about what is in there.
        let Some(known) = properties(at) else { return };
        match known.get(part) {
            Some(next) => at = next,
            None if part == "_id" => return,
            None => {
                findings.error(path.span, format!("the collection's schema has no \"{}\"", path.value.0)).did_you_mean(
                    part,
                    known.keys().map(String::as_str),
                    "it has",
                );
                return;
            }
        }
    }
    let at = through_lists(at);
    let types: Vec<&str> = match at.get("bsonType").or_else(|| at.get("type")) {
        Some(Json::String(one)) => vec![one],
        Some(Json::Array(several)) => several.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    };
    let what = &path.value.0;
    if types.contains(&"object") {
        findings
            .error(path.span, format!("\"{what}\" is a document: what of it leaves is said field by field"))
            .hint(format!("name them: \"{what}.FIELD\" = \"keep\""));
        return;
    }
    let is_number = |name: &&str| ["int", "long", "double", "decimal", "number", "integer"].contains(name);
    let fits = match mask.value {
        _ if types.is_empty() => true,
        mask if mask.makes_text() => types.contains(&"string"),
        Mask::NumberNoise => types.iter().any(is_number),
        _ => true,
    };
    if !fits {
        findings
            .error(
                mask.span,
                format!("\"{}\" does not make what the schema wants of \"{what}\": {}", mask.value, types.join(", ")),
            )
            .hint("take a kind that makes it, or leave the field out");
    }
    let rule = ["enum", "pattern", "maxLength"].into_iter().find(|rule| at.get(rule).is_some());
    if let Some(rule) = rule.filter(|_| !matches!(mask.value, Mask::Keep)) {
        findings
            .error(mask.span, format!("what \"{}\" makes of \"{what}\" would not pass the schema's {rule}", mask.value))
            .hint("keep it if it tells nothing about a person, or leave it out");
    }
}

/// Without what the schema requires the preview's server would refuse the document.
fn required(above: &str, schema: &Json, sample: &At<SampleTable>, findings: &mut Findings) {
    let fields = &sample.value.fields.0;
    let is_named = |path: &str| {
        let below = format!("{path}.");
        fields.iter().any(|(field, _)| field.value.0 == path || field.value.0.starts_with(&below))
    };
    let schema = through_lists(schema);
    let names = schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
    for name in names {
        let path = if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") };
        if path != "_id" && !is_named(&path) {
            findings
                .error(sample.span, format!("\"{path}\" does not leave, and the collection's schema requires it"))
                .hint(format!("add \"{path}\" to fields, with what becomes of it"));
        }
    }
    for (name, below) in properties(schema).into_iter().flatten() {
        let path = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
        if is_named(&path) && !fields.iter().any(|(field, _)| field.value.0 == path) {
            required(&path, below, sample, findings);
        }
    }
}
