//! What is watched, who is told when it does not work, and what was promised.

use std::time::Duration;

use crate::id::{AppName, ChannelName, EnvName, MonitorName, OwnerName};
use crate::record::{choice, record};
use crate::scalars::{Command, Count, HttpStatus, Port, RelativePath};
use crate::shape::{self, text_shape};
use crate::source::At;
use crate::tables::Document;

record! {
    /// Something that is watched, beside what is watched without being named: every app, the edge, its certificates, the data services.
    /// It has one of `http`, `tcp`, `tls`, `dns` and `heartbeat`.
    pub(crate) struct MonitorTable {
        /// A path of `app`, or the address of a page somewhere else.
        http: Option<At<String>>,
        /// `HOST:PORT` where somebody accepts connections.
        tcp: Option<At<String>>,
        /// `HOST` or `HOST:PORT` that shows a certificate.
        tls: Option<At<String>>,
        /// A name that has addresses.
        dns: Option<At<String>>,
        /// Somebody asks for its address at least so often. `roadbed monitors show NAME` says the address.
        heartbeat: Option<At<Duration>>,
        /// Whose it is. Nobody is told of it while the app itself is down or being deployed.
        app: Option<At<AppName>>,
        /// Who answers for it. Default: who answers for its app.
        owner: Option<At<OwnerName>>,
        /// What it answers with. Default: 200 to 399.
        status: Vec<HttpStatus> = [],
        /// A text that the answer must contain.
        contains: Option<String>,
        /// An answer that takes longer is as bad as none.
        within: Option<Duration>,
        /// So many days a certificate must last. Default: an eighth of its life, at most seven.
        days: Option<Count>,
        /// From one look to the next. Default: as `[environments.NAME.monitoring]` says.
        every: Option<Duration>,
        /// So many failed looks in a row, and it is down.
        failures: Count = 2,
        /// So many good looks in a row, and it is up again.
        successes: Count = 2,
        /// What to do when it is down: a file, and behind a `#` a heading in it.
        runbook: Option<At<RelativePath>>,
        /// What the status page calls it. Without it the page does not have it.
        public: Option<String>,
        /// Where it is watched. Default: in every environment that is watched.
        environments: Option<At<Vec<At<EnvName>>>>,
    }
}

choice! {
    /// How somebody is told.
    pub enum ChannelType {
        /// JSON to `url`, signed with the channel's secret.
        Webhook = "webhook",
        /// As Slack's incoming webhooks take it. The address is the channel's secret.
        Slack = "slack",
        /// Mail.
        Smtp = "smtp",
        /// A program, with a file of JSON as its last argument.
        Exec = "exec",
    }
}

choice! {
    /// How mail is kept from others on its way.
    pub enum MailSecurity {
        /// TLS from the first byte.
        Tls = "tls",
        /// TLS before anything is said that matters; without it nothing is sent.
        StartTls = "starttls",
        /// In the clear. For a server on this machine.
        None = "none",
    }
}

record! {
    /// Somebody who is told. Its secret is `alerts/NAME` of the secret store: `roadbed secrets set alerts/NAME`.
    pub(crate) struct ChannelTable {
        /// How.
        r#type: At<ChannelType>,
        /// Where, for `webhook`.
        url: Option<At<String>>,
        /// The server, for `smtp`.
        server: Option<At<String>>,
        /// Its port. Default 465, 587 for `starttls`, 25 for `none`.
        port: Option<At<Port>>,
        /// How mail is kept from others on its way.
        security: MailSecurity = "tls",
        /// Who logs in there, with the channel's secret.
        user: Option<String>,
        /// Who it is from, for `smtp`.
        from: Option<At<String>>,
        /// Who gets it. Default: the contact of whoever answers for what is down.
        to: Vec<String> = [],
        /// Certificates by which the server is recognised, in PEM, relative to the manifest. Default: the public authorities.
        authorities: Option<At<RelativePath>>,
        /// The program, for `exec`.
        command: Option<At<Command>>,
        /// Whose alerts. Default: everybody's.
        owners: Vec<At<OwnerName>> = [],
        /// Where. Default: in every environment.
        environments: Option<At<Vec<At<EnvName>>>>,
        /// Only what nobody has acknowledged for so long.
        after: Option<Duration>,
        /// Hours, UTC, after which it is told what began in them, if it is not over by then: `22:00-07:00`.
        quiet: Option<At<QuietHours>>,
    }
}

