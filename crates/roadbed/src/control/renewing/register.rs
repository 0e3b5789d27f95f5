//! Hosts of others that were permitted, kept across restarts: what is ordered and renewed for them, and how much may be.
//!
//! What is not in it gets nothing ordered. A damaged one is not an empty one: the certificates that are there are taken up again, and
//! permission is asked for each before the next order, as always.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use acme::book::Setback;
use edge::tls::on_demand::registered_domain;
use host::clock::Timestamp;
use host::files::{self, Access};
use reconcile::Fault;
use serde::{Deserialize, Serialize};

/// Orders of hosts that had none, altogether: public authorities take 300 in three hours of an account, and the environment's own
/// hosts shall not wait for them.
const IN_ALL: (usize, Duration) = (100, Duration::from_hours(3));
/// And of one registered domain: half of what public authorities sign in a week.
const OF_DOMAIN: (usize, Duration) = (25, Duration::from_hours(24 * 7));
/// For how long a permission holds.
const PERMITTED_FOR: Duration = Duration::from_hours(1);
/// A host for which there was never a certificate is forgotten after this: it was asked for by mistake, or its name leads elsewhere.
const PATIENCE: Duration = Duration::from_hours(24 * 3);

/// One host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub wished_at: Timestamp,
    pub permitted_at: Timestamp,
    /// When the first order for it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered_at: Option<Timestamp>,
    /// When there is something to do for it again. Not written down: whoever starts looks at all of them.
    #[serde(skip, default = "at_once")]
    pub look_at: Timestamp,
    /// Since when it is permitted no more: its certificate is served to its end, and not renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Register {
    pub hosts: BTreeMap<String, Entry>,
    /// Authorities that say they are asked too often, whatever for.
    #[serde(default)]
    pub limits: BTreeMap<String, Setback>,
}

fn at_once() -> Timestamp {
    Timestamp::from_unix_millis(0)
}

fn path(folder: &Path) -> PathBuf {
    folder.join("on-demand.json")
}

impl Register {
    /// `shelf` has the folders of certificates that are there.
    pub(super) fn read(folder: &Path, shelf: &[String], now: Timestamp) -> Result<Self, Fault> {
        let cannot = |error: &(dyn std::error::Error + 'static)| Fault::because("cannot read who is permitted", error);
        let Some(bytes) = files::read_if_exists(&path(folder)).map_err(|fault| cannot(&fault))? else {
            return Ok(Self::taken_up(shelf, now));
        };
        Ok(serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            tracing::error!(path = %path(folder).display(), %error, "who is permitted is lost: asking again for those with a certificate");
            Self::taken_up(shelf, now)
        }))
    }

    /// Those that have a certificate, none of them permitted lately.
    fn taken_up(shelf: &[String], now: Timestamp) -> Self {
        let entry = Entry {
            wished_at: now,
            permitted_at: at_once(),
            // Not known any more; so counts as now, which lets fewer through.
            ordered_at: Some(now),
            look_at: now,
            ended_at: None,
        };
        Self { hosts: shelf.iter().map(|host| (host.clone(), entry.clone())).collect(), ..Self::default() }
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), Fault> {
        let cannot = |error: &(dyn std::error::Error + 'static)| {
            Fault::because("cannot write down which hosts are permitted", error)
        };
        files::create_dir(folder, Access::Owner).map_err(|fault| cannot(&fault))?;
        let bytes = serde_json::to_vec(self).map_err(|error| cannot(&error))?;
        files::write_durable(&path(folder), &bytes, Access::Owner).map_err(|fault| cannot(&fault))
    }

    /// Notes that a host is permitted, where there is room for it.
    pub(super) fn permits(&mut self, host: &str, most: usize, now: Timestamp) -> bool {
        let known = self.hosts.len();
        match self.hosts.get_mut(host) {
            Some(entry) => {
                entry.permitted_at = now;
                if entry.ended_at.take().is_some() {
                    entry.look_at = now;
                }
                true
            }
            None if known >= most => false,
            None => {
                let entry = Entry { wished_at: now, permitted_at: now, ordered_at: None, look_at: now, ended_at: None };
                self.hosts.insert(host.to_owned(), entry);
                true
            }
        }
    }

    /// Whether it need not be asked again.
    pub(super) fn is_permitted(&self, host: &str, now: Timestamp) -> bool {
        self.hosts.get(host).is_some_and(|entry| {
            // A clock that was set back makes no permission longer.
            entry.ended_at.is_none() && (entry.permitted_at..later(entry.permitted_at, PERMITTED_FOR)).contains(&now)
        })
    }

    /// Until when no order for another host is placed, by what was ordered before; `None`: it may be.
    pub(super) fn full_until(&self, host: &str, now: Timestamp) -> Option<Timestamp> {
        let domain = registered_domain(host);
        let of_domain = self.until(OF_DOMAIN, now, |other| registered_domain(other) == domain);
        of_domain.max(self.until(IN_ALL, now, |_| true))
    }

    fn until(
        &self,
        (most, period): (usize, Duration),
        now: Timestamp,
        counts: impl Fn(&str) -> bool,
    ) -> Option<Timestamp> {
        let of_these = self.hosts.iter().filter(|(host, _)| counts(host)).filter_map(|(_, entry)| entry.ordered_at);
        let mut ends: Vec<Timestamp> =
            of_these.filter(|at| *at <= now).map(|at| later(at, period)).filter(|end| *end > now).collect();
        ends.sort();
        // When so many are over that one more finds room.
        ends.len().checked_sub(most).map(|at| ends[at])
    }

    /// The host that is due first.
    pub(super) fn next(&self) -> Option<(&String, Timestamp)> {
        self.hosts.iter().map(|(host, entry)| (host, entry.look_at)).min_by_key(|(_, at)| *at)
    }

    /// Whether a host without a certificate has been tried for long enough.
    pub(super) fn is_given_up(entry: &Entry, now: Timestamp) -> bool {
        entry.ended_at.is_some() || later(entry.wished_at, PATIENCE) <= now
    }
}

