//! The draft of what is written afterwards, in Markdown: what is known stands in it, what people must find out is asked.

use std::fmt::Write;

use host::clock::Timestamp;

use crate::book::Incident;
use crate::timeline::{Event, Origin};

/// The draft.
pub fn postmortem(incident: &Incident, timeline: &[Event], now: Timestamp) -> String {
    let Incident { id, environment, summary, severity, opened, closed, .. } = incident;
    let mut text = format!("# {id}: {}\n\n", line(summary));
    let lasted = minutes(closed.unwrap_or(now).since(*opened).as_secs() / 60);
    let still = if closed.is_none() { ", and is not closed" } else { "" };
    let _ = writeln!(
        text,
        "| | |\n| --- | --- |\n| environment | {environment} |\n| severity | {severity} |\n| opened | {opened} |"
    );
    let _ = writeln!(text, "| lasted | {lasted}{still} |");
    for (role, who) in &incident.roles {
        let _ = writeln!(text, "| {role} | {} |", line(who));
    }
    // The newest deployment before it comes to mind first, and mostly rightly.
    let last = |origin| timeline.iter().rfind(|event| event.origin == origin && event.at <= *opened);
    text += "\n## What customers saw\n\n_How many, doing what, for how long? In their words, not ours._\n\n";
    text += "## What set it off\n\n";
    match last(Origin::Deployment).or_else(|| last(Origin::Promise)) {
        Some(event) => {
            let _ = writeln!(
                text,
                "_The last thing that was done before it was opened:_ {} {}\n",
                event.at,
                line(&event.text)
            );
        }
        None => text += "_Nothing was noted in the hour before it was opened._\n\n",
    }
    text += "_What made it possible? No person is a cause: what let a person do it?_\n\n";
    text += "## How it was seen\n\n";
    let seen = timeline.iter().find(|event| matches!(event.origin, Origin::Promise | Origin::Error | Origin::Alert));
    match seen {
        Some(event) if event.at <= *opened => {
            let _ = writeln!(
                text,
                "A machine saw it {} before a person said so: {}\n",
                minutes(opened.since(event.at).as_secs() / 60),
                line(&event.text)
            );
        }
        _ => text += "A person saw it first. _Which promise of the gate should have?_\n\n",
    }
    text += "## What happened\n\n| when | who | what |\n| --- | --- | --- |\n";
    for Event { at, origin, text: what } in timeline {
        let _ = writeln!(text, "| {at} | {} | {} |", origin.as_str(), cell(what));
    }
    text += "\n## What went well\n\n- \n\n## What went badly\n\n- \n\n## Where we were lucky\n\n- \n\n";
    text += "## What we change\n\n_Each with an owner and a day. One of them is a check of the gate that would have seen it._\n\n";
    text + "| what | owner | until |\n| --- | --- | --- |\n| | | |\n"
}

fn minutes(minutes: u64) -> String {
    match minutes {
        0 => "less than a minute".to_owned(),
        1 => "a minute".to_owned(),
        2..=119 => format!("{minutes} minutes"),
        _ => format!("{} hours {} minutes", minutes / 60, minutes % 60),
    }
}

/// On one line, and no markup of its own.
fn line(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    plain.replace('<', "&lt;")
}

fn cell(text: &str) -> String {
    line(text).replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::{Entry, IncidentId, Role, Severity, What};
    use crate::timeline::timeline;

    #[test]
    fn what_is_known_stands_in_the_draft_and_what_is_not_is_asked() {
        let ms = |minutes: i64| Timestamp::from_unix_millis(minutes * 60_000);
        let opened = What::Opened { severity: Severity::Critical, summary: "orders <b> fail".into() };
        let incident = Incident {
            id: IncidentId(4),
            environment: "production".into(),
            summary: "orders <b> fail".into(),
            severity: Severity::Critical,
            opened: ms(100),
            closed: Some(ms(230)),
            stage: None,
            roles: vec![(Role::Lead, "anna".into())],
            entries: vec![Entry { at: ms(100), by: "anna".into(), what: opened }],
        };
        let event = |at, origin, text: &str| Event { at: ms(at), origin, text: text.into() };
        let noted =
            [event(90, Origin::Deployment, "d7 | r7 is live"), event(95, Origin::Promise, "apps-are-reachable fails")];
        let all = timeline(&incident, noted, ms(500));
        let text = postmortem(&incident, &all, ms(500));
        for expected in [
            "# i4: orders &lt;b> fail",
            "| lasted | 2 hours 10 minutes |",
            "| lead | anna |",
            "d7 | r7 is live",
            "d7 \\| r7 is live |",
            "A machine saw it 5 minutes before a person said so: apps-are-reachable fails",
            "| what | owner | until |",
        ] {
            assert!(text.contains(expected), "no {expected:?} in {text}");
        }
    }
}
