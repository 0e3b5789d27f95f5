//! What leaves an environment for services elsewhere.

use std::time::Duration;

use crate::id::{AppName, EnvName, ExportName};
use crate::record::{choice, record};
use crate::source::At;
use crate::tables::Document;

/// What Prometheus' own documentation scrapes by.
const EVERY: Duration = Duration::from_secs(15);

choice! {
    /// What leaves, and by which protocol.
    pub enum ExportType {
        /// Errors and sessions, to another place that speaks Sentry's protocol. Its DSN is the export's secret.
        Sentry = "sentry",
        /// Lines of logs, by Loki's push API.
        Loki = "loki",
        /// Lines of logs, by OTLP over HTTP.
        Otlp = "otlp",
        /// Numbers, by Prometheus' remote-write 1.0.
        RemoteWrite = "remote-write",
    }
}

record! {
    /// A service elsewhere. What opens it is `exports/NAME` of the secret store: `roadbed secrets set exports/NAME`.
    pub(crate) struct ExportTable {
        /// What it gets.
        r#type: At<ExportType>,
        /// The whole address, as the receiver's own documentation has it: `https://…/loki/api/v1/push`, `…/v1/logs`, `…/api/v1/write`.
        /// Not for `sentry`.
        url: Option<At<String>>,
        /// Who logs in there, with the export's secret as password. Without it the secret, where there is one, is a bearer token.
        user: Option<At<String>>,
        /// Whose it is, for receivers that keep several apart (the header `X-Scope-OrgID`).
        tenant: Option<At<String>>,
        /// Whose errors or lines. Default: everybody's, of data services and Roadbed too.
        apps: Vec<At<AppName>> = [],
        /// From one look at the numbers to the next, for `remote-write`. Default: `15s`.
        every: Option<At<Duration>>,
        /// From where. Default: from every environment.
        environments: Option<At<Vec<At<EnvName>>>>,
    }
}

/// A service elsewhere, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    pub name: ExportName,
    pub kind: ExportType,
    /// Empty for [`ExportType::Sentry`].
    pub url: String,
    pub user: Option<String>,
    pub tenant: Option<String>,
    /// Empty: everybody's.
    pub apps: Vec<AppName>,
    pub every: Duration,
}

impl Export {
    /// Name of its secret in the store.
    pub fn secret(&self) -> String {
        format!("exports/{}", self.name)
    }

    /// Whether it can send nothing without it.
    pub fn needs_secret(&self) -> bool {
        self.kind == ExportType::Sentry || self.user.is_some()
    }
}

/// Those of an environment.
pub(crate) fn resolve(document: &Document, environment: &EnvName) -> Vec<Export> {
    let is_in = |table: &ExportTable| {
        table.environments.as_ref().is_none_or(|all| all.value.iter().any(|one| one.value == *environment))
    };
    let text = |text: &Option<At<String>>| text.as_ref().map(|text| text.value.clone());
    let all = document.exports.in_order().into_iter().filter(|(_, table)| is_in(table));
    all.map(|(name, table)| Export {
        name: name.value.clone(),
        kind: table.r#type.value,
        url: text(&table.url).unwrap_or_default(),
        user: text(&table.user),
        tenant: text(&table.tenant),
        apps: table.apps.iter().map(|app| app.value.clone()).collect(),
        every: table.every.as_ref().map_or(EVERY, |every| every.value),
    })
    .collect()
}
