//! What control tells of exports, and how a receiver is spoken to.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderValue};
use secrets::Secret;
use serde::{Deserialize, Serialize};
use url::Url;

/// By which protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExportKind {
    Sentry,
    Loki,
    Otlp,
    RemoteWrite,
}

/// A receiver, and what it gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    pub name: String,
    pub kind: ExportKind,
    /// Empty for [`ExportKind::Sentry`]: its address is its secret.
    #[serde(default)]
    pub url: String,
    /// Who logs in there, with the secret as password. Without it the secret, where there is one, is a bearer token.
    #[serde(default)]
    pub user: Option<String>,
    /// Whose it is, for receivers that keep several apart: the header `X-Scope-OrgID`.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Whose errors and lines. Empty: everybody's, lines of data services and of Roadbed among them.
    #[serde(default)]
    pub apps: Vec<String>,
    /// From one look at the numbers to the next, in milliseconds.
    #[serde(default = "quarter_of_a_minute")]
    pub every_ms: u64,
}

/// What Prometheus' own documentation scrapes by.
fn quarter_of_a_minute() -> u64 {
    15_000
}

impl Export {
    pub(super) fn takes(&self, app: Option<&str>) -> bool {
        self.apps.is_empty() || app.is_some_and(|app| self.apps.iter().any(|wanted| wanted == app))
    }

    pub(super) fn address(&self) -> Result<Url, String> {
        Url::parse(&self.url).map_err(|error| format!("its address cannot be read: {error}"))
    }

    /// Who we are, to the receiver. Values that are no header are nobody's password.
    pub(super) fn headers(&self, secret: Option<&Secret>) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        if let Some(secret) = secret {
            let said = match &self.user {
                Some(user) => format!("Basic {}", STANDARD.encode(format!("{user}:{}", secret.expose()))),
                None => format!("Bearer {}", secret.expose()),
            };
            let mut said = HeaderValue::try_from(said).map_err(|_| "its secret cannot be in a header".to_owned())?;
            said.set_sensitive(true);
            headers.insert(AUTHORIZATION, said);
        } else if self.user.is_some() {
            return Err(format!("the secret exports/{} is not set", self.name));
        }
        if let Some(tenant) = &self.tenant {
            let tenant = HeaderValue::try_from(tenant).map_err(|_| "its tenant cannot be in a header".to_owned())?;
            headers.insert("x-scope-orgid", tenant);
        }
        Ok(headers)
    }
}
