//! A use at an offset: what the readers of the smaller languages find, before it has its place.

use crate::lines::Lines;
use crate::{Fallback, How, Language, Name, Use};

/// A use in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    /// In bytes.
    pub(crate) offset: usize,
    pub(crate) name: Name,
    pub(crate) how: How,
    pub(crate) fallback: Fallback,
}

impl Spot {
    pub(crate) fn new(offset: usize, name: &str, how: How) -> Self {
        Self { offset, name: Name::Exact(name.to_owned()), how, fallback: Fallback::None }
    }

    pub(crate) fn with(self, fallback: Fallback) -> Self {
        Self { fallback, ..self }
    }
}

/// The spots of a file as uses, in the order of the text.
pub(crate) fn placed(file: &str, text: &str, language: Language, mut spots: Vec<Spot>) -> Vec<Use> {
    spots.sort_by_key(|spot| spot.offset);
    let mut lines = Lines::new(file, text);
    let place = |spot: Spot| Use {
        place: lines.place(spot.offset),
        name: spot.name,
        how: spot.how,
        fallback: spot.fallback,
        language,
    };
    spots.into_iter().map(place).collect()
}

/// The length in bytes of the name that a text begins with, 0 if it begins with none.
pub(crate) fn name_length(text: &str) -> usize {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if starts { text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count() } else { 0 }
}
