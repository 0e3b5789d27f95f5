//! Two environments of one user in networks of their own, each of which tries its credentials at the other's data services.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::hosts::Host;
use crate::stage::Stage;

const CELLS: &str = "credentials-open-their-own-data-only";

/// An environment with data services on a host of its own.
fn on(host: &Host, environment: &str) -> Stage {
    let mut stage = Stage::new();
    stage
        .edit("owner = \"team\"\npath = \"web\"", "owner = \"team\"\nneeds = [\"mongodb\", \"redis\"]\npath = \"web\"");
    stage.edit(
        "[environments.production]",
        "[environments.staging]\ndomain = \"staging.tiny.example\"\n\n[environments.production]",
    );
    stage.edit("[apps.web]", "[services.mongodb]\n\n[services.redis]\ncache = { memory = \"32 MiB\" }\n\n[apps.web]");
    // A host without a cable fetches nothing, so the engines are this user's, and fetched before.
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"));
    stage.env.insert("XDG_CACHE_HOME".to_owned(), cache.display().to_string());
    let fetched: Vec<_> = fs::read_dir(cache.join("roadbed/engines"))
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    let is_there = |engine: &str| fetched.iter().any(|name| name.to_string_lossy().starts_with(engine));
    if !is_there("mongod") || !is_there("redis-server") {
        stage.roadbed("up --detach --no-gate --free-ports").exits(0);
        stage.roadbed("down --purge --i-mean local").exits(0);
    }
    stage.before = ["ip", "netns", "exec", host.name()].map(str::to_owned).into();
    stage.flags = vec!["--env".to_owned(), environment.to_owned()];
    stage
}

fn row(stage: &Stage) -> (Value, Vec<String>) {
    let answer = stage.roadbed(&format!("ready --json --only {CELLS}"));
    let report: Value = serde_json::from_str(&answer.out.join("\n")).unwrap_or_else(|_| panic!("{answer:?}"));
    let row = &report["checks"][0];
    let observed = row["observed"].as_array().unwrap().iter().map(|told| told.as_str().unwrap().to_owned()).collect();
    (row["verdict"].clone(), observed)
}

#[test]
fn in_networks_of_their_own_no_credential_of_one_opens_the_other_and_one_that_does_is_seen() {
    let (here, there) = (Host::new("here"), Host::new("there"));
    let (mut staging, production) = (on(&here, "staging"), on(&there, "production"));
    // Of one user, who has them both on this machine.
    staging.home = production.home.clone();
    staging.env.insert("HOME".to_owned(), production.home.display().to_string());
    for stage in [&production, &staging] {
        stage.roadbed("up --detach --no-gate --free-ports").exits(0);
    }

    let (verdict, observed) = row(&staging);
    assert_eq!(verdict, "holds", "{observed:#?}");
    for (server, who, cells) in [
        ("mongodb on port", "with the password of app-web", "log in: refused (AuthenticationFailed)"),
        ("mongodb on port", "with the certificate of backup", "log in: refused (certificate not believed)"),
        ("mongodb on port", "as a lent user that reads", "log in: refused (AuthenticationFailed)"),
        ("mongodb on port", "with the members' key", "log in: refused (AuthenticationFailed)"),
        ("mongodb on port", "without a login", "insert, read, update, remove, follow changes"),
        ("redis on port", "with redis's password of app-web", "log in: refused (WRONGPASS)"),
        ("redis-cache on port", "with redis's password of our own", "write, read, remove"),
    ] {
        let is_told = |told: &&String| {
            told.starts_with(&format!("staging → production: {server}"))
                && told.contains(&format!("in its own network {who}: "))
                && told.contains(cells)
        };
        assert!(observed.iter().any(|told| is_told(&told)), "no {server:?} {who:?} {cells:?} in {observed:#?}");
    }
    assert!(observed.iter().any(|told| told.starts_with("staging: mongodb with the password of app-web: log in, ")));

    // Production comes to know a user of staging: by its own file, as if somebody had copied a line.
    let users = |stage: &Stage| stage.root.join("conf/redis/users.acl");
    let copied = fs::read_to_string(users(&staging)).unwrap();
    let line = copied.lines().find(|line| line.starts_with("user app-web ")).unwrap();
    let text = fs::read_to_string(users(&production)).unwrap();
    let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("user app-web ")).chain([line]).collect();
    fs::write(users(&production), kept.join("\n") + "\n").unwrap();
    let before = production.pid_of("redis");
    production.kill("redis");
    production.until("redis is started again", || production.pid_of("redis").is_some_and(|pid| Some(pid) != before));
    let (verdict, observed) = row(&staging);
    assert_eq!(verdict, "fails", "{observed:#?}");
    let broken = "in its own network with redis's password of app-web, log in: allowed";
    assert!(
        observed
            .iter()
            .any(|told| told.starts_with("BROKEN: staging → production: redis on port") && told.contains(broken))
    );

    for stage in [&staging, &production] {
        stage.roadbed("down").exits(0);
    }
}
