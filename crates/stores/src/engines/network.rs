//! What lies between this machine and a server: certificates to trust, and a proxy. Taken from the settings that the tools of
//! this machine go by.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use host::files::{self, FileFault};
use ureq::Proxy;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};

use super::address::Address;

/// How a server is reached.
#[derive(Clone, Debug)]
pub struct Network {
    trusted: Arc<Vec<Certificate<'static>>>,
    proxy: Option<Proxy>,
    pub(crate) plain_http: PlainHttp,
}

/// Whom plain HTTP is good enough for. The SHA-256 protects the file either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainHttp {
    /// This machine alone, where nobody listens in: tests serve files so.
    Loopback,
    /// Wherever the address leads: the tool that named it would go there too.
    AsNamed,
}

/// What a tool's own settings say. They go before the environment.
#[derive(Debug, Default)]
pub(crate) struct ToolSettings {
    pub(crate) proxy: Option<String>,
    pub(crate) certificates: Option<String>,
}

/// Why a server cannot be reached the way that the settings want.
#[derive(Debug, thiserror::Error)]
pub enum NetworkFault {
    #[error("cannot read the certificates to trust")]
    File(#[from] FileFault),
    #[error("cannot understand the certificates to trust")]
    Certificates(#[source] Box<ureq::Error>),
    /// Without the address: it may hold a password.
    #[error("cannot use the proxy that is set here")]
    Proxy(#[source] Box<ureq::Error>),
}

/// Where distributions keep the certificates that the system trusts.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

impl Network {
    /// No proxy, and nobody trusted: good for this machine itself.
    pub fn loopback() -> Self {
        Self { trusted: Arc::default(), proxy: None, plain_http: PlainHttp::Loopback }
    }

    /// The way to `address` with the user's environment.
    pub(crate) fn to(
        address: &Address,
        env: &BTreeMap<String, String>,
        settings: &ToolSettings,
        plain_http: PlainHttp,
    ) -> Result<Self, NetworkFault> {
        let named = settings.certificates.as_deref().or(env.get("SSL_CERT_FILE").map(String::as_str));
        let trusted = Arc::new(certificates(&bundle(named.map(Path::new))?)?);
        let proxy = match proxy_for(address, env, settings) {
            Some(proxy) => Some(Proxy::new(&proxy).map_err(|fault| NetworkFault::Proxy(Box::new(fault)))?),
            None => None,
        };
        Ok(Self { trusted, proxy, plain_http })
    }

    pub(crate) fn proxy(&self) -> Option<Proxy> {
        self.proxy.clone()
    }

    pub(crate) fn tls(&self) -> TlsConfig {
        TlsConfig::builder()
            // Named here: a provider picked by build features would change with somebody else's dependency.
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .root_certs(RootCerts::Specific(Arc::clone(&self.trusted)))
            .build()
    }
}

fn bundle(named: Option<&Path>) -> Result<Vec<u8>, FileFault> {
    if let Some(path) = named {
        return files::read(path);
    }
    for bundle in BUNDLES {
        if let Some(bytes) = files::read_if_exists(Path::new(bundle))? {
            return Ok(bytes);
        }
    }
    Ok(Vec::new())
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate<'static>>, NetworkFault> {
    ureq::tls::parse_pem(pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
            Ok(_) => None,
            Err(fault) => Some(Err(NetworkFault::Certificates(Box::new(fault)))),
        })
        .collect()
}

/// The tool's own proxy, else the environment's for this scheme, unless `no_proxy` excepts the host.
fn proxy_for(address: &Address, env: &BTreeMap<String, String>, settings: &ToolSettings) -> Option<String> {
    let var = |name: &str| {
        [name.to_owned(), name.to_uppercase()].iter().find_map(|name| env.get(name)).filter(|value| !value.is_empty())
    };
    if let Some(proxy) = &settings.proxy {
        return Some(proxy.clone());
    }
    if var("no_proxy").is_some_and(|hosts| excepts(hosts, address.host())) {
        return None;
    }
    let scheme = if address.is_https() { "https_proxy" } else { "http_proxy" };
    var(scheme).or_else(|| var("all_proxy")).cloned()
}

/// Whether a list like `localhost,.example.org,*` names this host or a domain above it.
fn excepts(hosts: &str, host: &str) -> bool {
    hosts.split(',').map(|entry| entry.trim().trim_start_matches("*.").trim_start_matches('.')).any(|entry| {
        entry == "*"
            || (!entry.is_empty()
                && host.strip_suffix(entry).is_some_and(|above| above.is_empty() || above.ends_with('.')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(address: &str, vars: &[(&str, &str)], own: Option<&str>) -> Option<String> {
        let env = vars.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let settings = ToolSettings { proxy: own.map(str::to_owned), certificates: None };
        proxy_for(&Address::parse(address).unwrap(), &env, &settings)
    }

    #[test]
    fn each_scheme_has_its_proxy_and_some_hosts_have_none() {
        let vars =
            [("https_proxy", "http://s:1"), ("HTTP_PROXY", "http://p:1"), ("no_proxy", "localhost, .inner.example")];
        assert_eq!(proxy("https://a.example/f", &vars, None).as_deref(), Some("http://s:1"));
        assert_eq!(proxy("http://a.example/f", &vars, None).as_deref(), Some("http://p:1"));
        assert_eq!(proxy("https://deep.inner.example/f", &vars, None), None);
        assert_eq!(proxy("https://inner.example:8443/f", &vars, None), None);
        assert!(proxy("https://dinner.example/f", &vars, None).is_some());
        assert_eq!(proxy("https://a.example/f", &[("ALL_PROXY", "http://a:1")], None).as_deref(), Some("http://a:1"));
        assert_eq!(proxy("https://a.example/f", &[("all_proxy", "http://a:1"), ("NO_PROXY", "*")], None), None);
        assert_eq!(proxy("https://a.example/f", &vars, Some("http://own:1")).as_deref(), Some("http://own:1"));
        assert_eq!(proxy("https://a.example/f", &[("https_proxy", "")], None), None);
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_told_without_its_password() {
        let env = BTreeMap::from([("https_proxy".to_owned(), "socks9://user:s3cret@proxy.example".to_owned())]);
        let address = Address::parse("https://a.example/f").unwrap();
        let fault = Network::to(&address, &env, &ToolSettings::default(), PlainHttp::AsNamed).unwrap_err();
        assert!(matches!(fault, NetworkFault::Proxy(_)), "{fault:?}");
        assert!(!format!("{fault:?} {fault}").contains("s3cret"), "{fault:?}");
    }
}
