//! What fails is told once, to whoever it concerns, and what is over too.

use std::time::{Duration, Instant};

use monitors::{Channel, ChannelKind, DeliveryState, Shown, signature};
use secrets::Secret;

use crate::scene::{EVERY_MS, Running, SECRET, Watched, channel, monitor, receiver, settings, webhook, word};

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_told_within_two_looks_and_so_is_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let watched = Watched::start().await;
    let (address, mut words) = receiver(0).await;
    let running = Running::start(
        folder.path(),
        settings(vec![monitor("app/api", watched.address)], vec![webhook("oncall", address)]),
    )
    .await;
    running.until_shown("app/api", Shown::Up).await;
    watched.answers(503);
    let began = Instant::now();
    running.until_shown("app/api", Shown::Down).await;
    assert!(began.elapsed() < Duration::from_millis(2 * EVERY_MS + 200), "{:?}", began.elapsed());
    let told = word(&mut words).await;
    // A second is waited for others that come at once.
    assert!(told.at.duration_since(began) < Duration::from_millis(2 * EVERY_MS + 2_500), "{:?}", told.at - began);
    let seconds = told.signature[2..told.signature.find(',').unwrap()].parse().unwrap();
    assert_eq!(told.signature, signature(&Secret::new(SECRET.into()), seconds, &told.body));
    let json = told.json();
    assert_eq!((&json["product"], &json["environment"]), (&"urbancart".into(), &"test".into()));
    let alert = &json["alerts"][0];
    assert_eq!(alert["about"], "opened");
    assert_eq!(alert["subject"], "app/api");
    assert_eq!(alert["why"], "it answers 503");
    assert_eq!(alert["release"], "r7-abc");
    assert_eq!(alert["owner"], "backend");
    assert_eq!(alert["contact"], "backend@urbancart.example");
    assert_eq!(alert["runbook"]["text"], "Look at `roadbed status`.");
    watched.answers(200);
    let over = word(&mut words).await.json();
    assert_eq!(over["alerts"][0]["about"], "resolved");
    assert!(over["alerts"][0]["resolved"].is_string());
    assert!(words.try_recv().is_err(), "nothing is told twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_at_once_is_told_at_once_and_only_to_whom_it_concerns() {
    let folder = tempfile::tempdir().unwrap();
    let watched = Watched::start().await;
    let (all, mut all_words) = receiver(0).await;
    let (payments, mut payments_words) = receiver(0).await;
    let of_payments = Channel { owners: vec!["payments".into()], ..webhook("payments", payments) };
    let monitors = vec![monitor("one", watched.address), monitor("two", watched.address)];
    let running = Running::start(folder.path(), settings(monitors, vec![webhook("all", all), of_payments])).await;
    running.until("up", |states| states.iter().all(|state| state.shown == Shown::Up)).await;
    watched.answers(500);
    let told = word(&mut all_words).await.json();
    assert_eq!(told["alerts"].as_array().unwrap().len(), 2, "{told}");
    assert!(payments_words.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_away_is_told_when_he_is_back_also_by_those_who_come_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let watched = Watched::start().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let declared = settings(vec![monitor("app/api", watched.address)], vec![webhook("oncall", free)]);
    let running = Running::start(folder.path(), declared.clone()).await;
    running.until_shown("app/api", Shown::Up).await;
    watched.answers(503);
    let began = Instant::now();
    while !running.deliveries().await.iter().any(|delivery| delivery.attempts > 0) {
        assert!(began.elapsed() < Duration::from_secs(20), "nobody tried");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(running.deliveries().await[0].error.as_ref().unwrap().contains("cannot connect"));
    // As after kill -9: nothing is closed, nothing is said.
    drop(running);
    let (_, mut words) = receiver(free.port()).await;
    let running = Running::start(folder.path(), declared).await;
    let told = word(&mut words).await.json();
    assert_eq!(told["alerts"][0]["about"], "opened");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(words.try_recv().is_err(), "the outage that goes on is told once");
    let alerts = running.alerts().await;
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!(running.deliveries().await[0].state, DeliveryState::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_told_if_nobody_sees_to_it_is_not_told_once_somebody_does() {
    let folder = tempfile::tempdir().unwrap();
    let watched = Watched::start().await;
    let (address, mut words) = receiver(0).await;
    let boss = Channel { after_ms: 4_000, ..webhook("boss", address) };
    let running = Running::start(folder.path(), settings(vec![monitor("app/api", watched.address)], vec![boss])).await;
    running.until_shown("app/api", Shown::Up).await;
    watched.answers(503);
    running.until_shown("app/api", Shown::Down).await;
    let alerts = running.alerts().await;
    let acknowledge = serde_json::json!({ "alert": alerts[0].id, "who": "anna" });
    running.ask::<()>("POST", "/alerts/ack", Some(acknowledge.clone())).await;
    assert_eq!(running.alerts().await[0].acknowledged_by.as_deref(), Some("anna"));
    assert_eq!(running.deliveries().await[0].state, DeliveryState::Spared);
    watched.answers(200);
    running.until_shown("app/api", Shown::Up).await;
    let (status, why) = running.raw("POST", "/alerts/ack", Some(acknowledge)).await;
    assert_eq!(status, 404, "{why}");
    // The second time nobody sees to it.
    watched.answers(503);
    assert_eq!(word(&mut words).await.json()["alerts"][0]["about"], "opened");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_and_a_deployment_tell_nobody_and_end() {
    let folder = tempfile::tempdir().unwrap();
    let watched = Watched::start().await;
    let (address, mut words) = receiver(0).await;
    let declared = settings(vec![monitor("app/api", watched.address)], vec![webhook("oncall", address)]);
    let running = Running::start(folder.path(), declared).await;
    running.until_shown("app/api", Shown::Up).await;
    let pause = serde_json::json!({ "monitors": ["app/api"], "lasts_ms": null, "reason": "new disk", "who": "anna" });
    running.ask::<()>("POST", "/monitors/pause", Some(pause)).await;
    watched.answers(503);
    let state = running.until("down", |states| states[0].health == monitors::Health::Down).await.remove(0);
    assert_eq!(state.shown, Shown::Paused);
    assert_eq!(state.window.as_deref(), Some("pause by anna: new disk"));
    assert!(running.alerts().await.is_empty());
    let known = serde_json::json!({ "secrets": [{ "channel": "oncall", "value": SECRET }], "releases": {},
        "deploying": "d3 of r4", "lease_ms": 2_500 });
    running.ask::<()>("PUT", "/monitors/told", Some(known)).await;
    assert_eq!(running.ask::<usize>("POST", "/monitors/resume", Some(serde_json::json!({ "monitors": [] }))).await, 1);
    assert_eq!(running.states().await[0].window.as_deref(), Some("deploy by roadbed: d3 of r4"));
    assert!(running.alerts().await.is_empty());
    // The lease of who deploys ends by itself.
    assert_eq!(word(&mut words).await.json()["alerts"][0]["subject"], "app/api");
    let unknown = serde_json::json!({ "monitors": ["app/web"] });
    assert_eq!(running.raw("POST", "/monitors/resume", Some(unknown)).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_and_a_chat_are_told_too_and_a_test_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept.json");
    let script = folder.path().join("tell.sh");
    std::fs::write(&script, format!("#!/bin/sh\ncp \"$1\" {}\n", kept.display())).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let exec = |command: &str| ChannelKind::Exec { command: vec![command.into()], folder: folder.path().to_owned() };
    let channels = vec![
        channel("program", exec("./tell.sh")),
        channel("broken", exec("false")),
        channel("chat", ChannelKind::Slack),
    ];
    let running = Running::start(folder.path(), settings(Vec::new(), channels)).await;
    let test = async |name: &str| {
        let id: i64 = running.ask("POST", "/alerts/test", Some(name.into())).await;
        let began = Instant::now();
        loop {
            let delivery: monitors::Delivery = running.ask("GET", &format!("/alerts/deliveries/{id}"), None).await;
            if delivery.state != DeliveryState::Waiting {
                return delivery;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{delivery:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert_eq!(test("program").await.state, DeliveryState::Done);
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(kept).unwrap()).unwrap();
    assert_eq!(json["alerts"][0]["about"], "test");
    assert_eq!(test("broken").await.error.as_deref(), Some("the program ended with exit code 1"));
    // The secret of a chat is its address; what was set here is none. It is not in the reason.
    let failed = test("chat").await;
    assert_eq!(failed.state, DeliveryState::Failed);
    assert!(!failed.error.unwrap().contains(SECRET));
    assert_eq!(running.raw("POST", "/alerts/test", Some("nobody".into())).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promise_that_does_not_hold_is_told_once_and_its_end_too() {
    let folder = tempfile::tempdir().unwrap();
    let (address, mut words) = receiver(0).await;
    let platform = Channel { owners: vec!["platform".into()], ..webhook("oncall", address) };
    let mut declared = settings(Vec::new(), vec![platform]);
    declared.contacts.insert("platform".into(), "platform@urbancart.example".into());
    let told = |promises: serde_json::Value| {
        serde_json::json!({ "secrets": [{ "channel": "oncall", "value": SECRET }], "releases": {}, "promises": promises,
            "deploying": null, "lease_ms": 0 })
    };
    let promise = |certainty: &str| {
        serde_json::json!([{ "task": "T13", "id": "the-newest-backup-was-restored", "claim": "A backup was restored",
            "why": "the last rehearsal was 3 days ago", "owner": "platform", "since": 5000, "certainty": certainty }])
    };
    let running = Running::start(folder.path(), declared.clone()).await;
    running.ask::<()>("PUT", "/monitors/told", Some(told(promise("broken")))).await;
    let opened = word(&mut words).await.json();
    let alert = &opened["alerts"][0];
    assert_eq!(
        (&alert["about"], &alert["subject"]),
        (&"opened".into(), &"promise/the-newest-backup-was-restored".into())
    );
    assert_eq!(alert["title"], "T13 does not hold: A backup was restored");
    assert_eq!(alert["why"], "the last rehearsal was 3 days ago");
    assert_eq!(alert["contact"], "platform@urbancart.example");

    // Who ends before it wrote down that something was told tells it again.
    let began = Instant::now();
    while running.deliveries().await.iter().any(|delivery| delivery.state != DeliveryState::Done) {
        assert!(began.elapsed() < Duration::from_secs(20), "it is not written down that it was told");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Neither a role that starts anew and was told nothing, nor what cannot be told, ends it.
    drop(running);
    let running = Running::start(folder.path(), declared).await;
    running.ask::<()>("PUT", "/monitors/told", Some(told(promise("unknown")))).await;
    let settled = || async { running.alerts().await.iter().filter(|alert| alert.resolved.is_none()).count() };
    for _ in 0..8 {
        assert_eq!(settled().await, 1);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    running.ask::<()>("PUT", "/monitors/told", Some(told(serde_json::json!([])))).await;
    assert_eq!(word(&mut words).await.json()["alerts"][0]["about"], "resolved");
    assert!(words.try_recv().is_err(), "nothing is told twice");
    // What cannot be told is told to nobody.
    running.ask::<()>("PUT", "/monitors/told", Some(told(promise("unknown")))).await;
    let pause = serde_json::json!({ "monitors": [], "lasts_ms": null, "reason": "new disk", "who": "anna" });
    running.ask::<()>("POST", "/monitors/pause", Some(pause)).await;
    running.ask::<()>("PUT", "/monitors/told", Some(told(promise("broken")))).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(settled().await, 0, "nor is anything while somebody works on all");
}
