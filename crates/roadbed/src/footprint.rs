//! The weight of keeper and control. They are there for as long as the environment is and mostly wait, while what they took to start
//! it, or to search a history for the gate, would stay in memory for good.

use std::time::Duration;

use host::resident;

/// How often it looks.
const PERIOD: Duration = Duration::from_secs(10);

/// What it gives back for. Less is what the next event needs again.
const WORTH_IT: u64 = 2 << 20;

/// Never ends.
pub(crate) async fn stay_light() {
    // Of what is in use at all times the first look finds out how much it is.
    let mut floor = 0;
    loop {
        tokio::time::sleep(PERIOD).await;
        let Ok(now) = resident::bytes() else { return };
        if now < floor + WORTH_IT {
            continue;
        }
        resident::give_back();
        floor = resident::bytes().unwrap_or(now);
    }
}
