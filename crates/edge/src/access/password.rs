//! Passwords, for programs: generated, and known to the edge as digests.

use std::path::Path;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::refusal::Refusal;

/// A user and the digest of a password. The passwords are 256 random bits, so a fast digest is enough: there is nothing to guess.
#[derive(Debug)]
pub struct Credential {
    user: String,
    digest: [u8; 32],
}

/// Why a credentials file is not one.
#[derive(Debug, thiserror::Error)]
#[error("{}: line {line} is not `user:HEX(SHA-256(password))`", path.display())]
pub struct NotCredentials {
    path: std::path::PathBuf,
    line: usize,
}

/// The user whose password is shown. What else `Authorization` may hold is the app's business.
pub fn admit(credentials: &[Credential], headers: &HeaderMap) -> Result<String, Refusal> {
    let (user, password) = basic(headers).ok_or(Refusal::Unauthorized)?;
    let digest = Sha256::digest(password.as_bytes());
    // Every line is compared in full: time tells neither which user exists nor how near a guess was.
    let mut is_known = Choice::from(0);
    for credential in credentials {
        is_known |= credential.user.as_bytes().ct_eq(user.as_bytes()) & credential.digest.as_slice().ct_eq(&digest);
    }
    if bool::from(is_known) { Ok(user) } else { Err(Refusal::Unauthorized) }
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(base64_decode(token.trim())?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// Standard alphabet with padding. Not constant in time: what is decoded here is what the client sent.
fn base64_decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut n_bits) = (0_u32, 0);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        n_bits += 6;
        if n_bits >= 8 {
            n_bits -= 8;
            bytes.push(u8::try_from(bits >> n_bits & 0xff).expect("eight bits were masked"));
        }
    }
    Some(bytes)
}

/// Reads the lines of a credentials file. A site is never left open because its file is empty: then nobody enters.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Credential>, NotCredentials> {
    let mut credentials = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let credential = line
            .split_once(':')
            .and_then(|(user, hex)| Some(Credential { user: user.to_owned(), digest: digest_of(hex)? }))
            .ok_or_else(|| NotCredentials { path: path.to_owned(), line: index + 1 })?;
        credentials.push(credential);
    }
    Ok(credentials)
}

fn digest_of(hex: &str) -> Option<[u8; 32]> {
    let hex = hex.trim();
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(0..) {
        *byte = u8::from_str_radix(&hex[pair * 2..pair * 2 + 2], 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn protected() -> Vec<Credential> {
        // printf 'open sesame' | sha256sum
        let line = "ali:41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb\n";
        parse(Path::new("users"), line).unwrap()
    }

    fn try_with(authorization: &str) -> Result<String, Refusal> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(authorization).unwrap());
        admit(&protected(), &headers)
    }

    #[test]
    fn only_the_right_pair_enters() {
        assert_eq!(try_with("Basic YWxpOm9wZW4gc2VzYW1l"), Ok("ali".to_owned()));
        assert_eq!(try_with("basic YWxpOm9wZW4gc2VzYW1l"), Ok("ali".to_owned()));
        for wrong in [
            "Basic YWxpOm9wZW4gc2VzYW1m",
            "Basic YWxjOm9wZW4gc2VzYW1l",
            "Bearer x",
            "Basic",
            "Basic YWxp",
            "Basic !!!!",
        ] {
            assert_eq!(try_with(wrong), Err(Refusal::Unauthorized), "{wrong}");
        }
        assert_eq!(admit(&protected(), &HeaderMap::new()), Err(Refusal::Unauthorized));
    }

    #[test]
    fn a_damaged_line_is_an_error_and_an_empty_file_lets_nobody_in() {
        assert!(parse(Path::new("users"), "ali:xyz\n").is_err());
        assert!(parse(Path::new("users"), "ali\n").is_err());
        let nobody = parse(Path::new("users"), "").unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Basic Og=="));
        assert_eq!(admit(&nobody, &headers), Err(Refusal::Unauthorized));
    }
}
