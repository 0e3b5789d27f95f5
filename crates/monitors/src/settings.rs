//! What is watched, and who is told: as control works it out of the manifest. No secrets.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::objective::Objective;

/// What the names of drills, and of who answers for them, begin with. No name of the manifest has a slash.
pub(crate) const DRILL: &str = "drill/";

/// All of one environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MonitorSettings {
    #[serde(default)]
    pub product: String,
    #[serde(default)]
    pub trusted: Trusted,
    #[serde(default)]
    pub monitors: Vec<Monitor>,
    #[serde(default)]
    pub channels: Vec<Channel>,
    #[serde(default)]
    pub objectives: Vec<Objective>,
    /// Whether the public may see how it goes.
    #[serde(default)]
    pub status_page: bool,
    /// How owners are reached who answer for what no monitor looks at.
    #[serde(default)]
    pub contacts: BTreeMap<String, String>,
}

impl MonitorSettings {
    pub fn monitor(&self, name: &str) -> Option<&Monitor> {
        self.monitors.iter().find(|monitor| monitor.name == name)
    }
}

/// Whom probes believe about who somebody is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trusted {
    /// Files of certificates, in PEM.
    pub files: Vec<PathBuf>,
    /// Whether the public authorities are believed at our own door too. Elsewhere they always are.
    pub public: bool,
}

/// Something that is looked at again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Monitor {
    /// `app/api`, `mongodb`, `checkout`.
    pub name: String,
    /// What the status page calls it; `None`: it is not on it.
    #[serde(default)]
    pub public: Option<String>,
    pub probe: Probe,
    /// From one look to the next, in milliseconds.
    pub every_ms: u64,
    /// A look that takes longer has failed, in milliseconds.
    pub timeout_ms: u64,
    /// So many failed looks in a row, and it is down.
    pub failures: u32,
    /// So many good looks in a row, and it is up again.
    pub successes: u32,
    /// While that one is down nothing is said of this one.
    #[serde(default)]
    pub parent: Option<String>,
    #[serde(default)]
    pub app: Option<String>,
    /// Who answers for it, and how they are reached.
    pub owner: String,
    #[serde(default)]
    pub contact: String,
    #[serde(default)]
    pub runbook: Option<Runbook>,
}

/// What to do when it is down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runbook {
    /// As the manifest names it: `docs/infra/runbook.md#the-api-is-down`.
    pub link: String,
    /// The paragraph that is there.
    pub text: String,
}

/// How something is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Probe {
    /// An answer over HTTP or HTTPS.
    Http {
        url: String,
        /// Where that is, in place of what the name service says: our own edge.
        #[serde(default)]
        via: Option<SocketAddr>,
        /// Statuses that are good: from, to.
        status: Vec<(u16, u16)>,
        #[serde(default)]
        contains: Option<String>,
        /// Slower is as bad as no answer, in milliseconds.
        #[serde(default)]
        within_ms: Option<u64>,
    },
    /// Somebody accepts a connection.
    Tcp { address: String },
    /// A certificate that is believed and lasts.
    Tls {
        host: String,
        #[serde(default)]
        via: Option<SocketAddr>,
        port: u16,
        /// So many days must be left; `None`: an eighth of its life, at most seven.
        #[serde(default)]
        days: Option<u32>,
    },
    /// A name has addresses.
    Dns { host: String },
    /// A server of MongoDB answers, and is primary or secondary.
    MongoDb { address: SocketAddr, authorities: PathBuf },
    /// A Redis answers.
    Redis { address: SocketAddr, authorities: PathBuf },
    /// A data service that somebody else runs: one of its servers answers.
    Elsewhere {
        service: Service,
        /// `HOST:PORT` of each.
        servers: Vec<String>,
        /// A name at which the name service has them.
        #[serde(default)]
        srv: Option<String>,
        tls: bool,
        /// By what they are recognised; `None`: by public authorities.
        #[serde(default)]
        authorities: Option<PathBuf>,
    },
    /// Somebody says within this time that he lives.
    Heartbeat {
        within_ms: u64,
        /// SHA-256 of the token in its address, in hexadecimal.
        digest: String,
    },
}

/// What a data service speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    MongoDb,
    Redis,
}

