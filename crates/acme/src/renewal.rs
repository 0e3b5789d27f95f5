//! When a certificate is ordered, and where. Pure: what is known goes in, what to do comes out.
//!
//! ```text
//!   due      no certificate for these hosts │ the authority's window (RFC 9773), a point in it │ else two thirds of its life
//!   pause    1 min, 10 min, 100 min, then a day, after each failure in a row; never less than the authority asks for
//!   where    the first authority; the next one while the ones before have failed three times or say that it is too much
//! ```
//!
//! The pauses are those that Let's Encrypt asks for. A certificate that lives shorter has shorter ones, or it would end in the
//! middle of one.

use std::time::Duration;

use certificates::Issued;
use host::clock::Timestamp;
use sha2::{Digest, Sha256};

use crate::book::{Advice, Book, Setback, Standing};
use crate::order::{Advised, Failure};

/// So many failures in a row, and the next authority's turn comes.
pub const PATIENCE: u32 = 3;

const PAUSES: [Duration; 4] =
    [Duration::from_secs(60), Duration::from_mins(10), Duration::from_mins(100), Duration::from_hours(24)];

/// An authority may ask for more than the longest pause, but not for ever.
const LONGEST_WAIT: Duration = Duration::from_hours(24 * 8);

/// How often an authority is asked when it would renew: between what it says, so often at least and at most.
const ADVICE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_hours(12));

/// Where it says nothing of the kind.
const NO_ADVICE: Duration = Duration::from_hours(24);

/// What is known when it is decided.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// Addresses of the directories, the first first.
    pub directories: &'a [String],
    pub hosts: &'a [String],
    /// What is served.
    pub held: Option<&'a Issued>,
    pub now: Timestamp,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Order there, by its place in the list.
    Order {
        authority: usize,
    },
    Wait {
        until: Timestamp,
    },
}

/// What to do now.
pub fn next(situation: &Situation<'_>, book: &Book) -> Next {
    let now = situation.now;
    let due = due(situation, book);
    if due > now {
        return Next::Wait { until: due };
    }
    let mut earliest: Option<Timestamp> = None;
    for (authority, directory) in situation.directories.iter().enumerate() {
        let standing = book.standing.get(directory);
        match standing.and_then(|standing| standing.last.as_ref()?.over(now)) {
            None => return Next::Order { authority },
            Some(until) => earliest = Some(earliest.map_or(until, |earliest| earliest.min(until))),
        }
        if standing.is_some_and(|standing| standing.failures < PATIENCE) {
            break;
        }
    }
    Next::Wait { until: earliest.unwrap_or(later(now, NO_ADVICE)) }
}

/// When another certificate is wanted.
pub fn due(situation: &Situation<'_>, book: &Book) -> Timestamp {
    let now = situation.now;
    let Some(held) = situation.held.filter(|held| held.is_for(situation.hosts)) else { return now };
    let length = held.life.end.since(held.life.begin);
    let advised = book.advice.as_ref().filter(|advice| Some(&advice.serial) == serial(held));
    let point = match advised.and_then(|advice| advice.window) {
        // Whatever it says, before the end comes the end of patience: a sixth is left.
        Some((begin, end)) => {
            let inside = later(begin, end.since(begin) * u32::from(spread(held)) / 1000);
            inside.min(later(held.life.begin, length * 5 / 6))
        }
        None => held.renewal(spread(held)),
    };
    // An authority that wants each certificate replaced at once, also the one that it has just issued, is not asked in a circle.
    match book.issued_at.filter(|issued| *issued <= now) {
        Some(issued) => point.max(later(issued, (length / 24).min(Duration::from_hours(1)))),
        None => point,
    }
}

/// When the authority is to be asked when it would renew; `None` where there is nothing to ask for.
pub fn advice_due(situation: &Situation<'_>, book: &Book) -> Option<Timestamp> {
    let held = situation.held?;
    let serial = serial(held)?;
    match &book.advice {
        Some(advice) if advice.serial == *serial && advice.asked_at <= situation.now => Some(advice.stale()),
        _ => Some(situation.now),
    }
}

fn serial(held: &Issued) -> Option<&Vec<u8>> {
    held.known_as.as_ref().map(|(_, serial)| serial)
}

/// A number below 1000 that is another one for each certificate, and the same after a restart.
fn spread(held: &Issued) -> u16 {
    thousandth(serial(held).map_or(&[], Vec::as_slice))
}

