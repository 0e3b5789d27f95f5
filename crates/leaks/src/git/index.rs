//! What is staged: the entries of git's index.

use gix_hash::ObjectId;
use host::files;

use super::{GitFault, Repository};

/// A file as the next commit would have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Staged {
    pub(crate) path: String,
    pub(crate) id: ObjectId,
}

/// All entries of the index that are files; none if there is no index yet.
pub(crate) fn read(repository: &Repository) -> Result<Vec<Staged>, GitFault> {
    let Some(bytes) = files::read_if_exists(&repository.own.join("index"))? else { return Ok(Vec::new()) };
    parse(&bytes).map_err(|what| GitFault::Index { folder: repository.own.clone(), what })
}

/// Times, device, owner and size before the object's id.
const BEFORE_ID: usize = 40;
const ID: usize = 20;
const EXTENDED: u16 = 0x4000;
const NAME_LENGTH: u16 = 0x0FFF;

fn parse(bytes: &[u8]) -> Result<Vec<Staged>, &'static str> {
    const CUT: &str = "it ends too early";
    let number = |at: usize| -> Result<u32, &'static str> {
        let bytes = bytes.get(at..at + 4).ok_or(CUT)?;
        Ok(u32::from_be_bytes(bytes.try_into().expect("four bytes")))
    };
    if bytes.get(..4) != Some(b"DIRC") {
        return Err("it does not begin like an index");
    }
    let version = number(4)?;
    if !(2..=4).contains(&version) {
        return Err("its version is unknown");
    }
    let mut entries = Vec::new();
    let mut at = 12;
    let mut path: Vec<u8> = Vec::new();
    for _ in 0..number(8)? {
        let start = at;
        let mode = number(at + 24)?;
        let id = bytes.get(at + BEFORE_ID..at + BEFORE_ID + ID).ok_or(CUT)?;
        at += BEFORE_ID + ID;
        let flags = u16::try_from(number(at)? >> 16).expect("sixteen bits");
        at += if flags & EXTENDED != 0 && version >= 3 { 4 } else { 2 };
        if version == 4 {
            let (drop, next) = offset(bytes, at).ok_or(CUT)?;
            path.truncate(path.len().checked_sub(drop).ok_or("a path is shorter than what it drops")?);
            let rest = bytes.get(next..).ok_or(CUT)?;
            let end = memchr::memchr(0, rest).ok_or(CUT)?;
            path.extend(&rest[..end]);
            at = next + end + 1;
        } else {
            let rest = bytes.get(at..).ok_or(CUT)?;
            let said = usize::from(flags & NAME_LENGTH);
            let length = if said < usize::from(NAME_LENGTH) { said } else { memchr::memchr(0, rest).ok_or(CUT)? };
            path = rest.get(..length).ok_or(CUT)?.to_vec();
            // One to eight NUL, so that the next entry begins at a multiple of eight.
            at += length;
            at += 8 - (at - start) % 8;
        }
        if mode >> 12 == 0b1000 || mode >> 12 == 0b1010 {
            let path = String::from_utf8_lossy(&path).into_owned();
            entries.push(Staged { path, id: ObjectId::from_bytes_or_panic(id) });
        }
    }
    // A split index keeps the rest elsewhere: half of what is staged would look like all of it.
    while let Some(name) = bytes.get(at..at + 4).filter(|_| at + 8 + ID <= bytes.len()) {
        if name == b"link" {
            return Err("it is split in two (`git update-index --no-split-index` joins them)");
        }
        at += 8 + usize::try_from(number(at + 4)?).map_err(|_| CUT)?;
    }
    Ok(entries)
}

/// The number of version 4: seven bits a byte, each continued one counts from one.
fn offset(bytes: &[u8], mut at: usize) -> Option<(usize, usize)> {
    let mut byte = *bytes.get(at)?;
    let mut value = usize::from(byte & 0x7F);
    while byte & 0x80 != 0 {
        at += 1;
        byte = *bytes.get(at)?;
        value = value.checked_add(1)?.checked_mul(128)?.checked_add(usize::from(byte & 0x7F))?;
    }
    Some((value, at + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_bytes_make_the_index_panic(version in 0u8..6, count in 0u8..5, body in proptest::collection::vec(any::<u8>(), 0..600)) {
            let mut bytes = b"DIRC\0\0\0".to_vec();
            bytes.push(version);
            bytes.extend([0, 0, 0, count]);
            bytes.extend(body);
            let _ = parse(&bytes);
        }
    }
}
