//! What makes one of several: by which password members know each other, and what a sentinel begins with.
//!
//! ```text
//!   conf/redis*/replication.conf           how a replica logs in at its primary
//!   data/redis-sentinel-N/sentinel.conf    begun by us, gone on with by the sentinel: who is primary, since which epoch
//! ```
//!
//! **Invariant:** what sentinels know of the primary is never written over while they know it: a failover stays as it is.

use host::files::{self, Access};
use reconcile::{Fault, Root};
use zeroize::Zeroizing;

use super::acl::MEMBER;
use super::configuration::quoted;
use super::place::Place;
use super::{Purpose, Redis, member_secret};
use crate::ground::file_fault;

/// What sentinels call those whom they watch. Clients ask for it by this name.
pub(crate) const GROUP: &str = "redis";

/// How many must agree that the primary is gone.
const QUORUM: u32 = 2;
/// A server on loopback answers in microseconds. Less than this, and a slow disk's pause is taken for a death.
const DOWN_AFTER_MS: u32 = 3_000;
/// When a failover that came to nothing is tried again: twice this.
const FAILOVER_MS: u32 = 10_000;

/// Whether the files are as they should be; right where there is but one.
pub(super) fn is_right(redis: &Redis) -> Result<bool, Fault> {
    let place = &redis.place;
    let Some(password) = password(redis)? else { return Ok(!place.settings.is_replicated()) };
    Ok(match place.settings.purpose {
        Purpose::Durable => read(redis, &place.replication_file())?.is_some_and(|text| *text == replication(&password)),
        Purpose::Cache => true,
        Purpose::Sentinel => read(redis, &place.sentinel_file())?.is_some_and(|text| {
            let has = |line: &str| text.lines().any(|seen| seen == line);
            has_a_member(&text, &redis.members) && ours(place, &password).lines().all(has)
        }),
    })
}

/// Makes what is not right. A sentinel's own findings are kept.
pub(super) fn write(redis: &Redis) -> Result<(), Fault> {
    let place = &redis.place;
    if !place.settings.is_replicated() {
        return Ok(());
    }
    redis.ground.make_secret(&member_secret())?;
    let Some(password) = password(redis)? else { return Ok(()) };
    let (path, text) = match place.settings.purpose {
        Purpose::Cache => return Ok(()),
        Purpose::Durable => (place.replication_file(), replication(&password)),
        Purpose::Sentinel if is_right(redis)? => return Ok(()),
        Purpose::Sentinel => {
            let before = read(redis, &place.sentinel_file())?.unwrap_or_default();
            let kept: String = match has_a_member(&before, &redis.members) {
                true => before.lines().filter(|line| is_finding(line)).map(|line| format!("{line}\n")).collect(),
                false => String::new(),
            };
            let monitor = match kept.lines().any(|line| line.starts_with(MONITOR)) {
                true => String::new(),
                false => {
                    let known = primary(&redis.ground.root)?.filter(|port| redis.members.contains(port));
                    let port = known.or(redis.members.first().copied()).unwrap_or(place.port);
                    // They would ask the primary for its replicas every ten seconds only; should it die before, none could follow it.
                    let replicas = redis.members.iter().filter(|member| **member != port);
                    let replicas =
                        replicas.map(|member| format!("sentinel known-replica {GROUP} 127.0.0.1 {member}\n"));
                    format!("{MONITOR}127.0.0.1 {port} {QUORUM}\n{}", replicas.collect::<String>())
                }
            };
            // What is monitored comes before what is said of it.
            (place.sentinel_file(), format!("{monitor}{kept}{}", ours(place, &password)))
        }
    };
    let text = Zeroizing::new(text);
    files::create_dir(&place.data, Access::Owner)
        .and_then(|()| files::write_if_changed(&path, text.as_bytes(), Access::Owner))
        .map(drop)
        .map_err(|fault| file_fault(place.unit_name(), &fault))
}

