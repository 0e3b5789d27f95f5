//! Requests as they are on the wire.

use std::time::{Duration, Instant};

use upstash::Limits;

use crate::gateway::{Gateway, bearer, token};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_comes_by_path_body_and_query() {
    let gateway = Gateway::start(Limits::default()).await;
    gateway.app("GET", "/set/shop:a/b%2Fc", b"").await.says(200, r#"{"result":"OK"}"#);
    gateway.app("POST", "/set/shop:t?EX=100&NX", b"from a body").await.says(200, r#"{"result":"OK"}"#);
    gateway.app("GET", "/get/shop:t", b"").await.says(200, r#"{"result":"from a body"}"#);
    gateway.app("PUT", "/set/shop:a", b"\xff\x00").await.says(200, r#"{"result":"OK"}"#);
    gateway.app("POST", "/", br#"["GET","shop:a"]"#).await.says(200, "{\"result\":\"\u{fffd}\\u0000\"}");
    gateway.app("POST", "/", br#"["GET","shop:none"]"#).await.says(200, r#"{"result":null}"#);
    gateway.app("POST", "/incrby/shop:n/9007199254740993", b"").await.says(200, r#"{"result":9007199254740993}"#);
    let head = gateway.app("HEAD", "/get/shop:t", b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(gateway.app("DELETE", "/get/shop:t", b"").await.status, 405);
    let by_parameter = format!("/get/shop:t?_token={}", token("app", "app-password"));
    gateway.ask("GET", &by_parameter, &[], b"").await.says(200, r#"{"result":"from a body"}"#);
    let wrong = gateway.app("POST", "/", br#"["GET"]"#).await;
    wrong.says(400, r#"{"error":"ERR wrong number of arguments for 'get' command"}"#);
    for (path, body) in [("/", "{}"), ("/", ""), ("/pipeline", "[]"), ("/get/%zz", "")] {
        assert_eq!(gateway.app("POST", path, body.as_bytes()).await.status, 400, "{path} {body}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_goes_on_and_a_transaction_does_not() {
    let gateway = Gateway::start(Limits::default()).await;
    let mixed = br#"[["SET","shop:k","1"],["LPUSH","shop:k","x"],["BLPOP","shop:k",0],["INCR","shop:k"]]"#;
    let answer = gateway.app("POST", "/pipeline", mixed).await.text();
    assert!(
        answer.starts_with(r#"[{"result":"OK"},{"error":"WRONGTYPE"#) && answer.ends_with(r#",{"result":2}]"#),
        "{answer}"
    );
    gateway
        .app("POST", "/multi-exec", br#"[["INCR","shop:k"],["LPUSH","shop:k","x"]]"#)
        .await
        .says(200, r#"[{"result":3},{"error":"WRONGTYPE Operation against a key holding the wrong kind of value"}]"#);
    let discarded = gateway.app("POST", "/multi-exec", br#"[["INCR","shop:k"],["GET"]]"#).await;
    assert_eq!(discarded.status, 400);
    assert!(discarded.text().contains("EXECABORT"), "{discarded:?}");
    // Nobody else's transaction was left open on a connection.
    gateway.app("GET", "/get/shop:k", b"").await.says(200, r#"{"result":"3"}"#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_choose_the_form() {
    let gateway = Gateway::start(Limits::default()).await;
    gateway.app("POST", "/set/shop:b", b"\xff\xfe").await.says(200, r#"{"result":"OK"}"#);
    let bearer = bearer("app", "app-password");
    let ask = async |name: &str, value: &str, path: &str, body: &[u8]| {
        gateway.ask("POST", path, &[("Authorization", &bearer), (name, value)], body).await
    };
    ask("Upstash-Encoding", "base64", "/get/shop:b", b"").await.says(200, r#"{"result":"//4="}"#);
    let resp = ask("Upstash-Response-Format", "resp2", "/get/shop:b", b"").await;
    assert_eq!((resp.status, &resp.body[..]), (200, &b"$2\r\n\xff\xfe\r\n"[..]));
    assert!(resp.head.contains("application/octet-stream"));
    assert_eq!(ask("Upstash-Response-Format", "xml", "/get/shop:b", b"").await.status, 400);
    assert_eq!(ask("Upstash-Response-Format", "resp2", "/multi-exec", br#"[["GET","shop:b"]]"#).await.status, 400);
    assert!(ask("Upstash-Sync-Token", "abc", "/get/shop:b", b"").await.head.contains("upstash-sync-token: abc"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_opens_what_its_user_may_and_no_more() {
    let gateway = Gateway::start(Limits::default()).await;
    let ask = async |bearer: &str, body: &[u8]| gateway.ask("POST", "/", &[("Authorization", bearer)], body).await;
    let (app, reader) = (bearer("app", "app-password"), bearer("reader", "reader-password"));
    ask(&app, br#"["SET","shop:k","v"]"#).await.says(200, r#"{"result":"OK"}"#);
    ask(&reader, br#"["GET","shop:k"]"#).await.says(200, r#"{"result":"v"}"#);
    for (who, body) in [
        (&app, &br#"["GET","other:k"]"#[..]),
        (&reader, br#"["SET","shop:k","x"]"#),
        (&reader, br#"["KEYS","*"]"#),
        (&reader, br#"["SCAN","0"]"#),
        (&app, br#"["FLUSHALL"]"#),
    ] {
        let refused = ask(who, body).await;
        assert!(refused.status == 400 && refused.text().contains("NOPERM"), "{refused:?}");
    }
    for wrong in
        [bearer("app", "another"), bearer("nobody", "x"), "Bearer rbrd_AAAA".into(), "Basic x".into(), "Bearer ".into()]
    {
        let refused = ask(&wrong, br#"["GET","shop:k"]"#).await;
        assert!(refused.status == 401 && refused.text().contains("WRONGPASS"), "{wrong}: {refused:?}");
    }
    assert_eq!(gateway.ask("GET", "/get/shop:k", &[], b"").await.status, 401);
    let minted = ask(&app, br#"["ACL","RESTTOKEN","reader","reader-password"]"#).await;
    minted.says(200, &format!("{{\"result\":\"{}\"}}", token("reader", "reader-password")));
    assert_eq!(ask(&app, br#"["ACL","RESTTOKEN","reader","guess"]"#).await.status, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_come_slowly_and_known_tokens_pass_by() {
    let gateway = Gateway::start(Limits::default()).await;
    gateway.app("GET", "/set/shop:k/v", b"").await.says(200, r#"{"result":"OK"}"#);
    let began = Instant::now();
    let guesses = (0..24).map(|number| {
        let guess = bearer("app", &format!("guess-{number}"));
        let gateway = &gateway;
        async move { gateway.ask("GET", "/get/shop:k", &[("Authorization", &guess)], b"").await.status }
    });
    let known = async {
        let asked = Instant::now();
        gateway.app("GET", "/get/shop:k", b"").await.says(200, r#"{"result":"v"}"#);
        asked.elapsed()
    };
    let (guessed, _) = tokio::join!(futures_util::future::join_all(guesses), known);
    assert!(guessed.iter().all(|status| *status == 401));
    // Four at the door, each kept for a quarter of a second after a refusal.
    assert!(began.elapsed() >= Duration::from_millis(1200), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_poisons_a_connection_that_others_get() {
    let gateway = Gateway::start(Limits { requests: 1, ..Limits::default() }).await;
    gateway.app("GET", "/set/shop:k/v", b"").await.says(200, r#"{"result":"OK"}"#);
    for command in
        ["blpop/shop:x/0", "select/1", "client/reply/off", "multi", "watch/shop:k", "hello/3", "reset", "quit"]
    {
        assert_eq!(gateway.app("GET", &format!("/{command}"), b"").await.status, 400, "{command}");
        gateway.app("GET", "/get/shop:k", b"").await.says(200, r#"{"result":"v"}"#);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_away_a_client_is_told_and_then_served() {
    let mut gateway = Gateway::start(Limits::default()).await;
    gateway.app("GET", "/set/shop:k/v", b"").await.says(200, r#"{"result":"OK"}"#);
    gateway.kill_redis();
    let away = gateway.app("GET", "/get/shop:k", b"").await;
    assert!(away.status == 503 && away.text().starts_with(r#"{"error":"ERR Redis"#), "{away:?}");
    gateway.start_redis();
    gateway.is_healthy().await;
    gateway.app("GET", "/get/shop:k", b"").await.says(200, r#"{"result":"v"}"#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_megabytes_pass_and_more_than_the_bound_does_not() {
    let gateway = Gateway::start(Limits { body: 16 << 20, ..Limits::default() }).await;
    let large = vec![b'x'; 10 << 20];
    gateway.app("POST", "/set/shop:large", &large).await.says(200, r#"{"result":"OK"}"#);
    let back = gateway.app("GET", "/get/shop:large", b"").await;
    assert_eq!((back.status, back.body.len()), (200, large.len() + 13));
    let refused = gateway.app("POST", "/set/shop:large", &vec![b'x'; 17 << 20]).await;
    assert_eq!(refused.status, 413, "{refused:?}");
}
