//! A body that is being received.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use crate::storable::Refused;
use crate::store::Cache;

/// Pieces of one answer. Of all that are being received there are at most as many bytes as the cache keeps: whoever asks for a
/// thousand long answers at once takes no more than that of the memory.
#[derive(Debug)]
pub struct Collection {
    cache: Arc<Cache>,
    pieces: Vec<Bytes>,
    length: u64,
}

impl Collection {
    pub fn new(cache: &Arc<Cache>) -> Self {
        Self { cache: Arc::clone(cache), pieces: Vec::new(), length: 0 }
    }

    pub fn add(&mut self, piece: Bytes) -> Result<(), Refused> {
        let length = piece.len() as u64;
        let rules = self.cache.rules();
        if self.length + length > rules.largest {
            return Err(Refused::TooLarge);
        }
        let before = self.cache.coming.fetch_add(length, Ordering::Relaxed);
        // Given back with the rest.
        self.length += length;
        if before + length > rules.bytes {
            return Err(Refused::NoRoom);
        }
        self.pieces.push(piece);
        Ok(())
    }

    /// All of it, in a place of its own: pieces lie in buffers that are larger.
    pub fn whole(self) -> Bytes {
        self.pieces.concat().into()
    }
}

impl Drop for Collection {
    fn drop(&mut self) {
        self.cache.coming.fetch_sub(self.length, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Rules;

    #[test]
    fn many_long_answers_at_once_take_no_more_than_there_is() {
        let cache = Arc::new(Cache::new(Rules { bytes: 100, largest: 60 }));
        let piece = |length: usize| Bytes::from(vec![b'x'; length]);
        let (mut one, mut other) = (Collection::new(&cache), Collection::new(&cache));
        assert_eq!((one.add(piece(50)), one.add(piece(11))), (Ok(()), Err(Refused::TooLarge)));
        assert_eq!((other.add(piece(50)), other.add(piece(1))), (Ok(()), Err(Refused::NoRoom)));
        drop(other);
        assert_eq!((one.add(piece(10)), one.whole().len()), (Ok(()), 60));
        assert_eq!(cache.coming.load(Ordering::Relaxed), 0);
    }
}
