//! Where a repository of backups lies, as people write it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use url::{Host, Url};

use crate::shape::{Text, text_shape, without_password};

/// A place of repositories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepositoryPlace {
    /// Relative to the manifest where it does not begin with `/`.
    Folder(String),
    /// The folder `backups` in the root of the environment, with which it goes.
    InRoot,
    /// A server of restic's REST protocol, by an address that ends with `/`.
    Rest(String),
    /// `endpoint` is `https://HOST[:PORT]`; `prefix` is empty, or has no `/` at its ends.
    S3 { endpoint: String, bucket: String, prefix: String },
    /// `path` begins with `/`.
    Sftp { user: String, host: String, port: u16, path: String },
}

impl RepositoryPlace {
    pub fn is_folder(&self) -> bool {
        matches!(self, Self::Folder(_) | Self::InRoot)
    }
}

/// What is no place of a repository.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{shown:?} is not {}", <RepositoryPlace as Text>::WANTS)]
pub struct NotAPlace {
    /// Without a password that somebody wrote into it.
    shown: String,
    pub hint: String,
}

impl FromStr for RepositoryPlace {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<Self, NotAPlace> {
        Self::read(text).map_err(|hint| NotAPlace { shown: without_password(text), hint: hint.unwrap_or_default() })
    }
}

/// As it was written.
impl fmt::Display for RepositoryPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => f.write_str(path),
            Self::InRoot => f.write_str("root:backups"),
            Self::Rest(url) => write!(f, "rest:{url}"),
            Self::S3 { endpoint, bucket, prefix } if prefix.is_empty() => write!(f, "s3:{endpoint}/{bucket}"),
            Self::S3 { endpoint, bucket, prefix } => write!(f, "s3:{endpoint}/{bucket}/{prefix}"),
            Self::Sftp { user, host, port, path } => write!(f, "sftp://{user}@{host}:{port}{path}"),
        }
    }
}

impl Text for RepositoryPlace {
    const WANTS: &'static str = "a folder or the address of a repository";
    const EXAMPLES: &'static [&'static str] = &[
        "/var/backups/urbancart",
        "root:backups",
        "rest:https://backups.example/urbancart/",
        "s3:https://s3.example/bucket/urbancart",
        "sftp://backup@host.example:22/srv/urbancart",
    ];

    fn read(text: &str) -> Result<Self, Option<String>> {
        let read = match text.split_once(':') {
            Some(("root", rest)) => in_root(rest),
            Some(("rest", rest)) => rest_server(rest),
            Some(("s3", rest)) => object_store(rest),
            Some(("sftp", _)) => sftp(text),
            Some(("http" | "https", _)) => Err("write rest: or s3: before it, as restic does"),
            _ => folder(text),
        };
        read.map_err(|hint| Some(hint.to_owned()))
    }

    fn stand_in() -> Self {
        Self::Folder("unreadable".to_owned())
    }
}
text_shape!(RepositoryPlace);

const IN_THE_OPEN: &str =
    "write https://: over http:// everybody on the way reads who logs in, but on this machine itself";
const NAMELESS: &str = "leave user and password out: `roadbed secrets set` takes them";

fn folder(text: &str) -> Result<RepositoryPlace, &'static str> {
    let parts = text.strip_prefix('/').unwrap_or(text);
    if parts.split('/').all(is_plain) && !text.contains('\0') {
        Ok(RepositoryPlace::Folder(text.to_owned()))
    } else {
        Err("write folders joined by \"/\", without \".\", \"..\" and a \"/\" at the end")
    }
}

/// One folder, so that it is none in which the root has something else.
fn in_root(text: &str) -> Result<RepositoryPlace, &'static str> {
    if text == "backups" { Ok(RepositoryPlace::InRoot) } else { Err("in the root it is root:backups") }
}

fn is_plain(part: &str) -> bool {
    !part.is_empty() && part != "." && part != ".."
}

