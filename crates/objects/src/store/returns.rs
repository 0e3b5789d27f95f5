//! Objects that come back from a backup as they were: with their ETags, in the parts they were put in.

use aws_lc_rs::digest::{self, SHA256};
use host::clock::Timestamp;

use super::puts::{Fresh, adopt, live, replace};
use super::{Digest, Fault, Head, Result, Store, Written, buckets, check_key};

/// An object that comes back.
#[derive(Debug)]
pub struct Returning {
    pub bucket: String,
    /// As it was. Its version is another one from now on.
    pub head: Head,
    /// What it holds: one content, or one for each part.
    pub pieces: Vec<Written>,
    /// When it is said to have been put: then, in a store that begins anew; now, where others look at it.
    pub modified: Timestamp,
}

impl Returning {
    /// Whether what came is what it held.
    fn is_what_it_was(&self) -> bool {
        let size: u64 = self.pieces.iter().map(|piece| piece.size).sum();
        let digest = match (self.head.parts, self.pieces.as_slice()) {
            (0, [whole]) => whole.digest,
            (0, _) => return false,
            (parts, pieces) if parts as usize == pieces.len() => {
                let mut whole = digest::Context::new(&SHA256);
                pieces.iter().for_each(|piece| whole.update(&piece.digest.0));
                Digest(whole.finish().as_ref().try_into().expect("SHA-256 has 32 bytes"))
            }
            _ => return false,
        };
        (digest, size) == (self.head.digest, self.head.size)
    }
}

impl Store {
    /// Puts objects back, all of them or none, each in place of one that has its key.
    ///
    /// # Errors
    /// Where a bucket is not there or would hold too much, or what came is not what an object held.
    pub fn put_back(&self, all: Vec<Returning>) -> Result<Vec<Head>> {
        for one in &all {
            check_key(&one.head.key)?;
            if !one.is_what_it_was() {
                return Err(Fault::OtherContent);
            }
        }
        let blobs = self.blobs.clone();
        self.together(move |rows, dirty| {
            let mut heads = Vec::with_capacity(all.len());
            for one in all {
                let mut bucket = buckets::find(rows, &one.bucket)?;
                let old = live(rows, bucket.id, &one.head.key)?;
                bucket.refuse_in_place_of(old.as_ref().map_or(0, |old| old.size), one.head.size)?;
                let adopted = one.pieces.iter().map(|piece| adopt(rows, &blobs, piece, dirty));
                let pieces = adopted.collect::<Result<Vec<i64>>>()?;
                let Head { key, size, etag, digest, parts, metadata, .. } = one.head;
                let modified = one.modified;
                let fresh = Fresh { key: &key, size, etag, digest, parts, metadata, modified, pieces: &pieces };
                heads.push(replace(rows, &mut bucket, old, fresh)?);
                bucket.store(rows)?;
            }
            Ok(heads)
        })
    }
}
