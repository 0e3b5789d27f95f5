//! SHA-256 of files too large to hold in memory.

use std::fmt::Write as _;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use host::files::{self, FileFault};
use sha2::{Digest, Sha256};

/// Why a file is not the one that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ChecksumFault {
    #[error("cannot check what was fetched")]
    File(#[from] FileFault),
    #[error("{} is not what was asked for: its SHA-256 is {found}, expected {expected}", path.display())]
    Differs { path: PathBuf, expected: String, found: String },
}

/// The digest in lower-case hexadecimal.
pub fn of_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// As [`of_bytes`], of a file.
pub fn of_file(path: &Path) -> Result<String, FileFault> {
    let mut file = files::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0_u8; 1 << 18];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hex(&hasher.finalize())),
            Ok(n) => hasher.update(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(FileFault::new("read", path, error)),
        }
    }
}

/// Refuses a file whose digest differs, and removes it: the next attempt must not meet it again.
pub fn verify(path: &Path, expected: &str) -> Result<(), ChecksumFault> {
    let found = of_file(path)?;
    if found == expected {
        return Ok(());
    }
    files::remove(path)?;
    Err(ChecksumFault::Differs { path: path.to_owned(), expected: expected.to_owned(), found })
}

fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::with_capacity(digest.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_file_is_refused_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine");
        files::write_durable(&path, b"abc", files::Access::Owner).unwrap();
        let right = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        verify(&path, right).unwrap();
        let fault = verify(&path, &right.replace('b', "c")).unwrap_err();
        assert!(fault.to_string().contains("is not what was asked for"), "{fault}");
        assert!(!files::exists(&path));
    }
}
