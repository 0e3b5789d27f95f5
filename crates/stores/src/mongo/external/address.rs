//! The address of a MongoDB that somebody else runs: read, judged, and turned into what apps are given.
//!
//! Whatever is wrong with it is told by its place in the text, never by quoting: what is around a password may be one.

use mongodb::options::{ClientOptions, ConnectionString, HostInfo, ServerAddress, Tls};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrets::Secret;

use crate::external::is_loopback;

const SCHEMES: [&str; 2] = ["mongodb://", "mongodb+srv://"];

/// Options that our own way of connecting has another place for.
const ELSEWHERE: [(&str, &str); 4] = [
    ("tlscafile", "`ca` in [services.mongodb] of roadbed.toml takes its place"),
    ("tlscertificatekeyfile", "the administrator logs in with a password"),
    ("tlscertificatekeyfilepassword", "the administrator logs in with a password"),
    ("authmechanismproperties", "the administrator logs in with a password"),
];

const INSECURE: [&str; 3] = ["tlsInsecure", "tlsAllowInvalidCertificates", "tlsAllowInvalidHostnames"];

/// An address without its login, in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    scheme: &'static str,
    hosts: String,
    replica_set: Option<String>,
    retries_writes: bool,
    pub(crate) is_encrypted: bool,
}

/// Why an address cannot be used. Holds nothing of it but names of options, hosts' places and what the driver says of the rest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongAddress {
    #[error("it begins neither with mongodb:// nor with mongodb+srv://")]
    Scheme,
    #[error("it names no user: the administrator stands before the hosts, as USER:PASSWORD@")]
    NoUser,
    #[error("the user has no password: it follows the name after `:`")]
    NoPassword,
    #[error("a character of user or password is not encoded: there `/ ? # @ : %` are written %2F %3F %23 %40 %3A %25")]
    NotEncoded,
    #[error("host {0} of its list is not HOST or HOST:PORT")]
    Host(usize),
    #[error("its option `{0}` has no place there: {1}")]
    OtherPlace(String, &'static str),
    #[error("its option `{0}` gives up what TLS is for")]
    Insecure(&'static str),
    #[error("it asks for no TLS, and its hosts are not this machine: add tls=true")]
    Clear,
    #[error("after the login: {0}")]
    Rest(String),
}

impl Address {
    /// Reads an address, without asking anybody.
    pub(crate) fn read(text: &str) -> Result<Self, WrongAddress> {
        let scheme = SCHEMES.into_iter().find(|scheme| text.starts_with(scheme)).ok_or(WrongAddress::Scheme)?;
        let rest = &text[scheme.len()..];
        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        let Some((login, hosts)) = authority.rsplit_once('@') else {
            return Err(if rest.contains('@') { WrongAddress::NotEncoded } else { WrongAddress::NoUser });
        };
        let (user, password) = login.split_once(':').ok_or(WrongAddress::NoPassword)?;
        if user.is_empty() {
            return Err(WrongAddress::NoUser);
        }
        if password.is_empty() {
            return Err(WrongAddress::NoPassword);
        }
        if !is_encoded(user) || !is_encoded(password) {
            return Err(WrongAddress::NotEncoded);
        }
        for (at, host) in hosts.split(',').enumerate() {
            if !is_host(host) {
                return Err(WrongAddress::Host(at + 1));
            }
        }
        let after = &rest[authority.len()..];
        let options = after.split_once('?').map_or("", |(_, options)| options);
        for (option, value) in options.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, ""))) {
            let insecure = INSECURE.iter().find(|name| option.eq_ignore_ascii_case(name));
            if let Some(insecure) = insecure.filter(|_| !value.eq_ignore_ascii_case("false")) {
                return Err(WrongAddress::Insecure(insecure));
            }
            let named = ELSEWHERE.iter().find(|(name, _)| option.eq_ignore_ascii_case(name));
            if let Some((_, place)) = named {
                return Err(WrongAddress::OtherPlace(option.to_owned(), place));
            }
        }
        // With another login, so that whatever the driver quotes is none of ours.
        let parsed = ConnectionString::parse(format!("{scheme}user:password@{hosts}{after}"))
            .map_err(|error| WrongAddress::Rest(error.kind.to_string()))?;
        let is_encrypted = match &parsed.tls {
            Some(Tls::Enabled(_)) => true,
            Some(Tls::Disabled) => false,
            None => matches!(parsed.host_info, HostInfo::DnsRecord(_)),
        };
        let is_here = match &parsed.host_info {
            HostInfo::HostIdentifiers(all) => all.iter().all(|server| is_loopback(&host_of(server))),
            _ => false,
        };
        if !is_encrypted && !is_here {
            return Err(WrongAddress::Clear);
        }
        Ok(Self {
            scheme,
            hosts: hosts.to_owned(),
            replica_set: parsed.replica_set,
            retries_writes: parsed.retry_writes.unwrap_or(true),
            is_encrypted,
        })
    }

    /// Asks the name service where there is more to know, and gives what the driver connects with: also the login.
    pub(super) async fn resolve(text: &Secret) -> Result<ClientOptions, mongodb::error::Error> {
        ClientOptions::parse(text.expose()).await
    }

    /// Whether its host is a name at which the name service has the servers.
    pub(super) fn is_looked_up(&self) -> bool {
        self.scheme == "mongodb+srv://"
    }

    /// Where it is, for people.
    pub(crate) fn hosts(&self) -> &str {
        &self.hosts
    }

    /// The connection string of a user, and where it is, with a database of its own. Times are longer than on loopback: only the choice of a
    /// server stays short, so that readiness is told in its second.
    pub(crate) fn of_user(&self, (user, users): (&str, &str), database: &str, password: &Secret, pool: u32) -> Secret {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let replica_set = self.replica_set.as_ref().map(|name| format!("&replicaSet={}", encode(name)));
        let (scheme, hosts, database) = (self.scheme, &self.hosts, encode(database));
        Secret::new(format!(
            "{scheme}{user}:{password}@{hosts}/{database}\
             ?tls={tls}&authSource={users}&authMechanism=SCRAM-SHA-256{replica_set}&retryWrites={retries}&w=majority\
             &maxPoolSize={pool}&serverSelectionTimeoutMS=1000&connectTimeoutMS=5000&heartbeatFrequencyMS=2000",
            user = encode(user),
            users = encode(users),
            password = encode(password.expose()),
            tls = self.is_encrypted,
            replica_set = replica_set.unwrap_or_default(),
            retries = self.retries_writes,
        ))
    }
}

