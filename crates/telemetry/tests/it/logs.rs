//! Lines as the keeper and the edge write them, found again.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use host::clock::{Clock, SystemClock, Timestamp};
use host::files;
use telemetry::logs::{Filter, Keeping, Level, Question};

use crate::place::{Place, Turned};

/// Now, as the keeper writes it.
fn now() -> String {
    SystemClock.now().to_string()
}

fn numbered(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|n| format!("line {n}")).collect()
}

#[tokio::test]
async fn lines_are_found_by_id_level_text_field_time_and_unit() {
    let place = Place::new();
    place.kept("web-1", &now(), r#"{"level":"info","msg":"basket opened","request_id":"req-000001","trace_id":"0af7651916cd43dd8448eb211c80319c","user":{"plan":"gold"}}"#);
    place.kept("web-1", &now(), r#"{"level":50,"msg":"Payment timed out","reqId":"req-000002"}"#);
    place.kept("mongodb", &now(), r#"{"t":{"$date":"2026-01-01"},"s":"W","msg":"slow query"}"#);
    place.append("access", &format!("{{\"time\":\"{}\",\"request_id\":\"req-000001\",\"method\":\"GET\",\"path\":\"/basket\",\"status\":200,\"bytes\":1,\"ms\":1.5,\"app\":\"web\",\"release\":\"r7\"}}\n", now()));
    place.append("keeper", &format!("{}  INFO web-1 started\n", now()));
    place.append("broken", "\u{0}\u{1}not a line at all\n");
    files::open_append(&place.root.log_of("bytes"), files::Access::Owner).unwrap();
    let role = place.start().await;

    let all = role.lines(Filter::default(), 5).await;
    assert_eq!(all.len(), 5, "{all:?}");
    let of = |filter: Filter| role.find(filter);
    // The same id finds what the edge and what the app says of a request.
    let found = role.lines(Filter { request: Some("req-000001".into()), ..Filter::default() }, 2).await;
    for part in ["basket opened", "\"path\":\"/basket\""] {
        assert!(found.iter().any(|line| line.contains(part)), "{found:?}");
    }
    let found = of(Filter { trace: Some("0af7651916cd43dd8448eb211c80319c".into()), ..Filter::default() }).await;
    assert_eq!(found.lines.len(), 1);
    assert_eq!(found.lines[0].source.app.as_deref(), Some("web"));
    let levels = of(Filter { level: Some(Level::Warn), ..Filter::default() }).await.lines;
    let mut levels: Vec<Level> = levels.iter().map(|record| record.level.unwrap()).collect();
    levels.sort();
    assert_eq!(levels, [Level::Warn, Level::Error]);
    for (text, count) in [("timed out", 1), ("PAYMENT", 1), ("pay", 1), ("out timed", 0), ("nothing", 0)] {
        let found = of(Filter { text: Some(text.into()), ..Filter::default() }).await.lines;
        assert_eq!(found.len(), count, "{text}: {found:?}");
    }
    let fields = vec![("user.plan".to_owned(), "gold".to_owned())];
    assert_eq!(of(Filter { fields, ..Filter::default() }).await.lines.len(), 1);
    for (name, count) in [("web", 2), ("web-1", 2), ("mongodb", 1), ("access", 1), ("api", 0)] {
        let found = of(Filter { names: Some(vec![name.into()]), ..Filter::default() }).await.lines;
        assert_eq!(found.len(), count, "{name}: {found:?}");
    }
    let later = Timestamp::from_unix_millis(SystemClock.now().unix_millis() + 60_000);
    assert!(of(Filter { since: Some(later), ..Filter::default() }).await.lines.is_empty());
    let access = of(Filter { names: Some(vec!["access".into()]), ..Filter::default() }).await.lines;
    assert_eq!(access[0].source.release.as_deref(), Some("r7"));
    role.stop().await;
}

#[tokio::test]
async fn a_role_that_comes_and_goes_has_each_line_once_whatever_is_rotated_meanwhile() {
    let place = Place::new();
    let write = |from: usize, to: usize| {
        let lines: String = numbered(from, to)
            .iter()
            .map(|line| format!("{}\n", serde_json::json!({ "time": now(), "stream": "out", "line": line })))
            .collect();
        place.append("web-1", &lines);
    };
    write(0, 3000);
    let role = place.start().await;
    let ask = || Filter { text: Some("line".into()), ..Filter::default() };
    role.lines(ask(), 1000).await;
    place.rotate("web-1");
    write(3000, 6000);
    role.stop().await;
    write(6000, 6500);
    place.rotate("web-1");
    write(6500, 7000);
    for _ in 0..2 {
        let role = place.start().await;
        role.until("all are there", async |client| {
            let question = Question { limit: 10_000, ..Question::default() };
            client.logs(&question).await.unwrap().lines.len() >= 7000
        })
        .await;
        let question = Question { limit: 10_000, ..Question::default() };
        let found = role.client.logs(&question).await.unwrap();
        let mut lines: Vec<String> = found.lines.into_iter().map(|record| record.line).collect();
        lines.sort_by_key(|line| line[5..].parse::<usize>().unwrap());
        assert_eq!(lines, numbered(0, 7000));
        assert_eq!(role.client.logs_state().await.unwrap().gaps, 0);
        role.stop().await;
    }
}

#[tokio::test]
async fn what_follows_is_told_from_where_the_last_answer_ended() {
    let place = Place::new();
    place.kept("web-1", &now(), "one");
    let role = place.start().await;
    role.lines(Filter::default(), 1).await;
    let mut cursor = role.find(Filter::default()).await.cursor;
    let mut seen = Vec::new();
    for n in 0..50 {
        place.kept("web-1", &now(), &format!("line {n}"));
        let question = Question { limit: 7, after: Some(cursor), ..Question::default() };
        let answer = role.client.logs(&question).await.unwrap();
        seen.extend(answer.lines.into_iter().map(|record| record.line));
        cursor = answer.cursor;
    }
    while seen.len() < 50 {
        let question = Question { limit: 7, after: Some(cursor), ..Question::default() };
        let answer = role.client.logs(&question).await.unwrap();
        seen.extend(answer.lines.into_iter().map(|record| record.line));
        cursor = answer.cursor;
        tokio::task::yield_now().await;
    }
    assert_eq!(seen, numbered(0, 50));
    role.stop().await;
}

#[tokio::test]
async fn a_damaged_day_is_moved_aside_and_said_and_its_lines_come_again() {
    let place = Place::new();
    place.kept("web-1", &now(), "before");
    let role = place.start().await;
    role.lines(Filter::default(), 1).await;
    role.stop().await;
    let folder = place.root.telemetry().join("logs");
    let days = files::list(&folder).unwrap();
    let day = days.iter().find(|path| path.extension().is_some_and(|end| end == "db")).unwrap();
    for text in [&b"this is no database, and never was one"[..], &[0; 8192]] {
        files::write(day, text, files::Access::Owner).unwrap();
        place.kept("web-1", &now(), "after");
        let role = place.start().await;
        let lines = role.lines(Filter { text: Some("before".into()), ..Filter::default() }, 1).await;
        assert_eq!(lines, ["before"]);
        role.lines(Filter { text: Some("after".into()), ..Filter::default() }, 1).await;
        assert_eq!(role.client.logs_state().await.unwrap().damaged.len(), 1);
        role.stop().await;
        let left = files::list(&folder).unwrap();
        assert!(left.iter().any(|path| path.to_string_lossy().contains(".damaged-")), "{left:?}");
    }
}

#[tokio::test]
async fn a_full_disk_stops_the_keeping_and_nothing_else_and_all_is_kept_when_there_is_room() {
    let mut place = Place::new();
    place.settings.logs = Keeping { least_free_bytes: u64::MAX, ..Keeping::default() };
    place.kept("web-1", &now(), "waits");
    let role = place.start().await;
    role.until("it is said", async |client| client.logs_state().await.unwrap().paused.is_some()).await;
    assert!(role.find(Filter::default()).await.lines.is_empty());
    role.stop().await;
    place.settings.logs = Keeping::default();
    let role = place.start().await;
    assert_eq!(role.lines(Filter::default(), 1).await, ["waits"]);
    assert_eq!(role.client.logs_state().await.unwrap().paused, None);
    role.stop().await;
}

#[tokio::test]
async fn a_flood_is_cut_and_counted_and_a_huge_line_is_cut() {
    let mut place = Place::new();
    place.settings.logs = Keeping { most_lines_a_second: 10, ..Keeping::default() };
    let same = now();
    for n in 0..100 {
        place.kept("web-1", &same, &format!("line {n}"));
    }
    place.kept("web-1", "2031-01-01T00:00:00Z", "years ahead");
    place.append("web-2", &format!("{}\n", "x".repeat(2_000_000)));
    files::write(&place.root.log_of("web-3"), b"\xff\xfe\x00 no text\n", files::Access::Owner).unwrap();
    let role = place.start().await;
    let lines = role.lines(Filter::default(), 14).await;
    assert_eq!(lines.iter().filter(|line| line.starts_with("line ")).count(), 10);
    assert!(lines.iter().any(|line| line == "roadbed: 90 lines of one second were more than are kept"), "{lines:?}");
    assert!(lines.iter().any(|line| line == "years ahead"));
    let state = role.client.logs_state().await.unwrap();
    assert_eq!((state.dropped, state.cut), (90, 1));
    role.stop().await;
}

#[tokio::test]
async fn days_that_are_over_are_packed_and_still_found() {
    let place = Place::new();
    let then = 1_767_225_600_000; // 2026-01-01
    let clock = Arc::new(Turned(AtomicI64::new(then)));
    for n in 0..2500 {
        place.kept(
            "web-1",
            &Timestamp::from_unix_millis(then + n).to_string(),
            &format!(r#"{{"msg":"old words","request_id":"request-{n}"}}"#),
        );
    }
    let role = place.start_at(Arc::clone(&clock) as Arc<dyn Clock>).await;
    role.until("all are kept", async |client| client.logs_state().await.unwrap().lines == 2500).await;
    role.stop().await;
    let day = |end: &str| place.root.telemetry().join("logs").join(format!("2026-01-01.{end}"));
    assert!(files::exists(&day("db")));

    // Four days later.
    clock.0.store(then + 4 * 86_400_000, std::sync::atomic::Ordering::SeqCst);
    place.kept("web-1", &clock.now().to_string(), "new");
    let role = place.start_at(Arc::clone(&clock) as Arc<dyn Clock>).await;
    role.until("it is packed", async |_| files::exists(&day("zst")) && !files::exists(&day("db"))).await;
    let found = role.lines(Filter { request: Some("request-1234".into()), ..Filter::default() }, 1).await;
    assert_eq!(found, [r#"{"msg":"old words","request_id":"request-1234"}"#]);
    assert_eq!(role.find(Filter { text: Some("old words".into()), ..Filter::default() }).await.lines.len(), 1000);
    // The file that was read for the packed day is not read again.
    let question = Question { limit: 10_000, ..Question::default() };
    role.until("the new line is there too", async |client| client.logs(&question).await.unwrap().lines.len() == 2501)
        .await;
    role.stop().await;

    // Two months later nobody wants it any more.
    clock.0.store(then + 60 * 86_400_000, std::sync::atomic::Ordering::SeqCst);
    let role = place.start_at(clock).await;
    role.until("it is gone", async |_| !files::exists(&day("zst"))).await;
    role.stop().await;
}
