//! One at a time: the environments of a checkout share its packages and its builds.

use std::path::{Path, PathBuf};
use std::time::Duration;

use host::files::{self, Access, FileFault};
use host::lock::{Held, Lock, try_lock};
use reconcile::Fault;
use tokio::time::{Instant, sleep};

/// A file outside the checkout, locked while one of its environments is at work. It outlives no process.
#[derive(Clone, Debug)]
pub struct Turn(PathBuf);

const PAUSE: Duration = Duration::from_millis(200);

impl Turn {
    pub fn new(lock: PathBuf) -> Self {
        Self(lock)
    }

    /// Waits until nobody else is at it. Whoever waited looks again: most likely the work is done.
    pub async fn take(&self, headline: &str, within: Duration) -> Result<Held, Fault> {
        let cannot = |fault: FileFault| {
            Fault::because(headline, &fault)
                .hint("see whether the disk is full and the folder is yours, or name another with XDG_CACHE_HOME")
        };
        // On a new machine the cache folder is not there yet.
        files::create_dir(self.path().parent().unwrap_or(self.path()), Access::Everyone).map_err(cannot)?;
        let deadline = Instant::now() + within;
        loop {
            match try_lock(self.path(), &format!("pid {}", host::own::pid())) {
                Ok(Lock::Ours(held)) => return Ok(held),
                Ok(Lock::HeldBy(_)) if Instant::now() < deadline => sleep(PAUSE).await,
                Ok(Lock::HeldBy(by)) => {
                    return Err(
                        Fault::new(format!("{headline}: another environment of this checkout is at it")).cause(by)
                    );
                }
                Err(fault) => return Err(cannot(fault)),
            }
        }
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_waits_for_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let turn = Turn::new(folder.path().join("cache/not/there/yet/build.lock"));
        let first = turn.take("cannot build", Duration::ZERO).await.unwrap();
        let refused = turn.take("cannot build", Duration::ZERO).await.unwrap_err();
        assert!(refused.message.contains("another environment"), "{refused}");

        let second = tokio::spawn({
            let turn = turn.clone();
            async move { turn.take("cannot build", Duration::from_secs(30)).await.is_ok() }
        });
        drop(first);
        assert!(second.await.unwrap());
    }
}
