//! Ids of events: sixteen bytes, with or without dashes.

use uuid::Uuid;

/// Nothing where it is none.
pub(crate) fn bytes(text: &str) -> Option<[u8; 16]> {
    Uuid::try_parse(text).ok().map(Uuid::into_bytes)
}

/// As clients write them.
pub(crate) fn text(bytes: [u8; 16]) -> String {
    Uuid::from_bytes(bytes).simple().to_string()
}

pub(crate) fn fresh() -> String {
    Uuid::new_v4().simple().to_string()
}
