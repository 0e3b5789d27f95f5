//! Time, passed in rather than looked up, so that a test can own it.

use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::process::table;

/// A moment of wall-clock time, in milliseconds since the Unix epoch. Written as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    pub const fn from_unix_millis(millis: i64) -> Self {
        Self(millis)
    }

    pub const fn unix_millis(self) -> i64 {
        self.0
    }

    /// The time from `earlier` to `self`; zero if the wall clock was set back in between.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// So much later; the end of time where there is no such.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The same moment in the `time` crate's type, for certificates and other borders that want a calendar.
    pub fn calendar(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .expect("64-bit milliseconds of this era are a calendar date")
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.calendar().format(&Rfc3339).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

/// A moment that is kept on a disk and from which time is counted, whoever sets the wall clock meanwhile: in one boot of the
/// machine by the time since it booted, which also goes on while the machine is suspended; over a reboot by the wall clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// As the wall clock was then.
    pub wall: Timestamp,
    boot: String,
    up_ms: u64,
}

impl Moment {
    pub fn new(wall: Timestamp, boot: &str, up: Duration) -> Self {
        Self { wall, boot: boot.to_owned(), up_ms: u64::try_from(up.as_millis()).unwrap_or(u64::MAX) }
    }

    /// How long it is ago. Never less than nothing: over a reboot with a clock that was set back meanwhile, time begins anew.
    pub fn elapsed(&self, now: &Self) -> Duration {
        // Without a boot to tell apart, as where /proc is hidden, there is only the wall clock.
        if self.boot == now.boot && !self.boot.is_empty() {
            return Duration::from_millis(now.up_ms.saturating_sub(self.up_ms));
        }
        now.wall.since(self.wall)
    }

    /// What is left of `lasts` since then, so never more than `lasts`.
    pub fn left_of(&self, lasts: Duration, now: &Self) -> Duration {
        lasts.saturating_sub(self.elapsed(now))
    }
}

/// Where the time comes from.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Wall-clock time: for records that people read.
    fn now(&self) -> Timestamp;
    /// Monotonic time: for durations and deadlines.
    fn instant(&self) -> Instant;
    /// For durations and deadlines that outlive this process.
    fn moment(&self) -> Moment {
        let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let up = Duration::new(u64::try_from(up.tv_sec).unwrap_or(0), u32::try_from(up.tv_nsec).unwrap_or(0));
        Moment::new(self.now(), boot(), up)
    }
}

/// Which boot of the machine this is; nothing where the kernel does not say.
fn boot() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| table::boot_id().unwrap_or_default())
}

/// The kernel's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn moment(boot: &str, up_minutes: u32, wall_minutes: i64) -> Moment {
        Moment::new(Timestamp::from_unix_millis(wall_minutes * 60_000), boot, MINUTE * up_minutes)
    }

    #[test]
    fn a_wall_clock_that_is_set_moves_no_deadline() {
        let began = moment("a", 10, 1_000);
        for wall in [0, 1_000, 1_005, 99_000] {
            assert_eq!(began.left_of(MINUTE * 15, &moment("a", 15, wall)), MINUTE * 10, "at {wall}");
            assert_eq!(began.left_of(MINUTE * 15, &moment("a", 99, wall)), Duration::ZERO, "at {wall}");
        }
    }

    #[test]
    fn over_a_reboot_the_wall_clock_counts_and_nothing_lasts_longer_than_it_was_to() {
        let began = moment("a", 10, 1_000);
        assert_eq!(began.left_of(MINUTE * 15, &moment("b", 1, 1_005)), MINUTE * 10);
        assert_eq!(began.left_of(MINUTE * 15, &moment("b", 1, 9_000)), Duration::ZERO);
        assert_eq!(began.left_of(MINUTE * 15, &moment("b", 1, 3)), MINUTE * 15, "set back meanwhile");
        // Who does not know the boot has the wall clock alone.
        assert_eq!(moment("", 10, 1_000).left_of(MINUTE * 15, &moment("", 99, 1_005)), MINUTE * 10);
    }

    #[test]
    fn time_passes_since_a_moment_of_this_machine() {
        let began = SystemClock.moment();
        assert!(!began.boot.is_empty() && began.up_ms > 0, "{began:?}");
        let later = Moment { up_ms: began.up_ms + 5, ..SystemClock.moment() };
        assert_eq!(began.elapsed(&later), Duration::from_millis(5));
    }
}
