//! What a value of the manifest looks like: one definition gives the Rust type, the reading of it and its JSON Schema.
//!
//! A shape never gives up: what cannot be read is told and replaced by a stand-in, so that the rest is still looked at.

use serde_json::{Map, Value as Json, json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::findings::{Finding, Findings};
use crate::source::{At, Span};

pub(crate) type Value<'a> = Spanned<DeValue<'a>>;

pub(crate) trait Shape: Sized {
    /// Completes "must be …".
    const WANTS: &'static str;

    fn decode(value: &Value<'_>, reader: &mut Reader) -> Self;

    /// Takes the place of what could not be read. Its spans are [`Span::NOWHERE`].
    fn stand_in() -> Self;

    /// What the absence of the key means, where that is allowed.
    fn absent() -> Option<Self> {
        None
    }

    fn schema(definitions: &mut Definitions) -> Json;
}

/// Something that is written as a text.
pub(crate) trait Text: Sized {
    const WANTS: &'static str;
    /// A regular expression that is no stricter than [`Text::read`].
    const PATTERN: Option<&'static str> = None;
    const EXAMPLES: &'static [&'static str] = &[];

    /// The error is a hint.
    fn read(text: &str) -> Result<Self, Option<String>>;

    fn stand_in() -> Self;

    fn text_schema() -> Json {
        let mut schema = json!({ "type": "string", "minLength": 1 });
        if let Some(pattern) = Self::PATTERN {
            schema["pattern"] = json!(pattern);
        }
        if !Self::EXAMPLES.is_empty() {
            schema["examples"] = json!(Self::EXAMPLES);
        }
        schema
    }
}

/// Gives types that are written as a text their shape.
macro_rules! text_shape {
    ($($name:ty),+ $(,)?) => { $(
        impl $crate::shape::Shape for $name {
            const WANTS: &'static str = <$name as $crate::shape::Text>::WANTS;
            fn decode(value: &$crate::shape::Value<'_>, reader: &mut $crate::shape::Reader) -> Self {
                reader.text(value)
            }
            fn stand_in() -> Self {
                <$name as $crate::shape::Text>::stand_in()
            }
            fn schema(_: &mut $crate::shape::Definitions) -> serde_json::Value {
                <$name as $crate::shape::Text>::text_schema()
            }
        }
    )+ };
}
pub(crate) use text_shape;

/// The `$defs` of the schema under construction.
#[derive(Debug, Default)]
pub(crate) struct Definitions(pub(crate) Map<String, Json>);

impl Definitions {
    /// Refers to a definition, and makes it at first need.
    pub(crate) fn refer(&mut self, name: &str, define: impl FnOnce(&mut Self) -> Json) -> Json {
        if !self.0.contains_key(name) {
            self.0.insert(name.to_owned(), Json::Null);
            let definition = define(self);
            self.0.insert(name.to_owned(), definition);
        }
        json!({ "$ref": format!("#/$defs/{name}") })
    }
}

/// Walks the document, knows where it is and what was found wrong.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    pub(crate) findings: Findings,
    /// Keys from the top down to the value being read.
    path: Vec<String>,
    /// Set while a default is read: it stands nowhere in the text, so its table is named.
    pinned: Option<Span>,
}

impl Reader {
    pub(crate) fn span_of(&self, value: &Value<'_>) -> Span {
        self.pinned.unwrap_or_else(|| value.span().into())
    }

    /// Says that a value is not what its key wants.
    pub(crate) fn wrong(&mut self, value: &Value<'_>, wants: &str) -> &mut Finding {
        let got = match value.get_ref() {
            // The parser puts this where it found no value at all, and has said so.
            DeValue::Integer(_) if value.span() == (0..0) => return self.findings.error(Span::NOWHERE, ""),
            DeValue::String(text) => format!("{:?}", shown(text)),
            DeValue::Array(items) if items.is_empty() => "an empty list".to_owned(),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
            scalar => written(scalar).unwrap_or_default(),
        };
        let span = self.span_of(value);
        let message = format!("{} must be {wants}, not {got}", self.subject());
        self.findings.error(span, message)
    }

