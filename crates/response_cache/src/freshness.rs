//! How old an answer is and how old it may become (RFC 9111, section 4.2; RFC 5861).

use std::time::{Duration, Instant, SystemTime};

use http::HeaderMap;
use http::header::{AGE, DATE, EXPIRES, HeaderName};

use crate::directives::{Directives, delta};

/// Both clocks: one that never jumps, for how long something lay here, and the one that others write dates by.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub instant: Instant,
    pub wall: SystemTime,
}

/// What may be done with a kept answer, for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Fresh,
    /// It is over, and the app allows giving it while a newer one is got.
    WhileRevalidating,
    /// It is over, and whoever asks takes it nevertheless.
    TakenStale,
    /// The app is to be asked.
    Stale,
}

#[derive(Clone, Debug)]
pub(crate) struct Freshness {
    received: Instant,
    age: Duration,
    lifetime: Duration,
    while_revalidating: Duration,
    if_error: Duration,
    /// The app is asked each time.
    always_asks: bool,
    /// Never given when it is over, whoever asks and whatever is broken.
    never_stale: bool,
    /// Nor for the asking.
    is_for_shared: bool,
}

impl Freshness {
    /// Of an answer that was asked for and received then. `None`: the app does not say for how long.
    pub(crate) fn of(headers: &HeaderMap, directives: &Directives, asked: Now, received: Now) -> Option<Self> {
        let date = one(headers, &DATE).ok().flatten().and_then(http_date);
        let lifetime = match (directives.s_maxage, directives.max_age, one(headers, &EXPIRES)) {
            (Some(seconds), ..) | (None, Some(seconds), _) => Duration::from_secs(seconds),
            (None, None, Ok(None)) if directives.no_cache => Duration::ZERO,
            (None, None, Ok(None)) => return None,
            // One that is no date, or two: over (section 5.3).
            (None, None, expires) => {
                let expires = expires.ok().flatten().and_then(http_date).unwrap_or(SystemTime::UNIX_EPOCH);
                expires.duration_since(date.unwrap_or(received.wall)).unwrap_or_default()
            }
        };
        let apparent = date.and_then(|date| received.wall.duration_since(date).ok()).unwrap_or_default();
        let under_way = received.instant.saturating_duration_since(asked.instant);
        let age = match one(headers, &AGE) {
            Ok(None) => Some(Duration::ZERO),
            Ok(Some(text)) => delta(text).map(Duration::from_secs),
            Err(Unclear) => None,
        };
        // An age that cannot be read is any age: over.
        let age = age.map_or(Duration::MAX, |age| age.saturating_add(under_way)).max(apparent);
        let seconds = |seconds: Option<u64>| Duration::from_secs(seconds.unwrap_or(0));
        Some(Self {
            received: received.instant,
            age,
            lifetime,
            while_revalidating: seconds(directives.stale_while_revalidate),
            if_error: seconds(directives.stale_if_error),
            always_asks: directives.no_cache,
            never_stale: directives.must_revalidate || directives.proxy_revalidate || directives.no_cache,
            is_for_shared: directives.s_maxage.is_some(),
        })
    }

    pub(crate) fn age(&self, now: Now) -> Duration {
        self.age.saturating_add(now.instant.saturating_duration_since(self.received))
    }

    /// Seconds that are left; negative: since it is over.
    pub(crate) fn left(&self, now: Now) -> i64 {
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        seconds(self.lifetime).saturating_sub(seconds(self.age(now)))
    }

    pub(crate) fn state(&self, request: &Directives, now: Now) -> State {
        let age = self.age(now);
        let is_too_old = |most: u64| most == 0 || age > Duration::from_secs(most);
        if self.always_asks || request.no_cache || request.max_age.is_some_and(is_too_old) {
            return State::Stale;
        }
        if age < self.lifetime {
            let left = self.lifetime.saturating_sub(age);
            let is_short = request.min_fresh.is_some_and(|least| left < Duration::from_secs(least));
            return if is_short { State::Stale } else { State::Fresh };
        }
        let over = age.saturating_sub(self.lifetime);
        if self.never_stale || request.min_fresh.is_some() {
            return State::Stale;
        }
        // What an app says explicitly about stale answers stands beside `s-maxage`, which forbids them otherwise (section 5.2.2.10).
        if over < self.while_revalidating {
            return State::WhileRevalidating;
        }
        let is_taken = request.max_stale.is_some_and(|most| over <= Duration::from_secs(most));
        if is_taken && !self.is_for_shared { State::TakenStale } else { State::Stale }
    }

    /// Whether it may be given where the app does not answer, or only that it cannot.
    pub(crate) fn helps_in_error(&self, now: Now) -> bool {
        !self.never_stale && self.age(now) < self.lifetime.saturating_add(self.if_error)
    }

