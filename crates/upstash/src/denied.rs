//! What no request may ask for: what waits on a connection that others want, or leaves it other than it was.
//!
//! Not what a user may do: that says Redis.

use bytes::Bytes;

/// Why a command is refused before Redis sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("ERR Command is not available: '{0}'. It waits on its connection, and a request has none of its own")]
    Waits(&'static str),
    #[error("ERR Command is not available: '{0}'. It changes its connection, and a request has none of its own")]
    ChangesConnection(&'static str),
    #[error("ERR Command is not available: '{0}'. Send all commands of a transaction at once to /multi-exec")]
    Transaction(&'static str),
    #[error("ERR Command is not available: '{0}'. Its answers have no end: ask for /{1}/… and read events")]
    Endless(&'static str, &'static str),
    #[error("ERR Command is not available: '{0}'. It is for those who run the server")]
    Server(&'static str),
    #[error("ERR empty command")]
    Empty,
}

/// Commands that wait until somebody else does something.
const WAIT: [&str; 11] = [
    "BLPOP",
    "BRPOP",
    "BLMOVE",
    "BLMPOP",
    "BRPOPLPUSH",
    "BZPOPMIN",
    "BZPOPMAX",
    "BZMPOP",
    "WAIT",
    "WAITAOF",
    "MIGRATE",
];

/// Commands after which a connection is another one. `CLIENT` with all below it: `REPLY`, `TRACKING`, `NO-EVICT`, `SETNAME`, `PAUSE`.
const CONNECTION: [&str; 9] = ["SELECT", "AUTH", "HELLO", "RESET", "QUIT", "CLIENT", "READONLY", "READWRITE", "ASKING"];

const TRANSACTION: [&str; 5] = ["MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH"];

const ENDLESS: [(&str, &str); 7] = [
    ("SUBSCRIBE", "subscribe"),
    ("PSUBSCRIBE", "psubscribe"),
    ("SSUBSCRIBE", "subscribe"),
    ("UNSUBSCRIBE", "subscribe"),
    ("PUNSUBSCRIBE", "psubscribe"),
    ("SUNSUBSCRIBE", "subscribe"),
    ("MONITOR", "monitor"),
];

const SERVER: [&str; 8] = ["SYNC", "PSYNC", "REPLCONF", "SHUTDOWN", "DEBUG", "REPLICAOF", "SLAVEOF", "FAILOVER"];

/// Whether a request may ask for this.
///
/// # Errors
/// Where it may not.
pub fn check(command: &[Bytes]) -> Result<(), Denied> {
    let Some(name) = command.first() else { return Err(Denied::Empty) };
    let is = |known: &&&'static str| name.eq_ignore_ascii_case(known.as_bytes());
    if let Some(name) = WAIT.iter().find(is) {
        return Err(Denied::Waits(name));
    }
    if let Some(name) = CONNECTION.iter().find(is) {
        return Err(Denied::ChangesConnection(name));
    }
    if let Some(name) = TRANSACTION.iter().find(is) {
        return Err(Denied::Transaction(name));
    }
    if let Some((name, path)) = ENDLESS.iter().find(|(known, _)| is(&known)) {
        return Err(Denied::Endless(name, path));
    }
    if let Some(name) = SERVER.iter().find(is) {
        return Err(Denied::Server(name));
    }
    for known in ["XREAD", "XREADGROUP"] {
        if is(&&known) && waits_for_a_stream(command) {
            return Err(Denied::Waits(if known == "XREAD" { "XREAD BLOCK" } else { "XREADGROUP BLOCK" }));
        }
    }
    Ok(())
}

/// `BLOCK` is an option before `STREAMS`; behind it, it would be a key. What stands where a group's or a consumer's name stands is
/// none, and Redis reads options wherever they stand, so every word before `STREAMS` counts but those two.
fn waits_for_a_stream(command: &[Bytes]) -> bool {
    let mut words = command.iter().skip(1);
    while let Some(word) = words.next() {
        if word.eq_ignore_ascii_case(b"streams") {
            return false;
        }
        if word.eq_ignore_ascii_case(b"block") {
            return true;
        }
        if word.eq_ignore_ascii_case(b"group") {
            words.nth(1);
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_denied(line: &str) -> bool {
        let command: Vec<Bytes> = line.split(' ').map(|word| Bytes::from(word.to_owned())).collect();
        check(&command).is_err()
    }

    #[test]
    fn nothing_that_waits_or_changes_a_connection_gets_through() {
        let denied = "blpop k 0|BRPOPLPUSH a b 0|Wait 1 0|select 1|AUTH x|HELLO 3|reset|QUIT|client reply off|CLIENT TRACKING on|\
                      watch k|MULTI|exec|subscribe c|PSUBSCRIBE c|sync|psync ? -1|monitor|xread BLOCK 0 streams s $|\
                      XREADGROUP group g c block 0 STREAMS s >|shutdown|xread count 1 block 5 streams a 0|migrate h 1 k 0 1";
        for line in denied.split('|') {
            assert!(is_denied(line), "{line}");
        }
        let allowed = "get block|XREAD COUNT 1 STREAMS block 0|xreadgroup GROUP block block STREAMS s >|eval return 0|publish c m|\
                       acl whoami|waiting|lpop k|info";
        for line in allowed.split('|') {
            assert!(!is_denied(line), "{line}");
        }
        assert_eq!(check(&[]), Err(Denied::Empty));
    }
}
