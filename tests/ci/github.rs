//! `roadbed github apply` as a command: what it wants before it asks, and what it says. What it sends is tested in crates/github.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use crate::stage::Stage;

const GITHUB: &str = "[ci.protection]\n[ci.github]\nrepository = \"us/shop\"\nvariables.CONTROL = \"https://control.shop.example\"\nsecrets = [\"NPM_TOKEN\"]\n";

const TOKEN: &str = "ghp_onlyForThisTest000";

/// Answers each GET by the end of its path; other requests are noted and answered with nothing.
fn server(answers: &'static [(&'static str, u16, &'static str)]) -> (String, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let api = format!("http://{}", listener.local_addr().unwrap());
    let (told, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let lines: Vec<String> =
                BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            let Some(first) = lines.first() else { continue };
            let path = first.split(' ').nth(1).unwrap().split('?').next().unwrap();
            let found = answers.iter().find(|(end, ..)| first.starts_with("GET ") && path.ends_with(end));
            let (_, code, text) = found.unwrap_or(&("", 201, "{}"));
            let head =
                format!("HTTP/1.1 {code} Said\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}", text.len());
            let _ = told.send(first.clone());
            let _ = (&stream).write_all(head.as_bytes());
        }
    });
    (api, asked)
}

#[test]
fn drift_is_an_exit_code_and_a_dry_run_changes_nothing() {
    let stage = Stage::new(GITHUB);
    let (api, asked) = server(&[
        ("/environments/production", 404, "{}"),
        ("/variables", 200, r#"{"variables": [{"name": "CONTROL", "value": "elsewhere"}]}"#),
        ("/secrets", 200, r#"{"secrets": []}"#),
        ("/rulesets", 200, "[]"),
        ("/shop", 200, "{}"),
    ]);
    let run = |words: &[&str]| {
        let words: Vec<&str> = ["github", "apply", "--api", &api].iter().chain(words).copied().collect();
        let answer = stage.run_with(&words, &[("GITHUB_TOKEN", TOKEN)]);
        assert!(!format!("{answer:?}").contains(TOKEN), "{answer:?}");
        answer
    };
    let dry = run(&["--dry-run", "--json"]);
    let told: Vec<String> = dry.json()["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("{} {}", one["kind"], one["what"]))
        .collect();
    assert_eq!(
        (dry.code, told.join(", ").replace('"', "")),
        (1, "create environment production, create environment production: branch main, update variable CONTROL, missing secret NPM_TOKEN, create ruleset roadbed".to_owned())
    );
    assert!(asked.try_iter().all(|line| line.starts_with("GET ")));
    let done = run(&[]);
    assert_eq!(done.code, 1, "a secret is missing: {done:?}");
    assert!(
        done.out.contains("~ variable CONTROL") && done.out.contains("elsewhere → https://control.shop.example"),
        "{done:?}"
    );
    let sent: Vec<String> = asked.try_iter().filter(|line| !line.starts_with("GET ")).collect();
    assert_eq!(sent.len(), 4, "{sent:?}");
}

#[test]
fn without_a_token_or_a_repository_nobody_is_asked() {
    let stage = Stage::new(GITHUB);
    let answer = stage.run(&["github", "apply"]);
    assert!(answer.code == 2 && answer.err.contains("there is no token for GitHub"), "{answer:?}");
    let open = stage.run_with(&["github", "apply", "--api", "http://github.example"], &[("GH_TOKEN", TOKEN)]);
    assert!(open.code == 2 && open.err.contains("in the open") && !open.err.contains(TOKEN), "{open:?}");
    let (api, _asked) = server(&[("/shop", 401, r#"{"message": "Bad credentials"}"#)]);
    let wrong = stage.run_with(&["github", "apply", "--api", &api], &[("GH_TOKEN", TOKEN)]);
    assert!(wrong.code == 1 && wrong.err.contains("make another") && !wrong.err.contains(TOKEN), "{wrong:?}");
    let answer = Stage::new("").run_with(&["github", "apply"], &[("GH_TOKEN", TOKEN)]);
    assert!(answer.code == 2 && answer.err.contains("names no repository"), "{answer:?}");
}
