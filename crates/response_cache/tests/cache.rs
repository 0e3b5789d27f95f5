//! The cache as whoever uses it sees it, without an app: what it was told, and what it gives to whom.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test begins at some time and fails by panicking")]

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use proptest::prelude::*;
use response_cache::{Answer, Boarded, Cache, Found, Key, Landed, Now, Refused, Request, Rules, Selector, State};

const RULES: Rules = Rules { bytes: 1 << 20, largest: 64 << 10 };
const KEPT: (&str, &str) = ("cache-control", "max-age=60");

fn now() -> Now {
    Now { instant: Instant::now(), wall: SystemTime::now() }
}

fn later(now: Now, seconds: u64) -> Now {
    let by = Duration::from_secs(seconds);
    Now { instant: now.instant + by, wall: now.wall + by }
}

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap()))
        .collect()
}

fn get(lines: &[(&str, &str)]) -> Request {
    Request::read(&Method::GET, &headers(lines)).unwrap()
}

fn key(target: &str) -> Key {
    Key::new("r1", "https://shop.example", target)
}

fn keep(
    cache: &Cache,
    target: &str,
    asks: &[(&str, &str)],
    says: &[(&str, &str)],
    body: &str,
) -> Result<Arc<Answer>, Refused> {
    let (now, begun) = (now(), cache.begin());
    let answer = (StatusCode::OK, headers(says), Bytes::copy_from_slice(body.as_bytes()));
    cache.keep(&key(target), &get(asks), answer, (now, now), begun)
}

fn body(cache: &Cache, target: &str, asks: &[(&str, &str)]) -> Option<String> {
    match cache.look(&key(target), &get(asks), now()) {
        Found::Answer(answer, State::Fresh) => {
            Some(String::from_utf8(answer.to(&get(asks), now()).body.to_vec()).unwrap())
        }
        _ => None,
    }
}

#[test]
fn an_answer_is_given_to_those_it_is_for_with_its_age() {
    let cache = Cache::new(RULES);
    keep(&cache, "/", &[("accept-language", "de")], &[KEPT, ("vary", "accept-language")], "hallo").unwrap();
    keep(&cache, "/", &[("accept-language", "en")], &[KEPT, ("vary", "accept-language")], "hello").unwrap();
    assert_eq!(body(&cache, "/", &[("accept-language", "de")]).as_deref(), Some("hallo"));
    assert_eq!(body(&cache, "/", &[("accept-language", "en")]).as_deref(), Some("hello"));
    assert!(matches!(cache.look(&key("/"), &get(&[]), now()), Found::ForOthers));
    assert!(matches!(cache.look(&key("/?x"), &get(&[]), now()), Found::Nothing));
    // Another release, another host.
    let asks = get(&[("accept-language", "de")]);
    for key in [Key::new("r2", "https://shop.example", "/"), Key::new("r1", "https://shop.example:1", "/")] {
        assert!(matches!(cache.look(&key, &asks, now()), Found::Nothing));
    }
    let Found::Answer(answer, _) = cache.look(&key("/"), &asks, now()) else { panic!() };
    let reply = answer.to(&asks, later(now(), 7));
    assert!(matches!(reply.headers["age"].to_str().unwrap(), "7" | "8"), "{reply:?}");
    assert_eq!(reply.headers["content-length"], "5");
    assert!(matches!(cache.look(&key("/"), &asks, later(now(), 61)), Found::Answer(_, State::Stale)));
}

#[test]
fn a_visitor_gets_what_he_asks_for_of_an_answer() {
    let cache = Cache::new(RULES);
    let answer = keep(&cache, "/", &[], &[KEPT, ("etag", "\"a\"")], "0123456789").unwrap();
    let to = |method: Method, lines: &[(&str, &str)]| {
        let reply = answer.to(&Request::read(&method, &headers(lines)).unwrap(), now());
        let length = reply.headers.get("content-length").map(|length| length.to_str().unwrap().to_owned());
        (reply.status.as_u16(), String::from_utf8(reply.body.to_vec()).unwrap(), length)
    };
    let is = |status: u16, body: &str, length: &str| (status, body.to_owned(), Some(length.to_owned()));
    assert_eq!(to(Method::GET, &[]), is(200, "0123456789", "10"));
    assert_eq!(to(Method::HEAD, &[]), is(200, "", "10"));
    assert_eq!(to(Method::GET, &[("range", "bytes=2-4")]), is(206, "234", "3"));
    assert_eq!(to(Method::GET, &[("range", "bytes=2-4"), ("if-range", "\"a\"")]), is(206, "234", "3"));
    assert_eq!(to(Method::GET, &[("range", "bytes=2-4"), ("if-range", "W/\"a\"")]), is(200, "0123456789", "10"));
    assert_eq!(to(Method::GET, &[("range", "bytes=2-4"), ("if-range", "\"b\"")]), is(200, "0123456789", "10"));
    assert_eq!(to(Method::GET, &[("range", "bytes=20-")]), is(416, "", "0"));
    assert_eq!(to(Method::GET, &[("if-none-match", "W/\"a\"")]), (304, String::new(), None));
}

