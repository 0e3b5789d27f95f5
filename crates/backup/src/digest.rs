//! A digest of a collection that does not depend on the order of its documents: a restored one has another order.

use aws_lc_rs::digest::{Context, SHA256, digest};
use serde::{Deserialize, Serialize};

/// The sum of the SHA-256 of each document, with how many and how large they are. The order does not matter, how often a
/// document is there does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    pub documents: u64,
    /// Of BSON.
    pub bytes: u64,
    sum: [u64; 4],
}

impl Digest {
    pub fn add(&mut self, document: &[u8]) {
        self.documents += 1;
        self.bytes += document.len() as u64;
        let hash = digest(&SHA256, document);
        for (lane, word) in self.sum.iter_mut().zip(hash.as_ref().as_chunks::<8>().0) {
            *lane = lane.wrapping_add(u64::from_le_bytes(*word));
        }
    }
}

/// Of a file, in hexadecimal.
pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    hexadecimal(digest(&SHA256, bytes).as_ref())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As [`of_bytes`], of a file that comes piece by piece.
pub(crate) struct Running(Context);

impl Running {
    pub(crate) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn end(self) -> String {
        hexadecimal(self.0.finish().as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_does_not_matter_and_everything_else_does() {
        let of = |documents: &[&str]| {
            let mut digest = Digest::default();
            documents.iter().for_each(|document| digest.add(document.as_bytes()));
            digest
        };
        assert_eq!(of(&["a", "b", "c"]), of(&["c", "a", "b"]));
        assert_ne!(of(&["a", "b"]), of(&["a", "c"]));
        assert_ne!(of(&["a", "a", "b"]), of(&["a", "b", "b"]), "how often counts");
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
    }
}
