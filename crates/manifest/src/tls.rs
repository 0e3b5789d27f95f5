//! Who signs an environment's public certificates, and what browsers are told about HTTPS.

use std::time::Duration;

use serde_json::{Value as Json, json};
use url::Url;

use crate::id::AppName;
use crate::record::{choice, record};
use crate::scalars::{Age, Domain, RelativePath, UrlPath, integer};
use crate::shape::{self, Definitions, Reader, Shape, Value, text_shape};
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
        /// Orders a certificate for all names beside the hosts (`*.shop.example`) in place of one that lists them, so that a new app
        /// waits for none and its name is in no public log. Takes `dns-01`.
        wildcard: At<bool> = false,
        /// The name server that takes records for `dns-01`.
        dns: Option<At<DnsTable>>,
        /// Hosts of others that lead here, such as the own domains of sellers: each gets a certificate when it is first asked for, if an
        /// app permits it. Takes `issuer = "acme"`, and `http-01` or `tls-alpn-01`.
        on_demand: Option<At<OnDemandTable>>,
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
        /// Name of the key with which our account there is bound to one that was opened by other means. `roadbed secrets set
        /// acme/HOST` takes the key itself, in base64, with the host of the directory.
        external_account: Option<At<KeyName>>,
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
    /// Certificates for hosts that no manifest lists. Nothing is ordered for a host that an app has not permitted.
    pub(crate) struct OnDemandTable {
        /// The app that visitors of these hosts reach.
        app: At<AppName>,
        /// The app that knows which hosts are permitted. One of its instances is asked, never over the network; not `static`, and
        /// not one that speaks `h2c`.
        ask: At<AppName>,
        /// Where it is asked: `GET PATH?host=NAME`, with the header `x-roadbed-asks: certificate`, which no visitor can send. 2xx
        /// permits the host, 403, 404 and 410 do not, and anything else is no answer, by which nothing is ordered.
        path: At<UrlPath>,
        /// At most so many hosts.
        most: HostCount = 10000,
    }
}

record! {
    /// A name server that takes updates (RFC 2136), signed with a key that it knows too (RFC 8945). `roadbed secrets set tls/dns` takes
    /// the key's secret, in base64.
    pub(crate) struct DnsTable {
        /// Where it takes updates, with a port where it is not 53.
        server: At<ServerAddress>,
        /// The zone that it serves. Default: the environment's domain.
        zone: Option<At<Domain>>,
        /// Name of the key.
        key: At<KeyName>,
        /// How updates are signed.
        algorithm: KeyAlgorithm = "hmac-sha256",
        /// Servers where a record must be seen before the authority is asked to look. Default: those that the zone names.
        seen_at: Vec<At<ServerAddress>> = [],
        /// How long that may take.
        patience: Duration = "2m",
    }
}

choice! {
    /// How updates of a zone are signed.
    pub enum KeyAlgorithm {
        /// What most name servers make.
        HmacSha256 = "hmac-sha256",
        /// Longer.
        HmacSha384 = "hmac-sha384",
        /// Longest.
        HmacSha512 = "hmac-sha512",
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
        /// The authority asks the name service for a record, which is put at the server of `dns`. The only way to a wildcard.
        Dns01 = "dns-01",
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

/// A server, by name or address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerAddress(pub(crate) String);

impl shape::Text for ServerAddress {
    const WANTS: &'static str = "a server, with a port or without";
    const EXAMPLES: &'static [&'static str] = &["ns1.shop.example", "127.0.0.1:5300"];

    fn read(text: &str) -> Result<Self, Option<String>> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port),
            _ => (text, "53"),
        };
        let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte)),
        };
        match port.parse::<u16>() {
            Ok(port) if is_host && port > 0 => Ok(Self(format!("{host}:{port}"))),
            _ => Err(Some("write for example \"ns1.shop.example\" or \"[::1]:5300\"".to_owned())),
        }
    }

    fn stand_in() -> Self {
        Self("unreadable.invalid:53".to_owned())
    }
}
text_shape!(ServerAddress);

/// The name of a key that somebody else gave out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyName(pub(crate) String);

impl shape::Text for KeyName {
    const WANTS: &'static str = "the name of a key";
    const EXAMPLES: &'static [&'static str] = &["roadbed.shop.example"];

    fn read(text: &str) -> Result<Self, Option<String>> {
        if !text.is_empty() && text.len() <= 255 && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(Self(text.to_owned()));
        }
        Err(Some("its name alone; the key itself is told to `roadbed secrets set`".to_owned()))
    }

    fn stand_in() -> Self {
        Self("unreadable".to_owned())
    }
}
text_shape!(KeyName);

/// How many hosts of others there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HostCount(pub(crate) u32);

