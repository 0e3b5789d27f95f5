//! Every promise of the gate in one table: how often control looks, and what a look does to whom. `docs/gate.md` is made from it.

use std::fmt::Write;
use std::time::Duration;

use gate::{Claim, Impact};

use super::{
    backup_copies, backups, code, deliveries, deploy_keys, errors, found_again, isolation, leaks, limits, looked_at,
    media, outages, overdue, payments, pipeline, protection, published, readiness, runbook, shown, sites, strangers,
    survival, targets, teams, tls, variables,
};

/// A promise, and what whoever is on call needs to know of its check.
#[derive(Clone, Copy, Debug)]
pub struct Promise {
    pub claim: &'static Claim,
    /// Between two looks of control. `None`: it looks only when a person asks.
    pub period: Option<Duration>,
    /// What a look does, to whom and for how long at most.
    pub blast: &'static str,
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// What is looked at often: it costs some requests.
const OFTEN: Option<Duration> = Some(Duration::from_secs(5 * MINUTE));
/// What reads files or tries many doors.
const HOURLY: Option<Duration> = Some(Duration::from_secs(HOUR));
/// What reads whole histories, and what changes only when people change something.
const DAILY: Option<Duration> = Some(Duration::from_secs(24 * HOUR));
/// What breaks something: a person is there when it does not heal.
const ASKED: Option<Duration> = None;

const LOOKS: &str = "none: it reads";

/// In the order of tasks.
pub const ALL: &[Promise] = &[
    of(&variables::CLAIM, OFTEN, LOOKS),
    of(&code::CLAIM, HOURLY, LOOKS),
    of(&targets::CLAIM, HOURLY, LOOKS),
    of(stores::checks::CLAIMS[0], OFTEN, "some refused logins at MongoDB"),
    of(stores::checks::CLAIMS[1], HOURLY, LOOKS),
    of(&isolation::credentials::CLAIM, DAILY, "documents and keys of its own in MongoDB and Redis, taken away again"),
    of(&isolation::CLAIM, HOURLY, "refused connections at the neighbours' ports"),
    of(stores::checks::CLAIMS[2], OFTEN, "some refused logins at Redis"),
    of(stores::checks::CLAIMS[3], OFTEN, LOOKS),
    of(&isolation::tokens::CLAIM, DAILY, "keys of its own in Redis, taken away again"),
    of(
        &readiness::CLAIM,
        ASKED,
        "Redis is stopped and MongoDB frozen: apps are not ready, all visitors wait up to 5 s",
    ),
    of(&sites::REACHABLE, OFTEN, "a visit to each app"),
    of(&media::CLAIM, HOURLY, "a picture in each public bucket, taken away again"),
    of(&isolation::objects::CLAIM, HOURLY, "objects of its own, taken away again"),
    of(&survival::CLAIM, ASKED, "one instance of each app is killed: requests under way there are lost"),
    of(&sites::REDIRECTS, OFTEN, "a visit to each host"),
    of(&tls::STAYS, OFTEN, "a visit to each host"),
    of(&tls::RENEWS, HOURLY, "a handshake with each host"),
    of(&overdue::CLAIM, HOURLY, LOOKS),
    of(&leaks::CLAIM, HOURLY, "reads all logs and state files once"),
    of(&published::CLAIM, DAILY, "reads the history and what browsers load"),
    of(&strangers::CLAIM, HOURLY, LOOKS),
    of(&payments::CLAIM, HOURLY, LOOKS),
    of(&pipeline::CLAIM, DAILY, LOOKS),
    of(&deploy_keys::CLAIM, HOURLY, LOOKS),
    of(
        &looked_at::CLAIM,
        HOURLY,
        "a visit to each page that is looked at after a deployment, one of them in a browser",
    ),
    of(&deliveries::SERVED, OFTEN, "a visit to each app"),
    of(&found_again::CLAIM, OFTEN, "one request and its log lines"),
    of(&errors::CLAIM, HOURLY, "one forced error, which is resolved again"),
    of(&shown::CLAIM, HOURLY, "one forced error, which is resolved again"),
    of(&outages::CLAIM, HOURLY, "a monitor and a receiver of its own, for some seconds"),
    of(&limits::BURSTS, HOURLY, "a burst from an address of its own: other clients are not limited by it"),
    of(&limits::STRICTER, HOURLY, "a burst from an address of its own: other clients are not limited by it"),
    of(&protection::CLAIM, OFTEN, "refused visits to what is protected"),
    of(&backups::YOUNG, OFTEN, LOOKS),
    of(&backups::WHOLE, DAILY, "reads some of the repository of backups, for a second of one processor"),
    of(&backup_copies::ELSEWHERE, OFTEN, LOOKS),
    of(&backups::RESTORED, OFTEN, LOOKS),
    of(&runbook::CLAIM, HOURLY, LOOKS),
    of(&deliveries::WAY_BACK, HOURLY, LOOKS),
    of(&teams::BACKEND, HOURLY, "a document and keys of its own in MongoDB and Redis, taken away again"),
    of(&teams::FRONTEND, HOURLY, "visits to its apps and to those that serve data"),
    of(&teams::ADMIN, HOURLY, "visits to its apps and to those that serve data"),
];

const fn of(claim: &'static Claim, period: Option<Duration>, blast: &'static str) -> Promise {
    Promise { claim, period, blast }
}

/// What must hold before visitors get another release: no deployment mends it, and it gets worse with time.
const BLOCKING: [&str; 8] = [
    "mongodb-guards-its-door",
    "credentials-open-their-own-data-only",
    "environments-are-isolated",
    "redis-guards-its-door",
    "secrets-stay-secret",
    "no-secret-is-published",
    "store-opens-for-its-own",
    "payments-stay-out-of-previews",
];

/// Whether a deployment that visitors get is refused while it is broken.
pub fn blocks(id: &str) -> bool {
    BLOCKING.contains(&id)
}

/// What is known of a check.
pub fn promise(id: &str) -> Option<&'static Promise> {
    ALL.iter().find(|promise| promise.claim.id == id)
}

