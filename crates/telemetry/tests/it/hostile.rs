//! What strangers may send without anybody else noticing.

use std::fmt::Write;

use proptest::prelude::*;
use serde_json::{Value, json};
use telemetry::{Envelope, ErrorLimits, IssueFilter, Project};

use crate::role::{Role, SERVER_KEY};
use crate::sender::{envelope, path_of_web, recorded, send, thrown, uuid};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever comes, reading ends, and what is read is a part of what came.
    #[test]
    fn no_bytes_make_the_reader_of_envelopes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(envelope) = Envelope::read(&bytes) {
            let length: usize = envelope.items.iter().map(|item| item.payload.len()).sum();
            prop_assert!(length <= bytes.len());
        }
    }

    /// As above, with what nearly is an envelope.
    #[test]
    fn no_damage_to_a_real_envelope_makes_the_reader_panic(at in any::<prop::sample::Index>(), with in any::<[u8; 3]>(), cut in any::<prop::sample::Index>()) {
        let mut bytes = recorded("node-attachment.envelope");
        let at = at.index(bytes.len() - 3);
        bytes[at..at + 3].copy_from_slice(&with);
        bytes.truncate(cut.index(bytes.len()) + 1);
        let _ = Envelope::read(&bytes);
    }

    /// Items that are written by the rules are read as they were written, with a length and without.
    #[test]
    fn what_is_written_is_read(items in proptest::collection::vec((any::<bool>(), "[ -~]{0,40}"), 0..8)) {
        let mut text = "{}\n".to_owned();
        for (has_length, payload) in &items {
            let length = if *has_length { format!(",\"length\":{}", payload.len()) } else { String::new() };
            write!(text, "{{\"type\":\"x\"{length}}}\n{payload}\n").unwrap();
        }
        let read = Envelope::read(text.as_bytes()).unwrap();
        prop_assert_eq!(read.broken, None);
        let read: Vec<&[u8]> = read.items.iter().map(|item| item.payload).collect();
        let written: Vec<&[u8]> = items.iter().map(|(_, payload)| payload.as_bytes()).collect();
        prop_assert_eq!(read, written);
    }
}

#[tokio::test]
async fn nonsense_is_refused_and_the_next_one_is_taken() {
    let role = Role::start().await;
    let deep = "[".repeat(100_000);
    let nested = format!("{{\"event_id\":\"{}\",\"extra\":{}1{}}}", uuid(), "{\"a\":".repeat(5_000), "}".repeat(5_000));
    let huge = json!({ "event_id": uuid(), "message": "x".repeat(2 << 20) });
    for (body, status) in [
        (b"".to_vec(), 400),
        (b"\n\n\n".to_vec(), 400),
        (b"not json\n".to_vec(), 400),
        (b"{}\n{\"type\":5}\nx".to_vec(), 400),
        (b"{}\n{\"type\":\"event\"}\nnot json".to_vec(), 400),
        (b"{}\n{\"type\":\"event\"}\n[1,2]".to_vec(), 400),
        (b"{}\n{\"type\":\"event\"}\n\"text\"".to_vec(), 400),
        (b"{}\n{\"type\":\"event\"}\n{\"a\":1".to_vec(), 400),
        (b"{}\n{\"type\":\"event\",\"length\":99999999999999999999}\n{}".to_vec(), 400),
        (format!("{{}}\n{{\"type\":\"event\"}}\n{deep}").into_bytes(), 400),
        (format!("{{\"x\":\"{}\"}}\n", "y".repeat(20_000)).into_bytes(), 400),
        (envelope(&huge), 413),
        (vec![b'x'; 5 << 20], 413),
        // Odd, and taken: whatever cannot be used is as if it were not there.
        (format!("{{}}\n{{\"type\":\"event\"}}\n{nested}").into_bytes(), 200),
        (b"{}\n{\"type\":\"event\"}\n{}".to_vec(), 200),
        (b"{}\n".to_vec(), 200),
    ] {
        let answer = role.post(&body).await;
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        assert_eq!(answer.status, status, "{shown}: {answer:?}");
    }
    for odd in [
        json!({ "event_id": 7, "level": ["x"], "release": { "a": 1 }, "exception": 5, "tags": "x", "contexts": [], "request": null }),
        json!({ "exception": { "values": [null, 5, { "type": 7, "value": {}, "stacktrace": [], "mechanism": true }] }, "fingerprint": [1, null, {}] }),
        json!({ "exception": { "values": [{ "stacktrace": { "frames": [5, null, { "in_app": "yes", "function": [] }] } }] } }),
        json!({ "message": 5, "logentry": [], "timestamp": "yesterday", "tags": [["a"], ["b", "c"], 5] }),
        json!({ "event_id": "zzz", "timestamp": 1e300, "platform": "x".repeat(100_000), "transaction": "\u{0}\u{202e}<script>alert(1)</script>" }),
        json!({ "timestamp": -1e19, "level": "fatal; DROP TABLE issues", "debug_meta": { "images": [{ "debug_id": 5 }] } }),
    ] {
        role.report(&odd).await;
    }
    let twice = format!(
        "{{}}\n{{\"type\":\"event\"}}\n{{\"event_id\":\"{}\",\"message\":\"first\",\"message\":\"second\"}}",
        uuid()
    );
    assert_eq!(role.post(twice.as_bytes()).await.status, 200);
    role.report(&thrown("Error", "after all of this", "f")).await;
    role.digested(10).await;
    let issues = role.client().issues(&IssueFilter::default()).await.unwrap();
    assert!(issues.iter().any(|issue| issue.title == "Error: after all of this"), "{issues:?}");
    assert!(issues.iter().any(|issue| issue.title == "first"), "{issues:?}");
    role.stop().await;
}