#[test]
fn not_modified_renews_what_is_kept_and_what_it_takes_back_is_gone() {
    let cache = Cache::new(RULES);
    let now = now();
    let old = keep(&cache, "/", &[], &[KEPT, ("etag", "\"a\""), ("x", "1"), ("age", "59")], "text").unwrap();
    let mut asks = headers(&[("if-none-match", "\"his\"")]);
    assert!(old.ask_about(&mut asks));
    assert_eq!(asks["if-none-match"], "\"a\"");
    let said = headers(&[KEPT, ("etag", "\"a\""), ("x", "2"), ("y", "3"), ("content-length", "0")]);
    let at = later(now, 100);
    let (renewed, kept) = cache.freshen(&key("/"), &old, &get(&[]), &said, (at, at), cache.begin()).unwrap();
    assert_eq!(kept, Ok(()));
    let reply = renewed.to(&get(&[]), at);
    assert_eq!(
        (reply.body.as_ref(), reply.headers["x"].as_bytes(), reply.headers["y"].as_bytes()),
        (&b"text"[..], &b"2"[..], &b"3"[..])
    );
    assert_eq!((reply.headers["age"].as_bytes(), reply.headers["content-length"].as_bytes()), (&b"0"[..], &b"4"[..]));
    assert!(matches!(cache.look(&key("/"), &get(&[]), at), Found::Answer(_, State::Fresh)));
    // From now on it is somebody's alone.
    let said = headers(&[("cache-control", "private"), ("etag", "\"a\"")]);
    let (_, kept) = cache.freshen(&key("/"), &renewed, &get(&[]), &said, (at, at), cache.begin()).unwrap();
    assert_eq!(kept, Err(Refused::Private));
    assert!(matches!(cache.look(&key("/"), &get(&[]), at), Found::Nothing));
    // Another one was meant.
    let kept = keep(&cache, "/", &[], &[KEPT, ("etag", "\"a\"")], "text").unwrap();
    let said = headers(&[KEPT, ("etag", "\"b\"")]);
    assert!(cache.freshen(&key("/"), &kept, &get(&[]), &said, (at, at), cache.begin()).is_none());
    assert!(matches!(cache.look(&key("/"), &get(&[]), at), Found::Nothing));
}

#[test]
fn a_change_takes_back_what_it_is_about_also_what_is_on_its_way() {
    let cache = Cache::new(RULES);
    for target in ["/list", "/item", "/other"] {
        keep(&cache, target, &[], &[KEPT], "x").unwrap();
    }
    let begun = cache.begin();
    let says = headers(&[("location", "/item"), ("content-location", "https://evil.example/other")]);
    cache.changed(&key("/list"), &Method::POST, (StatusCode::INTERNAL_SERVER_ERROR, &says));
    cache.changed(&key("/list"), &Method::GET, (StatusCode::OK, &says));
    assert_eq!(body(&cache, "/list", &[]).as_deref(), Some("x"));
    cache.changed(&key("/list"), &Method::POST, (StatusCode::SEE_OTHER, &says));
    assert_eq!((body(&cache, "/list", &[]), body(&cache, "/item", &[])), (None, None));
    assert_eq!(body(&cache, "/other", &[]).as_deref(), Some("x"));
    // Asked for before the change, it is what was there before it.
    let late = |target: &str| {
        let answer = (StatusCode::OK, headers(&[KEPT]), Bytes::from_static(b"old"));
        cache.keep(&key(target), &get(&[]), answer, (now(), now()), begun).map(drop)
    };
    assert_eq!(
        (late("/list"), late("/item"), late("/other")),
        (Err(Refused::TakenBack), Err(Refused::TakenBack), Ok(()))
    );
    assert_eq!(cache.purge(&Selector::Prefix("https://shop.example/o".to_owned())), 1);
    assert_eq!((late("/other"), cache.purge(&Selector::All)), (Err(Refused::TakenBack), 0));
}

#[test]
fn nobody_fills_it_beyond_its_bounds() {
    let cache = Cache::new(RULES);
    assert_eq!(keep(&cache, "/", &[], &[KEPT], &"x".repeat((64 << 10) + 1)).unwrap_err(), Refused::TooLarge);
    for at in 0..200 {
        let _ = keep(&cache, &format!("/{at}"), &[], &[KEPT], &"x".repeat(64 << 10));
        assert!(cache.counted().bytes <= RULES.bytes);
    }
    cache.purge(&Selector::All);
    // Of one address, the latest variants alone.
    for at in 0..100 {
        keep(&cache, "/", &[("foo", &at.to_string())], &[KEPT, ("vary", "foo")], "x").unwrap();
    }
    assert_eq!(
        (body(&cache, "/", &[("foo", "83")]), body(&cache, "/", &[("foo", "84")]).as_deref()),
        (None, Some("x"))
    );
}

#[test]
fn what_is_asked_for_again_outlives_a_crawler() {
    let cache = Cache::new(RULES);
    keep(&cache, "/popular", &[], &[KEPT], &"x".repeat(10_000)).unwrap();
    for at in 0..2000 {
        assert!(body(&cache, "/popular", &[]).is_some(), "lost after {at}");
        let _ = keep(&cache, &format!("/{at}"), &[], &[KEPT], &"x".repeat(10_000));
    }
}

