//! What GitHub, the way there and whoever sits on it do wrong.

use std::net::TcpListener;
use std::time::Duration;

use github::{Client, Given, Way, apply, plan};
use reconcile::Fault;
use secrets::Secret;

use crate::held::wanted;
use crate::stand_in::{StandIn, TOKEN};

/// All that is said of a fault.
fn said(fault: &Fault) -> String {
    let text = format!("{fault:?} {fault}");
    assert!(!text.contains(TOKEN), "the token is told: {text}");
    text
}

fn scripted(script: &[(&'static str, u16, &str, &'static str)]) -> (Result<usize, String>, Vec<u64>, StandIn) {
    let github = StandIn::new();
    let script = script.iter().map(|(end, code, headers, text)| (*end, *code, (*headers).to_owned(), *text));
    github.state.lock().unwrap().script = script.collect();
    let (found, waited) = github.with(|client| {
        let changes = plan(client, &wanted(), &Given::default())?;
        changes.iter().try_for_each(|change| apply(client, change, &Given::default()).map(drop))?;
        Ok(changes.len())
    });
    (found.map_err(|fault| said(&fault)), waited, github)
}

#[test]
fn a_limit_is_waited_for_as_long_as_github_says() {
    let (found, waited, _) = scripted(&[
        ("GET /repos/us/shop", 429, "retry-after: 7\r\n", "{}"),
        ("/rulesets", 403, "x-ratelimit-remaining: 0\r\nx-ratelimit-reset: 1767225620\r\n", "{}"),
        (
            "POST /repos/us/shop/rulesets",
            403,
            "retry-after: 3\r\n",
            r#"{"message": "You have exceeded a secondary rate limit"}"#,
        ),
    ]);
    assert_eq!((found, waited), (Ok(8), vec![7, 21, 3]));
    let (found, waited, github) = scripted(&[("GET /repos/us/shop", 429, "retry-after: 3600\r\n", "{}")]);
    assert!(found.unwrap_err().contains("run this again in 3600 s"));
    assert_eq!((waited, github.changes().len()), (vec![], 0), "whoever must wait for an hour is told");
}

#[test]
fn trouble_is_tried_again_where_that_makes_nothing_twice() {
    let trouble = ("GET /repos/us/shop", 502, "", "<html>");
    let (found, waited, _) = scripted(&[trouble, trouble]);
    assert_eq!((found, waited), (Ok(8), vec![1, 2]));
    let (found, waited, _) = scripted(&[trouble; 4]);
    assert!(found.unwrap_err().contains("502"));
    assert_eq!(waited, [1, 2, 4]);
    let (found, waited, github) = scripted(&[("POST /repos/us/shop/rulesets", 500, "", "{}")]);
    assert!(found.unwrap_err().contains("500") && waited.is_empty());
    assert_eq!(github.changes().iter().filter(|one| one.ends_with("/rulesets")).count(), 1, "a POST is sent once");
}

#[test]
fn what_is_refused_is_told_with_the_reason_and_what_to_do() {
    let cases: [(u16, &str, &str); 6] = [
        (401, r#"{"message": "Bad credentials"}"#, "make another"),
        (403, r#"{"message": "Resource not accessible"}"#, "the token needs"),
        (409, r#"{"message": "Conflict"}"#, "run this again"),
        (
            422,
            r#"{"message": "Validation Failed", "errors": [{"field": "rules", "code": "invalid"}, "Name must be unique"]}"#,
            "rules: invalid; Name must be unique",
        ),
        (404, "{}", "it went meanwhile"),
        (200, "<html>", "cannot understand"),
    ];
    for (code, text, why) in cases {
        let (found, waited, _) = scripted(&[("POST /repos/us/shop/rulesets", code, "", text)]);
        let found = found.unwrap_err();
        assert!(found.contains(why) && waited.is_empty(), "{code}: {found}");
    }
    let (found, ..) = scripted(&[("GET /repos/us/shop", 404, "", "{}")]);
    assert!(found.unwrap_err().contains("has no such repository"));
    let mut strange = wanted();
    strange.environments[1].reviewers.push(github::Reviewer::Team("nobody".to_owned()));
    let (found, _) =
        StandIn::new().with(|client| plan(client, &strange, &Given::default()).map_err(|fault| said(&fault)));
    assert!(found.unwrap_err().contains("there is no team \"nobody\""));
}

#[test]
fn the_token_goes_nowhere_else() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    for code in [301, 302, 307, 308] {
        let to = format!("location: http://{}/repos/us/shop\r\n", elsewhere.local_addr().unwrap());
        let (found, ..) = scripted(&[("GET /repos/us/shop", code, &to, "{}")]);
        assert!(found.unwrap_err().contains("No redirect is followed"));
    }
    assert!(elsewhere.accept().is_err(), "somebody was asked who has no business with it");
    let pause = |_: Duration| {};
    let refused = |api: &str, repository: &str, token: &str| {
        let way = Way { api: api.to_owned(), authorities: Vec::new(), deadline: Duration::from_secs(1) };
        let token = Secret::new(token.to_owned());
        Client::new(&way, repository, &token, &pause).map(drop).map_err(|fault| said(&fault)).unwrap_err()
    };
    assert!(refused("http://api.github.example", "us/shop", TOKEN).contains("in the open"));
    assert!(refused("https://api.github.example", "shop", TOKEN).contains("owner/name"));
    assert!(refused("https://api.github.example", "us/shop", "two\r\nlines").contains("no token"));
    assert!(refused("https://api.github.example", "us/shop", "").contains("no token"));
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let way = Way {
        api: format!("http://{}", silent.local_addr().unwrap()),
        authorities: Vec::new(),
        deadline: Duration::from_millis(50),
    };
    let token = Secret::new(TOKEN.to_owned());
    let waited = std::cell::Cell::new(0);
    let pause = |_: Duration| waited.set(waited.get() + 1);
    let client = Client::new(&way, "us/shop", &token, &pause).unwrap();
    let fault = said(&plan(&client, &wanted(), &Given::default()).unwrap_err());
    assert!(fault.contains("cannot ask GitHub for /repos/us/shop") && waited.get() == 3, "{fault}");
}