fn address(text: &str) -> Result<Url, &'static str> {
    // An address takes `.`, `..` and their escapes out of its path, and so leads elsewhere than it says.
    if text.contains(['%', '\\']) || !text.split('/').all(|part| part != "." && part != "..") {
        return Err("write the path without \".\", \"..\", \"%\" and \"\\\"");
    }
    let url = Url::parse(text).map_err(|_| "write https://HOST/PATH")?;
    let is_here = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => return Err("write https://HOST/PATH"),
    };
    match url.scheme() {
        "https" => {}
        "http" if is_here => {}
        _ => return Err(IN_THE_OPEN),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(NAMELESS);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("leave out what begins with \"?\" or \"#\"");
    }
    Ok(url)
}

fn rest_server(text: &str) -> Result<RepositoryPlace, &'static str> {
    let url = address(text)?;
    let end = if url.path().ends_with('/') { "" } else { "/" };
    Ok(RepositoryPlace::Rest(format!("{url}{end}")))
}

fn object_store(text: &str) -> Result<RepositoryPlace, &'static str> {
    let url = address(text)?;
    let path = url.path().trim_matches('/');
    let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
    let is_plain_text =
        |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'/'));
    if bucket.is_empty() || !is_plain_text(path) || (!prefix.is_empty() && !prefix.split('/').all(is_plain)) {
        return Err("write s3:https://HOST/BUCKET/PREFIX, of letters, digits, \".\", \"-\", \"_\" and \"/\"");
    }
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let host = url.host_str().unwrap_or_default();
    Ok(RepositoryPlace::S3 {
        endpoint: format!("{}://{host}{port}", url.scheme()),
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
    })
}

fn sftp(text: &str) -> Result<RepositoryPlace, &'static str> {
    const FORM: &str = "write sftp://USER@HOST/PATH, or sftp://USER@HOST:PORT/PATH";
    let url = Url::parse(text).map_err(|_| FORM)?;
    if url.password().is_some() {
        return Err(NAMELESS);
    }
    let (user, host, path) = (url.username(), url.host_str().unwrap_or_default(), url.path().trim_end_matches('/'));
    // They become arguments of ssh: none may be taken for an option.
    let is_name = |text: &str| {
        !text.is_empty()
            && !text.starts_with('-')
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
    };
    let is_path = path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_plain)) && !path.contains('%');
    if !is_name(user) || !is_name(host) || !is_path || url.query().is_some() || url.fragment().is_some() {
        return Err(FORM);
    }
    let port = url.port().unwrap_or(22);
    Ok(RepositoryPlace::Sftp { user: user.to_owned(), host: host.to_owned(), port, path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_read_as_they_are_written() {
        for text in [
            "/var/backups",
            ".roadbed-backups",
            "root:backups",
            "rest:https://backups.example/a/",
            "rest:http://127.0.0.1:8000/",
            "s3:https://s3.example:9000/bucket",
            "s3:https://s3.example/bucket/a/b",
            "sftp://backup@host.example:2222/srv/a",
        ] {
            assert_eq!(RepositoryPlace::read(text).unwrap().to_string(), text);
        }
        assert_eq!(RepositoryPlace::read("rest:https://a.example/b").unwrap().to_string(), "rest:https://a.example/b/");
    }

    #[test]
    fn what_would_show_secrets_or_lead_elsewhere_is_refused() {
        for text in [
            "rest:http://backups.example/",
            "rest:https://anna:secret@backups.example/",
            "s3:https://s3.example/",
            "s3:https://s3.example/bucket/%2e%2e/other",
            "s3:https://s3.example/bucket/../other",
            "rest:https://backups.example/a/.%2E/b/",
            "sftp://-oProxyCommand=x@host/srv",
            "sftp://anna@-host/srv",
            "sftp://anna:secret@host/srv",
            "sftp://host/srv",
            "https://backups.example/",
            "../elsewhere",
            "root:state",
            "root:/etc",
            "a//b",
        ] {
            assert!(RepositoryPlace::read(text).is_err(), "{text}");
        }
    }
}
