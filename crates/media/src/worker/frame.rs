//! Frames on a pipe: length of the words, length of the bytes, words as JSON, bytes.

use std::io::{self, Read};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Words are a few numbers; a longer text is no frame.
pub(super) const MOST_WORDS: usize = 64 * 1024;

/// The two lengths.
pub(super) const LENGTHS: usize = 12;

/// All but the bytes.
pub(super) fn head(words: &impl Serialize, bytes: usize) -> io::Result<Vec<u8>> {
    let words = serde_json::to_vec(words)?;
    let length = u32::try_from(words.len()).map_err(io::Error::other)?;
    let mut head = Vec::with_capacity(LENGTHS + words.len());
    head.extend_from_slice(&length.to_le_bytes());
    head.extend_from_slice(&(bytes as u64).to_le_bytes());
    head.extend_from_slice(&words);
    Ok(head)
}

/// Lengths of words and of bytes.
pub(super) fn lengths(head: [u8; LENGTHS]) -> io::Result<(usize, usize)> {
    let [a, b, c, d, bytes @ ..] = head;
    let too_long = || io::Error::new(io::ErrorKind::InvalidData, "a frame is too long");
    let words = usize::try_from(u32::from_le_bytes([a, b, c, d])).map_err(io::Error::other)?;
    let bytes = usize::try_from(u64::from_le_bytes(bytes)).map_err(|_| too_long())?;
    if words > MOST_WORDS { Err(too_long()) } else { Ok((words, bytes)) }
}

/// The next one; `None` where the input ends between two.
pub(super) fn read<T: DeserializeOwned>(input: &mut impl Read) -> io::Result<Option<(T, Vec<u8>)>> {
    let mut head = [0; LENGTHS];
    let mut got = 0;
    while got < LENGTHS {
        match input.read(&mut head[got..]) {
            Ok(0) if got == 0 => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(more) => got += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let (words, length) = lengths(head)?;
    let mut text = vec![0; words];
    input.read_exact(&mut text)?;
    let mut bytes = vec![0; length];
    input.read_exact(&mut bytes)?;
    Ok(Some((serde_json::from_slice(&text)?, bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_what_is_cut_off_is_no_frame() {
        let mut whole = head(&"words", 3).unwrap();
        whole.extend_from_slice(b"abc");
        let (words, bytes) = read::<String>(&mut &whole[..]).unwrap().unwrap();
        assert_eq!((words.as_str(), &bytes[..]), ("words", &b"abc"[..]));
        assert!(read::<String>(&mut &whole[..0]).unwrap().is_none());
        for cut in 1..whole.len() {
            assert!(read::<String>(&mut &whole[..cut]).is_err(), "{cut}");
        }
        assert!(lengths([255; LENGTHS]).is_err());
    }
}