impl Shape for HostCount {
    const WANTS: &'static str = "a whole number from 1 to 100000";

    fn decode(value: &Value<'_>, reader: &mut Reader) -> Self {
        integer(value, 1..=100_000).map(Self).unwrap_or_else(|| {
            reader.wrong(value, Self::WANTS).hint("write the number without quotes");
            Self::stand_in()
        })
    }

    fn stand_in() -> Self {
        Self(1)
    }

    fn schema(_: &mut Definitions) -> Json {
        json!({"type": "integer", "minimum": 1, "maximum": 100_000})
    }
}

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
    /// Whether names are ordered as `*.` of what is above them.
    pub wildcard: bool,
    /// Where records are put.
    pub dns: Option<Dns>,
    /// Hosts of others that get certificates; `None` where the issuer is local.
    pub on_demand: Option<OnDemand>,
    /// `None`: a year, for these hosts alone.
    pub hsts: Option<Hsts>,
}

/// Certificates for hosts that an app permits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnDemand {
    /// Whom their visitors reach.
    pub app: AppName,
    /// Who is asked.
    pub ask: AppName,
    pub path: String,
    /// At most so many hosts.
    pub most: usize,
}

/// An authority that speaks ACME. Paths are relative to the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeAuthority {
    pub directory: String,
    pub staging: Option<String>,
    pub contact: Vec<String>,
    /// Name of the key that binds our account to one that was opened by other means.
    pub external_account: Option<String>,
    /// By whom the directory is recognised; `None`: public authorities.
    pub ca: Option<String>,
    /// Whom visitors trust; `None`: public authorities.
    pub roots: Option<String>,
}

/// A name server that takes records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// `HOST:PORT`.
    pub server: String,
    pub zone: String,
    /// Name of the key.
    pub key: String,
    pub algorithm: KeyAlgorithm,
    /// `HOST:PORT` each; empty: those that the zone names.
    pub seen_at: Vec<String>,
    pub patience: Duration,
}

impl Tls {
    /// The names that a certificate for these hosts is ordered for.
    pub fn names(&self, hosts: &[String], domain: &str) -> Vec<String> {
        let name = |host: &String| match host.split_once('.') {
            Some((_, above)) if self.wildcard && host != domain => format!("*.{above}"),
            _ => host.clone(),
        };
        let mut names: Vec<String> = hosts.iter().map(name).collect();
        names.sort();
        names.dedup();
        names
    }
}

/// What browsers are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hsts {
    pub max_age: Duration,
    pub subdomains: bool,
    pub preload: bool,
}

impl TlsTable {
    pub(crate) fn resolve(&self, domain: &str) -> Tls {
        let authorities = match self.issuer.value {
            Issuer::Local => Vec::new(),
            Issuer::Acme if self.acme.is_empty() => vec![AcmeAuthority {
                directory: LETS_ENCRYPT.to_owned(),
                staging: Some(LETS_ENCRYPT_STAGING.to_owned()),
                contact: Vec::new(),
                external_account: None,
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
            wildcard: self.wildcard.value,
            dns: self.dns.as_ref().map(|dns| Dns {
                server: dns.server.0.clone(),
                zone: dns.zone.as_ref().map_or_else(|| domain.to_owned(), |zone| zone.of(None)),
                key: dns.key.0.clone(),
                algorithm: dns.algorithm,
                seen_at: dns.seen_at.iter().map(|server| server.0.clone()).collect(),
                patience: dns.patience,
            }),
            on_demand: self.on_demand.as_ref().filter(|_| self.issuer.value == Issuer::Acme).map(|table| OnDemand {
                app: table.app.value.clone(),
                ask: table.ask.value.clone(),
                path: table.path.value.0.clone(),
                most: usize::try_from(table.most.0).unwrap_or(usize::MAX),
            }),
            hsts: self.hsts.as_ref().map(hsts),
        }
    }
}

impl AcmeAuthority {
    /// Under which name the key of `external_account` lies in the secret store.
    pub fn account_secret(&self) -> String {
        let url = Url::parse(&self.directory).ok();
        format!("acme/{}", url.as_ref().and_then(Url::host_str).unwrap_or_default())
    }
}

impl AcmeTable {
    fn resolve(&self) -> AcmeAuthority {
        AcmeAuthority {
            directory: self.directory.0.clone(),
            staging: self.staging.as_ref().map(|url| url.0.clone()),
            external_account: self.external_account.as_ref().map(|key| key.0.clone()),
            contact: self.contact.iter().map(|mail| mail.0.clone()).collect(),
            ca: self.ca.as_ref().map(|path| path.0.clone()),
            roots: self.roots.as_ref().map(|path| path.0.clone()),
        }
    }
}