fn thousandth(bytes: &[u8]) -> u16 {
    let digest = Sha256::digest(bytes);
    u16::from_be_bytes([digest[0], digest[1]]) % 1000
}

impl Book {
    /// Notes that an order begins.
    pub fn begins(&mut self, directory: &str) {
        self.under_way = Some(directory.to_owned());
    }

    /// What became of an order that nobody saw the end of: the second in a row counts as a failure.
    pub fn takes_up(&mut self, held: Option<&Issued>, now: Timestamp) {
        let Some(directory) = self.under_way.take() else { return };
        let standing = self.standing.entry(directory.clone()).or_default();
        standing.cut_off += 1;
        if standing.cut_off > 1 {
            let failure =
                Failure { why: "the order was cut off by a crash, twice in a row".to_owned(), class: None, wait: None };
            self.failed(&directory, &failure, held, now);
        }
    }

    /// Notes a failure, and how long there is no other attempt.
    pub fn failed(&mut self, directory: &str, failure: &Failure, held: Option<&Issued>, now: Timestamp) {
        self.under_way = None;
        let standing = self.standing.entry(directory.to_owned()).or_default();
        standing.failures = standing.failures.saturating_add(1);
        let step = usize::try_from(standing.failures).unwrap_or(usize::MAX).min(PAUSES.len()) - 1;
        let length = held.map(|held| held.life.end.since(held.life.begin));
        let pause = length.map_or(PAUSES[step], |length| PAUSES[step].min(length / 24));
        let seed = format!("{directory} {} {}", standing.failures, now.unix_millis());
        let pause = pause + pause / 10 * u32::from(thousandth(seed.as_bytes())) / 1000;
        let wait = failure.wait.map_or(pause, |wait| pause.max(wait.min(LONGEST_WAIT)));
        if failure.is_limited() {
            // There is no use in asking there again: the next one's turn.
            standing.failures = standing.failures.max(PATIENCE);
        }
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        standing.last = Some(Setback { at: now, wait_ms, why: failure.why.clone(), limited: failure.is_limited() });
    }

    /// Notes that a certificate came and works.
    pub fn succeeded(&mut self, generation: u64, now: Timestamp) {
        self.under_way = None;
        self.standing.clear();
        self.settled = generation;
        self.issued_at = Some(now);
    }

    /// Whether an order for these hosts has succeeded where nobody believes the authority.
    pub fn is_rehearsed(&self, directory: &str, hosts: &[String]) -> bool {
        self.rehearsed.get(directory).is_some_and(|rehearsed| rehearsed == hosts)
    }

    pub fn rehearsal_succeeded(&mut self, directory: &str, hosts: &[String]) {
        self.rehearsed.insert(directory.to_owned(), hosts.to_vec());
    }

    /// Notes what the authority said of when to renew, or that it could not be asked: then what it said before still holds.
    pub fn advised(&mut self, held: &Issued, said: Result<Option<Advised>, Failure>, now: Timestamp) {
        let Some(serial) = serial(held).cloned() else { return };
        let before = self.advice.take().filter(|advice| advice.serial == serial).and_then(|advice| advice.window);
        let (window, ask_again) = match said {
            Ok(Some(said)) if said.begin < said.end => {
                (Some((said.begin, said.end)), said.ask_again.clamp(ADVICE.0, ADVICE.1))
            }
            // No sense, and as good as nothing.
            Ok(Some(said)) => (before, said.ask_again.clamp(ADVICE.0, ADVICE.1)),
            Ok(None) => (None, NO_ADVICE),
            Err(failure) => {
                tracing::warn!(%failure, "cannot ask when to renew");
                (before, failure.wait.unwrap_or(Duration::from_mins(10)).clamp(ADVICE.0, ADVICE.1))
            }
        };
        // Often enough for certificates that live for days.
        let ask_again = ask_again.min((held.life.end.since(held.life.begin) / 24).max(ADVICE.0));
        let ask_again_ms = u64::try_from(ask_again.as_millis()).unwrap_or(u64::MAX);
        self.advice = Some(Advice { serial, window, asked_at: now, ask_again_ms });
    }

    /// How things stand with an authority.
    pub fn standing_of(&self, directory: &str) -> Standing {
        self.standing.get(directory).cloned().unwrap_or_default()
    }
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_unix_millis(time.unix_millis().saturating_add(millis))
}

