//! Who signs an environment's public certificates, and what browsers are told about HTTPS.

use std::time::Duration;

use url::Url;

use crate::record::{choice, record};
use crate::scalars::{Age, RelativePath};
use crate::shape::{self, text_shape};
use crate::source::At;

record! {
    /// The certificates of public hosts, and what browsers are told.
    pub(crate) struct TlsTable {
        /// Who signs them.
        issuer: At<Issuer> = "local",
        /// Where they are ordered, the first first; another one's turn comes after three failures in a row, or when an authority says
        /// that it was asked too often. Who names one agrees to its terms. Default: Let's Encrypt, after a rehearsal at its staging.
        acme: Vec<AcmeTable> = [],
        /// How a name is proved to be ours, the preferred way first.
        challenges: At<Vec<At<ChallengeKind>>> = ["http-01", "tls-alpn-01"],
        /// What browsers are told: that these hosts are never to be asked without TLS.
        hsts: Option<At<HstsTable>>,
    }
}

record! {
    /// An authority that speaks ACME (RFC 8555).
    pub(crate) struct AcmeTable {
        /// Where its directory is.
        directory: At<DirectoryUrl>,
        /// Another directory, of an authority that nobody trusts: an order must succeed there first, so that mistakes do not
        /// count against the limits of this one.
        staging: Option<At<DirectoryUrl>>,
        /// Whom it may write to.
        contact: Vec<At<MailAddress>> = [],
        /// A file of certificates, in PEM, by which the directory itself is recognised, relative to the manifest. Default: public
        /// authorities.
        ca: Option<At<RelativePath>>,
        /// A file of the certificates, in PEM, that visitors trust and that it signs with, relative to the manifest. Default: public
        /// authorities.
        roots: Option<At<RelativePath>>,
    }
}

record! {
    /// HTTP Strict Transport Security (RFC 6797).
    pub(crate) struct HstsTable {
        /// For how long browsers remember it.
        max_age: Age = "365d",
        /// Whether it holds for every host below these too.
        subdomains: bool = false,
        /// Whether browsers may be shipped with it. There is hardly a way back. Takes a year, and `subdomains`.
        preload: At<bool> = false,
    }
}

choice! {
    /// Who signs certificates of public hosts.
    pub enum Issuer {
        /// An authority of the environment's own, which somebody may tell a browser to trust.
        Local = "local",
        /// A public authority, or any that speaks ACME: certificates are ordered, proved, renewed and replaced unattended.
        Acme = "acme",
    }
}

choice! {
    /// How a name is proved to be ours.
    pub enum ChallengeKind {
        /// The authority asks port 80 for a file.
        Http01 = "http-01",
        /// The authority looks at a certificate that is made for that on port 443. Not behind somebody else's TLS.
        TlsAlpn01 = "tls-alpn-01",
    }
}

/// An ACME directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DirectoryUrl(pub(crate) String);

impl shape::Text for DirectoryUrl {
    const WANTS: &'static str = "an address that begins with https://";
    const PATTERN: Option<&'static str> = Some("^https://");
    const EXAMPLES: &'static [&'static str] = &[LETS_ENCRYPT];

    fn read(text: &str) -> Result<Self, Option<String>> {
        match Url::parse(text) {
            Ok(url) if url.scheme() == "https" && url.has_host() && url.username().is_empty() => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(Some("write the address of the authority's ACME directory".to_owned())),
        }
    }

    fn stand_in() -> Self {
        Self("https://unreadable.invalid/".to_owned())
    }
}
text_shape!(DirectoryUrl);

/// An e-mail address, as far as that can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MailAddress(pub(crate) String);

impl shape::Text for MailAddress {
    const WANTS: &'static str = "an e-mail address";
    const EXAMPLES: &'static [&'static str] = &["platform@urbancart.example"];

    fn read(text: &str) -> Result<Self, Option<String>> {
        let is_one = text.split_once('@').is_some_and(|(who, host)| !who.is_empty() && !host.is_empty());
        if is_one && text.bytes().all(|byte| byte.is_ascii_graphic() && !b",?<>\"".contains(&byte)) {
            return Ok(Self(text.to_owned()));
        }
        Err(Some("write it without a name and without `mailto:`".to_owned()))
    }

    fn stand_in() -> Self {
        Self("nobody@unreadable.invalid".to_owned())
    }
}
text_shape!(MailAddress);

/// Where most of the world's certificates are ordered.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
const LETS_ENCRYPT_STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

/// The certificates of public hosts, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    pub issuer: Issuer,
    /// Where certificates are ordered, in that order; empty where the issuer is local.
    pub authorities: Vec<AcmeAuthority>,
    /// Never empty.
    pub challenges: Vec<ChallengeKind>,
    /// `None`: a year, for these hosts alone.
    pub hsts: Option<Hsts>,
}

/// An authority that speaks ACME. Paths are relative to the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeAuthority {
    pub directory: String,
    pub staging: Option<String>,
    pub contact: Vec<String>,
    /// By whom the directory is recognised; `None`: public authorities.
    pub ca: Option<String>,
    /// Whom visitors trust; `None`: public authorities.
    pub roots: Option<String>,
}

/// What browsers are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hsts {
    pub max_age: Duration,
    pub subdomains: bool,
    pub preload: bool,
}

impl TlsTable {
    pub(crate) fn resolve(&self) -> Tls {
        let authorities = match self.issuer.value {
            Issuer::Local => Vec::new(),
            Issuer::Acme if self.acme.is_empty() => vec![AcmeAuthority {
                directory: LETS_ENCRYPT.to_owned(),
                staging: Some(LETS_ENCRYPT_STAGING.to_owned()),
                contact: Vec::new(),
                ca: None,
                roots: None,
            }],
            Issuer::Acme => self.acme.iter().map(AcmeTable::resolve).collect(),
        };
        let hsts = |hsts: &At<HstsTable>| Hsts {
            max_age: hsts.max_age.0,
            subdomains: hsts.subdomains,
            preload: hsts.preload.value,
        };
        Tls {
            issuer: self.issuer.value,
            authorities,
            challenges: self.challenges.iter().map(|kind| kind.value).collect(),
            hsts: self.hsts.as_ref().map(hsts),
        }
    }
}

impl AcmeTable {
    fn resolve(&self) -> AcmeAuthority {
        AcmeAuthority {
            directory: self.directory.0.clone(),
            staging: self.staging.as_ref().map(|url| url.0.clone()),
            contact: self.contact.iter().map(|mail| mail.0.clone()).collect(),
            ca: self.ca.as_ref().map(|path| path.0.clone()),
            roots: self.roots.as_ref().map(|path| path.0.clone()),
        }
    }
}