record! {
    /// How an environment is watched.
    pub(crate) struct MonitoringTable {
        /// Whether apps, edge, certificates and data services are watched without being named. An environment that sleeps is not.
        enabled: bool = true,
        /// From one look to the next.
        every: Duration = "15s",
        /// Whether everybody may see how it goes, at `/.roadbed/status`.
        status_page: bool = true,
    }
}

/// Hours of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietHours {
    /// Minutes since midnight, UTC.
    pub from: u32,
    pub to: u32,
}

impl shape::Text for QuietHours {
    const WANTS: &'static str = "hours such as \"22:00-07:00\"";
    const PATTERN: Option<&'static str> = Some("^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$");
    const EXAMPLES: &'static [&'static str] = &["22:00-07:00"];
    fn read(text: &str) -> Result<Self, Option<String>> {
        let time = |text: &str| {
            let (hour, minute) = text.split_once(':')?;
            let is_two = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
            let (hour, minute) = (
                is_two(hour).then(|| hour.parse::<u32>().ok())??,
                is_two(minute).then(|| minute.parse::<u32>().ok())??,
            );
            (hour < 24 && minute < 60).then_some(hour * 60 + minute)
        };
        let hours = text.split_once('-').and_then(|(from, to)| Some(Self { from: time(from)?, to: time(to)? }));
        match hours {
            Some(hours) if hours.from != hours.to => Ok(hours),
            _ => Err(Some("write two times of the day, UTC, joined by '-': \"22:00-07:00\"".to_owned())),
        }
    }
    fn stand_in() -> Self {
        Self { from: 0, to: 1 }
    }
}
text_shape!(QuietHours);

/// A share of all, in thousandths of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Availability(pub(crate) u32);

impl shape::Text for Availability {
    const WANTS: &'static str = "a share such as \"99.9 %\"";
    const PATTERN: Option<&'static str> = Some("^[0-9]{1,2}(\\.[0-9]{1,3})? ?%$");
    const EXAMPLES: &'static [&'static str] = &["99.9 %", "99.95 %"];
    fn read(text: &str) -> Result<Self, Option<String>> {
        let thousandths = || {
            let number = text.strip_suffix('%')?.trim_end();
            let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
            if part.len() > 3 || !part.bytes().chain(whole.bytes()).all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            let part: u32 = format!("{part:0<3}").parse().ok()?;
            Some(whole.parse::<u32>().ok()? * 1000 + part)
        };
        // Below half of the time nothing is promised, and all of the time nobody can.
        match thousandths() {
            Some(share @ 50_000..=99_999) => Ok(Self(share)),
            _ => Err(Some("write a share from \"50 %\" to \"99.999 %\"".to_owned())),
        }
    }
    fn stand_in() -> Self {
        Self(99_000)
    }
}
text_shape!(Availability);

/// How an environment is watched, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitoring {
    /// Whether what is not named is watched.
    pub enabled: bool,
    pub every: Duration,
    pub status_page: bool,
    pub monitors: Vec<Monitor>,
    pub channels: Vec<Channel>,
}

/// Something that is watched because it is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitor {
    pub name: MonitorName,
    pub what: Watched,
    pub app: Option<AppName>,
    pub owner: OwnerName,
    /// Empty: 200 to 399.
    pub status: Vec<u16>,
    pub contains: Option<String>,
    pub within: Option<Duration>,
    pub days: Option<u32>,
    pub every: Duration,
    pub failures: u32,
    pub successes: u32,
    pub runbook: Option<String>,
    pub public: Option<String>,
}

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    /// A path of the app, or an address.
    Http(String),
    Tcp(String),
    Tls {
        host: String,
        port: u16,
    },
    Dns(String),
    Heartbeat(Duration),
}

/// Somebody who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    pub name: ChannelName,
    pub kind: ChannelType,
    pub url: String,
    pub server: String,
    pub port: u16,
    pub security: MailSecurity,
    pub user: Option<String>,
    pub from: String,
    pub to: Vec<String>,
    /// Relative to the manifest.
    pub authorities: Option<String>,
    pub command: Vec<String>,
    pub owners: Vec<OwnerName>,
    pub after: Duration,
    pub quiet: Option<QuietHours>,
}

