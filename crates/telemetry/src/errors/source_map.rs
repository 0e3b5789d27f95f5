//! A source map, read into what look-ups need: <https://tc39.es/ecma426/>.
//!
//! Our own reader: the crate of that name brings twelve entries to the lock file for what is a page here, and holds each source's text,
//! which is most of a map. Maps come from builds, and a build may be anybody's: what is read is bounded, and nothing in it panics.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

/// A map is no larger unpacked, in bytes. A large shop's largest has a few million.
pub(crate) const MAX_MAP: usize = 32 << 20;

/// Places of one map: 24 bytes each. A map of 2 MB has 74,000.
const MAX_PLACES: usize = 1 << 20;

/// Why it cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MapFault {
    #[error("it is no source map: {0}")]
    Json(#[from] serde_json::Error),
    #[error("its mappings are damaged at byte {0}")]
    Mappings(usize),
    #[error("it has more than {MAX_PLACES} places")]
    Large,
}

/// Where a place of the code was in the sources. Lines and columns from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin<'m> {
    pub(crate) source: &'m str,
    pub(crate) name: Option<&'m str>,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// A map in memory.
#[derive(Debug, Default)]
pub(crate) struct SourceMap {
    /// By line and column of the code.
    places: Vec<Place>,
    sources: Vec<String>,
    names: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    line: u32,
    column: u32,
    source: u32,
    from_line: u32,
    from_column: u32,
    name: u32,
}

/// No source, or no name.
const NONE: u32 = u32::MAX;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File<'f> {
    #[serde(borrow, default)]
    mappings: Cow<'f, str>,
    #[serde(default)]
    sources: Vec<Option<String>>,
    source_root: Option<String>,
    #[serde(default)]
    names: Vec<String>,
    /// Bundlers that put files one behind the other write a map of maps.
    #[serde(borrow, default)]
    sections: Vec<Section<'f>>,
}

#[derive(Deserialize)]
struct Section<'f> {
    offset: Offset,
    #[serde(borrow)]
    map: File<'f>,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct Offset {
    line: u32,
    column: u32,
}

#[derive(Deserialize)]
struct Ids<'f> {
    #[serde(borrow, rename = "debugId")]
    debug_id: Option<Cow<'f, str>>,
    #[serde(borrow, rename = "debug_id")]
    of_before: Option<Cow<'f, str>>,
    /// What tells a map from other JSON.
    mappings: Option<IgnoredAny>,
    sections: Option<IgnoredAny>,
}

/// The id that a bundler gave it, where it is a map at all.
pub(crate) fn debug_id(json: &[u8]) -> Result<Option<String>, MapFault> {
    let ids: Ids<'_> = serde_json::from_slice(without_guard(json))?;
    if ids.mappings.is_none() && ids.sections.is_none() {
        return Err(MapFault::Mappings(0));
    }
    Ok(ids.debug_id.or(ids.of_before).and_then(|id| plain_id(&id)))
}