    /// Whether it will ever be given without a validation.
    pub(crate) fn is_of_use(&self) -> bool {
        let longest = self.lifetime.saturating_add(self.while_revalidating.max(self.if_error));
        !self.always_asks && self.age < if self.never_stale { self.lifetime } else { longest }
    }
}

/// A field that may be there once, and is there more often or is no text.
pub(crate) struct Unclear;

pub(crate) fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Unclear> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(|text| Some(text.trim())).map_err(|_| Unclear),
        (Some(_), Some(_)) => Err(Unclear),
    }
}

pub(crate) fn http_date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use http::HeaderValue;

    use super::*;

    #[allow(clippy::disallowed_methods, reason = "a test begins at some time")]
    pub(crate) fn now() -> Now {
        // A whole second, as dates are.
        Now { instant: Instant::now(), wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000) }
    }

    pub(crate) fn later(now: Now, seconds: u64) -> Now {
        let by = Duration::from_secs(seconds);
        Now { instant: now.instant + by, wall: now.wall + by }
    }

    pub(crate) fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let line = |&(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        lines.iter().map(line).collect()
    }

    fn states(lines: &[(&'static str, &str)], request: &[(&'static str, &str)], at: &[u64]) -> Vec<State> {
        let (headers, request) = (headers(lines), Directives::read(&headers(request)));
        let now = now();
        let freshness = Freshness::of(&headers, &Directives::read(&headers), now, now).unwrap();
        at.iter().map(|&seconds| freshness.state(&request, later(now, seconds))).collect()
    }

    use State::{Fresh, Stale, TakenStale, WhileRevalidating};

    #[test]
    fn what_shared_caches_are_told_comes_first() {
        let cc = "cache-control";
        assert_eq!(states(&[(cc, "max-age=1, s-maxage=10"), ("expires", "0")], &[], &[9, 10]), [Fresh, Stale]);
        assert_eq!(states(&[(cc, "max-age=10"), ("age", "4")], &[], &[5, 6]), [Fresh, Stale]);
        for age in ["x", "-1", "4.0", "0, 0", "4;x"] {
            assert_eq!(states(&[(cc, "max-age=10"), ("age", age)], &[], &[0]), [Stale], "{age}");
        }
        assert_eq!(states(&[(cc, "max-age=10"), ("age", "18446744073709551615")], &[], &[0]), [Stale]);
    }

    #[test]
    fn dates_are_counted_from_the_date_of_the_answer() {
        let date = |seconds: i64| {
            let now = now().wall;
            let by = Duration::from_secs(seconds.unsigned_abs());
            httpdate::fmt_http_date(if seconds < 0 { now - by } else { now + by })
        };
        let lines = |d: i64, e: i64| (date(d), date(e));
        for (d, e, at, state) in [
            (0, 10, 9, Fresh),
            (0, 10, 10, Stale),
            // Its clock is behind, or it was long under way; a clock that is ahead gives nothing.
            (-8, 10, 9, Fresh),
            (-8, 10, 10, Stale),
            (400, 300, 0, Stale),
            (400, 410, 9, Fresh),
        ] {
            let (d_text, e_text) = lines(d, e);
            assert_eq!(states(&[("date", &d_text), ("expires", &e_text)], &[], &[at]), [state], "{d} {e} {at}");
        }
        assert_eq!(states(&[("expires", "0")], &[], &[0]), [Stale]);
    }

    #[test]
    fn stale_answers_are_given_where_an_app_says_so_and_nowhere_else() {
        let cc = "cache-control";
        let at = &[9, 10, 14, 15];
        let with = |more: &str, asks: &[(&'static str, &str)]| states(&[(cc, &format!("max-age=10{more}"))], asks, at);
        assert_eq!(with(", stale-while-revalidate=5", &[]), [Fresh, WhileRevalidating, WhileRevalidating, Stale]);
        assert_eq!(with(", stale-while-revalidate=5, must-revalidate", &[]), [Fresh, Stale, Stale, Stale]);
        assert_eq!(with(", stale-while-revalidate=5, no-cache", &[]), [Stale; 4]);
        assert_eq!(with("", &[(cc, "max-stale=4")]), [Fresh, TakenStale, TakenStale, Stale]);
        assert_eq!(with(", s-maxage=10", &[(cc, "max-stale")]), [Fresh, Stale, Stale, Stale]);
        assert_eq!(with("", &[(cc, "no-cache")]), [Stale; 4]);
        assert_eq!(with("", &[(cc, "min-fresh=2")]), [Stale; 4]);
        assert_eq!(with("", &[(cc, "max-age=20")]), [Fresh, Stale, Stale, Stale]);
    }

    #[test]
    fn nothing_is_guessed() {
        let headers = headers(&[("last-modified", "Thu, 01 Jan 1970 00:00:00 GMT"), ("cache-control", "public")]);
        assert!(Freshness::of(&headers, &Directives::read(&headers), now(), now()).is_none());
    }
}
