//! Which alerts there ought to be. Pure: by how everything stands, what is on record, and the time.

use std::collections::BTreeMap;

use super::{Alert, Severity};
use crate::settings::{Channel, Monitor};
use crate::standing::{Health, Standing};

/// Something that may have to be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) subject: String,
    pub(crate) title: String,
    pub(crate) why: String,
    pub(crate) severity: Severity,
    pub(crate) owner: String,
    pub(crate) release: Option<String>,
    pub(crate) since: i64,
    /// It is so, and nothing speaks against saying it.
    pub(crate) fires: bool,
    /// It is over.
    pub(crate) is_over: bool,
    pub(crate) flapping: bool,
}

/// What is to be put on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Open(Condition),
    Resolve(i64),
    Flap(i64),
}

/// What was just started has this long until what never worked is an outage, in milliseconds: the first `up` builds and starts.
const BEGINNING_MS: i64 = 120_000;

/// What the monitors say.
pub(crate) fn of_monitors(
    monitors: &[Monitor],
    standings: &BTreeMap<String, Standing>,
    is_covered: impl Fn(&Monitor) -> bool,
    (now, started): (i64, i64),
) -> Vec<Condition> {
    let condition = |monitor: &Monitor| {
        let standing = standings.get(&monitor.name)?;
        let is_down = standing.health == Health::Down;
        let had_time =
            standing.since >= started + BEGINNING_MS || !standing.changes.is_empty() || now - started >= BEGINNING_MS;
        let hidden = is_hidden(monitor, monitors, standings);
        Some(Condition {
            subject: monitor.name.clone(),
            title: format!("{} is down", monitor.name),
            why: standing.why.clone().unwrap_or_default(),
            severity: Severity::Page,
            owner: monitor.owner.clone(),
            release: standing.release.clone(),
            since: standing.since,
            fires: is_down && had_time && !hidden && !is_covered(monitor),
            is_over: standing.health == Health::Up && !standing.is_flapping(),
            flapping: standing.is_flapping(),
        })
    };
    monitors.iter().filter_map(condition).collect()
}

/// Whether something that it depends on is down or may be, whose own alert says all there is to say.
pub(crate) fn is_hidden(monitor: &Monitor, monitors: &[Monitor], standings: &BTreeMap<String, Standing>) -> bool {
    let mut above = monitor.parent.as_deref();
    // As many steps as there are monitors: whoever wrote a circle hides nothing by it.
    for _ in monitors {
        let Some(name) = above else { return false };
        if standings.get(name).is_some_and(Standing::may_be_down) {
            return true;
        }
        above = monitors.iter().find(|other| other.name == name).and_then(|other| other.parent.as_deref());
    }
    false
}

/// From what is on record to what ought to be.
pub(crate) fn plan(conditions: Vec<Condition>, open: &[Alert]) -> Vec<Act> {
    let mut acts = Vec::new();
    for alert in open {
        let condition = conditions.iter().find(|condition| condition.subject == alert.subject);
        match condition {
            // Nobody watches it any more.
            None => acts.push(Act::Resolve(alert.id)),
            Some(condition) if condition.is_over => acts.push(Act::Resolve(alert.id)),
            Some(condition) if condition.flapping && !alert.flapping => acts.push(Act::Flap(alert.id)),
            Some(_) => {}
        }
    }
    let is_open = |condition: &Condition| open.iter().any(|alert| alert.subject == condition.subject);
    acts.extend(conditions.into_iter().filter(|condition| condition.fires && !is_open(condition)).map(Act::Open));
    acts
}

/// Alerts that come at once shall be told at once, in one word: so long is waited for others, in milliseconds.
const TOGETHER_MS: i64 = 1000;

/// When a channel is told that something is so: later where only what nobody sees to is told, or where it is night.
pub(crate) fn due(channel: &Channel, opened: i64) -> i64 {
    let after = i64::try_from(channel.after_ms).unwrap_or(i64::MAX);
    let at = opened.saturating_add(after.max(TOGETHER_MS));
    channel.quiet.and_then(|quiet| quiet.ends_after(at)).unwrap_or(at)
}

/// How long is waited after so many attempts, in milliseconds.
pub(crate) fn pause(attempts: u32) -> i64 {
    const FIRST_MS: i64 = 2_000;
    const LONGEST_MS: i64 = 5 * 60_000;
    (FIRST_MS << attempts.min(16)).min(LONGEST_MS)
}