/// An id as it is compared: 32 hexadecimal digits.
pub(crate) fn plain_id(id: &str) -> Option<String> {
    let plain: String = id.chars().filter(|letter| *letter != '-').take(33).collect::<String>().to_ascii_lowercase();
    (plain.len() == 32 && plain.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(plain)
}

/// Servers may put `)]}'` before JSON so that no page runs it.
fn without_guard(json: &[u8]) -> &[u8] {
    if !json.starts_with(b")]}") {
        return json;
    }
    memchr::memchr(b'\n', json).map_or(json, |end| &json[end + 1..])
}

impl SourceMap {
    pub(crate) fn read(json: &[u8]) -> Result<Self, MapFault> {
        let file: File<'_> = serde_json::from_slice(without_guard(json))?;
        let mut map = Self::default();
        map.add(&file, Offset::default())?;
        for section in &file.sections {
            map.add(&section.map, section.offset)?;
        }
        map.places.sort_by_key(|place| (place.line, place.column));
        map.places.shrink_to_fit();
        Ok(map)
    }

    /// Of memory.
    pub(crate) fn bytes(&self) -> usize {
        let texts = self.sources.iter().chain(&self.names).map(|text| text.capacity() + size_of::<String>());
        self.places.capacity() * size_of::<Place>() + texts.sum::<usize>()
    }

    /// What is at a line and a column of the code, both from 1.
    pub(crate) fn look_up(&self, line: u32, column: u32) -> Option<Origin<'_>> {
        let (line, column) = (line.checked_sub(1)?, column.saturating_sub(1));
        let after = self.places.partition_point(|place| (place.line, place.column) <= (line, column));
        let place = self.places.get(after.checked_sub(1)?).filter(|place| place.line == line)?;
        Some(Origin {
            source: self.sources.get(usize::try_from(place.source).ok()?)?,
            name: usize::try_from(place.name).ok().and_then(|name| self.names.get(name)).map(String::as_str),
            line: place.from_line + 1,
            column: place.from_column + 1,
        })
    }

    fn add(&mut self, file: &File<'_>, offset: Offset) -> Result<(), MapFault> {
        let first_source = u32::try_from(self.sources.len()).map_err(|_| MapFault::Large)?;
        let first_name = u32::try_from(self.names.len()).map_err(|_| MapFault::Large)?;
        let root = file.source_root.as_deref().filter(|root| !root.is_empty());
        self.sources.extend(file.sources.iter().map(|source| {
            let source = source.as_deref().unwrap_or("?");
            root.map_or_else(|| source.to_owned(), |root| format!("{}/{source}", root.trim_end_matches('/')))
        }));
        self.names.extend(file.names.iter().cloned());
        let mut reader = Mappings { bytes: file.mappings.as_bytes(), at: 0 };
        let (mut line, mut column) = (0_u32, 0_i64);
        let (mut source, mut from_line, mut from_column, mut name) = (0_i64, 0_i64, 0_i64, 0_i64);
        while let Some(byte) = reader.peek() {
            match byte {
                b';' => {
                    line = line.checked_add(1).ok_or(MapFault::Large)?;
                    column = 0;
                    reader.at += 1;
                }
                b',' => reader.at += 1,
                _ => {
                    column += reader.number()?;
                    let mut place = Place { line, column: 0, source: NONE, from_line: 0, from_column: 0, name: NONE };
                    if reader.is_in_segment() {
                        source += reader.number()?;
                        from_line += reader.number()?;
                        from_column += reader.number()?;
                        let fits = |value: i64| u32::try_from(value).map_err(|_| MapFault::Mappings(reader.at));
                        place.source = fits(source)?.checked_add(first_source).ok_or(MapFault::Large)?;
                        (place.from_line, place.from_column) = (fits(from_line)?, fits(from_column)?);
                    }
                    if reader.is_in_segment() {
                        name += reader.number()?;
                        let own = u32::try_from(name).map_err(|_| MapFault::Mappings(reader.at))?;
                        place.name = own.checked_add(first_name).ok_or(MapFault::Large)?;
                    }
                    // Further numbers of a segment are of some later format.
                    while reader.is_in_segment() {
                        reader.number()?;
                    }
                    let own = u32::try_from(column).map_err(|_| MapFault::Mappings(reader.at))?;
                    let first = if line == 0 { offset.column } else { 0 };
                    place.column = own.checked_add(first).ok_or(MapFault::Large)?;
                    place.line = line.checked_add(offset.line).ok_or(MapFault::Large)?;
                    if place.from_line == u32::MAX || place.from_column == u32::MAX || self.places.len() >= MAX_PLACES {
                        return Err(MapFault::Large);
                    }
                    self.places.push(place);
                }
            }
        }
        Ok(())
    }
}

/// Numbers in base 64, the least significant digit first, the sign in the lowest bit.
struct Mappings<'m> {
    bytes: &'m [u8],
    at: usize,
}