#[tokio::test]
async fn a_clock_that_is_years_off_moves_no_issue() {
    let role = Role::start().await;
    for timestamp in
        [json!(0), json!(4_102_444_800_u64), json!("1999-01-01T00:00:00Z"), json!("2150-01-01T00:00:00Z"), json!("NaN")]
    {
        let mut event = thrown("Error", "x", "f");
        event["timestamp"] = timestamp;
        role.report(&event).await;
    }
    role.digested(5).await;
    let issue = role.client().issues(&IssueFilter::default()).await.unwrap().remove(0);
    assert_eq!(issue.events, 5);
    assert!(issue.last_seen - issue.first_seen < 60_000, "{issue:?}");
    role.stop().await;
}

#[tokio::test]
async fn very_many_different_errors_and_tags_stay_bounded() {
    let limits = ErrorLimits { issues_per_app: 50, burst: 100_000, ..ErrorLimits::default() };
    let role = Role::start_with(limits).await;
    for index in 0..300 {
        let mut event = thrown("Error", "x", &format!("f{index}"));
        if index % 50 == 0 {
            let tags: serde_json::Map<String, Value> = (0..5_000).map(|tag| (format!("t{tag}"), json!("v"))).collect();
            event["tags"] = Value::Object(tags);
        }
        role.report(&event).await;
    }
    let health = role.digested(300).await;
    assert_eq!((health.events, health.issues), (300, 51), "{health:?}");
    let filter = IssueFilter { search: Some("More different".into()), ..IssueFilter::default() };
    let together = role.client().issues(&filter).await.unwrap().remove(0);
    assert_eq!(together.events, 250);
    let newest = role.client().issue(together.id).await.unwrap().events.remove(0);
    assert!(newest.body.unwrap().to_string().len() < 20_000);
    role.stop().await;
}

#[tokio::test]
async fn a_flood_of_pages_is_told_to_wait_and_the_server_is_not() {
    let role = Role::start_with(ErrorLimits { burst: 20, per_minute: 60, ..ErrorLimits::default() }).await;
    let page = format!("/api/{}/envelope/?sentry_key={}", Project::id_of("web"), Project::page_key(SERVER_KEY));
    let mut taken = 0;
    for _ in 0..100 {
        let answer = send(role.port, "POST", &page, &[], &envelope(&thrown("Error", "x", "f"))).await;
        if answer.status == 200 {
            taken += 1;
            continue;
        }
        assert_eq!(answer.status, 429);
        assert!(answer.headers["x-sentry-rate-limits"].ends_with("error;default:project:spike"), "{answer:?}");
        assert!(answer.headers.contains_key("retry-after"));
    }
    assert!((20..=30).contains(&taken), "{taken}");
    role.report(&thrown("Error", "of the server", "f")).await;
    let health = role.digested(taken + 1).await;
    let spike = health.not_kept.iter().find(|one| one.what == "spike").unwrap();
    assert_eq!(spike.count, 100 - taken);
    role.stop().await;
}

#[tokio::test]
async fn nothing_is_taken_where_there_is_no_room() {
    let role = Role::start_with(ErrorLimits { free_bytes: u64::MAX, ..ErrorLimits::default() }).await;
    let answer = send(role.port, "POST", &path_of_web(), &[], &envelope(&thrown("Error", "x", "f"))).await;
    assert_eq!((answer.status, answer.body.contains("the disk is full")), (429, true), "{answer:?}");
    assert_eq!(answer.headers["retry-after"], "60");
    role.stop().await;
}
