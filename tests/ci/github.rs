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
        ("/environments/production/variables", 404, "{}"),
        ("/environments/production/secrets", 404, "{}"),
        ("/environments", 200, r#"{"environments": [{"name": "copilot"}]}"#),
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
        (1, "create environment production, create environment production: branch main, undeclared environment copilot, update variable CONTROL, missing secret NPM_TOKEN, create ruleset roadbed".to_owned())
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

/// 32 bytes that are the public half of some key.
const KEY: &str = r#"{"key_id": "7", "key": "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="}"#;

const WRITTEN: &str = r#"{"name": "NPM_TOKEN", "updated_at": "2026-01-01T00:00:00Z"}"#;

#[test]
fn a_value_from_stdin_is_written_once_and_noted_so_that_it_cannot_be_read() {
    let stage = Stage::new(GITHUB);
    let (empty, first) = server(&[
        ("/environments/production", 404, "{}"),
        ("/public-key", 200, KEY),
        ("/secrets/NPM_TOKEN", 200, WRITTEN),
        ("/environments", 200, r#"{"environments": []}"#),
        ("/variables", 200, r#"{"variables": []}"#),
        ("/secrets", 200, r#"{"secrets": []}"#),
        ("/rulesets", 200, "[]"),
        ("/shop", 200, "{}"),
    ]);
    let (full, later) = server(&[
        ("/environments/production", 404, "{}"),
        ("/public-key", 200, KEY),
        ("/secrets/NPM_TOKEN", 200, WRITTEN),
        ("/environments", 200, r#"{"environments": []}"#),
        ("/variables", 200, r#"{"variables": []}"#),
        ("/environments/production/secrets", 200, r#"{"secrets": []}"#),
        ("/actions/secrets", 200, r#"{"secrets": [{"name": "NPM_TOKEN", "updated_at": "2026-01-01T00:00:00Z"}]}"#),
        ("/rulesets", 200, "[]"),
        ("/shop", 200, "{}"),
    ]);
    let value = "npm_oneThatNobodySees";
    let apply = |api: &str, words: &[&str], input: &str| {
        let words: Vec<&str> = ["github", "apply", "--api", api].iter().chain(words).copied().collect();
        let answer = stage.run_fed(&words, &[("GITHUB_TOKEN", TOKEN)], input);
        assert!(!format!("{answer:?}").contains("npm_"), "{answer:?}");
        answer
    };
    let puts = |asked: &std::sync::mpsc::Receiver<String>| {
        asked.try_iter().filter(|line| line.starts_with("PUT ") && line.contains("/actions/secrets/NPM_TOKEN")).count()
    };
    let line = format!("# of the registry\nNPM_TOKEN={value}\n");
    let done = apply(&empty, &["--secrets-stdin"], &line);
    assert!(done.code == 0 && done.out.contains("+ secret NPM_TOKEN"), "{done:?}");
    assert_eq!(puts(&first), 1);
    let note = stage.path("home/.local/state/roadbed/github/us+shop.json");
    let text = std::fs::read_to_string(&note).unwrap();
    assert!(text.contains("NPM_TOKEN") && text.contains("2026-01-01T00:00:00Z") && !text.contains(value), "{text}");
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&note).unwrap().permissions()) & 0o777,
        0o600
    );
    // The same again is nothing, another is seen, and so is one that is to be written whatever is there.
    assert_eq!(apply(&full, &["--secrets-stdin"], &line).code, 0);
    assert_eq!(puts(&later), 0);
    let dry = apply(&full, &["--secrets-stdin", "--dry-run"], "NPM_TOKEN=npm_another");
    assert!(dry.code == 1 && dry.out.contains("another value than that of 2026-01-01"), "{dry:?}");
    assert_eq!(puts(&later), 0);
    assert_eq!(apply(&full, &["--secrets-stdin", "--rotate", "NPM_TOKEN"], &line).code, 0);
    assert_eq!(puts(&later), 1);
    let asked = |words: &[&str], input: &str, why: &str| {
        let answer = apply(&full, words, input);
        assert!(answer.code == 2 && answer.err.contains(why), "{words:?}: {answer:?}");
    };
    asked(&["--secrets-stdin"], "NPM_TOKN=npm_x", "did you mean \"NPM_TOKEN\"");
    asked(&["--secrets-stdin"], "NPM_TOKEN=", "is empty");
    asked(&["--secrets-stdin"], "npm_what is this", "stdin:1:1");
    asked(&["--rotate", "NPM_TOKEN"], "", "nobody gives a value for it");
    asked(&["--secrets-stdin", "--for", "moon"], &line, "no environment");
    asked(&["--from-store"], "", "takes a reason");
    std::fs::write(&note, "{").unwrap();
    let damaged = apply(&full, &["--secrets-stdin"], &line);
    assert!(damaged.code == 1 && damaged.err.contains("is damaged"), "damaged is never empty: {damaged:?}");
}

#[test]
fn values_that_people_keep_in_the_store_are_written_and_their_reading_is_noted() {
    let stage = Stage::deployable();
    let manifest = stage.read("shop/roadbed.toml").replace("source = \"generated\"", "source = \"store\"");
    let github = "[ci.github]\nrepository = \"us/shop\"\nenvironments.local.secrets = [\"SESSION_SECRET\"]\n";
    stage.write("shop/roadbed.toml", &(manifest + github));
    let value = "aValueThatIsKeptHere0123456789";
    let set = stage.run_fed(&["secrets", "set", "SESSION_SECRET"], &[], value);
    assert_eq!(set.code, 0, "{set:?}");
    let (api, asked) = server(&[
        ("/public-key", 200, KEY),
        ("/secrets/SESSION_SECRET", 200, WRITTEN),
        ("/environments", 200, r#"{"environments": []}"#),
        ("/variables", 200, r#"{"variables": []}"#),
        ("/secrets", 200, r#"{"secrets": []}"#),
        ("/rulesets", 200, "[]"),
        ("/shop", 200, "{}"),
        ("", 404, "{}"),
    ]);
    let words = ["github", "apply", "--api", &api, "--from-store", "--reason", "ticket 12"];
    let done = stage.run_with(&words, &[("GITHUB_TOKEN", TOKEN)]);
    assert!(done.code == 0 && done.out.contains("+ environment local: secret SESSION_SECRET"), "{done:?}");
    assert!(!format!("{done:?}").contains(value));
    assert!(
        asked
            .try_iter()
            .any(|line| line.starts_with("PUT ") && line.contains("/environments/local/secrets/SESSION_SECRET"))
    );
    let log = stage.run(&["secrets", "audit"]);
    assert!(log.code == 0 && log.out.contains("ticket 12"), "{log:?}");
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
