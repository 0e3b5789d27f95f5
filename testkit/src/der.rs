//! As much of DER as it takes to find the key of a certificate.

/// The `SubjectPublicKeyInfo` of a certificate, whole: what a pin is the digest of.
pub(crate) fn public_key_info(certificate: &[u8]) -> &[u8] {
    let to_be_signed = content(content(certificate));
    // Version, serial number, algorithm, issuer, validity, subject; the key follows.
    let rest = (0..6).fold(to_be_signed, |rest, _| skip(rest));
    &rest[..rest.len() - skip(rest).len()]
}

/// What is inside the first element.
fn content(bytes: &[u8]) -> &[u8] {
    let (begin, length) = header(bytes);
    &bytes[begin..begin + length]
}

/// What comes after the first element.
fn skip(bytes: &[u8]) -> &[u8] {
    let (begin, length) = header(bytes);
    &bytes[begin + length..]
}

/// Where the content of the first element begins, and how long it is.
fn header(bytes: &[u8]) -> (usize, usize) {
    match bytes[1] {
        short @ 0..0x80 => (2, usize::from(short)),
        long => {
            let end = 2 + usize::from(long & 0x7f);
            (end, bytes[2..end].iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
        }
    }
}
