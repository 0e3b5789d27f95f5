//! The address of a Redis that somebody else runs: read, judged, and turned into what apps are given. What is wrong with it is
//! told by its place, never by quoting.

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use secrets::Secret;

use crate::external::is_loopback;

/// The port of `redis://` and `rediss://` addresses that name none.
const PORT: u16 = 6379;

/// Who answers to whoever gives a password and no name.
const NAMELESS: &str = "default";

/// An address, and the login in it.
#[derive(Debug)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// In the clear it is only on this machine.
    pub(crate) is_encrypted: bool,
    pub(crate) user: String,
    pub(crate) password: Secret,
}

/// Why an address cannot be used. Holds nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongAddress {
    #[error("it begins neither with rediss:// nor with redis://")]
    Scheme,
    #[error("it has no password: it stands before the host, as USER:PASSWORD@")]
    NoPassword,
    #[error("a character of user or password is not encoded: there `/ ? # @ : %` are written %2F %3F %23 %40 %3A %25")]
    NotEncoded,
    #[error("after the login there is no HOST or HOST:PORT")]
    Host,
    #[error(
        "after the host it names a database other than 0, or options: apps share database 0, by the prefix of their keys"
    )]
    Rest,
    #[error("it asks for no TLS, and its host is not this machine: it must begin with rediss://")]
    Clear,
}

impl Address {
    pub(crate) fn read(text: &str) -> Result<Self, WrongAddress> {
        let (is_encrypted, rest) = match (text.strip_prefix("rediss://"), text.strip_prefix("redis://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(WrongAddress::Scheme),
        };
        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        let Some((login, place)) = authority.rsplit_once('@') else {
            return Err(if rest.contains('@') { WrongAddress::NotEncoded } else { WrongAddress::NoPassword });
        };
        let (user, password) = login.split_once(':').ok_or(WrongAddress::NoPassword)?;
        if password.is_empty() {
            return Err(WrongAddress::NoPassword);
        }
        let plain = |text: &str| -> Result<String, WrongAddress> {
            if text.contains(['@', ':', '[', ']']) {
                return Err(WrongAddress::NotEncoded);
            }
            let decoded = percent_decode_str(text).decode_utf8().map_err(|_| WrongAddress::NotEncoded)?;
            Ok(decoded.into_owned())
        };
        let (user, password) = (plain(user)?, Secret::new(plain(password)?));
        let (host, port) = match place.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
            Some((host, port)) => (host, port.parse::<u16>().ok().filter(|port| *port > 0).ok_or(WrongAddress::Host)?),
            None => (place, PORT),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_' | ':');
        if host.is_empty() || !host.chars().all(is_plain) {
            return Err(WrongAddress::Host);
        }
        if !["", "/", "/0"].contains(&&rest[authority.len()..]) {
            return Err(WrongAddress::Rest);
        }
        if !is_encrypted && !is_loopback(host) {
            return Err(WrongAddress::Clear);
        }
        let user = if user.is_empty() { NAMELESS.to_owned() } else { user };
        Ok(Self { host: host.to_owned(), port, is_encrypted, user, password })
    }

    /// `HOST:PORT`, for people.
    pub(crate) fn shown(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// The connection string of another user there.
    pub(crate) fn of_user(&self, user: &str, password: &Secret) -> Secret {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let scheme = if self.is_encrypted { "rediss" } else { "redis" };
        Secret::new(format!("{scheme}://{}:{}@{}", encode(user), encode(password.expose()), self.shown()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_by_its_place() {
        for (text, expected) in [
            ("http://admin:s3cret@cache.example", WrongAddress::Scheme),
            ("rediss://cache.example", WrongAddress::NoPassword),
            ("rediss://admin@cache.example", WrongAddress::NoPassword),
            ("rediss://admin:@cache.example", WrongAddress::NoPassword),
            ("rediss://admin:s3/cret@cache.example", WrongAddress::NotEncoded),
            ("rediss://admin:s3@cret@cache.example", WrongAddress::NotEncoded),
            ("rediss://admin:s3cret@", WrongAddress::Host),
            ("rediss://admin:s3cret@cache.example:0", WrongAddress::Host),
            ("rediss://admin:s3cret@a b", WrongAddress::Host),
            ("rediss://admin:s3cret@cache.example/3", WrongAddress::Rest),
            ("rediss://admin:s3cret@cache.example?ssl=no", WrongAddress::Rest),
            ("redis://admin:s3cret@cache.example", WrongAddress::Clear),
        ] {
            let wrong = Address::read(text).unwrap_err();
            assert_eq!(wrong, expected, "{text}");
            assert!(!wrong.to_string().contains("s3"));
        }
    }

    #[test]
    fn an_app_gets_the_place_and_nothing_of_the_administrators_login() {
        let url = |text: &str| {
            let address = Address::read(text).unwrap();
            address.of_user("shop:x-app-api", &Secret::new("p@ss".to_owned())).expose().to_owned()
        };
        assert_eq!(url("rediss://:s3cret@cache.example/0"), "rediss://shop%3Ax%2Dapp%2Dapi:p%40ss@cache.example:6379");
        assert_eq!(url("rediss://a:s3%40cret@[::1]:7"), "rediss://shop%3Ax%2Dapp%2Dapi:p%40ss@[::1]:7");
        assert_eq!(url("redis://a:s3cret@127.0.0.1:7"), "redis://shop%3Ax%2Dapp%2Dapi:p%40ss@127.0.0.1:7");
        let address = Address::read("rediss://:s3%40cret@cache.example").unwrap();
        assert_eq!((address.user.as_str(), address.password.expose()), ("default", "s3@cret"));
    }
}