    pub(crate) fn text<T: Text>(&mut self, value: &Value<'_>) -> T {
        let Some(text) = value.get_ref().as_str() else {
            let in_quotes = written(value.get_ref()).filter(|text| T::read(text).is_ok());
            let hint = match (in_quotes, T::EXAMPLES) {
                (Some(text), _) => format!("put it in quotes: {text:?}"),
                (None, [example, ..]) => format!("for example {example:?}"),
                (None, []) => "write a text in quotes".to_owned(),
            };
            self.wrong(value, T::WANTS).hint(hint);
            return T::stand_in();
        };
        T::read(text).unwrap_or_else(|hint| {
            let finding = self.wrong(value, T::WANTS);
            if let Some(hint) = hint {
                finding.hint(hint);
            }
            T::stand_in()
        })
    }

    pub(crate) fn choice<T: Copy>(&mut self, value: &Value<'_>, choices: &[(&'static str, T)]) -> Option<T> {
        let given = value.get_ref().as_str();
        if let Some((_, choice)) = given.and_then(|given| choices.iter().find(|(text, _)| *text == given)) {
            return Some(*choice);
        }
        let names: Vec<&str> = choices.iter().map(|(text, _)| *text).collect();
        self.wrong(value, &format!("one of {}", names.join(", "))).did_you_mean(
            given.unwrap_or_default(),
            names.iter().copied(),
            "the choices are",
        );
        None
    }

    /// The value as a table whose keys are fixed; unknown keys are told.
    pub(crate) fn record<'v, 'i>(
        &mut self,
        value: &'v Value<'i>,
        wants: &str,
        keys: &[&str],
    ) -> Option<&'v DeTable<'i>> {
        let Some(table) = value.get_ref().as_table() else {
            let hint = match self.path.last() {
                Some(key) if key == ITEM => "write its keys in braces: { … }".to_owned(),
                _ => format!("write the table {}, or its keys in braces", self.place()),
            };
            self.wrong(value, wants).hint(hint);
            return None;
        };
        for key in table.keys().filter(|key| !keys.contains(&key.get_ref().as_ref())) {
            let message = format!("unknown key {:?} in {}", key.get_ref(), self.place());
            self.findings.error(key.span().into(), message).did_you_mean(
                key.get_ref(),
                keys.iter().copied(),
                "its keys are",
            );
        }
        Some(table)
    }

    /// One key of a record. `default` is a value as the manifest would write it.
    pub(crate) fn field<T: Shape>(&mut self, table: &DeTable<'_>, span: Span, key: &str, default: Option<&str>) -> T {
        if let Some(value) = table.get(key) {
            return self.within(key, |reader| T::decode(value, reader));
        }
        if let Some(default) = default {
            let value = DeValue::parse(default).expect("a default in a record is a TOML value");
            let outer = self.pinned.replace(span);
            let decoded = T::decode(&value, self);
            self.pinned = outer;
            return decoded;
        }
        T::absent().unwrap_or_else(|| {
            let message = format!("{} needs the key {key:?}", self.place());
            let hint = match T::WANTS {
                "a table" => {
                    format!("add the table [{}]", self.keys().into_iter().chain([key]).collect::<Vec<_>>().join("."))
                }
                wants => format!("add {key} = …, {wants}"),
            };
            self.findings.absence(span, message).hint(hint);
            T::stand_in()
        })
    }

    pub(crate) fn within<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(key.to_owned());
        let out = read(self);
        self.path.pop();
        out
    }

    fn keys(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).filter(|key| *key != ITEM).collect()
    }

    fn place(&self) -> String {
        if self.path.is_empty() { "the manifest".to_owned() } else { format!("[{}]", self.keys().join(".")) }
    }

    fn subject(&self) -> String {
        let item = if self.path.last().is_some_and(|key| key == ITEM) { "an item of " } else { "" };
        match self.keys().split_last() {
            None => "the manifest".to_owned(),
            Some((key, [])) => format!("{item}{key:?}"),
            Some((key, table)) => format!("{item}{key:?} in [{}]", table.join(".")),
        }
    }
}

