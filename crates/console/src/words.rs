//! Times, amounts and ids, as people read them.

use std::time::Duration;

use host::clock::Timestamp;
use maud::{Markup, html};

/// How long ago, with the moment itself for who wants it.
pub(crate) fn ago(then: Timestamp, now: Timestamp) -> Markup {
    html! { time datetime=(then.to_string()) title=(then.to_string()) { (distance(then, now)) } }
}

fn distance(then: Timestamp, now: Timestamp) -> String {
    let ahead = then > now;
    let seconds = if ahead { then.since(now) } else { now.since(then) }.as_secs();
    let (amount, unit) = match seconds {
        0..=4 if !ahead => return "just now".to_owned(),
        0..=99 => (seconds, "s"),
        100..=5_399 => (seconds / 60, "min"),
        5_400..=172_799 => (seconds / 3600, "h"),
        _ => (seconds / 86_400, "d"),
    };
    if ahead { format!("in {amount} {unit}") } else { format!("{amount} {unit} ago") }
}

/// The time of day, to the millisecond: what lines of a log are told apart by.
pub(crate) fn clock(at: Timestamp) -> Markup {
    let (hour, minute, second, milli) = at.calendar().to_hms_milli();
    let text = format!("{hour:02}:{minute:02}:{second:02}.{milli:03}");
    html! { time datetime=(at.to_string()) title=(at.to_string()) { (text) } }
}

/// Day and time, without the year.
pub(crate) fn moment(at: Timestamp) -> Markup {
    let calendar = at.calendar();
    let (hour, minute, second) = calendar.to_hms();
    let text = format!("{:02}-{:02} {hour:02}:{minute:02}:{second:02}", u8::from(calendar.month()), calendar.day());
    html! { time datetime=(at.to_string()) title=(at.to_string()) { (text) } }
}

pub(crate) fn of_millis(millis: i64) -> Timestamp {
    // What a client says of the time may be no date at all.
    const LAST: i64 = 253_402_300_799_000;
    Timestamp::from_unix_millis(millis.clamp(0, LAST))
}

/// 1 234 567, with thin spaces.
pub(crate) fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    if number < 0 { format!("\u{2212}{text}") } else { text }
}

pub(crate) fn micros(micros: u64) -> String {
    match micros {
        0..=999 => format!("{micros} µs"),
        1_000..=9_999 => format!("{}.{} ms", micros / 1000, micros % 1000 / 100),
        10_000..=9_999_999 => format!("{} ms", micros / 1000),
        _ => format!("{} s", micros / 1_000_000),
    }
}

pub(crate) fn millis(millis: u64) -> String {
    micros(millis.saturating_mul(1000))
}

/// How long something takes or lasts: `3.4 s`, `12 min`, `7 d`.
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..=9 => format!("{seconds}.{} s", time.subsec_millis() / 100),
        10..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Not longer than so many letters. What strangers wrote turns no text around.
pub(crate) fn cut(text: &str, most: usize) -> String {
    let is_shown = |letter: &char| {
        (!letter.is_control() || *letter == '\n' || *letter == '\t')
            && !matches!(letter, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut letters = text.chars();
    let mut kept: String =
        letters.by_ref().take(most).map(|letter| if is_shown(&letter) { letter } else { '\u{fffd}' }).collect();
    if letters.next().is_some() {
        kept.push('…');
    }
    kept
}

/// A part of a path, so that no id leads anywhere else.
pub(crate) fn part(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// A query of those that are said.
pub(crate) fn query(path: &str, pairs: &[(&str, Option<&str>)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query
        .extend_pairs(pairs.iter().filter_map(|(name, value)| Some((*name, value.filter(|value| !value.is_empty())?))));
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_the_unit_that_is_near() {
        let now = Timestamp::from_unix_millis(1_000_000_000);
        let at = |seconds: i64| Timestamp::from_unix_millis(1_000_000_000 - seconds * 1000);
        for (seconds, text) in [
            (0, "just now"),
            (30, "30 s ago"),
            (100, "1 min ago"),
            (7_300, "2 h ago"),
            (400_000, "4 d ago"),
            (-90, "in 90 s"),
        ] {
            assert_eq!(distance(at(seconds), now), text);
        }
    }

    #[test]
    fn spans_are_told_in_the_unit_that_is_near() {
        for (seconds, text) in
            [(3.45, "3.4 s"), (60.0, "60 s"), (600.0, "10 min"), (86_400.0, "24 h"), (604_800.0, "7 d")]
        {
            assert_eq!(span(Duration::from_secs_f64(seconds)), text);
        }
    }

    #[test]
    fn numbers_are_read_in_threes() {
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!((count(12), count(-1000)), ("12".into(), "\u{2212}1\u{202f}000".into()));
    }

    #[test]
    fn what_strangers_wrote_is_cut_and_turned_straight() {
        assert_eq!(cut("a\u{202e}b\u{7}c", 9), "a\u{fffd}b\u{fffd}c");
        assert_eq!(cut("abcdef", 3), "abc…");
        assert_eq!(of_millis(i64::MIN).unix_millis(), 0);
        of_millis(i64::MAX).calendar();
    }

    #[test]
    fn an_id_leads_nowhere_else() {
        assert_eq!(part("../a?b#c d"), "..%2Fa%3Fb%23c%20d");
        assert_eq!(
            query("/logs", &[("text", Some("a&b=c")), ("app", None), ("level", Some(""))]),
            "/logs?text=a%26b%3Dc"
        );
    }
}