impl Channel {
    /// Name of its secret in the store.
    pub fn secret(&self) -> String {
        format!("alerts/{}", self.name)
    }

    /// Whether it can say nothing without it.
    pub fn needs_secret(&self) -> bool {
        match self.kind {
            ChannelType::Webhook | ChannelType::Slack => true,
            ChannelType::Smtp => self.user.is_some(),
            ChannelType::Exec => false,
        }
    }
}

/// The port of a mail server that says nothing of it.
fn mail_port(security: MailSecurity) -> u16 {
    match security {
        MailSecurity::Tls => 465,
        MailSecurity::StartTls => 587,
        MailSecurity::None => 25,
    }
}

fn is_in(environments: Option<&At<Vec<At<EnvName>>>>, name: &EnvName) -> bool {
    environments.is_none_or(|all| all.value.iter().any(|one| one.value == *name))
}

impl MonitorTable {
    /// What it looks at; a monitor that was checked has exactly one.
    pub(crate) fn watched(&self) -> Vec<Watched> {
        let text = |text: &Option<At<String>>| text.as_ref().map(|text| text.value.clone());
        let tls = text(&self.tls).map(|address| {
            let (host, port) = address
                .rsplit_once(':')
                .and_then(|(host, port)| Some((host, port.parse().ok()?)))
                .unwrap_or((&address, 443));
            Watched::Tls { host: host.to_owned(), port }
        });
        let all = [
            text(&self.http).map(Watched::Http),
            text(&self.tcp).map(Watched::Tcp),
            tls,
            text(&self.dns).map(Watched::Dns),
            self.heartbeat.as_ref().map(|every| Watched::Heartbeat(every.value)),
        ];
        all.into_iter().flatten().collect()
    }
}

impl MonitoringTable {
    pub(crate) fn resolve(&self, document: &Document, environment: &EnvName) -> Monitoring {
        let monitor = |name: &At<MonitorName>, table: &MonitorTable| {
            let of_app = table.app.as_ref().and_then(|app| document.apps.get(&app.value)).map(|app| &app.owner.value);
            Some(Monitor {
                name: name.value.clone(),
                what: table.watched().into_iter().next()?,
                app: table.app.as_ref().map(|app| app.value.clone()),
                owner: table.owner.as_ref().map(|owner| &owner.value).or(of_app)?.clone(),
                status: table.status.iter().map(|status| status.0).collect(),
                contains: table.contains.clone(),
                within: table.within,
                days: table.days.as_ref().map(|days| days.0),
                every: table.every.unwrap_or(self.every),
                failures: table.failures.0,
                successes: table.successes.0,
                runbook: table.runbook.as_ref().map(|runbook| runbook.value.0.clone()),
                public: table.public.clone(),
            })
        };
        let monitors = document.monitors.in_order().into_iter();
        let channels = document.alerts.in_order().into_iter();
        Monitoring {
            enabled: self.enabled,
            every: self.every,
            status_page: self.status_page,
            monitors: monitors
                .filter(|(_, table)| is_in(table.environments.as_ref(), environment))
                .filter_map(|(name, table)| monitor(name, table))
                .collect(),
            channels: channels
                .filter(|(_, table)| is_in(table.environments.as_ref(), environment))
                .map(|(name, table)| table.resolve(&name.value))
                .collect(),
        }
    }
}

impl ChannelTable {
    fn resolve(&self, name: &ChannelName) -> Channel {
        let text = |text: &Option<At<String>>| text.as_ref().map(|text| text.value.clone()).unwrap_or_default();
        Channel {
            name: name.clone(),
            kind: self.r#type.value,
            url: text(&self.url),
            server: text(&self.server),
            port: self.port.as_ref().map_or_else(|| mail_port(self.security), |port| port.value.0),
            security: self.security,
            user: self.user.clone(),
            from: text(&self.from),
            to: self.to.clone(),
            authorities: self.authorities.as_ref().map(|path| path.value.0.clone()),
            command: self.command.as_ref().map(|command| command.value.0.clone()).unwrap_or_default(),
            owners: self.owners.iter().map(|owner| owner.value.clone()).collect(),
            after: self.after.unwrap_or_default(),
            quiet: self.quiet.as_ref().map(|quiet| quiet.value),
        }
    }
}