pub(super) fn host_of(server: &ServerAddress) -> String {
    match server {
        ServerAddress::Tcp { host, .. } => host.clone(),
        other => other.to_string(),
    }
}

/// Nothing in it means anything to who reads addresses.
fn is_encoded(text: &str) -> bool {
    let is_hex = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
    let bytes = text.as_bytes();
    let is_right = |(at, byte): (usize, &u8)| match byte {
        b'%' => is_hex(bytes.get(at + 1).copied()) && is_hex(bytes.get(at + 2).copied()),
        b'@' | b':' | b'/' | b'?' | b'#' | b'[' | b']' => false,
        _ => true,
    };
    bytes.iter().enumerate().all(is_right)
}

fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, rest.strip_prefix(':').or(Some(""))),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_' | ':');
    !host.is_empty()
        && host.chars().all(plain)
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_by_its_place_and_never_by_the_password() {
        let told = |text: &str| {
            let wrong = Address::read(text).unwrap_err().to_string();
            assert!(!wrong.contains("s3cret") && !wrong.contains("hidden"), "{wrong}");
            wrong
        };
        for (text, expected) in [
            ("postgres://admin:s3cret@db.example/", "it begins neither with mongodb:// nor with mongodb+srv://"),
            ("mongodb://db.example/", "it names no user: the administrator stands before the hosts, as USER:PASSWORD@"),
            ("mongodb://admin@db.example/", "the user has no password: it follows the name after `:`"),
            ("mongodb://admin:@db.example/", "the user has no password: it follows the name after `:`"),
            ("mongodb+srv://admin:s3cret@db.example:27017/", "after the login: "),
            ("mongodb://admin:s3cret@db.example:x,b/?tls=true", "host 1 of its list is not HOST or HOST:PORT"),
            ("mongodb://admin:s3cret@a,b:99999/?tls=true", "host 2 of its list is not HOST or HOST:PORT"),
            ("mongodb://admin:s3cret@a,/?tls=true", "host 2 of its list is not HOST or HOST:PORT"),
            ("mongodb://admin:s3cret@a/?tls=perhaps", "after the login: "),
            ("mongodb://admin:s3cret@a/?tls=true&tlsInsecure=true", "its option `tlsInsecure` gives up"),
            ("mongodb://admin:s3cret@a/?tls=true&tlsCAFile=x", "its option `tlsCAFile` has no place there: `ca` in"),
            ("mongodb://admin:s3cret@a/", "it asks for no TLS, and its hosts are not this machine: add tls=true"),
            ("mongodb://admin:s3cret@127.0.0.1,a/?tls=false", "it asks for no TLS, and its hosts are not this machine"),
        ] {
            assert!(told(text).starts_with(expected), "{text}: {}", told(text));
        }
        for text in ["s3c/hidden", "s3c@hidden", "s3c:hidden", "s3c%hidden", "s3c?hidden", "s3c#hidden"] {
            let wrong = told(&format!("mongodb://admin:{text}@db.example/?tls=true"));
            assert!(wrong.starts_with("a character of user or password is not encoded"), "{text}: {wrong}");
        }
    }

    #[test]
    fn an_app_gets_the_hosts_and_nothing_of_the_administrators_login() {
        let url = |text: &str| {
            let address = Address::read(text).unwrap();
            let url = address.of_user(("shop_x-app-api", "shop_x"), "shop_x", &Secret::new("p@ss".to_owned()), 7);
            assert!(!url.expose().contains("s3cret") && !url.expose().contains("admin"), "{}", url.expose());
            url.expose().to_owned()
        };
        let of_set = url("mongodb://admin:s3cret@a:1,b:2/admin?tls=true&replicaSet=rs&authSource=admin");
        assert!(
            of_set.starts_with("mongodb://shop%5Fx%2Dapp%2Dapi:p%40ss@a:1,b:2/shop%5Fx?tls=true&authSource=shop%5Fx")
        );
        assert!(of_set.contains("&replicaSet=rs&") && of_set.contains("&maxPoolSize=7&"), "{of_set}");
        let of_name = url("mongodb+srv://admin:s3cret@cluster.db.example/?retryWrites=false");
        assert!(of_name.starts_with("mongodb+srv://shop%5Fx%2Dapp%2Dapi:p%40ss@cluster.db.example/shop%5Fx?tls=true&"));
        assert!(of_name.contains("&retryWrites=false&"), "{of_name}");
        assert!(url("mongodb://admin:s3cret@127.0.0.1:5/").contains("?tls=false&"), "a tunnel of this machine");
    }
}
