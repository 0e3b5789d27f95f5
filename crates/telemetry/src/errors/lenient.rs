//! Parts of an event that are what they should be, or as if they were not there: a client's slip in one field loses no event.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A text, or a number or truth as one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text<'e>(pub(crate) Option<Cow<'e, str>>);

impl Text<'_> {
    /// Nothing where it is empty.
    pub(crate) fn get(&self) -> Option<&str> {
        self.0.as_deref().filter(|text| !text.is_empty())
    }
}

/// An object, or its default.
#[derive(Clone, Debug, Default)]
pub(crate) struct Part<T>(pub(crate) T);

/// A list, also where it is wrapped as `{"values": […]}`.
#[derive(Clone, Debug)]
pub(crate) struct List<T>(pub(crate) Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Names with their texts, as an object or as a list of pairs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pairs<'e>(pub(crate) Vec<(Cow<'e, str>, Text<'e>)>);

impl Pairs<'_> {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).and_then(|(_, text)| text.get())
    }
}

fn skip_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

fn skip_seq<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

/// What all visitors here do with plain values that they cannot use.
macro_rules! plain_is_nothing {
    ($nothing:expr; $($visit:ident($type:ty)),*) => {
        $(fn $visit<E: Error>(self, _: $type) -> Result<Self::Value, E> { Ok($nothing) })*
        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> { Ok($nothing) }
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str("anything") }
    };
}

impl<'e, 'de: 'e> Deserialize<'de> for Text<'e> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Text<'de>;
            plain_is_nothing!(Text(None););
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Borrowed(text))))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Owned(text.to_owned()))))
            }
            fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Borrowed(if value { "true" } else { "false" }))))
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Owned(value.to_string()))))
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Owned(value.to_string()))))
            }
            fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Owned(value.to_string()))))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                skip_map(map).map(|()| Text(None))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                skip_seq(seq).map(|()| Text(None))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Part<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for Reader<T> {
            type Value = Part<T>;
            plain_is_nothing!(Part(T::default()); visit_str(&str), visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64));
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Part)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                skip_seq(seq).map(|()| Part(T::default()))
            }
        }
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
            type Value = List<T>;
            plain_is_nothing!(List(Vec::new()); visit_str(&str), visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64));
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut found = List(Vec::new());
                while let Some(name) = map.next_key::<Cow<'_, str>>()? {
                    if name == "values" {
                        found = map.next_value()?;
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(found)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut found = Vec::new();
                while let Some(one) = seq.next_element()? {
                    found.push(one);
                }
                Ok(List(found))
            }
        }
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

impl<'e, 'de: 'e> Deserialize<'de> for Pairs<'e> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Pairs<'de>;
            plain_is_nothing!(Pairs::default(); visit_str(&str), visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64));
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut found = Vec::new();
                while let Some((name, text)) = map.next_entry::<Text<'de>, Text<'de>>()? {
                    found.extend(name.0.map(|name| (name, text)));
                }
                Ok(Pairs(found))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut found = Vec::new();
                while let Some(List(pair)) = seq.next_element::<List<Text<'de>>>()? {
                    if let Ok([Text(Some(name)), text]) = <[Text<'de>; 2]>::try_from(pair) {
                        found.push((name, text));
                    }
                }
                Ok(Pairs(found))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// A text, or an object's names with their texts.
pub(crate) fn text_or_pairs<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<(Text<'de>, Option<Pairs<'de>>), D::Error> {
    struct Reader;
    impl<'de> Visitor<'de> for Reader {
        type Value = (Text<'de>, Option<Pairs<'de>>);
        plain_is_nothing!((Text(None), None); visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64));
        fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
            Ok((Text(Some(Cow::Borrowed(text))), None))
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok((Text(Some(Cow::Owned(text.to_owned()))), None))
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            Pairs::deserialize(MapAccessDeserializer::new(map)).map(|pairs| (Text(None), Some(pairs)))
        }
        fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
            skip_seq(seq).map(|()| (Text(None), None))
        }
    }
    deserializer.deserialize_any(Reader)
}
