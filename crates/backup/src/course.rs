//! How a backup or a restore goes on: how far it is, and when it waits for those whom it is not to disturb.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use host::clock::{Clock, SystemClock};
use mongodb::Client;
use mongodb::bson::doc;

/// Shared with who looks on.
#[derive(Debug, Default)]
pub struct Course {
    /// So many times longer than at the beginning MongoDB may take to answer; 0: no matter how long.
    patience: u32,
    done: AtomicU64,
    expected: AtomicU64,
    waits: AtomicBool,
}

impl Course {
    pub fn new(patience: u32) -> Self {
        Self { patience, ..Self::default() }
    }

    /// So many bytes more are going to be handed on.
    pub fn expects(&self, bytes: u64) {
        self.expected.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that are going to be handed on, by what is known up to now; 0: nobody knows.
    pub fn expected(&self) -> u64 {
        self.expected.load(Ordering::Relaxed)
    }

    /// Bytes that were read and handed on.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Whether it waits for MongoDB to be less busy.
    pub fn waits(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    pub(crate) fn went(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// As [`Self::went`], from a thread that reads what is not of MongoDB, but of the same disk: it stands still while all wait.
    pub(crate) fn went_and_waits(&self, bytes: u64) {
        self.went(bytes);
        while self.waits() {
            std::thread::sleep(PAUSE / 10);
        }
    }
}

tokio::task_local! {
    /// Of the restore that this task does: whoever loads documents is too deep down to be handed it.
    static OWN: Arc<Course>;
}

/// Does some work, and notes in `course` how far it is.
pub async fn watched<T>(course: Arc<Course>, work: impl Future<Output = T>) -> T {
    OWN.scope(course, work).await
}

/// Work of this task that a thread does: who looks on sees it too.
pub(crate) fn in_thread<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let own = OWN.try_with(Arc::clone).ok();
    move || match own {
        Some(own) => OWN.sync_scope(own, work),
        None => work(),
    }
}

/// Tells whoever looks on, where somebody does.
pub(crate) fn tell(told: impl FnOnce(&Course)) {
    let _ = OWN.try_with(|course| told(course));
}

/// Nobody stands still for ever when who looks is gone.
struct GoesOn<'c>(&'c Course);

impl Drop for GoesOn<'_> {
    fn drop(&mut self) {
        self.0.waits.store(false, Ordering::Relaxed);
    }
}

/// Below this an answer is quick, however quick it was before.
const QUICK: Duration = Duration::from_millis(2);

/// Between two looks whether it is less busy.
const PAUSE: Duration = Duration::from_millis(200);

/// So long a backup waits in all for documents: MongoDB remembers the moment that is read for five minutes, and reading takes time
/// too. And so long again for each of the rest, so that a backup ends on a machine that is always busy.
const MOST: Duration = Duration::from_secs(60);

/// Measures how busy MongoDB is, by how long it takes to say nothing.
pub(crate) struct Throttle<'c> {
    client: Client,
    course: &'c Course,
    before: Duration,
    waited: Duration,
}

impl<'c> Throttle<'c> {
    /// Takes what it takes now for what it takes when nothing is backed up.
    pub(crate) async fn new(client: &Client, course: &'c Course) -> Self {
        let before = if course.patience == 0 { None } else { answer(client, 9).await };
        Self { client: client.clone(), course, before: before.unwrap_or(Duration::MAX), waited: Duration::ZERO }
    }

    pub(crate) fn went(&self, bytes: u64) {
        self.course.went(bytes);
    }

    /// Waits while it is busier than it may be.
    pub(crate) async fn wait(&mut self) {
        if self.course.patience == 0 {
            return;
        }
        while self.waited < MOST {
            let now = answer(&self.client, 5).await;
            if !now.is_some_and(|now| is_too_busy(self.before, now, self.course.patience)) {
                break;
            }
            self.course.waits.store(true, Ordering::Relaxed);
            tokio::time::sleep(PAUSE).await;
            self.waited += PAUSE + now.unwrap_or_default();
        }
        self.course.waits.store(false, Ordering::Relaxed);
    }

    /// Looks how busy it is while threads read other things, and has them stand still.
    pub(crate) async fn while_others<T>(&mut self, read: impl Future<Output = T>) -> T {
        if self.course.patience == 0 {
            return read.await;
        }
        let goes_on = GoesOn(self.course);
        self.waited = Duration::ZERO;
        let looks = async {
            loop {
                self.wait().await;
                tokio::time::sleep(PAUSE).await;
            }
        };
        let read = tokio::select! {
            read = read => read,
            never = looks => never,
        };
        drop(goes_on);
        read
    }
}

fn is_too_busy(before: Duration, now: Duration, patience: u32) -> bool {
    now > before.max(QUICK).saturating_mul(patience)
}

/// The median of so many answers.
async fn answer(client: &Client, times: usize) -> Option<Duration> {
    let mut all = Vec::with_capacity(times);
    for _ in 0..times {
        let began = SystemClock.instant();
        client.database("admin").run_command(doc! { "ping": 1 }).await.ok()?;
        all.push(SystemClock.instant().duration_since(began));
    }
    all.sort();
    all.get(times / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits_above_so_many_times_and_never_for_what_is_quick() {
        let millis = Duration::from_millis;
        assert!(!is_too_busy(millis(1), millis(8), 4), "a quick answer is 2 ms");
        assert!(is_too_busy(millis(1), millis(9), 4));
        assert!(!is_too_busy(millis(10), millis(40), 4));
        assert!(is_too_busy(millis(10), millis(41), 4));
        assert!(!is_too_busy(Duration::MAX, millis(10_000), 4), "nobody knows what it was before");
    }
}