/// Not taken for so long, and it is given up, in milliseconds.
pub(crate) const PATIENCE_MS: i64 = 24 * 60 * 60_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{ChannelKind, Probe, Quiet};
    use crate::standing::{Rules, Seen};

    const NOW: i64 = 1_000_000_000;

    fn monitor(name: &str, parent: Option<&str>) -> Monitor {
        Monitor {
            name: name.into(),
            public: None,
            probe: Probe::Tcp { address: "127.0.0.1:1".into() },
            every_ms: 1000,
            timeout_ms: 1000,
            failures: 2,
            successes: 2,
            parent: parent.map(str::to_owned),
            app: None,
            owner: "platform".into(),
            contact: String::new(),
            runbook: None,
        }
    }

    fn standing(looks: &str) -> Standing {
        let rules = Rules { failures: 2, successes: 2, flapping_ms: 1000 };
        looks.chars().zip(NOW..).fold(Standing::new(NOW), |standing, (look, now)| {
            let seen = match look {
                'g' => Seen::Good { ms: 1, release: Some("r1".into()) },
                'b' => Seen::Bad { why: "refused".into() },
                _ => Seen::Unknown { why: "disk".into() },
            };
            standing.after(&seen, rules, now)
        })
    }

    fn opened(all: &[(&str, Option<&str>, &str)], covered: bool) -> Vec<String> {
        let monitors: Vec<Monitor> = all.iter().map(|(name, parent, _)| monitor(name, *parent)).collect();
        let standings = all.iter().map(|(name, _, looks)| ((*name).to_owned(), standing(looks))).collect();
        let conditions = of_monitors(&monitors, &standings, |_| covered, (NOW + 20, 0));
        let acts = plan(conditions, &[]);
        acts.iter()
            .filter_map(|act| if let Act::Open(condition) = act { Some(condition.subject.clone()) } else { None })
            .collect()
    }

    #[test]
    fn what_is_down_is_told() {
        assert_eq!(opened(&[("api", None, "gbb")], false), ["api"]);
        assert!(opened(&[("api", None, "gb")], false).is_empty());
        assert!(opened(&[("api", None, "guuuu")], false).is_empty(), "what we cannot find out is no outage");
    }

    #[test]
    fn what_stands_behind_something_that_is_down_or_may_be_is_not_told() {
        assert_eq!(opened(&[("edge", None, "gbb"), ("api", Some("edge"), "gbb")], false), ["edge"]);
        assert!(opened(&[("edge", None, "gb"), ("api", Some("edge"), "gbb")], false).is_empty());
        assert_eq!(opened(&[("edge", None, "gg"), ("api", Some("edge"), "gbb")], false), ["api"]);
        let far = [("net", None, "gbb"), ("edge", Some("net"), "gg"), ("api", Some("edge"), "gbb")];
        assert_eq!(opened(&far, false), ["net"]);
        assert_eq!(opened(&[("a", Some("b"), "gg"), ("b", Some("a"), "gg")], false), [""; 0], "a circle ends");
    }

    #[test]
    fn nothing_is_told_while_somebody_works_on_it() {
        assert!(opened(&[("api", None, "gbb")], true).is_empty());
    }

    fn alert(subject: &str) -> Alert {
        Alert {
            id: 7,
            subject: subject.into(),
            title: String::new(),
            why: String::new(),
            severity: Severity::Page,
            owner: "platform".into(),
            release: None,
            since: 0,
            opened: 0,
            resolved: None,
            acknowledged: None,
            acknowledged_by: None,
            flapping: false,
        }
    }

    #[test]
    fn an_alert_ends_when_it_is_over_or_nobody_watches_any_more_and_not_because_of_a_window() {
        let acts = |looks: &str, covered: bool| {
            let standings = [("api".to_owned(), standing(looks))].into();
            plan(of_monitors(&[monitor("api", None)], &standings, |_| covered, (NOW, 0)), &[alert("api")])
        };
        assert_eq!(acts("gbb", false), []);
        assert_eq!(acts("gbb", true), []);
        assert_eq!(acts("gbbgg", false), [Act::Resolve(7)]);
        assert_eq!(acts("gbbggbbggbbgg", false), [Act::Flap(7)]);
        assert_eq!(plan(Vec::new(), &[alert("gone")]), [Act::Resolve(7)]);
    }

    #[test]
    fn a_channel_is_told_at_once_or_when_its_time_comes() {
        let channel = |after_ms, quiet| Channel {
            name: "c".into(),
            kind: ChannelKind::Slack,
            owners: Vec::new(),
            after_ms,
            quiet,
        };
        assert_eq!(due(&channel(0, None), 5), 5 + TOGETHER_MS);
        assert_eq!(due(&channel(60_000, None), 5), 60_005);
        let night = Some(Quiet { from: 0, to: 60 });
        assert_eq!(due(&channel(0, night), 5), 60 * 60_000);
    }

    #[test]
    fn pauses_grow_and_stay_below_their_bound() {
        let pauses: Vec<i64> = (0..40).map(pause).collect();
        assert!(pauses.is_sorted());
        assert_eq!((pauses[0], pauses[39]), (2_000, 300_000));
    }
}