/// Where Roadbed's own repository keeps the page.
pub const PATH: &str = "docs/gate.md";

/// The page's first line: by it `generate` knows its own.
pub const MARK: &str = "<!-- Made from the checks by `roadbed generate`; edit crates/roadbed/src/checks. -->";

/// `5 min`, `1 h`, `when asked`
pub fn period(period: Option<Duration>) -> String {
    match period.map(|period| period.as_secs()) {
        None => "when asked".to_owned(),
        Some(seconds) if seconds >= HOUR => format!("{} h", seconds / HOUR),
        Some(seconds) => format!("{} min", seconds / MINUTE),
    }
}

/// The page.
pub fn markdown() -> String {
    let mut page = format!("{MARK}\n# The readiness gate\n\n{INTRODUCTION}");
    page += "| task | check | promise | looked at | a look does | blocks | if it does not hold |\n| --- | --- | --- | --- | --- | --- | --- |\n";
    for Promise { claim, period: every, blast } in ALL {
        let _ = writeln!(
            page,
            "| {} | `{}` | {} | {} | {blast} | {} | {} |",
            claim.task,
            claim.id,
            cell(claim.claim),
            period(*every),
            if blocks(claim.id) { "yes" } else { "" },
            cell(claim.hint)
        );
    }
    let broken = ALL.iter().filter(|promise| promise.claim.impact == Impact::Disrupts).count();
    let _ = writeln!(page, "\n{} checks; {broken} of them break something for a moment.", ALL.len());
    page
}

const INTRODUCTION: &str = "\
`roadbed ready` tests each promise on the running environment and prints what it saw. *Holds* is said of what was seen; what could not
be tried is *inconclusive*, which is not as good. A promise of what is not there, such as a deployment before the first one, is not made.

Each look is kept in `state/evidence.db`, where no row can be changed unseen: `roadbed ready verify` walks the chain, `ready history`
says since when what holds, `ready export` hands out all of it. Control looks by itself, at one promise at a time and each on its own
period, in a tenth of the time at most and never while somebody's command has its turn; what breaks something waits until a person
asks. What *blocks* is in the way of deployments to environments that others are promoted to or whose releases are approved, until it
holds again; `roadbed deploy --despite REASON` asks two people instead, which stays in the book of deployments. Who answers for a promise is said by `[incidents]` of the manifest.

";

/// Text that does not end its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_promise_is_listed_once_and_what_breaks_something_waits_to_be_asked() {
        let ids: BTreeSet<&str> = ALL.iter().map(|promise| promise.claim.id).collect();
        assert_eq!(ids.len(), ALL.len());
        for Promise { claim, period, blast } in ALL {
            assert_eq!(claim.impact == Impact::Disrupts, period.is_none(), "{}", claim.id);
            assert!(claim.impact == Impact::Observes || *blast != LOOKS, "{} breaks something", claim.id);
        }
        assert!(BLOCKING.iter().all(|id| ids.contains(id)));
        let task = |promise: &Promise| promise.claim.task[1..].parse::<u32>().unwrap();
        assert!(ALL.is_sorted_by_key(task), "in the order of tasks");
    }
}
