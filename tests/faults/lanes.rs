//! Cases that have nothing to do with each other: each has an environment of its own, and most of it is waiting.

use std::sync::Mutex;
use std::thread;

/// With more of them at once, two cores are busy.
const LANES: usize = 3;

/// Tries each case, some of them at the same time. One that fails fails the test, with its own words; the others are tried all the same.
pub(crate) fn in_lanes<T: Send>(cases: impl IntoIterator<Item = T, IntoIter: Send>, one: impl Fn(T) + Sync) {
    let cases = Mutex::new(cases.into_iter());
    let next = || cases.lock().unwrap().next();
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while let Some(case) = next() {
                    one(case);
                }
            });
        }
    });
}
