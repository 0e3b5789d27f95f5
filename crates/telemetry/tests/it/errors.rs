//! The way in: what real clients sent, and all that the protocol allows.

use std::io::Write;

use serde_json::{Value, json};
use telemetry::{ErrorLimits, IssueFilter, KeyOf, Project, ProjectKey};

use crate::role::{self, Role, SERVER_KEY};
use crate::sender::{envelope, path_of_web, recorded, send, thrown, uuid};

#[tokio::test]
async fn what_real_clients_sent_is_found_again() {
    let role = Role::start().await;
    for name in [
        "node-session.envelope",
        "node-exception.envelope",
        "node-message.envelope",
        "node-fingerprint-cause.envelope",
        "node-attachment.envelope",
        "node-spans.envelope",
        "node-log.envelope",
        "node-sessions.envelope",
        "browser-session.envelope",
        "browser-exception.envelope",
        "browser-session-ended.envelope",
    ] {
        let answer = role.post(&recorded(name)).await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
    }
    let header = format!("Sentry sentry_key={SERVER_KEY}, sentry_version=7, sentry_client=sentry.python/2.75.0");
    let path = format!("/api/{}/envelope/", Project::id_of("web"));
    for name in ["node-big.envelope.gz", "python-exception.envelope.gz", "python-transaction.envelope.gz"] {
        let headers = [("x-sentry-auth", header.as_str()), ("content-encoding", "gzip")];
        let answer = send(role.port, "POST", &path, &headers, &recorded(name)).await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
    }
    let health = role.digested(7).await;
    assert_eq!(health.events, 7, "{health:?}");
    let issues = role.client().issues(&IssueFilter::default()).await.unwrap();
    let titles: Vec<&str> = issues.iter().map(|issue| issue.title.as_str()).collect();
    for title in [
        "TypeError: cart is undefined for id 7",
        // Said and not thrown: titled by what was said.
        "payment provider answered 502 for order 4711",
        "Error: outer failed",
        "Error: with attachment",
        "Error: big enough to be compressed",
        "TypeError: Cannot read properties of undefined (reading 'property')",
        "ValueError: no such order 12",
    ] {
        assert!(titles.contains(&title), "{title} is not among {titles:?}");
    }
    let events = role.client().error_events("request:req-12345678").await.unwrap();
    assert_eq!(events.len(), 7);
    for event in &events {
        assert_eq!((event.environment.as_str(), event.release.as_deref()), ("test", Some("shop@1.2.3")));
        assert!(event.trace_id.as_ref().is_some_and(|id| id.len() == 32), "{event:?}");
    }
    let python = events.iter().find(|event| event.title.starts_with("ValueError")).unwrap();
    assert!(issues.iter().any(|issue| issue.id == python.issue && issue.culprit == "inner in py.py"), "{issues:?}");
    // Spans and logs are counted, and the client is told to keep them.
    let spans = health.not_kept.iter().find(|not_kept| not_kept.what == "item-span").unwrap();
    assert_eq!(spans.count, 3);
    let answer = role.post(&recorded("node-spans.envelope")).await;
    assert!(answer.headers["x-sentry-rate-limits"].starts_with("86400:transaction;span"), "{answer:?}");
    // One page that failed by an error that nobody caught, reported twice; one process that had an error; one request.
    let releases = role.client().release_health(Some("web"), 0).await.unwrap();
    assert_eq!((releases[0].sessions, releases[0].errored, releases[0].crashed), (3, 1, 1), "{releases:?}");
    role.stop().await;
}

