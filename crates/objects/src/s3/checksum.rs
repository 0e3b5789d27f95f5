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

/// What the checksum of an object in parts is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The checksums of its parts.
    Composite,
    /// All its bytes, as if it had come as one.
    FullObject,
}

impl Kind {
    /// As `x-amz-checksum-type` says it, or as it is where nothing is said; `None` where there is no such checksum.
    pub(crate) fn of(said: Option<&str>, algorithm: Algorithm) -> Option<Self> {
        match (said, algorithm) {
            (None | Some("FULL_OBJECT"), Algorithm::Crc64Nvme) => Some(Self::FullObject),
            (Some("FULL_OBJECT"), Algorithm::Crc32 | Algorithm::Crc32c) => Some(Self::FullObject),
            (None | Some("COMPOSITE"), Algorithm::Crc32 | Algorithm::Crc32c | Algorithm::Sha1 | Algorithm::Sha256) => {
                Some(Self::Composite)
            }
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Composite => "COMPOSITE",
            Self::FullObject => "FULL_OBJECT",
        }
    }

    /// Of a checksum that an object has.
    pub(crate) fn of_value(value: &str) -> Self {
        if value.contains('-') { Self::Composite } else { Self::FullObject }
    }
}

/// The checksum of an object by those of its parts, and how many bytes each has.
pub(crate) fn of_parts(algorithm: Algorithm, kind: Kind, parts: &[(&Checksum, u64)]) -> Option<Checksum> {
    let name = algorithm.name().to_owned();
    match kind {
        Kind::Composite => {
            let mut running = Running::new(algorithm);
            for (part, _) in parts {
                running.update(&STANDARD.decode(&part.value).ok()?);
            }
            let value = running.finish().value;
            Some(Checksum { algorithm: name, value: format!("{value}-{}", parts.len()) })
        }
        Kind::FullObject => {
            let (polynomial, bits) = match algorithm {
                Algorithm::Crc32 => (0xedb8_8320, 32),
                Algorithm::Crc32c => (0x82f6_3b78, 32),
                Algorithm::Crc64Nvme => (0x9a6c_9329_ac4b_c9b5, 64),
                Algorithm::Sha1 | Algorithm::Sha256 => return None,
            };
            let mut whole = 0;
            for (part, size) in parts {
                let bytes = STANDARD.decode(&part.value).ok()?;
                let sum = bytes.iter().fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte));
                whole = multiply(power(*size, polynomial, bits), whole, polynomial, bits) ^ sum;
            }
            let bytes = whole.to_be_bytes();
            Some(Checksum { algorithm: name, value: STANDARD.encode(&bytes[8 - algorithm.length()..]) })
        }
    }
}

/// A product of polynomials over GF(2), modulo another, all with their lowest power in the highest bit.
fn multiply(one: u64, mut two: u64, polynomial: u64, bits: u32) -> u64 {
    let mut product = 0;
    for bit in (0..bits).rev() {
        if one >> bit & 1 == 1 {
            product ^= two;
        }
        two = if two & 1 == 1 { two >> 1 ^ polynomial } else { two >> 1 };
    }
    product
}

/// What so many bytes more make of a sum: it is multiplied with `x` to the power of their bits.
fn power(bytes: u64, polynomial: u64, bits: u32) -> u64 {
    let one = 1 << (bits - 1);
    let (mut result, mut square, mut left) = (one, one >> 8, bytes);
    while left > 0 {
        if left & 1 == 1 {
            result = multiply(result, square, polynomial, bits);
        }
        square = multiply(square, square, polynomial, bits);
        left >>= 1;
    }
    result
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

    #[test]
    fn the_sum_of_a_whole_is_made_of_those_of_its_parts() {
        let whole: Vec<u8> = (0..100_000_u32).map(|number| u8::try_from(number * 7 % 251).unwrap()).collect();
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
            let sum = |bytes: &[u8]| {
                let mut running = Running::new(algorithm);
                running.update(bytes);
                running.finish()
            };
            let pieces = [&whole[..70_001], &whole[70_001..70_001], &whole[70_001..]];
            let sums = pieces.map(sum);
            let parts: Vec<(&Checksum, u64)> =
                sums.iter().zip(pieces).map(|(sum, piece)| (sum, piece.len() as u64)).collect();
            assert_eq!(of_parts(algorithm, Kind::FullObject, &parts), Some(sum(&whole)), "{algorithm:?}");
            let composite = of_parts(algorithm, Kind::Composite, &parts).unwrap().value;
            assert!(composite.ends_with("-3") && Kind::of_value(&composite) == Kind::Composite);
        }
    }
}
