//! What is said: what, since when, which release, whose, and what to do about it.

use host::clock::Timestamp;
use serde::Serialize;

use super::{Alert, Delivery, Severity};
use crate::settings::{MonitorSettings, Runbook};

/// The form of the JSON. It changes with the form.
const FORM: u32 = 1;

/// What a channel is told at once. As JSON it is what webhooks and programs get: a contract.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Message {
    pub(crate) form: u32,
    pub(crate) product: String,
    pub(crate) environment: String,
    pub(crate) channel: String,
    pub(crate) alerts: Vec<Told>,
}

/// One alert in it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Told {
    /// Of the delivery: the same word has it again where it comes twice.
    pub(crate) delivery: i64,
    pub(crate) id: i64,
    /// `opened`, `resolved`, `flapping`, `test`.
    pub(crate) about: String,
    pub(crate) subject: String,
    pub(crate) title: String,
    pub(crate) why: String,
    pub(crate) severity: Severity,
    pub(crate) since: String,
    pub(crate) resolved: Option<String>,
    pub(crate) release: Option<String>,
    pub(crate) owner: String,
    pub(crate) contact: String,
    pub(crate) runbook: Option<Runbook>,
}

fn time(millis: i64) -> String {
    Timestamp::from_unix_millis(millis).to_string()
}

impl Message {
    pub(crate) fn new(settings: &MonitorSettings, environment: &str, channel: &str, alerts: Vec<Told>) -> Self {
        Self {
            form: FORM,
            product: settings.product.clone(),
            environment: environment.to_owned(),
            channel: channel.to_owned(),
            alerts,
        }
    }

    pub(crate) fn json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a message is plain data")
    }

    /// One line.
    pub(crate) fn subject(&self) -> String {
        let place = format!("{} {}", self.product, self.environment);
        match self.alerts.as_slice() {
            [one] => format!("[{place}] {}", one.headline()),
            all => format!(
                "[{place}] {} alerts: {}",
                all.len(),
                all.iter().map(Told::headline).collect::<Vec<_>>().join("; ")
            ),
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}\n", self.subject());
        for told in &self.alerts {
            text.push_str(&told.text());
        }
        text
    }
}

impl Told {
    pub(crate) fn new(delivery: &Delivery, alert: &Alert, settings: &MonitorSettings) -> Self {
        let monitor = settings.monitor(&alert.subject);
        let objective = settings
            .objectives
            .iter()
            .find(|objective| alert.subject.starts_with(&format!("objective/{}/", objective.app)));
        let contact = monitor.map(|monitor| &monitor.contact).or(objective.map(|objective| &objective.contact));
        let contact = contact.or_else(|| settings.contacts.get(&alert.owner));
        Self {
            delivery: delivery.id,
            id: alert.id,
            about: delivery.about.clone(),
            subject: alert.subject.clone(),
            title: alert.title.clone(),
            why: alert.why.clone(),
            severity: alert.severity,
            since: time(alert.since),
            resolved: alert.resolved.map(time),
            release: alert.release.clone(),
            owner: alert.owner.clone(),
            contact: contact.cloned().unwrap_or_default(),
            runbook: monitor.and_then(|monitor| monitor.runbook.clone()),
        }
    }

    /// A word that nothing is behind, to see whether it arrives.
    pub(crate) fn test(delivery: &Delivery, now: i64) -> Self {
        Self {
            delivery: delivery.id,
            id: 0,
            about: delivery.about.clone(),
            subject: "test".to_owned(),
            title: "this is a test, nothing is down".to_owned(),
            why: "somebody asked for it with `roadbed alerts test`".to_owned(),
            severity: Severity::Ticket,
            since: time(now),
            resolved: None,
            release: None,
            owner: String::new(),
            contact: String::new(),
            runbook: None,
        }
    }

    fn headline(&self) -> String {
        match self.about.as_str() {
            "resolved" => format!("over: {}", self.title),
            "flapping" => format!("comes and goes: {}", self.title),
            _ => self.title.clone(),
        }
    }

    fn text(&self) -> String {
        let mut lines = vec![String::new(), self.headline(), format!("  since    {}", self.since)];
        if let Some(resolved) = &self.resolved {
            lines.push(format!("  until    {resolved}"));
        }
        if !self.why.is_empty() {
            lines.push(format!("  because  {}", self.why));
        }
        if let Some(release) = &self.release {
            lines.push(format!("  release  {release}"));
        }
        if !self.owner.is_empty() {
            lines.push(format!("  owner    {} {}", self.owner, self.contact).trim_end().to_owned());
        }
        if self.id != 0 {
            lines.push(format!("  number   {} (`roadbed alerts ack {}`)", self.id, self.id));
        }
        if let Some(runbook) = &self.runbook {
            lines.push(format!("  runbook  {}", runbook.link));
            lines.extend(runbook.text.lines().map(|line| format!("    {line}")));
        }
        lines.join("\n") + "\n"
    }
}
