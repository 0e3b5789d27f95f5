//! Checksums that clients send with a content.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crc::{CRC_32_ISCSI, CRC_32_ISO_HDLC, CRC_64_NVME, Crc, Table};

use crate::store::Checksum;

static CRC32: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);
static CRC32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);
static CRC64NVME: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_NVME);

/// A way to sum up a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

const ALL: [(Algorithm, &str); 5] = [
    (Algorithm::Crc32, "crc32"),
    (Algorithm::Crc32c, "crc32c"),
    (Algorithm::Crc64Nvme, "crc64nvme"),
    (Algorithm::Sha1, "sha1"),
    (Algorithm::Sha256, "sha256"),
];

impl Algorithm {
    /// As in `x-amz-checksum-NAME`, in whatever case.
    pub fn of(name: &str) -> Option<Self> {
        ALL.iter().find(|(_, known)| known.eq_ignore_ascii_case(name)).map(|(algorithm, _)| *algorithm)
    }

    pub fn name(self) -> &'static str {
        ALL.iter().find(|(known, _)| *known == self).map(|(_, name)| *name).expect("all are in the table")
    }

    pub(crate) fn length(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }
}

/// A checksum that is being computed.
pub struct Running {
    pub algorithm: Algorithm,
    state: State,
}

enum State {
    Crc32(crc::Digest<'static, u32, Table<16>>),
    Crc64(crc::Digest<'static, u64, Table<16>>),
    Sha(digest::Context),
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl Running {
    pub fn new(algorithm: Algorithm) -> Self {
        let state = match algorithm {
            Algorithm::Crc32 => State::Crc32(CRC32.digest()),
            Algorithm::Crc32c => State::Crc32(CRC32C.digest()),
            Algorithm::Crc64Nvme => State::Crc64(CRC64NVME.digest()),
            Algorithm::Sha1 => State::Sha(digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY)),
            Algorithm::Sha256 => State::Sha(digest::Context::new(&digest::SHA256)),
        };
        Self { algorithm, state }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Crc32(state) => state.update(bytes),
            State::Crc64(state) => state.update(bytes),
            State::Sha(state) => state.update(bytes),
        }
    }

    /// As a header has it.
    pub fn finish(self) -> Checksum {
        let value = match self.state {
            State::Crc32(state) => STANDARD.encode(state.finalize().to_be_bytes()),
            State::Crc64(state) => STANDARD.encode(state.finalize().to_be_bytes()),
            State::Sha(state) => STANDARD.encode(state.finish()),
        };
        Checksum { algorithm: self.algorithm.name().to_owned(), value }
    }
}

/// The checksum of the checksums of parts.
pub(crate) fn of_parts<'a>(
    algorithm: Algorithm,
    parts: impl ExactSizeIterator<Item = &'a Checksum>,
) -> Option<Checksum> {
    let count = parts.len();
    let mut running = Running::new(algorithm);
    for part in parts {
        running.update(&STANDARD.decode(&part.value).ok()?);
    }
    let Checksum { algorithm, value } = running.finish();
    Some(Checksum { algorithm, value: format!("{value}-{count}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of the catalogues of such sums: of the text `123456789`.
    #[test]
    fn sums_are_those_of_the_catalogue() {
        for (algorithm, hexadecimal) in [
            (Algorithm::Crc32, "cbf43926"),
            (Algorithm::Crc32c, "e3069283"),
            (Algorithm::Crc64Nvme, "ae8b14860a799888"),
            (Algorithm::Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
            (Algorithm::Sha256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
        ] {
            let mut running = Running::new(algorithm);
            running.update(b"12345");
            running.update(b"6789");
            let sum = STANDARD.decode(running.finish().value).unwrap();
            assert_eq!(crate::store::hex(&sum), hexadecimal, "{algorithm:?}");
            assert_eq!(sum.len(), algorithm.length());
            assert_eq!(Algorithm::of(&algorithm.name().to_uppercase()), Some(algorithm));
        }
    }
}
