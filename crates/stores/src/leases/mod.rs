//! Users that are lent for a while: to a developer's command, to somebody who looks into a database.
//!
//! ```text
//!   lend ─► noted in the book ─► user made in MongoDB and Redis ─► handed out, kept nowhere
//!   end  ─► marked in the book ─► users taken away               ─► struck from the book
//! ```
//!
//! Whatever crashes in between, the book names every user that may exist, so that it can be taken away; and a user that looks
//! lent and is in no book is a stranger, which convergence removes. Neither server ends a user by itself: an end is always ours.
//!
//! **Invariant:** a password that is lent is in the memory of who lends and who borrows, and on no disk. Redis keeps its digest,
//! as of every password.

pub mod book;
pub mod mongo;
pub mod redis;

use std::time::Duration;

use host::clock::{Moment, Timestamp};
use host::process::Identity;
use manifest::id::AppName;
use reconcile::loaded::Loaded;
use serde::{Deserialize, Serialize};

pub(crate) use book::users_change;

/// Beginning of the names of lent users: `dev-anna-3f9c2b1e04d7`.
const BEGINNING: &str = "dev-";

/// The longest part of a borrower's own name that becomes a part of a user's.
const LONGEST_NAME: usize = 20;

/// A time that is to come, and further away than a lease is long, was noted before the clock was set back. So much is let pass.
const CLOCK_SLACK: Duration = Duration::from_secs(120);

/// What a lent user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rights {
    /// What the app itself may.
    OfApp,
    /// Read.
    ReadOnly,
}

/// Who borrows: ends with this process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// As the machine knows them.
    pub name: String,
    pub uid: u32,
    pub process: Identity,
    pub boot_id: String,
}

/// Where a lease is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Live,
    /// Its users are being taken away.
    Ending,
}

/// A lent user of the data services. No password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Also the name of its users.
    pub id: String,
    pub app: AppName,
    pub rights: Rights,
    pub holder: Holder,
    pub since: Timestamp,
    /// When it ends unless it is renewed, as the wall clock was when it was renewed last.
    pub until: Timestamp,
    /// When that was, from which its time is counted. Absent in what an earlier program wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewed: Option<Moment>,
    /// How long it lasts without being renewed.
    pub lasts: Duration,
    pub state: State,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The database of its user in MongoDB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mongodb: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<InRedis>,
    /// Which versions of secrets were handed out beside.
    #[serde(default)]
    pub loaded: Loaded,
}

/// A lent user of Redis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InRedis {
    /// SHA-256 of its password.
    pub digest: String,
    /// Beginning of the keys that are its business.
    pub prefix: String,
}

/// Why a lease is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// It was given back, and not everything has been taken away yet.
    GivenBack,
    /// Its process is gone.
    HolderGone,
    /// It was not renewed in time.
    Expired,
}

impl Lease {
    /// Whether it is over, and why. `is_alive` says whether its holder lives.
    pub fn over(&self, now: &Moment, is_alive: impl FnOnce(&Holder) -> bool) -> Option<Over> {
        match self.state {
            State::Ending => Some(Over::GivenBack),
            State::Live if self.is_expired(now) => Some(Over::Expired),
            State::Live => (!is_alive(&self.holder)).then_some(Over::HolderGone),
        }
    }

    /// Whether it was not renewed in time.
    pub fn is_expired(&self, now: &Moment) -> bool {
        match &self.renewed {
            Some(renewed) => renewed.left_of(self.lasts, now).is_zero(),
            // Set back, the clock would make any lease a long one.
            None => now.wall >= self.until || self.until.since(now.wall) > self.lasts + CLOCK_SLACK,
        }
    }

    /// Lasts from `now` on.
    pub fn renew(&mut self, now: Moment) {
        self.until = now.wall.after(self.lasts);
        self.renewed = Some(now);
    }
}

/// Whether a user of this name was lent.
pub(crate) fn is_name(name: &str) -> bool {
    name.starts_with(BEGINNING)
}

/// The name of a lent user: who borrows, and what nobody guesses.
pub fn name(borrower: &str, random: &str) -> String {
    let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let borrower: String =
        borrower.chars().map(|letter| letter.to_ascii_lowercase()).filter(|letter| plain(*letter)).collect();
    let borrower = borrower.get(..LONGEST_NAME).unwrap_or(&borrower);
    let borrower = if borrower.is_empty() { "somebody" } else { borrower };
    format!("{BEGINNING}{borrower}-{random}")
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn lease(id: &str) -> Lease {
        Lease {
            id: id.to_owned(),
            app: AppName::new("api").unwrap(),
            rights: Rights::OfApp,
            holder: Holder {
                name: "anna".to_owned(),
                uid: 1000,
                process: Identity { pid: 7, start_time: 9 },
                boot_id: "b".to_owned(),
            },
            since: Timestamp::from_unix_millis(0),
            until: Timestamp::from_unix_millis(1_000_000),
            renewed: None,
            lasts: Duration::from_millis(1_000_000),
            state: State::Live,
            reason: None,
            mongodb: Some("shop-local".to_owned()),
            redis: Some(InRedis { digest: "d".repeat(64), prefix: "shop:local:".to_owned() }),
            loaded: Loaded::new(),
        }
    }

    /// Where nobody knows the boot: as the wall clock says.
    fn at(millis: i64) -> Moment {
        Moment::new(Timestamp::from_unix_millis(millis), "", Duration::ZERO)
    }

    #[test]
    fn a_lease_lasts_while_it_is_renewed_and_its_holder_lives() {
        let mut lease = lease("dev-anna-1");
        assert_eq!(lease.over(&at(999_999), |_| true), None);
        assert_eq!(lease.over(&at(1_000_000), |_| true), Some(Over::Expired));
        assert_eq!(lease.over(&at(5), |_| false), Some(Over::HolderGone));
        lease.renew(at(900_000));
        assert_eq!(lease.over(&at(1_800_000), |_| true), None);
        lease.state = State::Ending;
        assert_eq!(lease.over(&at(5), |_| true), Some(Over::GivenBack));
    }

    #[test]
    fn a_clock_that_is_set_ends_no_lease_and_makes_none_longer() {
        let moment = |up, wall| Moment::new(Timestamp::from_unix_millis(wall), "b", Duration::from_secs(up));
        let mut lease = lease("dev-anna-1");
        lease.renew(moment(50, 100_000_000));
        for wall in [0, 100_000_000, 900_000_000] {
            assert_eq!(lease.over(&moment(1_049, wall), |_| true), None, "{wall}");
            assert_eq!(lease.over(&moment(1_050, wall), |_| true), Some(Over::Expired), "{wall}");
        }
        // What an earlier program lent.
        let lease = Lease { renewed: None, ..lease };
        assert_eq!(lease.over(&at(100_000_000 - 60_000), |_| true), None, "clocks are set by seconds all the time");
        assert_eq!(lease.over(&at(0), |_| true), Some(Over::Expired));
    }

    #[test]
    fn a_name_says_who_and_is_safe_wherever_it_is_written() {
        assert_eq!(name("Anna.Müller", "0a1b"), "dev-annamller-0a1b");
        assert_eq!(name("", "0a1b"), "dev-somebody-0a1b");
        assert_eq!(name("~* on >", "0a1b"), "dev-on-0a1b");
        assert_eq!(name(&"x".repeat(99), "0a1b").len(), 4 + 20 + 5);
    }
}
