//! What providers, the way there and what opens an account do wrong.

use std::net::TcpListener;

use managed::upstash::api::Client;
use manifest::environment::Class;
use reconcile::Fault;
use secrets::{Secret, SecretName};

use crate::served::Trouble;
use crate::upstash::{KEY, MAIL};
use crate::upstash_held::Stand;

/// All that is said of a fault.
fn said(fault: &Fault) -> String {
    let text = format!("{fault:?} {fault}");
    assert!(!text.contains(KEY) && !text.contains("pass/of"), "a secret is told: {text}");
    text
}

#[test]
fn a_limit_is_waited_for_as_long_as_it_says() {
    let stand = Stand::new();
    stand.provider.script("POST /v2/redis/database", Trouble::Instead(429, "retry-after: 7\r\n", "{}"));
    stand.provider.script("PATCH", Trouble::Instead(429, "", "{}"));
    stand.converge().unwrap();
    assert_eq!(stand.provider.waited(), [7, 20]);
    assert_eq!(stand.provider.held.lock().unwrap().provider.databases.len(), 1);
    let stand = Stand::new();
    stand.provider.script("GET", Trouble::Instead(429, "retry-after: 3600\r\n", "{}"));
    assert!(said(&stand.converge().unwrap_err()).contains("run this again in 3600 s"));
    assert_eq!(stand.provider.waited(), [0; 0], "whoever must wait for an hour is told");
}

#[test]
fn trouble_is_tried_again_where_that_orders_nothing_twice() {
    let stand = Stand::new();
    for _ in 0..2 {
        stand.provider.script("GET", Trouble::Instead(503, "", "<html>"));
    }
    stand.provider.script("POST /v2/redis/database", Trouble::Instead(500, "", "{}"));
    assert!(said(&stand.converge().unwrap_err()).contains("500"));
    assert_eq!(stand.provider.waited(), [1, 2], "a POST is sent once");
    stand.converge().unwrap();
    assert_eq!(stand.provider.held.lock().unwrap().provider.databases.len(), 1);
}

#[test]
fn what_is_refused_is_told_with_its_reason_the_request_and_what_to_do() {
    for (code, text, why) in [
        (400, "\"invalid region\"", "invalid region"),
        (402, "\"no card\"", "no way to pay"),
        (403, "\"no\"", "may not do this"),
        (301, "{}", "no redirect is followed"),
        (200, "<html>", "cannot understand"),
    ] {
        let stand = Stand::new();
        stand.provider.script("POST", Trouble::Instead(code, "location: http://127.0.0.1:1/\r\n", text));
        let told = said(&stand.converge().unwrap_err());
        assert!(told.contains(why), "{code}: {told}");
        assert!(code == 200 || told.contains("request of-this-one"), "{told}");
    }
}

#[test]
fn what_opens_the_account_is_asked_for_and_never_repeated() {
    let stand = Stand::new();
    let access = SecretName::new("redis/upstash");
    for wrong in ["there-is-no-colon", ":only-the-key", "only-the-mail:", "with space:and-a-key"] {
        stand.store.set(&access, Class::Secret, &Secret::new(wrong.to_owned())).unwrap();
        let told = said(&stand.converge().unwrap_err());
        assert!(told.contains("secrets set --env production redis/upstash") && !told.contains(wrong), "{told}");
    }
    // The stand-in says back what it was opened with.
    stand.store.set(&access, Class::Secret, &Secret::new(format!("{MAIL}x:{KEY}"))).unwrap();
    let told = said(&stand.converge().unwrap_err());
    assert!(told.contains("wrong or over") && told.contains('…'), "{told}");
    stand.store.remove(&access).unwrap();
    assert!(said(&stand.converge().unwrap_err()).contains("has no redis/upstash"));
    let way = |api: &str| managed::Way::new(api.to_owned(), Vec::new());
    let (mail, key) = (Secret::new(MAIL.to_owned()), Secret::new(KEY.to_owned()));
    assert!(said(&Client::new(&way("http://api.example"), &mail, &key).unwrap_err()).contains("in the open"));
    assert!(said(&Client::new(&way("api"), &mail, &key).unwrap_err()).contains("no address"));
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let stand = Stand::new();
    let mut way = stand.provider.way("");
    way.api = format!("http://{}", silent.local_addr().unwrap());
    way.deadline = std::time::Duration::from_millis(50);
    let (mail, key) = (Secret::new(MAIL.to_owned()), Secret::new(KEY.to_owned()));
    let client = Client::new(&way, &mail, &key).unwrap();
    assert!(said(&client.list().unwrap_err()).contains("cannot ask Upstash for /redis/databases"));
    assert_eq!(stand.provider.waited(), [1, 2, 4, 8]);
}