#[tokio::test]
async fn every_way_to_show_the_key_opens_and_no_other() {
    let role = Role::start().await;
    let id = Project::id_of("web");
    let page_key = Project::page_key(SERVER_KEY);
    let event = || envelope(&thrown("Error", "x", "f"));
    let auth = format!("Sentry sentry_key={SERVER_KEY}, sentry_version=7");
    let with_dsn = |dsn: &str| {
        let event = thrown("Error", "x", "f");
        format!("{}\n{{\"type\":\"event\"}}\n{event}\n", json!({ "dsn": dsn })).into_bytes()
    };
    let dsn = format!("http://{SERVER_KEY}@127.0.0.1:1/{id}");
    for (path, headers, body) in [
        (path_of_web(), vec![], event()),
        (format!("/api/{id}/envelope?sentry_key={page_key}"), vec![], event()),
        (format!("/.roadbed/telemetry/api/{id}/envelope/?sentry_key={page_key}"), vec![], event()),
        (format!("/api/{id}/envelope/"), vec![("x-sentry-auth", auth.as_str())], event()),
        (format!("/api/{id}/envelope/"), vec![("authorization", auth.as_str())], event()),
        (format!("/api/{id}/envelope/"), vec![], with_dsn(&dsn)),
        ("/tunnel".to_owned(), vec![], with_dsn(&dsn)),
        (format!("/api/{id}/store/?sentry_key={SERVER_KEY}"), vec![], thrown("Error", "x", "f").to_string().into()),
    ] {
        let answer = send(role.port, "POST", &path, &headers, &body).await;
        assert_eq!(answer.status, 200, "{path} {headers:?}: {answer:?}");
        assert_eq!(serde_json::from_str::<Value>(&answer.body).unwrap()["id"].as_str().unwrap().len(), 32);
    }
    let other = Project::id_of("api");
    for (path, body) in [
        (format!("/api/{id}/envelope/"), event()),
        (format!("/api/{id}/envelope/?sentry_key=00000000000000000000000000000000"), event()),
        (format!("/api/{other}/envelope/?sentry_key={SERVER_KEY}"), event()),
        (format!("/api/7/envelope/?sentry_key={SERVER_KEY}"), event()),
        (format!("/api/web/envelope/?sentry_key={SERVER_KEY}"), event()),
        (format!("/api/{other}/envelope/"), with_dsn(&dsn)),
        ("/tunnel".to_owned(), with_dsn("not an address")),
        ("/tunnel".to_owned(), event()),
    ] {
        let answer = send(role.port, "POST", &path, &[], &body).await;
        // Nobody is told which of both was wrong.
        assert_eq!(
            (answer.status, answer.body.contains("there is no such project, or the key")),
            (403, true),
            "{path}"
        );
    }
    let health = role.digested(8).await;
    assert_eq!(health.events, 8);
    role.stop().await;
}

#[tokio::test]
async fn everything_that_clients_pack_with_is_unpacked() {
    let role = Role::start().await;
    let body = |value: &str| envelope(&thrown("Error", value, "f"));
    let gzip = |bytes: &[u8]| {
        let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        to.write_all(bytes).unwrap();
        to.finish().unwrap()
    };
    let zlib = |bytes: &[u8]| {
        let mut to = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        to.write_all(bytes).unwrap();
        to.finish().unwrap()
    };
    let bare = |bytes: &[u8]| {
        let mut to = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        to.write_all(bytes).unwrap();
        to.finish().unwrap()
    };
    let brotli = |bytes: &[u8]| {
        let mut packed = Vec::new();
        brotli::CompressorWriter::new(&mut packed, 4096, 4, 22).write_all(bytes).unwrap();
        packed
    };
    for (encoding, packed) in [
        ("gzip", gzip(&body("a"))),
        ("deflate", zlib(&body("b"))),
        ("deflate", bare(&body("c"))),
        ("br", brotli(&body("d"))),
        ("zstd", zstd::encode_all(body("e").as_slice(), 1).unwrap()),
        ("identity", body("f")),
    ] {
        let answer = send(role.port, "POST", &path_of_web(), &[("content-encoding", encoding)], &packed).await;
        assert_eq!(answer.status, 200, "{encoding}: {answer:?}");
        let cut = &packed[..packed.len() / 2];
        if encoding != "identity" {
            let answer = send(role.port, "POST", &path_of_web(), &[("content-encoding", encoding)], cut).await;
            assert_eq!(answer.status, 400, "{encoding}: {answer:?}");
        }
    }
    let answer = send(role.port, "POST", &path_of_web(), &[("content-encoding", "lzma")], &body("g")).await;
    assert_eq!(answer.status, 415);
    // Bombs: 64 MB of blanks in a few kB.
    let blanks = vec![b' '; 64 << 20];
    for (encoding, bomb) in
        [("gzip", gzip(&blanks)), ("br", brotli(&blanks)), ("zstd", zstd::encode_all(blanks.as_slice(), 1).unwrap())]
    {
        let answer = send(role.port, "POST", &path_of_web(), &[("content-encoding", encoding)], &bomb).await;
        assert_eq!(answer.status, 413, "{encoding}: {answer:?}");
    }
    assert_eq!(role.digested(6).await.events, 6);
    role.stop().await;
}

