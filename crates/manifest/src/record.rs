//! The two macros that define tables and choices. What they define cannot drift from its schema: there is nothing else to edit.

/// A table with fixed keys. Doc comments become the descriptions of the schema; `= literal` is the default, in the manifest's own notation.
macro_rules! record {
    (
        $(#[doc = $doc:literal])*
        $vis:vis struct $name:ident {
            $( $(#[doc = $field_doc:literal])* $field:ident : $type:ty $(= $default:tt)? ),* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug)]
        $vis struct $name {
            $( $(#[doc = $field_doc])* $vis $field: $type, )*
        }

        impl $crate::shape::Shape for $name {
            const WANTS: &'static str = "a table";

            fn decode(value: &$crate::shape::Value<'_>, reader: &mut $crate::shape::Reader) -> Self {
                const KEYS: &[&str] = &[$( $crate::record::key(stringify!($field)) ),*];
                let span = reader.span_of(value);
                let Some(table) = reader.record(value, Self::WANTS, KEYS) else { return <Self as $crate::shape::Shape>::stand_in() };
                Self {
                    $( $field: reader.field(
                        table,
                        span,
                        const { $crate::record::key(stringify!($field)) },
                        $crate::record::optional!($(stringify!($default))?),
                    ), )*
                }
            }

            fn stand_in() -> Self {
                Self { $( $field: $crate::shape::Shape::stand_in(), )* }
            }

            fn schema(definitions: &mut $crate::shape::Definitions) -> serde_json::Value {
                definitions.refer(stringify!($name), |definitions| {
                    let mut properties = serde_json::Map::new();
                    let mut required: Vec<&str> = Vec::new();
                    $(
                        let key = $crate::record::key(stringify!($field));
                        let mut property = <$type as $crate::shape::Shape>::schema(definitions);
                        property["description"] = $crate::record::description(&[$($field_doc),*], property.get("description")).into();
                        let default: Option<serde_json::Value> = $crate::record::optional!($(serde_json::json!($default))?);
                        let optional = default.is_some() || <$type as $crate::shape::Shape>::absent().is_some();
                        if let Some(default) = default {
                            property["default"] = default;
                        }
                        if !optional {
                            required.push(key);
                        }
                        properties.insert(key.to_owned(), property);
                    )*
                    serde_json::json!({
                        "type": "object",
                        "description": $crate::record::description(&[$($doc),*], None),
                        "properties": properties,
                        "required": required,
                        "additionalProperties": false,
                    })
                })
            }
        }
    };
}
pub(crate) use record;

/// One of a few words.
macro_rules! choice {
    (
        $(#[doc = $doc:literal])*
        $vis:vis enum $name:ident {
            $( $(#[doc = $choice_doc:literal])* $choice:ident = $text:literal ),* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        $vis enum $name {
            $( $(#[doc = $choice_doc])* $choice, )*
        }

        impl $name {
            /// In the order of the manifest's reference.
            #[allow(dead_code, reason = "not every choice is listed somewhere")]
            $vis const ALL: &'static [Self] = &[$( Self::$choice ),*];

            /// As the manifest writes it.
            $vis fn as_str(self) -> &'static str {
                match self {
                    $( Self::$choice => $text, )*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl $crate::shape::Shape for $name {
            const WANTS: &'static str = concat!("one of" $(, " ", $text)*);

            fn decode(value: &$crate::shape::Value<'_>, reader: &mut $crate::shape::Reader) -> Self {
                reader.choice(value, &[$( ($text, Self::$choice) ),*]).unwrap_or_else(<Self as $crate::shape::Shape>::stand_in)
            }

            fn stand_in() -> Self {
                [$( Self::$choice ),*][0]
            }

            fn schema(_: &mut $crate::shape::Definitions) -> serde_json::Value {
                let choices = [$( format!("`{}`: {}", $text, $crate::record::description(&[$($choice_doc),*], None)) ),*];
                serde_json::json!({ "enum": [$($text),*], "description": choices.join("\n") })
            }
        }
    };
}
pub(crate) use choice;

macro_rules! optional {
    () => {
        None
    };
    ($value:expr) => {
        Some($value)
    };
}
pub(crate) use optional;

/// The key of a field: a field that is a word of Rust is written `r#in`.
pub(crate) const fn key(field: &str) -> &str {
    match field.as_bytes() {
        [b'r', b'#', ..] => field.split_at(2).1,
        _ => field,
    }
}

/// Doc lines as one text, followed by what the type itself has to say.
pub(crate) fn description(docs: &[&str], more: Option<&serde_json::Value>) -> String {
    let own = docs.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
    match more.and_then(serde_json::Value::as_str) {
        Some(more) if own.is_empty() => more.to_owned(),
        Some(more) => format!("{own}\n{more}"),
        None => own,
    }
}
