//! Whose bucket it is.

use std::net::IpAddr;

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};
use sha2::{Digest, Sha256};

/// Whose bucket it is, in memory. What somebody sent (a cookie, a key) is its digest, so that none lies about here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    V4([u8; 4]),
    /// The first 64 bits, of one customer of a network: the rest is his to choose.
    V6Site([u8; 8]),
    /// The first 48 bits, of one who is given many such.
    V6Network([u8; 6]),
    Credential([u8; 16]),
    /// An account as the app names it, from one client.
    AccountFrom([u8; 16]),
    Account([u8; 16]),
    /// Everybody.
    Everybody,
}

impl Identity {
    pub fn client(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => Self::V6Site(first(address.octets())),
        }
    }

    /// What many clients of one network have together.
    pub fn network(address: IpAddr) -> Option<Self> {
        match address.to_canonical() {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(Self::V6Network(first(address.octets()))),
        }
    }

    /// Who says to be somebody by a bearer's token or a key. Nobody has verified it.
    pub fn api_key(headers: &HeaderMap) -> Option<Self> {
        let sent = headers.get("x-api-key").or_else(|| headers.get(AUTHORIZATION))?;
        Some(Self::Credential(digest(&[sent.as_bytes()])))
    }

    /// Whose session it is, by a cookie of this name. Nobody has verified it.
    pub fn session(headers: &HeaderMap, cookie: &str) -> Option<Self> {
        let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = pairs.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let (_, value) = pairs.find(|(name, _)| *name == cookie)?;
        Some(Self::Credential(digest(&[value.as_bytes()])))
    }

    pub fn account_from(account: &str, address: IpAddr) -> Self {
        Self::AccountFrom(digest(&[account.as_bytes(), &Self::client(address).bytes()]))
    }

    pub fn account(account: &str) -> Self {
        Self::Account(digest(&[account.as_bytes()]))
    }

    /// Its name where others see it: without the environment's key nobody tells whose it is.
    pub fn sealed(&self, key: &[u8], class: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
        mac.update(class.as_bytes());
        mac.update(&[0]);
        mac.update(&self.bytes());
        let tag = mac.finalize().into_bytes();
        tag[..16].iter().fold(String::with_capacity(32), |text, byte| {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            let digit = |at: u8| char::from(DIGITS[usize::from(at)]);
            text + digit(byte >> 4).encode_utf8(&mut [0; 4]) + digit(byte & 15).encode_utf8(&mut [0; 4])
        })
    }

    fn bytes(&self) -> Vec<u8> {
        let (kind, rest): (u8, &[u8]) = match self {
            Self::V4(bytes) => (4, bytes),
            Self::V6Site(bytes) => (6, bytes),
            Self::V6Network(bytes) => (7, bytes),
            Self::Credential(bytes) => (1, bytes),
            Self::AccountFrom(bytes) => (2, bytes),
            Self::Account(bytes) => (3, bytes),
            Self::Everybody => (0, &[]),
        };
        [&[kind], rest].concat()
    }
}

fn first<const N: usize>(octets: [u8; 16]) -> [u8; N] {
    std::array::from_fn(|at| octets[at])
}

/// Parts of any length, so that no two lists of parts are one text.
fn digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let hash = hash.finalize();
    std::array::from_fn(|at| hash[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> Identity {
        Identity::client(address.parse().unwrap())
    }

    #[test]
    fn whoever_has_a_whole_network_is_one_client() {
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        let network = |address: &str| Identity::network(address.parse().unwrap());
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:ffff::1"));
        assert_ne!(network("2001:db8:1::"), network("2001:db8:2::"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"), "one address in two notations");
        assert_eq!(network("192.0.2.1"), None);
    }

    #[test]
    fn what_others_see_tells_nobody_apart_without_the_key() {
        let client = of("192.0.2.1");
        let name = client.sealed(b"key", "auth");
        assert_eq!(name.len(), 32);
        assert_eq!(name, of("::ffff:192.0.2.1").sealed(b"key", "auth"));
        assert_ne!(name, client.sealed(b"another", "auth"));
        assert_ne!(name, client.sealed(b"key", "payment"));
    }

    #[test]
    fn a_session_is_the_cookie_of_its_name() {
        let mut headers = HeaderMap::new();
        assert_eq!(Identity::session(&headers, "session"), None);
        headers.insert(COOKIE, "a=1; session=abc; b=2".parse().unwrap());
        assert_eq!(Identity::session(&headers, "session"), Some(Identity::Credential(digest(&[b"abc"]))));
        assert_eq!(Identity::session(&headers, "essio"), None);
    }
}