#[cfg(test)]
mod tests {
    use certificates::Life;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_795_000_000_000);
    const DAY: Duration = Duration::from_hours(24);

    fn hosts() -> Vec<String> {
        vec!["shop.example".to_owned()]
    }

    fn two() -> Vec<String> {
        vec!["https://one.example/".to_owned(), "https://two.example/".to_owned()]
    }

    fn at(days: f64) -> Timestamp {
        #[allow(clippy::cast_possible_truncation, reason = "days of these tests")]
        let millis = (days * 86_400_000.0) as i64;
        Timestamp::from_unix_millis(NOW.unix_millis() + millis)
    }

    /// A certificate that was issued at `NOW`.
    fn held(days: f64) -> Issued {
        Issued {
            hosts: hosts(),
            life: Life { begin: NOW, end: at(days) },
            issuer: "CN=An authority".to_owned(),
            known_as: Some((vec![1], vec![2])),
        }
    }

    fn situation<'a>(
        directories: &'a [String],
        hosts: &'a [String],
        held: Option<&'a Issued>,
        now: Timestamp,
    ) -> Situation<'a> {
        Situation { directories, hosts, held, now }
    }

    fn failure(wait: Option<Duration>) -> Failure {
        Failure { why: "no".to_owned(), class: wait.map(|_| "urn:ietf:params:acme:error:rateLimited".to_owned()), wait }
    }

    #[test]
    fn it_is_ordered_without_one_for_other_hosts_and_after_two_thirds() {
        let (all, hosts, book, ninety) = (two(), hosts(), Book::default(), held(90.0));
        let first = Next::Order { authority: 0 };
        assert_eq!(next(&situation(&all, &hosts, None, NOW), &book), first);
        let others = vec!["other.example".to_owned()];
        assert_eq!(next(&situation(&all, &others, Some(&ninety), NOW), &book), first);
        let Next::Wait { until } = next(&situation(&all, &hosts, Some(&ninety), at(1.0)), &book) else { panic!() };
        assert!((at(60.0)..=at(63.0)).contains(&until), "{until}");
        assert_eq!(next(&situation(&all, &hosts, Some(&ninety), until), &book), first);
    }

    #[test]
    fn the_authority_says_when_and_a_window_in_the_past_means_now() {
        let (all, hosts, ninety) = (two(), hosts(), held(90.0));
        let mut book = Book { issued_at: Some(NOW), ..Book::default() };
        let mut advise = |begin: f64, end: f64| {
            let said = Advised { begin: at(begin), end: at(end), ask_again: DAY / 4 };
            book.advised(&ninety, Ok(Some(said)), at(10.0));
            let stale = advice_due(&situation(&all, &hosts, Some(&ninety), at(10.0)), &book).unwrap();
            assert_eq!(stale, at(10.25), "as often as it wants");
            due(&situation(&all, &hosts, Some(&ninety), at(10.0)), &book)
        };
        assert!((at(40.0)..at(42.0)).contains(&advise(40.0, 42.0)));
        // How a revocation of many reaches us.
        assert!(advise(-2.0, -1.0) <= at(10.0));
        assert!(advise(400.0, 500.0) <= at(75.0), "no authority lets one run out");
    }

    #[test]
    fn an_authority_that_wants_everything_replaced_at_once_is_not_asked_in_a_circle() {
        let (all, hosts, ninety) = (two(), hosts(), held(90.0));
        let mut book = Book::default();
        book.succeeded(1, NOW);
        book.advised(&ninety, Ok(Some(Advised { begin: at(-2.0), end: at(-1.0), ask_again: DAY })), NOW);
        let Next::Wait { until } = next(&situation(&all, &hosts, Some(&ninety), NOW), &book) else { panic!() };
        assert_eq!(until, later(NOW, Duration::from_hours(1)));
    }

    #[test]
    fn who_cannot_be_asked_changes_nothing_of_what_was_said() {
        let ninety = held(90.0);
        let mut book = Book::default();
        let said = Advised { begin: at(40.0), end: at(41.0), ask_again: DAY };
        book.advised(&ninety, Ok(Some(said)), NOW);
        book.advised(&ninety, Err(failure(None)), at(1.0));
        assert_eq!(book.advice.unwrap().window, Some((at(40.0), at(41.0))));
    }

    #[test]
    fn ten_days_without_an_authority_are_few_attempts_and_then_the_second_ones_turn() {
        let (all, hosts, ninety) = (two(), hosts(), held(90.0));
        let (mut book, mut now, mut asked) = (Book::default(), at(64.0), [Vec::new(), Vec::new()]);
        while now < at(74.0) {
            match next(&situation(&all, &hosts, Some(&ninety), now), &book) {
                Next::Wait { until } => {
                    assert!(until > now);
                    now = until;
                }
                Next::Order { authority } => {
                    asked[authority].push(now);
                    book.begins(&all[authority]);
                    book.failed(&all[authority], &failure(None), Some(&ninety), now);
                    // A restart in between changes nothing.
                    let text = serde_json::to_string(&book).unwrap();
                    book = serde_json::from_str(&text).unwrap();
                }
            }
        }
        let [first, second] = &asked;
        assert!((10..=14).contains(&first.len()), "{} attempts", first.len());
        assert!((10..=14).contains(&second.len()), "{} attempts", second.len());
        assert!(second[0] == first[2], "after three failures");
        let hour = Duration::from_hours(1);
        let most =
            first.iter().map(|from| first.iter().filter(|at| **at >= *from && **at < later(*from, hour)).count());
        assert!(most.max().unwrap() < 5, "five failures in an hour close an account's way to a name");
        // It comes back, and all is forgotten.
        book.succeeded(2, now);
        assert_eq!(book.standing.len(), 0);
        let fresh = Issued { life: Life { begin: now, end: later(now, DAY * 90) }, ..ninety };
        assert!(matches!(next(&situation(&all, &hosts, Some(&fresh), now), &book), Next::Wait { .. }));
    }

    #[test]
    fn who_says_too_often_is_left_alone_for_as_long_and_the_second_is_asked_at_once() {
        let (all, hosts) = (two(), hosts());
        let mut book = Book::default();
        book.failed(&all[0], &failure(Some(DAY * 2)), None, NOW);
        assert_eq!(next(&situation(&all, &hosts, None, NOW), &book), Next::Order { authority: 1 });
        assert_eq!(
            next(&situation(&all[..1], &hosts, None, at(1.9)), &book),
            Next::Wait { until: at(2.0) },
            "as long as it asked for"
        );
        assert_eq!(next(&situation(&all[..1], &hosts, None, at(2.0)), &book), Next::Order { authority: 0 });
    }

    #[test]
    fn a_clock_that_jumps_neither_orders_in_a_circle_nor_stops_renewal() {
        let (all, hosts, ninety) = (two(), hosts(), held(90.0));
        // Ten years ahead: what comes back has ended long ago by this clock, and is refused by whoever looks at it.
        let mut book = Book::default();
        let ahead = at(3650.0);
        assert_eq!(next(&situation(&all, &hosts, Some(&ninety), ahead), &book), Next::Order { authority: 0 });
        book.failed(&all[0], &failure(None), Some(&ninety), ahead);
        assert!(matches!(next(&situation(&all, &hosts, Some(&ninety), ahead), &book), Next::Wait { .. }));
        // Back again: the pause of then is over, and the certificate is as good as it was.
        let Next::Wait { until } = next(&situation(&all, &hosts, Some(&ninety), at(1.0)), &book) else { panic!() };
        assert!(until <= at(63.0));
        assert_eq!(next(&situation(&all, &hosts, Some(&ninety), until), &book), Next::Order { authority: 0 });
    }

    #[test]
    fn one_order_that_a_crash_cut_off_is_placed_again_and_the_second_waits() {
        let (all, hosts) = (two(), hosts());
        let mut book = Book::default();
        book.begins(&all[0]);
        book.takes_up(None, NOW);
        assert_eq!(next(&situation(&all, &hosts, None, NOW), &book), Next::Order { authority: 0 });
        book.begins(&all[0]);
        book.takes_up(None, NOW);
        assert!(matches!(next(&situation(&all, &hosts, None, NOW), &book), Next::Wait { .. }));
    }

    #[test]
    fn a_certificate_of_minutes_has_pauses_of_seconds() {
        let short = held(1.0 / 1440.0);
        let mut book = Book::default();
        book.failed("https://one.example/", &failure(None), Some(&short), NOW);
        let wait = book.standing_of("https://one.example/").last.unwrap().wait_ms;
        assert!((2_500..2_800).contains(&wait), "{wait}");
    }
}
