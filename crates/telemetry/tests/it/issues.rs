//! What becomes of events: groups, what people decide, what is taken out.

use std::time::{Duration, SystemTime};

use serde_json::json;
use telemetry::{Behind, Change, ErrorLimits, IssueFilter, IssueStatus};

use crate::role::Role;
use crate::sender::{thrown, uuid};

#[tokio::test]
async fn what_is_the_same_is_one_issue_and_what_is_not_is_two() {
    let role = Role::start().await;
    // One: by number, by line, by recursion.
    for (value, line) in [("no order 7", 3), ("no order 4711", 99)] {
        let mut event = thrown("OrderError", value, "pay");
        event["exception"]["values"][0]["stacktrace"]["frames"][1]["lineno"] = json!(line);
        role.report(&event).await;
    }
    // Another place of the same kind, another kind at the same place, another text without a place.
    role.report(&thrown("OrderError", "no order 7", "ship")).await;
    role.report(&thrown("TypeError", "no order 7", "pay")).await;
    for value in ["out of 5 tries", "out of 6 tries", "out of memory"] {
        role.report(&json!({ "event_id": uuid(), "exception": [{ "type": "Error", "value": value }] })).await;
    }
    for message in ["mail 1 bounced", "mail 2 bounced", "mail 3 was opened"] {
        role.report(&json!({ "event_id": uuid(), "logentry": { "formatted": message } })).await;
    }
    // The app decides, with and without what would have been.
    for (function, fingerprint) in [("a", json!(["checkout"])), ("b", json!(["checkout"]))] {
        let mut event = thrown("Error", "x", function);
        event["fingerprint"] = fingerprint;
        role.report(&event).await;
    }
    for function in ["a", "b"] {
        let mut event = thrown("Error", "x", function);
        event["fingerprint"] = json!(["{{ default }}", "checkout"]);
        role.report(&event).await;
    }
    role.digested(14).await;
    let issues = role.client().issues(&IssueFilter::default()).await.unwrap();
    let mut counts: Vec<(String, i64)> = issues.iter().map(|issue| (issue.title.clone(), issue.events)).collect();
    counts.sort();
    let expected: Vec<(String, i64)> = [
        ("Error: out of 5 tries", 2),
        ("Error: out of memory", 1),
        ("Error: x", 1),
        ("Error: x", 1),
        ("Error: x", 2),
        ("OrderError: no order 7", 1),
        ("OrderError: no order 7", 2),
        ("TypeError: no order 7", 1),
        ("mail 1 bounced", 2),
        ("mail 3 was opened", 1),
    ]
    .map(|(title, events)| (title.to_owned(), events))
    .into();
    assert_eq!(counts, expected);
    role.stop().await;
}

#[tokio::test]
async fn what_was_settled_comes_back_when_it_happens_again() {
    let role = Role::start().await;
    let client = role.client();
    let of_release = |release: &str| {
        let mut event = thrown("Error", "x", "f");
        event["release"] = json!(release);
        event
    };
    let mut sent = 0;
    let mut report = async |release: &str| {
        role.report(&of_release(release)).await;
        sent += 1;
        role.digested(sent).await;
        client.issues(&IssueFilter::default()).await.unwrap().remove(0)
    };
    report("shop@1").await;
    let issue = report("shop@2").await;
    assert_eq!((issue.first_release.as_deref(), issue.last_release.as_deref()), (Some("shop@1"), Some("shop@2")));

    client.change_issue(issue.id, &Change::Resolve { release: None }).await.unwrap();
    assert_eq!(client.issue(issue.id).await.unwrap().issue.status, IssueStatus::Resolved);
    let back = report("shop@2").await;
    assert_eq!(back.status, IssueStatus::Open);
    assert!(back.regressed_at.is_some());

    // Fixed in a release: older ones, which still run somewhere, do not bring it back.
    client.change_issue(issue.id, &Change::Resolve { release: Some("shop@3".into()) }).await.unwrap();
    assert_eq!(report("shop@1").await.status, IssueStatus::Resolved);
    assert_eq!(report("shop@2").await.status, IssueStatus::Resolved);
    assert_eq!(report("shop@3").await.status, IssueStatus::Open);

    client.change_issue(issue.id, &Change::Ignore).await.unwrap();
    let ignored = report("shop@3").await;
    assert_eq!((ignored.status, ignored.events), (IssueStatus::Ignored, 7));

    client.change_issue(issue.id, &Change::Snooze { until: None, more_events: Some(2) }).await.unwrap();
    assert_eq!(report("shop@3").await.status, IssueStatus::Snoozed);
    assert_eq!(report("shop@3").await.status, IssueStatus::Open);

    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let past = i64::try_from((now - Duration::from_secs(1)).as_millis()).unwrap();
    client.change_issue(issue.id, &Change::Snooze { until: Some(past), more_events: None }).await.unwrap();
    assert_eq!(report("shop@3").await.status, IssueStatus::Open);

    let missing = client.change_issue(4711, &Change::Ignore).await.unwrap_err();
    assert!(missing.to_string().contains("4711"), "{missing}");
    role.stop().await;
}