/// The port of the primary as the sentinels noted it last; `None` where there are none yet.
///
/// # Errors
/// Where a sentinel's file cannot be read.
pub fn primary(root: &Root) -> Result<Option<u16>, Fault> {
    let mut newest: Option<(u64, u16)> = None;
    for number in 1..=3 {
        let unit = format!("{}-{number}", Purpose::Sentinel.unit());
        let path = root.data(&unit).join("sentinel.conf");
        let Some(bytes) = files::read_if_exists(&path).map_err(|fault| file_fault(&unit, &fault))? else { continue };
        let text = Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned());
        let word = |beginning: &str, at: usize| {
            let rest = text.lines().find_map(|line| line.strip_prefix(beginning))?;
            rest.split_whitespace().nth(at)
        };
        let Some(port) = word(MONITOR, 1).and_then(|port| port.parse().ok()) else { continue };
        let epoch = word("sentinel config-epoch redis ", 0).and_then(|epoch| epoch.parse().ok()).unwrap_or(0);
        if newest.is_none_or(|(latest, _)| epoch > latest) {
            newest = Some((epoch, port));
        }
    }
    Ok(newest.map(|(_, port)| port))
}

/// Without replicas the first goes on alone. Where another one was primary last, it would go on from what it had before that.
pub(super) fn refuse_to_leave_a_primary(redis: &Redis) -> Result<(), Fault> {
    let place = &redis.place;
    if place.settings.purpose != Purpose::Durable || place.settings.is_replicated() {
        return Ok(());
    }
    match primary(&redis.ground.root)? {
        Some(port) if port != place.port => {
            let fault = Fault::new(format!(
                "{} is not primary: the one on port {port} has what was written last",
                place.unit_name()
            ));
            Err(fault.hint(
                "set services.redis.replicas again and end the primary, so that the first takes over; or, to do without what it \
                 has, remove data/redis-sentinel-1 to -3",
            ))
        }
        _ => Ok(()),
    }
}

const MONITOR: &str = "sentinel monitor redis ";

/// What a sentinel has found out.
fn is_finding(line: &str) -> bool {
    let found = ["monitor", "myid", "config-epoch", "leader-epoch", "current-epoch", "known-replica", "known-sentinel"];
    line.strip_prefix("sentinel ").is_some_and(|rest| found.iter().any(|word| rest.starts_with(word)))
}

fn has_a_member(text: &str, members: &[u16]) -> bool {
    let monitored = text.lines().find_map(|line| line.strip_prefix(MONITOR)?.split(' ').nth(1)?.parse::<u16>().ok());
    monitored.is_some_and(|port| members.contains(&port))
}

/// The lines that are ours in a sentinel's file.
fn ours(place: &Place, password: &str) -> String {
    format!(
        "include {include}\n\
         sentinel auth-user {GROUP} {MEMBER}\n\
         sentinel auth-pass {GROUP} {password}\n\
         sentinel down-after-milliseconds {GROUP} {DOWN_AFTER_MS}\n\
         sentinel failover-timeout {GROUP} {FAILOVER_MS}\n\
         sentinel sentinel-user {MEMBER}\n\
         sentinel sentinel-pass {password}\n",
        include = quoted(&place.configuration_file()),
    )
}

fn replication(password: &str) -> String {
    format!("masteruser {MEMBER}\nmasterauth {password}\n")
}

fn password(redis: &Redis) -> Result<Option<Zeroizing<String>>, Fault> {
    if !redis.place.settings.is_replicated() {
        return Ok(None);
    }
    let found = redis.ground.secret(&member_secret())?;
    Ok(found.map(|found| Zeroizing::new(found.secret.expose().to_owned())))
}

fn read(redis: &Redis, path: &std::path::Path) -> Result<Option<Zeroizing<String>>, Fault> {
    let bytes = files::read_if_exists(path).map_err(|fault| file_fault(redis.place.unit_name(), &fault))?;
    Ok(bytes.map(|bytes| Zeroizing::new(String::from_utf8(bytes).unwrap_or_default())))
}
