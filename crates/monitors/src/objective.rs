//! What was promised, and how fast it is used up: burn rates over several windows, as in the workbook of Google's SRE. Pure.

use serde::{Deserialize, Serialize};

/// A share of the time, and of the requests, that shall be good.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    pub app: String,
    /// Its monitor.
    pub monitor: String,
    /// In thousandths of a percent: 99_900 is 99.9 %.
    pub target: u32,
    pub owner: String,
    #[serde(default)]
    pub contact: String,
}

/// Requests of one app in one minute, as the edge saw them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppMinute {
    pub app: String,
    /// Since 1970.
    pub minute: i64,
    pub requests: u64,
    pub failed: u64,
}

/// Two windows that must both burn, the short one so that an alert ends when the trouble does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pace {
    pub name: &'static str,
    pub long_minutes: i64,
    pub short_minutes: i64,
    pub burn: f64,
}

/// 2 % of thirty days' budget within an hour, and 5 % within six. <https://sre.google/workbook/alerting-on-slos/>, table 5-8.
pub(crate) const PACES: [Pace; 2] = [
    Pace { name: "fast", long_minutes: 60, short_minutes: 5, burn: 14.4 },
    Pace { name: "slow", long_minutes: 6 * 60, short_minutes: 30, burn: 6.0 },
];

/// Fewer requests in the long window say nothing: one that fails would be an outage.
const LEAST_REQUESTS: u64 = 20;

/// How an objective stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObjectiveState {
    pub app: String,
    /// Percent.
    pub target: f64,
    /// Percent of the looks of the last thirty days that were good; `None`: there were none.
    pub availability: Option<f64>,
    /// What is left of what may fail in thirty days, in percent. Less than nothing: it was missed.
    pub budget_left: Option<f64>,
    pub burns: Vec<Burn>,
}

/// How fast it is used up now, against what would use up all of it in thirty days.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Burn {
    /// `fast`, `slow`.
    pub pace: String,
    /// By `monitor`, or by `requests`.
    pub by: String,
    pub long: f64,
    pub short: f64,
    pub limit: f64,
    pub fires: bool,
}

/// Good and bad within a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    pub all: u64,
    pub bad: u64,
}

impl Share {
    #[expect(clippy::cast_precision_loss, reason = "counts of a month are far below what a double holds")]
    pub(crate) fn bad_ratio(self) -> f64 {
        if self.all == 0 { 0.0 } else { self.bad as f64 / self.all as f64 }
    }
}

/// What of all may fail.
pub(crate) fn allowed(target: u32) -> f64 {
    f64::from(100_000_u32.saturating_sub(target).max(1)) / 100_000.0
}

/// The burns of one objective, by one source. `within` says how much was good in the last so many minutes.
pub(crate) fn burns(objective: &Objective, by: &str, within: impl Fn(i64) -> Share) -> Vec<Burn> {
    let allowed = allowed(objective.target);
    let burn = |pace: &Pace| {
        let (long, short) = (within(pace.long_minutes), within(pace.short_minutes));
        let enough = by != "requests" || long.all >= LEAST_REQUESTS;
        let (long, short) = (long.bad_ratio() / allowed, short.bad_ratio() / allowed);
        Burn {
            pace: pace.name.to_owned(),
            by: by.to_owned(),
            long,
            short,
            limit: pace.burn,
            fires: enough && long > pace.burn && short > pace.burn,
        }
    };
    PACES.iter().map(burn).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objective(target: u32) -> Objective {
        Objective {
            app: "api".into(),
            monitor: "app/api".into(),
            target,
            owner: "backend".into(),
            contact: String::new(),
        }
    }

    fn fires(target: u32, by: &str, within: impl Fn(i64) -> Share) -> Vec<bool> {
        burns(&objective(target), by, within).iter().map(|burn| burn.fires).collect()
    }

    #[test]
    fn what_fails_all_the_time_burns_fast_and_slow() {
        assert_eq!(fires(99_900, "monitor", |_| Share { all: 100, bad: 100 }), [true, true]);
    }

    #[test]
    fn one_in_a_hundred_burns_slowly_where_one_in_a_thousand_may_fail() {
        assert_eq!(fires(99_900, "monitor", |_| Share { all: 1000, bad: 10 }), [false, true]);
        assert_eq!(fires(99_000, "monitor", |_| Share { all: 1000, bad: 10 }), [false, false]);
    }

    #[test]
    fn what_is_over_does_not_burn_any_more() {
        let over = |minutes: i64| if minutes <= 30 { Share { all: 30, bad: 0 } } else { Share { all: 60, bad: 30 } };
        assert_eq!(fires(99_900, "monitor", over), [false, false]);
    }

    #[test]
    fn a_single_visitor_who_fails_is_no_outage() {
        assert_eq!(fires(99_900, "requests", |_| Share { all: 1, bad: 1 }), [false, false]);
        assert_eq!(fires(99_900, "requests", |_| Share { all: 100, bad: 100 }), [true, true]);
    }
}
