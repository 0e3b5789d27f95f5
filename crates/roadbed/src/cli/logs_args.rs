//! The words of `roadbed logs`.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use host::clock::Timestamp;
use telemetry::logs::{Filter, Level};
use time::format_description::well_known::Rfc3339;
use time::{Date, OffsetDateTime, Time};

/// Show what apps and services wrote
///
/// Lines of several units are merged by time. Without a name: all units. With conditions, what telemetry has kept is searched, a month of
/// it; where telemetry does not answer, the log files themselves.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed logs                    the last 100 lines of everything
  roadbed logs api -f             every instance of api, as it is written
  roadbed logs mongodb -n 500
  roadbed logs access -f          the edge's access log: one line a request
  roadbed logs --json api         one object a line: unit, time, stream, line
  roadbed logs --level error --since 2h
  roadbed logs --request 01a05c3e-7b1e-7000-8000-2f6d3c1f0a55
  roadbed logs api --grep \"timed out\" --field order.id=4711 --since 2026-01-31

Exit codes:
  0  shown
  1  no such unit, or telemetry cannot search")]
pub struct Logs {
    /// An app (all its instances) or a unit
    #[arg(value_name = "APP|UNIT")]
    pub name: Option<String>,
    /// Go on as lines come, until Ctrl-C
    #[arg(short, long)]
    pub follow: bool,
    /// How many lines to begin with
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    pub lines: usize,
    /// Not before: 15m, 2h, 3d ago, a day, or a time as in RFC 3339
    #[arg(long, value_name = "WHEN")]
    pub since: Option<When>,
    /// Not after
    #[arg(long, value_name = "WHEN")]
    pub until: Option<When>,
    /// This bad or worse: trace, debug, info, warn, error, fatal
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    pub level: Option<Level>,
    /// Lines of one request, in the access log too
    #[arg(long, value_name = "ID")]
    pub request: Option<String>,
    /// Lines of one trace, in the access log too
    #[arg(long, value_name = "ID")]
    pub trace: Option<String>,
    /// Words that follow each other in a message; the last may be a beginning
    #[arg(long, value_name = "TEXT")]
    pub grep: Option<String>,
    /// A field of JSON lines and what it must be; all of several
    #[arg(long, value_name = "NAME=VALUE", value_parser = field)]
    pub field: Vec<(String, String)>,
}

/// A moment that somebody typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Ago(Duration),
    At(Timestamp),
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let at = |moment: OffsetDateTime| {
            let millis = i64::try_from(moment.unix_timestamp_nanos() / 1_000_000).map_err(|error| error.to_string())?;
            Ok(Self::At(Timestamp::from_unix_millis(millis)))
        };
        if let Ok(moment) = OffsetDateTime::parse(text, &Rfc3339) {
            return at(moment);
        }
        if let Some(date) = date(text) {
            return at(OffsetDateTime::new_utc(date, Time::MIDNIGHT));
        }
        let unit = text.chars().next_back().and_then(|unit| match unit {
            's' => Some(1),
            'm' => Some(60),
            'h' => Some(3600),
            'd' => Some(86_400),
            _ => None,
        });
        let number = text.get(..text.len().saturating_sub(1)).and_then(|number| number.parse::<u32>().ok());
        let (Some(unit), Some(number)) = (unit, number) else {
            return Err("say 15m, 2h or 3d, a day (2026-01-31) or a time (2026-01-31T09:30:00Z)".into());
        };
        Ok(Self::Ago(Duration::from_secs(unit * u64::from(number))))
    }
}

fn date(text: &str) -> Option<Date> {
    let mut parts = text.splitn(3, '-');
    let year = parts.next()?.parse().ok()?;
    let month: u8 = parts.next()?.parse().ok()?;
    Date::from_calendar_date(year, month.try_into().ok()?, parts.next()?.parse().ok()?).ok()
}

impl When {
    fn moment(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(moment) => moment,
            Self::Ago(ago) => {
                let millis = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
                Timestamp::from_unix_millis(now.unix_millis().saturating_sub(millis))
            }
        }
    }
}

fn level(text: &str) -> Result<Level, String> {
    Level::from_word(text).ok_or_else(|| "say trace, debug, info, warn, error or fatal".into())
}

fn field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("say NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Logs {
    /// What lines must be; `None` if nothing is said of it.
    pub fn filter(&self, now: Timestamp) -> Option<Filter> {
        let filter = Filter {
            since: self.since.map(|when| when.moment(now)),
            until: self.until.map(|when| when.moment(now)),
            level: self.level,
            request: self.request.clone(),
            trace: self.trace.clone(),
            text: self.grep.clone(),
            fields: self.field.clone(),
            names: None,
        };
        (filter != Filter::default()).then_some(filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_typed_in_three_ways() {
        let now = Timestamp::from_unix_millis(100_000_000);
        let of = |text: &str| text.parse::<When>().map(|when| when.moment(now).unix_millis());
        assert_eq!(of("15m"), Ok(99_100_000));
        assert_eq!(of("1d"), Ok(13_600_000));
        assert_eq!(of("1970-01-02"), Ok(86_400_000));
        assert_eq!(of("1970-01-01T00:00:01.5Z"), Ok(1500));
        for nonsense in ["", "m", "-5m", "1y", "1970-13-01", "yesterday", "é"] {
            assert!(of(nonsense).is_err(), "{nonsense}");
        }
    }
}
