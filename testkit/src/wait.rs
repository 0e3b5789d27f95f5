//! Waiting for a state.

use std::fmt::Display;
use std::thread::sleep;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(50);

/// Looks until `look` is `Ok`, and returns that. `Err` says what is there instead; the last one is shown if time runs out.
#[track_caller]
pub fn wait_until<T, E: Display>(what: &str, within: Duration, mut look: impl FnMut() -> Result<T, E>) -> T {
    let start = Instant::now();
    loop {
        match look() {
            Ok(reached) => return reached,
            Err(last) if start.elapsed() >= within => {
                panic!("waited {} s until {what}; the last state: {last}", within.as_secs())
            }
            Err(_) => sleep(PAUSE),
        }
    }
}
