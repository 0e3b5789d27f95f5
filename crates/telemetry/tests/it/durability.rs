//! What was answered with 200 is there, whatever happens next.

use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use host::clock::SystemClock;
use reconcile::Root;
use telemetry::{ErrorLimits, IssueFilter, TelemetryClient, TelemetryConfig};

use crate::role::{self, Role};
use crate::sender::{envelope, path_of_web, send, thrown};

/// Names the root to a process of its own.
pub(crate) const ROOT: &str = "ROADBED_TEST_ROLE_ROOT";

/// Not a test of its own: what the one below kills.
#[tokio::test]
async fn as_a_process_of_its_own() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let config = TelemetryConfig::new(Root::new(root.into()), Arc::new(SystemClock), std::future::pending());
    telemetry::run(config).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_under_load_loses_nothing_that_was_acknowledged() {
    let limits = ErrorLimits { burst: 1_000_000, events_per_issue: 1_000_000, ..ErrorLimits::default() };
    let (_folder, root, port) = role::root(limits);
    let client = TelemetryClient::new(root.clone());
    let mut acknowledged: Vec<String> = Vec::new();
    for _ in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "durability::as_a_process_of_its_own"])
            .env(ROOT, root.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while client.health().await.is_err() {
            assert!(child.try_wait().unwrap().is_none(), "the role ended before it answered");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let senders: Vec<_> = (0..4)
            .map(|sender| {
                let stop = Arc::clone(&stop);
                tokio::spawn(async move {
                    let mut known = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let event = thrown("Error", "under load", &format!("f{sender}"));
                        let body = envelope(&event);
                        // Once it is killed nobody answers.
                        let answer =
                            tokio::spawn(async move { send(port, "POST", &path_of_web(), &[], &body).await.status });
                        match answer.await {
                            Ok(200) => known.push(event["event_id"].as_str().unwrap().to_owned()),
                            _ => break,
                        }
                    }
                    known
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(700)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        stop.store(true, Ordering::Relaxed);
        for sender in senders {
            acknowledged.extend(sender.await.unwrap());
        }
    }
    assert!(acknowledged.len() > 100, "too little to say anything: {}", acknowledged.len());
    let role = Role::begin(_folder, root, port).await;
    let health = role.digested(i64::try_from(acknowledged.len()).unwrap()).await;
    // Each of the four may have one on the disk whose answer it did not get, three times.
    let surplus = health.events - i64::try_from(acknowledged.len()).unwrap();
    assert!((0..=12).contains(&surplus), "{surplus}");
    for id in acknowledged.iter().step_by(37) {
        assert_eq!(client.error_events(&format!("event:{id}")).await.unwrap().len(), 1, "{id} is lost");
    }
    role.stop().await;
}

#[tokio::test]
async fn a_damaged_database_is_moved_aside_and_the_next_event_is_kept() {
    let role = Role::start().await;
    role.report(&thrown("Error", "before", "before")).await;
    role.digested(1).await;
    let database = role.database();
    let role = role
        .restart(|_| {
            let file = std::fs::OpenOptions::new().write(true).open(&database).unwrap();
            file.write_all_at(&[0xAB; 8_192], 2_000).unwrap();
        })
        .await;
    role.report(&thrown("Error", "after", "after")).await;
    // What is still on the spool comes into the new one.
    role.digested(2).await;
    let issues = role.client().issues(&IssueFilter::default()).await.unwrap();
    let titles: Vec<&str> = issues.iter().map(|issue| issue.title.as_str()).collect();
    assert_eq!(titles, ["Error: after", "Error: before"]);
    let beside = host::files::list(database.parent().unwrap()).unwrap();
    assert!(beside.iter().any(|path| path.to_string_lossy().contains("errors.db.damaged-")), "{beside:?}");
    role.stop().await;
}

#[tokio::test]
async fn a_torn_end_of_the_spool_is_cut_off() {
    let role = Role::start().await;
    role.report(&thrown("Error", "whole", "f")).await;
    role.digested(1).await;
    let role = role
        .restart(|root| {
            let spool = host::files::list(&root.telemetry().join("errors/spool")).unwrap();
            let mut bytes = host::files::read(spool.last().unwrap()).unwrap();
            let half = bytes[..bytes.len() / 2].to_vec();
            bytes.extend_from_slice(&half);
            std::fs::write(spool.last().unwrap(), bytes).unwrap();
        })
        .await;
    role.report(&thrown("Error", "whole", "f")).await;
    assert_eq!(role.digested(2).await.events, 2);
    role.stop().await;
}

#[tokio::test]
async fn a_database_that_was_restored_without_its_spool_goes_on() {
    let role = Role::start().await;
    // Its place in the spool is further on than the next one is long.
    role.report(&thrown("Error", &"before ".repeat(400), "before")).await;
    role.digested(1).await;
    let role = role.restart(|root| std::fs::remove_dir_all(root.telemetry().join("errors/spool")).unwrap()).await;
    role.report(&thrown("Error", "after", "after")).await;
    assert_eq!(role.digested(2).await.events, 2);
    role.stop().await;
}

#[tokio::test]
async fn what_was_taken_is_written_before_the_role_ends() {
    let role = Role::start().await;
    for _ in 0..20 {
        role.report(&thrown("Error", "last words", "f")).await;
    }
    let database = role.database();
    role.restart(|_| {
        let connection = rusqlite::Connection::open(&database).unwrap();
        let count: i64 = connection.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).unwrap();
        assert_eq!(count, 20);
    })
    .await
    .stop()
    .await;
}

#[tokio::test]
async fn a_record_that_cannot_be_written_is_set_aside_and_holds_up_nobody() {
    let role = Role::start().await;
    role.report(&thrown("Error", "before", "f")).await;
    role.digested(1).await;
    let database = role.database();
    let role = role
        .restart(|_| {
            let refuses = "CREATE TRIGGER refuses BEFORE INSERT ON events WHEN NEW.release = 'poison'
                           BEGIN SELECT RAISE(ABORT, 'refused'); END";
            rusqlite::Connection::open(&database).unwrap().execute_batch(refuses).unwrap();
        })
        .await;
    let mut poison = thrown("Error", "poison", "f");
    poison["release"] = "poison".into();
    for event in [&thrown("Error", "a", "f"), &poison, &thrown("Error", "b", "f")] {
        role.report(event).await;
    }
    let health = role.digested(3).await;
    let aside = health.not_kept.iter().find(|one| one.what == "set-aside");
    assert_eq!((health.events, health.waiting, aside.map(|one| one.count)), (3, 0, Some(1)), "{health:?}");
    let kept = host::files::list(&database.with_file_name("set-aside")).unwrap();
    let text = String::from_utf8(host::files::read(&kept[0]).unwrap()).unwrap();
    assert!(kept.len() == 1 && text.contains(poison["event_id"].as_str().unwrap()), "{kept:?} {text}");
    // And it is not tried again.
    let role = role.restart(|_| ()).await;
    role.report(&thrown("Error", "after", "f")).await;
    assert_eq!(role.digested(4).await.events, 4);
    role.stop().await;
}