#[tokio::test]
async fn an_item_of_a_kind_that_nobody_knows_loses_no_envelope() {
    let role = Role::start().await;
    let event = thrown("Error", "beside others", "f");
    let body = format!(
        "{{}}\n{{\"type\":\"replay_video\",\"length\":5}}\n{{\n}}x\n{{\"type\":\"from_the_future\"}}\nanything\n\n{{\"type\":\"event\"}}\n{event}\n{{\"type\":\"attachment\",\"length\":99}}\nshort"
    );
    let answer = role.post(body.as_bytes()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let health = role.digested(1).await;
    let counted = |what: &str| health.not_kept.iter().find(|one| one.what == what).map(|one| one.count);
    assert_eq!(counted("item-replay_video"), Some(1), "{health:?}");
    assert_eq!(counted("item-from_the_future"), Some(1), "{health:?}");
    assert_eq!(counted("broken-envelope"), Some(1), "{health:?}");
    role.stop().await;
}

#[tokio::test]
async fn pages_of_other_origins_may_send_and_read_how_long_to_wait() {
    let role = Role::start().await;
    let origin = [("origin", "https://www.shop.example"), ("access-control-request-headers", "x-sentry-auth")];
    let asked = send(role.port, "OPTIONS", &path_of_web(), &origin, b"").await;
    assert_eq!(asked.status, 204);
    assert!(asked.headers["access-control-allow-headers"].contains("x-sentry-auth"), "{asked:?}");
    for answer in [asked, role.post(&envelope(&thrown("Error", "x", "f"))).await, role.post(b"nonsense").await] {
        assert_eq!(answer.headers["access-control-allow-origin"], "*");
        assert!(answer.headers["access-control-expose-headers"].contains("X-Sentry-Rate-Limits"));
    }
    role.stop().await;
}

#[tokio::test]
async fn what_a_policy_refused_is_an_issue() {
    let role = Role::start().await;
    let path = format!("/api/{}/security/?sentry_key={}", Project::id_of("web"), Project::page_key(SERVER_KEY));
    let old = |blocked: &str| {
        json!({ "csp-report": { "document-uri": "https://www.shop.example/cart?token=secret-value", "effective-directive": "script-src",
                                "blocked-uri": blocked } })
    };
    let new = json!([{ "type": "csp-violation", "body": { "documentURL": "https://www.shop.example/", "effectiveDirective": "img-src",
                                                          "blockedURL": "inline" } }]);
    for report in [old("https://evil.example/a.js"), old("https://evil.example/b.js"), new] {
        let answer = send(
            role.port,
            "POST",
            &path,
            &[("content-type", "application/csp-report")],
            report.to_string().as_bytes(),
        )
        .await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    role.digested(3).await;
    let issues = role.client().issues(&IssueFilter::default()).await.unwrap();
    let found: Vec<_> = issues.iter().map(|issue| (issue.title.as_str(), issue.events)).collect();
    assert!(found.contains(&("script-src refused https://evil.example", 2)), "{found:?}");
    assert!(found.contains(&("img-src refused inline", 1)), "{found:?}");
    assert_eq!(send(role.port, "POST", &path, &[], b"{}").await.status, 400);
    role.stop().await;
}

#[tokio::test]
async fn an_event_that_is_sent_again_is_there_once() {
    let role = Role::start().await;
    let mut event = thrown("Error", "again", "f");
    let id = uuid();
    event["event_id"] = json!(id);
    for _ in 0..3 {
        role.report(&event).await;
    }
    role.report(&thrown("Error", "again", "f")).await;
    let health = role.digested(2).await;
    assert_eq!(health.events, 2);
    assert_eq!(role.client().error_events(&format!("event:{id}")).await.unwrap().len(), 1);
    role.stop().await;
}

#[tokio::test]
async fn while_a_key_is_rotated_both_are_taken_and_then_the_one_before_is_told_so() {
    let next = SERVER_KEY.replace('0', "b");
    let (folder, root, port) = role::root(ErrorLimits::default());
    let mut settings = role::settings(port, ErrorLimits::default());
    let of = |key: &str| {
        [
            ProjectKey { of: KeyOf::Server, digest: Project::digest_of(key) },
            ProjectKey { of: KeyOf::Page, digest: Project::digest_of(&Project::page_key(key)) },
        ]
    };
    settings.errors.projects[0].keys.extend(of(&next));
    settings.write(&root).unwrap();
    let role = Role::begin(folder, root, port).await;
    let say = async |key: &str| {
        let path = format!("/api/{}/envelope/?sentry_key={key}", Project::id_of("web"));
        send(port, "POST", &path, &[], &envelope(&thrown("Error", "no", "f"))).await
    };
    for key in [SERVER_KEY, &next, &Project::page_key(SERVER_KEY), &Project::page_key(&next)] {
        assert_eq!(say(key).await.status, 200);
    }
    settings.errors.projects[0].keys = of(&next).into();
    let role = role.restart(|root| settings.write(root).unwrap()).await;
    for key in [&next, &Project::page_key(&next)] {
        assert_eq!(say(key).await.status, 200);
    }
    for key in [SERVER_KEY, &Project::page_key(SERVER_KEY)] {
        let refused = say(key).await;
        assert_eq!(refused.status, 403);
        assert!(refused.body.contains("the key is not its own"), "{refused:?}");
    }
    role.digested(6).await;
    role.stop().await;
}
