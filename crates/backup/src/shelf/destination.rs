//! Which repository is meant, and who logs in there.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reconcile::Fault;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Shelf;
use super::folder::Folder;
use super::http::Http;
use super::rest::Rest;
use super::s3::S3;
use super::sftp::Sftp;

/// Where one repository lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    Folder(PathBuf),
    /// A server of restic's REST protocol; the address ends with `/`.
    Rest {
        url: String,
    },
    /// `endpoint` is `https://HOST[:PORT]`; `prefix` has no `/` at its ends, or is empty.
    S3 {
        endpoint: String,
        bucket: String,
        prefix: String,
        region: String,
    },
    /// `host_key` is the line of its `.pub` file, `path` begins with `/`.
    Sftp {
        user: String,
        host: String,
        port: u16,
        path: String,
        host_key: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::Rest { url } => write!(f, "rest:{url}"),
            Self::S3 { endpoint, bucket, prefix, .. } => write!(f, "s3:{endpoint}/{bucket}/{prefix}"),
            Self::Sftp { user, host, port, path, .. } => write!(f, "sftp://{user}@{host}:{port}{path}"),
        }
    }
}

/// A repository and how it is reached.
#[derive(Clone)]
pub struct Destination {
    pub place: Place,
    /// Who logs in: `USER:PASSWORD`, `ACCESS_KEY_ID:SECRET_ACCESS_KEY` or a private key of OpenSSH.
    pub access: Option<Zeroizing<String>>,
    /// Bytes a second that are written there, on average.
    pub bandwidth: Option<u64>,
    /// Certificates to believe, as PEM.
    pub authorities: Vec<u8>,
}

impl fmt::Debug for Destination {
    /// Without who logs in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Destination {
    /// A folder of this machine.
    pub fn folder(path: &Path) -> Self {
        Self { place: Place::Folder(path.to_owned()), access: None, bandwidth: None, authorities: Vec::new() }
    }
}

/// Its shelf. Nobody is asked yet.
pub(crate) fn shelf(destination: &Destination) -> Result<Arc<dyn Shelf>, Fault> {
    let cannot = || format!("cannot use the repository in {}", destination.place);
    let pair = || {
        let text = destination.access.as_ref().map(|access| access.as_str()).unwrap_or_default();
        let pair = text.split_once(':').filter(|(name, secret)| !name.is_empty() && !secret.is_empty());
        pair.map(|(name, secret)| (name.to_owned(), Zeroizing::new(secret.to_owned())))
    };
    let http = || Http::new(&destination.authorities).map_err(|why| Fault::new(cannot()).cause(why));
    Ok(match &destination.place {
        Place::Folder(path) => Arc::new(Folder::new(path)),
        Place::Rest { url } => {
            if destination.access.is_some() && pair().is_none() {
                return Err(Fault::new(cannot())
                    .cause("who logs in there is no USER:PASSWORD")
                    .hint("tell it to `roadbed secrets set`, in one line"));
            }
            Arc::new(Rest::new(url, pair(), http()?))
        }
        Place::S3 { endpoint, bucket, prefix, region } => {
            let Some(keys) = pair() else {
                return Err(Fault::new(cannot())
                    .cause("there is no ACCESS_KEY_ID:SECRET_ACCESS_KEY for it")
                    .hint("tell it to `roadbed secrets set`, in one line"));
            };
            Arc::new(S3::new(endpoint, bucket, prefix, region, keys, http()?))
        }
        Place::Sftp { user, host, port, path, host_key } => {
            let Some(key) = destination.access.clone() else {
                return Err(Fault::new(cannot())
                    .cause("there is no private key to log in with")
                    .hint("tell it to `roadbed secrets set`, without a passphrase"));
            };
            Arc::new(Sftp::new(user, host, *port, path, host_key, key))
        }
    })
}