impl Probe {
    /// What kind it is, for people.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Http { .. } => "http",
            Self::Tcp { .. } => "tcp",
            Self::Tls { .. } => "tls",
            Self::Dns { .. } => "dns",
            Self::MongoDb { .. } | Self::Elsewhere { service: Service::MongoDb, .. } => "mongodb",
            Self::Redis { .. } | Self::Elsewhere { service: Service::Redis, .. } => "redis",
            Self::Heartbeat { .. } => "heartbeat",
        }
    }

    /// What is looked at, for people.
    pub fn target(&self) -> String {
        match self {
            Self::Http { url, .. } => url.clone(),
            Self::Tcp { address } => address.clone(),
            Self::Tls { host, port, .. } => format!("{host}:{port}"),
            Self::Dns { host } => host.clone(),
            Self::MongoDb { address, .. } | Self::Redis { address, .. } => address.to_string(),
            Self::Elsewhere { servers, srv, .. } => srv.clone().unwrap_or_else(|| servers.join(", ")),
            Self::Heartbeat { within_ms, .. } => format!("each {} s", within_ms / 1000),
        }
    }
}

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    pub name: String,
    pub kind: ChannelKind,
    /// Whose alerts; empty: everybody's.
    #[serde(default)]
    pub owners: Vec<String>,
    /// Only what nobody has acknowledged for so long, in milliseconds.
    #[serde(default)]
    pub after_ms: u64,
    /// When nobody is to be disturbed.
    #[serde(default)]
    pub quiet: Option<Quiet>,
}

impl Channel {
    /// Whether it is told what this owner answers for.
    pub fn hears_of(&self, owner: &str) -> bool {
        let is_named = self.owners.iter().any(|known| known == owner);
        // What is tried out disturbs nobody.
        is_named || (self.owners.is_empty() && !owner.starts_with(DRILL))
    }

    /// Whether it can say nothing without its secret.
    pub fn needs_secret(&self) -> bool {
        match &self.kind {
            ChannelKind::Webhook { .. } | ChannelKind::Slack => true,
            ChannelKind::Mail(mail) => mail.user.is_some(),
            ChannelKind::Exec { .. } => false,
        }
    }
}

/// How.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ChannelKind {
    /// JSON, signed with the channel's secret.
    Webhook { url: String },
    /// As Slack's incoming webhooks take it; the address is the secret.
    Slack,
    #[serde(rename = "smtp")]
    Mail(Mail),
    /// A program, with the JSON as its last argument's file.
    Exec { command: Vec<String>, folder: PathBuf },
}

/// By mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    pub server: String,
    pub port: u16,
    pub security: MailSecurity,
    /// Who logs in, with the channel's secret.
    #[serde(default)]
    pub user: Option<String>,
    pub from: String,
    /// Empty: the contact of whoever answers for it.
    #[serde(default)]
    pub to: Vec<String>,
    /// Authorities by which the server is recognised, in PEM; `None`: the public ones.
    #[serde(default)]
    pub authorities: Option<PathBuf>,
}

/// How mail is kept from others on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailSecurity {
    /// TLS from the first byte.
    Tls,
    /// TLS before anything is said that matters; without it nothing is sent.
    StartTls,
    /// In the clear. For a server on this machine.
    None,
}

/// Hours of the day, UTC, in minutes since midnight. It may go over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiet {
    pub from: u32,
    pub to: u32,
}

const DAY_MINUTES: i64 = 24 * 60;

impl Quiet {
    /// When it may be said, if not now: the end of the hours in which `at` lies, both in milliseconds since 1970.
    pub fn ends_after(self, at: i64) -> Option<i64> {
        let minute = at.div_euclid(60_000);
        let of_day = minute.rem_euclid(DAY_MINUTES);
        let (from, to) = (i64::from(self.from), i64::from(self.to));
        let is_quiet = if from <= to { (from..to).contains(&of_day) } else { of_day >= from || of_day < to };
        let wait = (to - of_day).rem_euclid(DAY_MINUTES);
        is_quiet.then(|| (minute + wait) * 60_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_end_when_they_say() {
        let night = Quiet { from: 22 * 60, to: 7 * 60 };
        let at = |hour: i64, minute: i64| (hour * 60 + minute) * 60_000;
        assert_eq!(night.ends_after(at(21, 59)), None);
        assert_eq!(night.ends_after(at(22, 0)), Some(at(31, 0)));
        assert_eq!(night.ends_after(at(3, 30)), Some(at(7, 0)));
        assert_eq!(night.ends_after(at(7, 0)), None);
        let noon = Quiet { from: 12 * 60, to: 13 * 60 };
        assert_eq!(noon.ends_after(at(12, 30)), Some(at(13, 0)));
        assert_eq!(noon.ends_after(at(13, 0)), None);
    }
}
