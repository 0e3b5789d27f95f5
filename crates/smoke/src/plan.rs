//! What is to be looked at, and by which way.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::client::ResolvesClientCert;
use url::Url;

/// One run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub pages: Vec<Page>,
    /// Every host that pages may reach, those of the pages themselves included. No other is reached.
    pub routes: Vec<Route>,
    /// Who is believed to sign certificates, and nobody else. Empty where all is plain HTTP.
    pub trusted: Arc<RootCertStore>,
    /// What is shown to hosts that ask for a certificate; nothing, where none does.
    pub shown: Option<Arc<dyn ResolvesClientCert>>,
    /// Path of Chromium; wanted only where a page is rendered. See [`crate::find`].
    pub browser: Option<PathBuf>,
    /// The longest that one page may take, each way it is looked at.
    pub page_deadline: Duration,
    /// The longest that all of it may take.
    pub deadline: Duration,
    /// Folder for pictures and consoles of rendered pages, for its owner alone. Without one nothing is kept.
    pub evidence: Option<PathBuf>,
    /// Where Chromium's profile lies while it runs. A short path: Chromium makes a socket in it.
    pub scratch: PathBuf,
    /// Takes secrets out of what pages said before anybody sees it.
    pub redact: Redact,
}

/// One page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// What people call it, for instance `storefront /`. Its evidence is named after it.
    pub name: String,
    pub url: Url,
    pub status: u16,
    /// Text that the answer's body must contain.
    pub contains: Option<String>,
    /// Headers that the answer must have, with these values: the release that answers, for instance.
    pub headers: Vec<Header>,
    /// How it must render; `None` where HTTP is all that is looked at.
    pub rendering: Option<Rendering>,
}

/// What must be seen once scripts have run. Beside it: no uncaught error, no error on the console, every picture loaded, and no
/// request to the page's own host that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendering {
    pub seen: Vec<Seen>,
    /// Errors on the console that contain one of these are let pass.
    pub ignored_errors: Vec<String>,
}

/// Something that a visitor sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Text(String),
    /// An element that is there and not hidden, by its CSS selector.
    Element(String),
}

/// A header with its value.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    pub name: String,
    pub value: String,
}

impl fmt::Debug for Header {
    /// Values of request headers may open doors.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Where a host really is. For instances that the public does not see yet: the address of a private listener, or the public one
/// with headers that lead there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub host: String,
    /// As it stands in addresses of pages.
    pub port: u16,
    pub to: SocketAddr,
    /// Sent with each request to this host and to no other. A page of another origin that calls this host makes its browser ask
    /// for leave to send them; a private listener spares that.
    pub headers: Vec<Header>,
}

/// Takes secrets out of a text.
#[derive(Clone)]
pub struct Redact(Arc<dyn Fn(&str) -> String + Send + Sync>);

impl Redact {
    pub fn new(redact: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(redact))
    }

    /// For pages that know no secret.
    pub fn nothing() -> Self {
        Self::new(str::to_owned)
    }

    pub(crate) fn apply(&self, text: &str) -> String {
        (self.0)(text)
    }
}

impl fmt::Debug for Redact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redact")
    }
}

impl Plan {
    /// The way to a page's host.
    pub(crate) fn route(&self, url: &Url) -> Option<&Route> {
        self.routes
            .iter()
            .find(|route| url.host_str() == Some(&route.host) && url.port_or_known_default() == Some(route.port))
    }
}
