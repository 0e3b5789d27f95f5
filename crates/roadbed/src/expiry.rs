//! When an environment ends by itself: so long after the last `up` as the manifest lets it live.

use host::clock::Timestamp;
use reconcile::{Fault, Root};

use crate::wanted::{self, Wanted};

/// When what is wanted ends; `None`: it does not, or nobody noted when it was last brought up.
pub fn of(want: &Wanted) -> Result<Option<Timestamp>, Fault> {
    let Some(asked) = want.asked else { return Ok(None) };
    let ttl = wanted::resolve(want)?.preview.ttl;
    let after = |ttl: std::time::Duration| {
        let millis = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_unix_millis(asked.unix_millis().saturating_add(millis))
    };
    Ok(ttl.map(after))
}

/// The same of a root.
pub fn of_root(root: &Root) -> Result<Option<Timestamp>, Fault> {
    match wanted::read(root)? {
        Some(want) => of(&want),
        None => Ok(None),
    }
}

/// Whether a root has lived as long as it may.
pub fn is_over(root: &Root, now: Timestamp) -> Result<bool, Fault> {
    Ok(of_root(root)?.is_some_and(|end| now >= end))
}