/// Stands in the path for a place in a list.
const ITEM: &str = "";

/// A value that is neither a text nor made of others, as the manifest writes it.
fn written(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::Integer(integer) => Some(integer.to_string()),
        DeValue::Float(float) => Some(float.to_string()),
        DeValue::Boolean(boolean) => Some(boolean.to_string()),
        DeValue::Datetime(time) => Some(time.to_string()),
        DeValue::String(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// A fault stays a line, whatever was pasted into the manifest, and shows no password that somebody wrote into an address.
fn shown(text: &str) -> String {
    let text = without_password(text);
    if text.chars().count() <= 60 { text } else { text.chars().take(59).chain(['…']).collect() }
}

/// A text in which no password stands that somebody wrote into an address: `https://anna:***@host`. Also in the short form of restic,
/// `sftp:anna:***@host:/path`.
pub fn without_password(text: &str) -> String {
    let hidden = || {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (format!("{scheme}://"), rest),
            None => text.split_once(':').map(|(scheme, rest)| (format!("{scheme}:"), rest))?,
        };
        // With a "/" in the password the authority seems to end early: all up to the last "@" is hidden.
        let end = rest.rfind('@')?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let after = rest.get(end..)?;
        match authority.find(':').filter(|colon| *colon < end) {
            Some(colon) => Some(format!("{scheme}{}:***{after}", rest.get(..colon)?)),
            // A token in the place of a user; who logs in by SSH is no secret.
            None if end < authority.len() && !matches!(scheme.as_str(), "sftp://" | "ssh://" | "sftp:") => {
                Some(format!("{scheme}***{after}"))
            }
            None => None,
        }
    };
    hidden().unwrap_or_else(|| text.to_owned())
}

impl<T: Shape> Shape for At<T> {
    const WANTS: &'static str = T::WANTS;

    fn decode(value: &Value<'_>, reader: &mut Reader) -> Self {
        let told = reader.findings.len();
        let decoded = T::decode(value, reader);
        let span = if reader.findings.len() == told { reader.span_of(value) } else { Span::NOWHERE };
        Self { value: decoded, span }
    }

    fn stand_in() -> Self {
        Self { value: T::stand_in(), span: Span::NOWHERE }
    }

    fn schema(definitions: &mut Definitions) -> Json {
        T::schema(definitions)
    }
}

impl<T: Shape> Shape for Option<T> {
    const WANTS: &'static str = T::WANTS;

    fn decode(value: &Value<'_>, reader: &mut Reader) -> Self {
        Some(T::decode(value, reader))
    }

    fn stand_in() -> Self {
        None
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn schema(definitions: &mut Definitions) -> Json {
        T::schema(definitions)
    }
}

impl<T: Shape> Shape for Vec<T> {
    const WANTS: &'static str = "a list";

    fn decode(value: &Value<'_>, reader: &mut Reader) -> Self {
        match value.get_ref().as_array() {
            Some(items) => reader.within(ITEM, |reader| items.iter().map(|item| T::decode(item, reader)).collect()),
            None => {
                let item = value.get_ref().as_str().map_or("…".to_owned(), |text| format!("{:?}", shown(text)));
                reader.wrong(value, Self::WANTS).hint(format!("put it in brackets: [{item}]"));
                Vec::new()
            }
        }
    }

    fn stand_in() -> Self {
        Vec::new()
    }

    fn schema(definitions: &mut Definitions) -> Json {
        json!({ "type": "array", "items": T::schema(definitions) })
    }
}

impl Shape for bool {
    const WANTS: &'static str = "true or false";

    fn decode(value: &Value<'_>, reader: &mut Reader) -> Self {
        value.get_ref().as_bool().unwrap_or_else(|| {
            reader.wrong(value, Self::WANTS).hint("without quotes");
            false
        })
    }

    fn stand_in() -> Self {
        false
    }

    fn schema(_: &mut Definitions) -> Json {
        json!({ "type": "boolean" })
    }
}

/// A table whose keys are names of the user's choice, such as `[apps.NAME]`.
#[derive(Clone, Debug)]
pub(crate) struct Table<K, V> {
    /// By key.
    entries: Vec<(At<K>, V)>,
}

impl<K: Ord, V> Table<K, V> {
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.entry(key).map(|(_, value)| value)
    }

    pub(crate) fn entry(&self, key: &K) -> Option<(&At<K>, &V)> {
        let found = self.entries.binary_search_by(|(name, _)| name.value.cmp(key)).ok()?;
        let (name, value) = &self.entries[found];
        Some((name, value))
    }

    pub(crate) fn has(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// Sorted by key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&At<K>, &V)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// In the order of the text: what its author put first comes first.
    pub(crate) fn in_order(&self) -> Vec<(&At<K>, &V)> {
        let mut entries: Vec<_> = self.iter().collect();
        entries.sort_by_key(|(key, _)| key.span.start);
        entries
    }
}

impl<K: Text + Ord, V: Shape> Shape for Table<K, V> {
    const WANTS: &'static str = "a table";

    fn decode(value: &Value<'_>, reader: &mut Reader) -> Self {
        let Some(table) = value.get_ref().as_table() else {
            let hint = format!("write the table [{}], with one entry per name", reader.keys().join("."));
            reader.wrong(value, Self::WANTS).hint(hint);
            return Self::stand_in();
        };
        let mut entries = Vec::with_capacity(table.len());
        for (key, value) in table {
            let span = key.span().into();
            let decoded = reader.within(key.get_ref(), |reader| V::decode(value, reader));
            match K::read(key.get_ref()) {
                Ok(name) => entries.push((At { value: name, span }, decoded)),
                Err(hint) => {
                    let message = format!("the key {:?} in {} must be {}", key.get_ref(), reader.place(), K::WANTS);
                    let finding = reader.findings.error(span, message);
                    if let Some(hint) = hint {
                        finding.hint(hint);
                    }
                }
            }
        }
        entries.sort_by(|(a, _), (b, _)| a.value.cmp(&b.value));
        Self { entries }
    }

    fn stand_in() -> Self {
        Self { entries: Vec::new() }
    }

    fn absent() -> Option<Self> {
        Some(Self::stand_in())
    }

    fn schema(definitions: &mut Definitions) -> Json {
        json!({ "type": "object", "propertyNames": K::text_schema(), "additionalProperties": V::schema(definitions) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_an_address_is_not_shown() {
        for (text, without) in [
            ("rest:https://anna:secret@backups.example/a", "rest:https://anna:***@backups.example/a"),
            ("rest:https://anna:se/cr@et@backups.example/a", "rest:https://anna:***@backups.example/a"),
            ("redis://:secret@host", "redis://:***@host"),
            ("https://host:8080/a", "https://host:8080/a"),
            ("anna@host", "anna@host"),
            ("sftp://anna:secret@host/srv", "sftp://anna:***@host/srv"),
            ("sftp://anna@-host/srv", "sftp://anna@-host/srv"),
            ("sftp:anna:secret@host:/srv", "sftp:anna:***@host:/srv"),
            ("s3:https://token@host/bucket", "s3:https://***@host/bucket"),
            ("anna:secret@host", "anna:***@host"),
            ("https://host/path/@scope", "https://host/path/@scope"),
            ("://", "://"),
        ] {
            assert_eq!(shown(text), without);
        }
    }
}