#[tokio::test]
async fn issues_are_found_by_what_one_knows_of_them() {
    let role = Role::start().await;
    let mut event = thrown("PaymentError", "100% of it_all", "charge");
    event["tags"] = json!({ "request_id": "req-1" });
    event["contexts"] = json!({ "trace": { "trace_id": "0123456789abcdef0123456789abcdef" } });
    role.report(&event).await;
    let mut event = thrown("OtherError", "nothing", "f");
    event["level"] = json!("fatal");
    event["request"] = json!({ "headers": [["X-Request-Id", "req-2"]] });
    role.report(&event).await;
    role.digested(2).await;
    for (search, expected) in [
        ("payment", vec!["PaymentError: 100% of it_all"]),
        ("100% it_all charge", vec!["PaymentError: 100% of it_all"]),
        ("100%x", vec![]),
        ("itXall", vec![]),
        ("request:req-1", vec!["PaymentError: 100% of it_all"]),
        ("request:req-2", vec!["OtherError: nothing"]),
        ("trace:0123456789abcdef0123456789abcdef", vec!["PaymentError: 100% of it_all"]),
        ("level:fatal", vec!["OtherError: nothing"]),
        ("error", vec!["OtherError: nothing", "PaymentError: 100% of it_all"]),
        ("event:nonsense", vec![]),
    ] {
        let filter = IssueFilter { search: Some(search.into()), ..IssueFilter::default() };
        let found = role.client().issues(&filter).await.unwrap();
        let mut found: Vec<&str> = found.iter().map(|issue| issue.title.as_str()).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{search}");
    }
    for (filter, expected) in [
        (IssueFilter { app: Some("web".into()), ..IssueFilter::default() }, 2),
        (IssueFilter { app: Some("api".into()), ..IssueFilter::default() }, 0),
        (IssueFilter { release: Some("shop@1".into()), ..IssueFilter::default() }, 2),
        (IssueFilter { release: Some("shop@2".into()), ..IssueFilter::default() }, 0),
        (IssueFilter { status: Some(IssueStatus::Resolved), ..IssueFilter::default() }, 0),
        (IssueFilter { limit: Some(1), ..IssueFilter::default() }, 1),
    ] {
        assert_eq!(role.client().issues(&filter).await.unwrap().len(), expected, "{filter:?}");
    }
    role.stop().await;
}

#[tokio::test]
async fn a_list_of_issues_has_pages_on_which_each_is_once() {
    let role = Role::start().await;
    for at in 0..57 {
        role.report(&thrown("Error", "x", &format!("place{at}"))).await;
    }
    role.digested(57).await;
    let database = role.database();
    // Many were last seen at the same moment.
    let role = role
        .restart(|_| {
            let connection = rusqlite::Connection::open(&database).unwrap();
            connection.execute("UPDATE issues SET last_seen = last_seen / 10000 * 10000 + id / 20", []).unwrap();
        })
        .await;
    let (mut seen, mut behind) = (Vec::new(), None);
    loop {
        let filter = IssueFilter { limit: Some(10), behind, ..IssueFilter::default() };
        let page = role.client().issues(&filter).await.unwrap();
        let Some(last) = page.last() else { break };
        behind = Behind::read(&Behind::of(last).to_string());
        seen.extend(page.iter().map(|issue| (issue.last_seen, issue.id)));
    }
    let mut sorted = seen.clone();
    sorted.sort_unstable_by(|one, other| other.cmp(one));
    sorted.dedup();
    assert_eq!((seen.len(), &seen), (57, &sorted));
    role.stop().await;
}

