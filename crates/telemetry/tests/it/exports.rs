//! What leaves for services elsewhere arrives: whoever is away, full or killed in between.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use host::clock::{Clock, SystemClock};
use reconcile::Root;
use serde_json::Value;
use telemetry::logs::Filter;
use telemetry::{Envelope, ErrorLimits, Export, ExportKind, ExportSecret, TelemetryClient};

use crate::place::{Place, Role as InProcess, Turned};
use crate::receiver::{Got, Receiver, free_port};
use crate::role;
use crate::sender::{envelope, path_of_web, send, thrown};

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn export(name: &str, kind: ExportKind, url: String) -> Export {
    Export { name: name.into(), kind, url, user: None, tenant: None, apps: Vec::new(), every_ms: 1_000 }
}

pub(crate) fn secret(export: &str, value: &str) -> ExportSecret {
    ExportSecret { export: export.into(), value: value.into() }
}

/// Waits for a state.
async fn until<T: std::fmt::Debug>(what: &str, mut look: impl AsyncFnMut() -> Result<(), T>) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(seen) = look().await {
        assert!(Instant::now() < deadline, "{what}: {seen:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A role that can be killed.
async fn start(root: &Root, client: &TelemetryClient) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "durability::as_a_process_of_its_own"])
        .env(crate::durability::ROOT, root.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while client.health().await.is_err() {
        assert!(child.try_wait().unwrap().is_none(), "the role ended before it answered");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child
}

/// What Loki is sent.
fn pushed(got: &Got) -> Value {
    let mut text = String::new();
    flate2::read::GzDecoder::new(&*got.body).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn event_of(got: &Got) -> Value {
    let envelope = Envelope::read(&got.body).unwrap();
    assert_eq!((envelope.items.len(), envelope.broken), (1, None), "{got:?}");
    serde_json::from_slice(envelope.items[0].payload).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_error_is_sent_on_though_the_receiver_is_away_and_the_role_killed() {
    let (_folder, root, port) = role::root(ErrorLimits::default());
    let mut settings = role::settings(port, ErrorLimits::default());
    settings.exports = vec![export("hosted", ExportKind::Sentry, String::new())];
    settings.write(&root).unwrap();
    let client = TelemetryClient::new(root.clone());
    let elsewhere = free_port();
    let key = role::SERVER_KEY.replace('0', "a");
    let dsn = || [secret("hosted", &format!("http://{key}@127.0.0.1:{elsewhere}/under/4711"))];
    let mut reported = BTreeSet::new();
    let mut report = async |count: usize| {
        for _ in 0..count {
            let mut event = thrown("Error", "no stock", "reserve");
            event["extra"] = serde_json::json!({ "password": "hunter2".repeat(2) });
            // Whoever is not taken on is answered as ever.
            assert_eq!(send(port, "POST", &path_of_web(), &[], &envelope(&event)).await.status, 200);
            reported.insert(event["event_id"].as_str().unwrap().to_owned());
        }
    };

    let mut child = start(&root, &client).await;
    client.tell_exports(&dsn()).await.unwrap();
    report(40).await;
    until("it is noticed that nobody listens", async || {
        let state = client.exports().await.unwrap().remove(0);
        if state.trouble.as_ref().is_some_and(|why| why.contains("cannot connect")) { Ok(()) } else { Err(state) }
    })
    .await;
    child.kill().unwrap();
    child.wait().unwrap();

    // Nothing is sent before the DSN is told, which is on no disk.
    let mut child = start(&root, &client).await;
    let busy = (429, vec![("retry-after", "1")]);
    let receiver = Receiver::start(elsewhere, &[busy, (503, Vec::new())]);
    report(40).await;
    client.tell_exports(&dsn()).await.unwrap();
    until("some are sent", async || match receiver.taken().len() {
        0..20 => Err(client.exports().await),
        _ => Ok(()),
    })
    .await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(receiver.refused(), 2);

    let mut child = start(&root, &client).await;
    client.tell_exports(&dsn()).await.unwrap();
    report(5).await;
    until("all are there", async || {
        let there: BTreeSet<String> =
            receiver.taken().iter().map(|got| event_of(got)["event_id"].as_str().unwrap().to_owned()).collect();
        if there == reported { Ok(()) } else { Err((there.len(), reported.len(), client.exports().await)) }
    })
    .await;
    let taken = receiver.taken();
    // No more than what is between two notes of how far it is.
    assert!(taken.len() <= reported.len() + 50, "{} of {}", taken.len(), reported.len());
    for got in &taken {
        assert_eq!(got.path, "/under/api/4711/envelope/");
        assert!(got.header("x-sentry-auth").ends_with(&format!("sentry_key={key}")), "{got:?}");
        let event = event_of(got);
        assert_eq!((&event["environment"], &event["tags"]["app"]), (&"test".into(), &"web".into()));
        assert!(!String::from_utf8_lossy(&got.body).contains("hunter2"), "{event}");
    }
    let state = client.exports().await.unwrap().remove(0);
    assert_eq!((state.dropped, state.trouble), (BTreeMap::new(), None));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_reach_loki_and_a_collector_and_go_on_where_they_were() {
    // Another environment takes what comes by OTLP, as any collector does.
    let collector = Place::new();
    let collector = (collector.start().await, collector);
    collector.0.client.look_for(&[]).await.unwrap();
    let at = free_port();
    let mut place = Place::new();
    let mut loki = export("loki", ExportKind::Loki, format!("http://127.0.0.1:{at}/loki/api/v1/push"));
    (loki.user, loki.tenant) = (Some("shop".into()), Some("urbancart".into()));
    let otlp = format!("http://127.0.0.1:{}/v1/logs", collector.0.port);
    let now = || SystemClock.now().to_string();
    place.kept("web-1", &now(), "before anybody wanted it");
    let role = place.start().await;
    role.lines(Filter::default(), 1).await;
    role.stop().await;
    place.settings.exports = vec![loki, export("otlp", ExportKind::Otlp, otlp)];
    let role = place.start().await;
    let line = |at: usize| format!("{{\"level\":\"warn\",\"msg\":\"line {at}\",\"request_id\":\"req-{at:08}\"}}");
    let tell = async |role: &InProcess| role.client.tell_exports(&[secret("loki", "let-me-in")]).await.unwrap();

    (0..1_500).for_each(|at| place.kept("web-1", &now(), &line(at)));
    tell(&role).await;
    // While one of them is away the other has all.
    role.until("the collector has them", async |client| {
        let otlp = client.exports().await.unwrap().into_iter().find(|export| export.kind == ExportKind::Otlp).unwrap();
        otlp.sent >= 1_500 && otlp.waiting == 0
    })
    .await;
    role.stop().await;

    let receiver = Receiver::start(at, &[(401, Vec::new()), (503, vec![("retry-after", "1")])]);
    let role = place.start().await;
    tell(&role).await;
    (1_500..1_510).for_each(|at| place.kept("web-1", &now(), &line(at)));
    let texts = || -> Vec<String> {
        let streams = receiver.taken().into_iter().flat_map(|got| {
            assert_eq!(got.path, "/loki/api/v1/push");
            assert_eq!((got.header("content-encoding"), got.header("x-scope-orgid")), ("gzip", "urbancart"));
            assert!(got.header("authorization").starts_with("Basic "), "{got:?}");
            pushed(&got)["streams"].as_array().unwrap().clone()
        });
        let of_web = streams.filter(|stream| stream["stream"]["unit"] == "web-1");
        let lines = of_web.flat_map(|stream| {
            assert_eq!(stream["stream"]["environment"], "test", "{stream}");
            assert_eq!((&stream["stream"]["app"], &stream["stream"]["level"]), (&"web".into(), &"warn".into()));
            stream["values"].as_array().unwrap().clone()
        });
        lines.map(|value| value[1].as_str().unwrap().to_owned()).collect()
    };
    role.until("Loki has them", async |_| texts().len() >= 1_510).await;
    // Each once, in order; what was there before the export is not sent.
    assert_eq!(texts(), (0..1_510).map(line).collect::<Vec<_>>());
    role.until("the collector has the last", async |_| collector.0.client.logs_state().await.unwrap().lines >= 1_510)
        .await;
    let filter = Filter { request: Some("req-00001509".into()), ..Filter::default() };
    let found = collector.0.lines(filter, 1).await;
    assert!(found[0].contains("line 1509") && found.len() == 1, "{found:?}");
    assert_eq!(collector.0.client.logs_state().await.unwrap().lines, 1_510);
    role.stop().await;
    collector.0.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_that_a_receiver_missed_for_days_are_counted_once_and_what_comes_then_arrives() {
    const DAY: i64 = 86_400_000;
    let then = 1_767_225_600_000; // 2026-01-01
    let clock = Arc::new(Turned(AtomicI64::new(then)));
    let now = || Arc::clone(&clock) as Arc<dyn Clock>;
    let at = free_port();
    let mut place = Place::new();
    let loki = export("loki", ExportKind::Loki, format!("http://127.0.0.1:{at}/loki/api/v1/push"));
    place.settings.exports = vec![loki];
    let write = |from: usize, to: usize| {
        (from..to).for_each(|at| place.kept("web-1", &clock.now().to_string(), &format!("line {at}")));
    };
    let state = async |role: &InProcess| role.client.exports().await.unwrap().remove(0);
    let missed = |count: u64| BTreeMap::from([("bound".to_owned(), count)]);

    // Nobody listens. What is written is kept and found as ever, and waits.
    let role = place.start_at(now()).await;
    role.client.tell_exports(&[]).await.unwrap();
    write(0, 300);
    role.until("they wait", async |_| state(&role).await.waiting == 300).await;
    role.until("it is said why", async |_| {
        state(&role).await.trouble.is_some_and(|why| why.contains("cannot connect"))
    })
    .await;
    assert_eq!((state(&role).await.dropped, role.lines(Filter::default(), 300).await.len()), (BTreeMap::new(), 300));
    role.stop().await;

    // Days later, as the one who begins packs the day: these are counted, and not kept in a queue that grows.
    clock.0.store(then + 4 * DAY, Ordering::SeqCst);
    let role = place.start_at(now()).await;
    role.client.tell_exports(&[]).await.unwrap();
    role.until("they are counted", async |_| state(&role).await.dropped == missed(300)).await;
    write(300, 320);
    role.until("the next ones wait", async |_| state(&role).await.waiting == 20).await;
    role.stop().await;

    // Whoever begins next does not count them again, and the receiver that is back gets all that still waits.
    let receiver = Receiver::start(at, &[]);
    let role = place.start_at(now()).await;
    role.client.tell_exports(&[]).await.unwrap();
    write(320, 325);
    // What waits is counted after what was sent.
    role.until("all that waited is there", async |_| {
        let after = state(&role).await;
        (after.sent, after.waiting, after.trouble) == (25, 0, None)
    })
    .await;
    assert_eq!(state(&role).await.dropped, BTreeMap::new());
    let texts = receiver.taken().iter().map(pushed).map(|body| body["streams"].to_string()).collect::<String>();
    assert!(texts.contains("line 300") && texts.contains("line 324") && !texts.contains("line 299"), "{texts}");
    assert!(!receiver.taken()[0].headers.contains_key("authorization"));
    role.stop().await;

    // A day that was packed while nobody exported is missed as well.
    place.settings.exports[0].url = format!("http://127.0.0.1:{}/loki/api/v1/push", free_port());
    let exports = std::mem::take(&mut place.settings.exports);
    clock.0.store(then + 5 * DAY, Ordering::SeqCst);
    let role = place.start_at(now()).await;
    (0..40).for_each(|at| place.kept("web-1", &clock.now().to_string(), &format!("unseen {at}")));
    role.until("they are kept", async |client| client.logs_state().await.unwrap().lines == 40).await;
    role.stop().await;
    clock.0.store(then + 9 * DAY, Ordering::SeqCst);
    let role = place.start_at(now()).await;
    let packed = place.root.telemetry().join("logs/2026-01-06.zst");
    role.until("it is packed", async |_| host::files::exists(&packed)).await;
    role.stop().await;
    place.settings.exports = exports;
    let role = place.start_at(now()).await;
    role.until("they are counted", async |_| state(&role).await.dropped == missed(40)).await;
    role.stop().await;
}