#[tokio::test]
async fn one_asks_and_the_others_wait_for_as_long_as_it_makes_sense() {
    let cache = Cache::new(RULES);
    let board = || cache.board(&key("/"), &get(&[]), now());
    let Boarded::First(ticket) = board() else { panic!() };
    let Boarded::Joined(waiting) = board() else { panic!() };
    let Boarded::Joined(impatient) = board() else { panic!() };
    assert_eq!(impatient.landed(Duration::from_millis(1)).await, None);
    ticket.land(Landed::Kept);
    assert_eq!(waiting.landed(Duration::from_secs(60)).await, Some(Landed::Kept));
    // Who leaves takes nobody with him.
    let Boarded::First(ticket) = board() else { panic!() };
    let Boarded::Joined(waiting) = board() else { panic!() };
    drop(ticket);
    assert_eq!(waiting.landed(Duration::from_secs(60)).await, Some(Landed::Abandoned));
    cache.refuse(&key("/"), &get(&[]), Refused::Private, now());
    assert!(matches!(board(), Boarded::Alone));
    assert!(matches!(cache.board(&key("/"), &get(&[]), later(now(), 11)), Boarded::First(_)));
}

fn value() -> impl Strategy<Value = HeaderValue> {
    let pieces = prop_oneof![
        Just("max-age=60".to_owned()),
        Just("s-maxage=\"60\"".to_owned()),
        Just("private".to_owned()),
        Just("no-store".to_owned()),
        Just("public".to_owned()),
        Just("no-cache=\"x".to_owned()),
        Just("*".to_owned()),
        Just("cookie".to_owned()),
        Just("18446744073709551615".to_owned()),
        Just("bytes=0-".to_owned()),
        Just("Sun, 06 Nov 1994 08:49:37 GMT".to_owned()),
        "[ -~]{0,12}",
    ];
    let text = proptest::collection::vec(pieces, 0..4).prop_map(|pieces| pieces.join(", ").into_bytes());
    let any = proptest::collection::vec(prop_oneof![Just(b'\t'), 32..=126_u8, 128..=255_u8], 0..24);
    prop_oneof![4 => text, 1 => any].prop_map(|bytes| HeaderValue::from_bytes(&bytes).unwrap())
}

fn fields(names: &'static [&'static str]) -> impl Strategy<Value = HeaderMap> {
    proptest::collection::vec((proptest::sample::select(names), value()), 0..8)
        .prop_map(|lines| lines.into_iter().map(|(name, value)| (HeaderName::from_static(name), value)).collect())
}

const ASKS: &[&str] = &[
    "cookie",
    "authorization",
    "range",
    "if-range",
    "if-none-match",
    "if-modified-since",
    "cache-control",
    "accept-language",
    "x",
];
const SAYS: &[&str] = &[
    "cache-control",
    "expires",
    "date",
    "age",
    "vary",
    "etag",
    "last-modified",
    "set-cookie",
    "content-encoding",
    "location",
    "content-length",
    "x",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_said_nobody_gets_what_is_somebodys(
        one in fields(ASKS), other in fields(ASKS), says in fields(SAYS), more in fields(SAYS),
        status in 200..600_u16, seconds in 0..100_u64,
    ) {
        let cache = Cache::new(RULES);
        let (now, status) = (now(), StatusCode::from_u16(status).unwrap());
        let at = later(now, seconds);
        let is_somebodys = |headers: &HeaderMap| headers.contains_key("cookie") || headers.contains_key("authorization");
        let (first, second) = (Request::read(&Method::GET, &one), Request::read(&Method::HEAD, &other));
        prop_assert!(first.is_err() || !is_somebodys(&one));
        prop_assert!(second.is_err() || !is_somebodys(&other));
        let Ok(first) = first else { return Ok(()) };
        let kept = cache.keep(&key("/"), &first, (status, says.clone(), Bytes::from_static(b"text")), (now, now), cache.begin());
        if let Ok(answer) = &kept {
            prop_assert!(!says.contains_key("set-cookie"));
            let said = says.get_all("cache-control").iter().map(|value| value.to_str().unwrap().to_lowercase());
            for value in said {
                prop_assert!(!value.split('"').step_by(2).any(|bare| bare.contains("private") || bare.contains("no-store")));
            }
            let reply = answer.to(&first, at);
            prop_assert!(reply.body.len() <= 4);
            let mut asks = one.clone();
            answer.ask_about(&mut asks);
            cache.freshen(&key("/"), answer, &first, &more, (at, at), cache.begin());
        }
        if let Ok(second) = second {
            if let Found::Answer(answer, _) = cache.look(&key("/"), &second, at) {
                let reply = answer.to(&second, at);
                prop_assert!(reply.body.is_empty() && !reply.headers.contains_key("set-cookie"));
            }
            cache.learn(&key("/"), &second, (status, &more), (at, at), cache.begin());
        }
        cache.changed(&key("/"), &Method::POST, (status, &says));
    }
}
