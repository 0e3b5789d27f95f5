//! When an environment ends by itself: so long after the last `up` as the manifest lets it live.

use std::time::Duration;

use host::clock::{Moment, Timestamp};
use reconcile::{Fault, Root};

use crate::wanted::{self, Wanted};

/// When what is wanted ends, as the wall clock was when it was last brought up; `None`: it does not, or nobody noted when that was.
pub fn of(want: &Wanted) -> Result<Option<Timestamp>, Fault> {
    let Some(asked) = want.asked else { return Ok(None) };
    Ok(wanted::resolve(want)?.preview.ttl.map(|ttl| asked.after(ttl)))
}

/// The same of a root.
pub fn of_root(root: &Root) -> Result<Option<Timestamp>, Fault> {
    match wanted::read(root)? {
        Some(want) => of(&want),
        None => Ok(None),
    }
}

/// What is left to live. A wall clock that is set forward by mistake takes no environment away, and one that is set back
/// lets none live on.
pub fn left(want: &Wanted, now: &Moment) -> Result<Option<Duration>, Fault> {
    let Some(asked) = want.asked else { return Ok(None) };
    let ttl = wanted::resolve(want)?.preview.ttl;
    Ok(ttl.map(|ttl| match &want.asked_at {
        Some(moment) => moment.left_of(ttl, now),
        None => asked.after(ttl).since(now.wall),
    }))
}

/// Whether a root has lived as long as it may.
pub fn is_over(root: &Root, now: &Moment) -> Result<bool, Fault> {
    let want = wanted::read(root)?;
    let left = want.map(|want| left(&want, now)).transpose()?.flatten();
    Ok(left.is_some_and(|left| left.is_zero()))
}
