//! What is staged: the entries of git's index.

use gix_hash::{Kind, ObjectId, hasher};
use gix_index::entry::Mode;
use gix_index::{State, decode};
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

fn parse(bytes: &[u8]) -> Result<Vec<Staged>, String> {
    // When it was written matters only to who compares files with it.
    let written = State::new(Kind::Sha1).timestamp();
    let options = decode::Options { thread_limit: Some(1), ..decode::Options::default() };
    let (state, checksum) =
        State::from_bytes(bytes, written, Kind::Sha1, options).map_err(|error| error.to_string())?;
    // `index.skipHash` leaves it out.
    if let Some(checksum) = checksum {
        let mut sum = hasher(Kind::Sha1);
        sum.update(&bytes[..bytes.len() - Kind::Sha1.len_in_bytes()]);
        if sum.try_finalize().map_err(|error| error.to_string())? != checksum {
            return Err("its checksum is another".to_owned());
        }
    }
    // A split index keeps the rest elsewhere: half of what is staged would look like all of it.
    if state.link().is_some() {
        return Err("it is split in two (`git update-index --no-split-index` joins them)".to_owned());
    }
    // A commit of another repository, or a folder of a sparse checkout, which is as it was in `HEAD`.
    let is_file = |mode: Mode| !matches!(mode, Mode::COMMIT | Mode::DIR);
    let files = state.entries().iter().filter(|entry| is_file(entry.mode));
    Ok(files.map(|entry| Staged { path: entry.path(&state).to_string(), id: entry.id }).collect())
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