impl Mappings<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn is_in_segment(&self) -> bool {
        self.peek().is_some_and(|byte| byte != b',' && byte != b';')
    }

    fn number(&mut self) -> Result<i64, MapFault> {
        let (mut value, mut shift) = (0_i64, 0_u32);
        loop {
            let digit = match self.peek() {
                Some(byte @ b'A'..=b'Z') => byte - b'A',
                Some(byte @ b'a'..=b'z') => byte - b'a' + 26,
                Some(byte @ b'0'..=b'9') => byte - b'0' + 52,
                Some(b'+') => 62,
                Some(b'/') => 63,
                _ => return Err(MapFault::Mappings(self.at)),
            };
            self.at += 1;
            // 32 bits and a sign have seven digits.
            if shift > 30 {
                return Err(MapFault::Mappings(self.at));
            }
            value |= i64::from(digit & 31) << shift;
            shift += 5;
            if digit & 32 == 0 {
                return Ok(if value & 1 == 1 { -(value >> 1) } else { value >> 1 });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_place_of_the_code_is_one_of_the_sources() {
        // Line 1: column 0 is a.ts 1:1; column 10 is a.ts 2:5, `pay`. Line 2: column 2 is b.ts 1:1.
        let json = br#"{"version":3,"sources":["a.ts","b.ts"],"sourceRoot":"src/","names":["pay"],"mappings":"AAAA,UACIA;ECDJ"}"#;
        let map = SourceMap::read(json).unwrap();
        assert_eq!(map.look_up(1, 1), Some(Origin { source: "src/a.ts", name: None, line: 1, column: 1 }));
        let pay = Origin { source: "src/a.ts", name: Some("pay"), line: 2, column: 5 };
        assert_eq!((map.look_up(1, 11), map.look_up(1, 500)), (Some(pay), Some(pay)));
        assert_eq!(map.look_up(2, 3).unwrap().source, "src/b.ts");
        assert_eq!((map.look_up(2, 1), map.look_up(3, 1), map.look_up(0, 0)), (None, None, None));
    }

    #[test]
    fn a_map_of_maps_is_one() {
        let json = br#"{"version":3,"sections":[
            {"offset":{"line":0,"column":0},"map":{"version":3,"sources":["a.ts"],"names":[],"mappings":"AAAA"}},
            {"offset":{"line":4,"column":7},"map":{"version":3,"sources":["b.ts"],"names":["x"],"mappings":"AAAAA"}}]}"#;
        let map = SourceMap::read(json).unwrap();
        assert_eq!(map.look_up(1, 9).unwrap().source, "a.ts");
        assert_eq!(map.look_up(5, 8), Some(Origin { source: "b.ts", name: Some("x"), line: 1, column: 1 }));
        assert_eq!(map.look_up(5, 7), None);
    }

    #[test]
    fn ids_are_found_under_both_names_and_other_json_is_no_map() {
        let id = "85314830-023f-4cf1-a267-535f4e37bb17";
        let plain = Some("85314830023f4cf1a267535f4e37bb17".to_owned());
        assert_eq!(debug_id(format!(r#"{{"mappings":"","debugId":"{id}"}}"#).as_bytes()).unwrap(), plain);
        assert_eq!(debug_id(format!(")]}}'\n{{\"mappings\":\"\",\"debug_id\":\"{id}\"}}").as_bytes()).unwrap(), plain);
        assert_eq!(debug_id(br#"{"mappings":"","debugId":"../../x"}"#).unwrap(), None);
        assert!(debug_id(br#"{"name":"package"}"#).is_err());
    }

    proptest! {
        #[test]
        fn no_input_makes_it_panic(mappings in "[A-Za-z0-9+/,;]{0,200}", line in 0_u32..10, column in 0_u32..300, offset in 0..=u32::MAX) {
            let inner = serde_json::json!({ "sources": ["a"], "names": ["n"], "mappings": mappings });
            let json = serde_json::json!({ "sections": [{ "offset": { "line": offset, "column": offset }, "map": inner }] });
            for json in [json, inner_of(&mappings)] {
                if let Ok(map) = SourceMap::read(json.to_string().as_bytes()) {
                    let _ = map.look_up(line, column);
                }
            }
        }
    }

    fn inner_of(mappings: &str) -> serde_json::Value {
        serde_json::json!({ "sources": ["a"], "names": ["n"], "mappings": mappings })
    }
}
