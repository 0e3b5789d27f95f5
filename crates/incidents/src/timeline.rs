//! What happened in an incident, in one line of time: what people said, and what machines noted meanwhile.

use host::clock::Timestamp;
use serde::{Deserialize, Serialize};

use crate::book::{Incident, What};

/// Who noted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    Person,
    Deployment,
    /// A promise of the gate that began or ceased to hold.
    Promise,
    /// An error that apps or pages report.
    Error,
    /// Something that is watched ceased to work, or works again; somebody took it on.
    Alert,
    /// Who was lent what, who changed what.
    Audit,
}

impl Origin {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Deployment => "deployment",
            Self::Promise => "promise",
            Self::Error => "error",
            Self::Alert => "alert",
            Self::Audit => "audit",
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    pub at: Timestamp,
    pub origin: Origin,
    pub text: String,
}

/// What began an incident mostly lies before somebody saw it: an hour, as the runbook counts it.
pub const BEFORE: std::time::Duration = std::time::Duration::from_secs(3600);

/// What of `noted` belongs to the incident, and what people said, the oldest first.
pub fn timeline(incident: &Incident, noted: impl IntoIterator<Item = Event>, now: Timestamp) -> Vec<Event> {
    let until = incident.closed.unwrap_or(now);
    let is_within = |event: &Event| event.at <= until && incident.opened.since(event.at) <= BEFORE;
    let mut all: Vec<Event> = noted.into_iter().filter(is_within).collect();
    all.extend(incident.entries.iter().map(|entry| Event {
        at: entry.at,
        origin: Origin::Person,
        text: format!("{}: {}", entry.by, said(&entry.what)),
    }));
    // What machines noted in the same moment is what people speak of.
    all.sort_by_key(|event| (event.at, event.origin == Origin::Person));
    all
}

/// An entry in words.
pub fn said(what: &What) -> String {
    match what {
        What::Opened { severity, summary } => format!("opened, {severity}: {summary}"),
        What::Noted { text } => text.clone(),
        What::Given { role, to } => format!("{role} is {to}"),
        What::Told { stage, message } => format!("told customers ({stage}): {message}"),
        What::Closed => "closed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::{Entry, IncidentId, Severity};

    fn ms(minutes: i64) -> Timestamp {
        Timestamp::from_unix_millis(minutes * 60_000)
    }

    #[test]
    fn what_lies_an_hour_before_belongs_to_it_and_what_comes_after_its_end_does_not() {
        let opened = What::Opened { severity: Severity::Major, summary: "orders fail".into() };
        let incident = Incident {
            id: IncidentId(1),
            environment: "staging".into(),
            summary: "orders fail".into(),
            severity: Severity::Major,
            opened: ms(100),
            closed: Some(ms(200)),
            stage: None,
            roles: Vec::new(),
            entries: vec![Entry { at: ms(100), by: "anna".into(), what: opened }],
        };
        let event = |at, text: &str| Event { at: ms(at), origin: Origin::Deployment, text: text.into() };
        let noted = [event(201, "late"), event(100, "d7: live"), event(39, "early"), event(40, "d6: live")];
        let texts: Vec<String> = timeline(&incident, noted, ms(500)).into_iter().map(|event| event.text).collect();
        assert_eq!(texts, ["d6: live", "d7: live", "anna: opened, major: orders fail"]);
    }
}