pub(super) fn later(time: Timestamp, by: Duration) -> Timestamp {
    let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_unix_millis(time.unix_millis().saturating_add(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_795_000_000_000);

    fn ordered(register: &mut Register, host: &str, now: Timestamp) {
        assert!(register.permits(host, 1000, now));
        register.hosts.get_mut(host).unwrap().ordered_at = Some(now);
    }

    #[test]
    fn one_domain_takes_few_orders_and_all_together_fewer_than_an_authority_would() {
        let mut register = Register::default();
        for number in 0..25 {
            assert_eq!(register.full_until(&format!("s{number}.seller.example"), NOW), None);
            ordered(&mut register, &format!("s{number}.seller.example"), NOW);
        }
        let full = register.full_until("another.seller.example", NOW).unwrap();
        assert_eq!(full, later(NOW, OF_DOMAIN.1));
        assert_eq!(register.full_until("another.seller.example", full), None);
        for number in 0..75 {
            assert_eq!(register.full_until("www.new.example", NOW), None);
            ordered(&mut register, &format!("www.other{number}.example"), NOW);
        }
        assert_eq!(register.full_until("www.new.example", NOW), Some(later(NOW, IN_ALL.1)));
    }

    #[test]
    fn permission_is_asked_for_again_and_one_that_ended_begins_anew_when_it_is_given() {
        let mut register = Register::default();
        assert!(register.permits("a.example", 1, NOW));
        assert!(!register.permits("b.example", 1, NOW), "there is room for one");
        assert!(register.is_permitted("a.example", NOW) && !register.is_permitted("b.example", NOW));
        assert!(!register.is_permitted("a.example", later(NOW, PERMITTED_FOR)));
        let entry = register.hosts.get_mut("a.example").unwrap();
        (entry.ended_at, entry.look_at) = (Some(NOW), later(NOW, PATIENCE));
        assert!(!register.is_permitted("a.example", NOW));
        assert!(register.permits("a.example", 1, NOW));
        assert_eq!(register.next(), Some((&"a.example".to_owned(), NOW)));
    }

    #[test]
    fn a_lost_register_takes_up_what_has_a_certificate_and_permits_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = ["a.example".to_owned()];
        let mut register = Register::default();
        register.permits("b.example", 9, NOW);
        register.write(folder.path()).unwrap();
        register.hosts.get_mut("b.example").unwrap().look_at = at_once();
        assert_eq!(Register::read(folder.path(), &shelf, NOW).unwrap(), register);
        files::write(&path(folder.path()), b"{", Access::Owner).unwrap();
        let lost = Register::read(folder.path(), &shelf, NOW).unwrap();
        assert_eq!(lost.hosts.keys().collect::<Vec<_>>(), ["a.example"]);
        assert!(!lost.is_permitted("a.example", NOW));
    }
}
