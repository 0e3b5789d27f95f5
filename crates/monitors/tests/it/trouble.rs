//! What we cannot find out is unknown; what says that it lives is heard; what the public sees.

use std::time::Duration;

use monitors::{Health, Monitor, Probe, Shown};
use sha2::{Digest, Sha256};

use crate::scene::{EVERY_MS, Running, Watched, monitor, receiver, settings, webhook};

#[tokio::test(flavor = "multi_thread")]
async fn a_book_that_cannot_be_written_makes_everything_unknown_and_nothing_down() {
    let folder = tempfile::tempdir().unwrap();
    let watched = Watched::start().await;
    watched.answers(503);
    let (address, mut words) = receiver(0).await;
    // Where the book would be there is a folder.
    std::fs::create_dir(folder.path().join("monitors.db")).unwrap();
    let declared = settings(vec![monitor("app/api", watched.address)], vec![webhook("oncall", address)]);
    let running = Running::start(folder.path(), declared).await;
    let state = running.until_shown("app/api", Shown::Unknown).await;
    assert_eq!(state.health, Health::New);
    assert!(state.why.unwrap().contains("book of monitors"));
    tokio::time::sleep(Duration::from_millis(4 * EVERY_MS)).await;
    assert!(words.try_recv().is_err());
    // The disk is back.
    std::fs::remove_dir(folder.path().join("monitors.db")).unwrap();
    running.until_shown("app/api", Shown::Down).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_book_is_moved_aside_and_what_is_watched_is_seen_again() {
    let folder = tempfile::tempdir().unwrap();
    let watched = Watched::start().await;
    std::fs::write(folder.path().join("monitors.db"), b"no database at all").unwrap();
    let running = Running::start(folder.path(), settings(vec![monitor("app/api", watched.address)], Vec::new())).await;
    running.until_shown("app/api", Shown::Up).await;
    assert!(folder.path().join("monitors.db.damaged").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_behind_something_that_is_down_is_hidden() {
    let folder = tempfile::tempdir().unwrap();
    let (edge, api) = (Watched::start().await, Watched::start().await);
    let behind = Monitor { parent: Some("edge".into()), ..monitor("app/api", api.address) };
    let running =
        Running::start(folder.path(), settings(vec![monitor("edge", edge.address), behind], Vec::new())).await;
    running.until("up", |states| states.iter().all(|state| state.shown == Shown::Up)).await;
    edge.answers(503);
    api.answers(503);
    running.until_shown("edge", Shown::Down).await;
    running.until_shown("app/api", Shown::Hidden).await;
    let alerts = running.alerts().await;
    assert_eq!(alerts.iter().map(|alert| alert.subject.as_str()).collect::<Vec<_>>(), ["edge"]);
    // The edge is back, and the app is not: now it is told.
    edge.answers(200);
    running.until_shown("app/api", Shown::Down).await;
    while running.alerts().await.len() < 2 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_say_any_more_that_he_lives_is_down() {
    let folder = tempfile::tempdir().unwrap();
    let digest: String = Sha256::digest("token").iter().map(|byte| format!("{byte:02x}")).collect();
    let backup = Monitor {
        probe: Probe::Heartbeat { within_ms: 1_500, digest },
        ..monitor("backup", "127.0.0.1:1".parse().unwrap())
    };
    let running = Running::start(folder.path(), settings(vec![backup], Vec::new())).await;
    assert_eq!(running.raw("POST", "/heartbeat/backup/guessed", None).await.0, 404);
    assert_eq!(running.raw("POST", "/heartbeat/nobody/token", None).await.0, 404);
    assert_eq!(running.raw("POST", "/heartbeat/backup/token", None).await, (200, "heard\n".into()));
    running.until_shown("backup", Shown::Up).await;
    let down = running.until_shown("backup", Shown::Down).await;
    assert!(down.why.unwrap().starts_with("nobody said anything for "));
    assert_eq!(running.raw("GET", "/heartbeat/backup/token", None).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_sees_how_it_goes_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let watched = Watched::start().await;
    let private = Monitor { public: None, ..monitor("mongodb", watched.address) };
    let shop = Monitor { public: Some("Shop <b>".into()), ..monitor("app/web", watched.address) };
    let running = Running::start(folder.path(), settings(vec![private, shop], Vec::new())).await;
    running.until_shown("app/web", Shown::Up).await;
    running.until_shown("mongodb", Shown::Up).await;
    let (status, page) = running.raw("GET", "/.roadbed/status", None).await;
    assert_eq!(status, 200);
    assert!(page.contains("Everything works") && page.contains("Shop &lt;b&gt;"), "{page}");
    watched.answers(503);
    running.until_shown("app/web", Shown::Down).await;
    let (_, page) = running.raw("GET", "/.roadbed/status", None).await;
    assert!(page.contains("does not work"), "{page}");
    for secret in ["mongodb", "503", "127.0.0.1", "<script"] {
        assert!(!page.contains(secret), "{secret} is nobody's business: {page}");
    }
}