#[tokio::test]
async fn words_are_found_in_a_hundred_thousand_issues_whoever_wrote_them() {
    let role = Role::start().await;
    role.report(&thrown("Error", "x", "f")).await;
    role.digested(1).await;
    let database = role.database();
    // As a program has left it that knows of no index.
    let role = role
        .restart(|_| {
            let connection = rusqlite::Connection::open(&database).unwrap();
            let before = "DROP TRIGGER issue_words_of_new; DROP TRIGGER issue_words_of_gone;
                DROP TRIGGER issue_words_of_renamed;
                DROP TABLE issue_words;
                WITH RECURSIVE n (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 100000)
                INSERT INTO issues (app, key, way, title, culprit, level, platform, unhandled, status, first_seen, last_seen, events, kept)
                SELECT 'api', randomblob(16), 1, 'TypeError: no amount for order of customer ' || n, 'checkOut in /srv/dist/cart.js', 'error',
                  'node', 0, 'open', n, n, 1, 0 FROM n";
            connection.execute_batch(before).unwrap();
        })
        .await;
    role.report(&thrown("LateError", "y", "g")).await;
    role.digested(2).await;
    for (search, expected) in [
        ("customer 99999", 1),
        ("LATEERROR", 1),
        ("nobody-has-this", 0),
        ("zz", 0),
        ("customer cart.js", 101),
        ("r\"x", 0),
    ] {
        let filter = IssueFilter { search: Some(search.into()), limit: Some(101), ..IssueFilter::default() };
        let began = std::time::Instant::now();
        let found = role.client().issues(&filter).await.unwrap();
        // A tenth of it where nobody else computes.
        assert!(began.elapsed() < Duration::from_secs(1), "{search}: {:?}", began.elapsed());
        assert_eq!(found.len(), expected, "{search}");
    }
    role.stop().await;
}

#[tokio::test]
async fn the_first_and_the_latest_events_of_an_issue_are_kept() {
    let role = Role::start_with(ErrorLimits { events_per_issue: 10, ..ErrorLimits::default() }).await;
    let mut ids = Vec::new();
    for _ in 0..60 {
        let event = thrown("Error", "x", "f");
        ids.push(event["event_id"].as_str().unwrap().to_owned());
        role.report(&event).await;
    }
    let health = role.digested(60).await;
    assert!(health.kept >= 10 && health.kept <= 30, "{health:?}");
    let issue = role.client().issues(&IssueFilter::default()).await.unwrap().remove(0);
    let details = role.client().issue(issue.id).await.unwrap();
    assert_eq!(details.issue.events, 60);
    assert_eq!(details.events.first().unwrap().event_id, ids[59]);
    assert_eq!(details.events.last().unwrap().event_id, ids[0]);
    assert!(details.events[0].body.is_some());
    role.stop().await;
}

#[tokio::test]
async fn what_is_nobodys_business_is_not_on_the_disk() {
    let role = Role::start().await;
    let card = ["4111", "1111", "1111", "1111"].join(" ");
    let key = ["sk", "live", "A1b2C3d4E5f6G7h8I9j0"].join("_");
    let mut event = thrown("Error", &format!("card {card} of anna@shop.example refused with {key}"), "f");
    event["request"] = json!({
        "url": "https://www.shop.example/login?next=/&access_token=aaaa-in-the-query",
        "headers": { "Authorization": "Bearer bbbb-of-a-bearer", "Cookie": "session=cccc-of-a-cookie", "Accept": "text/html" },
        "cookies": [["session", "dddd-of-a-pair"]],
        "data": { "user": { "password": "eeee-of-a-form", "remember": true }, "api_key": 123_456_789 },
    });
    event["user"] =
        json!({ "id": "u-17", "email": "ben@shop.example", "ip_address": "203.0.113.9", "username": "benny-the-user" });
    event["extra"] = json!({ "store": (["mongodb://api:", "ffff-of-a-store@127.0.0.1/shop"].concat()), "headers": [["X-Api-Token", "gggg-of-a-list"]],
                             "log": "POST with Authorization: Bearer hhhh-of-a-line" });
    event["exception"]["values"][0]["stacktrace"]["frames"][1]["vars"] =
        json!({ "secretKey": "iiii-of-a-frame", "count": 3 });
    role.report(&event).await;
    role.digested(1).await;
    let found = role.client().error_events(&format!("event:{}", event["event_id"].as_str().unwrap())).await.unwrap();
    let body = found[0].body.as_ref().unwrap();
    let text = body.to_string();
    let database = role.database();
    let role = role.restart(|_| ()).await;
    let on_disk = [host::files::read(&database).unwrap(), text.clone().into_bytes()].concat();
    let secrets = [
        card.as_str(),
        "anna@",
        &key,
        "aaaa-in-the-query",
        "bbbb-of-a-bearer",
        "cccc-of-a-cookie",
        "dddd-of-a-pair",
        "eeee-of-a-form",
        "123456789",
        "ben@shop",
        "203.0.113.9",
        "benny-the-user",
        "ffff-of-a-store",
        "gggg-of-a-list",
        "hhhh-of-a-line",
        "iiii-of-a-frame",
    ];
    for secret in secrets {
        assert!(!on_disk.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret} is there: {text}");
    }
    // What helps stays.
    for kept in
        ["card [card] of [e-mail] refused", "text/html", "u-17", "next=/", "\"count\":3", "127.0.0.1/shop", "remember"]
    {
        assert!(text.contains(kept), "{kept} is not there: {text}");
    }
    role.stop().await;
}
