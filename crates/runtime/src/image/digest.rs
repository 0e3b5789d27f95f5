//! Digests of what passes through, and their form.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

use super::ImageFault;

const ALGORITHM: &str = "sha256:";

pub(super) fn of(bytes: &[u8]) -> String {
    written(&Sha256::digest(bytes))
}

/// The digits of a digest; what becomes the name of a file is nothing else.
pub(super) fn digits(digest: &str) -> Result<&str, ImageFault> {
    let digits = digest.strip_prefix(ALGORITHM);
    let digits =
        digits.filter(|digits| digits.len() == 64 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
    digits.ok_or_else(|| ImageFault::NoDigest(digest.to_owned()))
}

fn written(hash: &[u8]) -> String {
    hash.iter().fold(ALGORITHM.to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// Passes on, and keeps the digest of it.
pub(super) struct Hashing<T> {
    inner: T,
    hash: Sha256,
    bytes: u64,
}

impl<T> Hashing<T> {
    pub(super) fn new(inner: T) -> Self {
        Self { inner, hash: Sha256::new(), bytes: 0 }
    }

    pub(super) fn finish(self) -> (T, String, u64) {
        (self.inner, written(&self.hash.finalize()), self.bytes)
    }

    fn note(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
    }
}

impl<T: Write> Write for Hashing<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.note(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Hashing<T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(bytes)?;
        self.note(&bytes[..read]);
        Ok(read)
    }
}
