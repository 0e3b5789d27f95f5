//! UrbanCart's own manifest.

use manifest::environment::{Access, Class, Runs, Source as Origin};
use manifest::{AppName, Change, EnvName, EnvRef, Environment, Manifest, Source, parse};

fn manifest() -> Manifest {
    let source = Source::new("roadbed.toml", include_str!("../../../roadbed.toml"));
    let (manifest, diagnostics) = parse(&source);
    let told: String = diagnostics.iter().map(|diagnostic| diagnostic.render(&source)).collect();
    assert!(diagnostics.is_empty(), "{told}");
    manifest.expect("no diagnostics, so there is a manifest")
}

fn resolve(environment: &str) -> Environment {
    let environment = environment.parse().expect("it is the name of an environment");
    manifest().resolve(&environment).expect("it is declared")
}

#[test]
fn local_is_complete() {
    let local = resolve("local");
    let hosts: Vec<&str> = local.apps.iter().map(|app| app.hosts[0].as_str()).collect();
    assert_eq!(hosts, ["www.urbancart.localhost", "api.urbancart.localhost", "admin.urbancart.localhost"]);
    assert_eq!((local.ports.http, local.ports.https), (None, None));
    assert_eq!(local.mongodb.as_ref().unwrap().database, "urbancart_local");
    assert_eq!(local.mongodb.as_ref().unwrap().apps, [AppName::new("api").unwrap()]);
    assert_eq!(local.redis.as_ref().unwrap().key_prefix, "urbancart:local:");
    assert_eq!(local.redis.as_ref().unwrap().eviction, "noeviction");
    assert_eq!(local.redis.as_ref().unwrap().cache_memory, Some(32 << 20));
    let Runs::Server(storefront) = &local.apps[0].runs else { panic!("the storefront is a server") };
    assert_eq!(storefront.start, ["node", ".next/standalone/apps/storefront/server.js"]);
    let Runs::Server(api) = &local.apps[1].runs else { panic!("the api is a server") };
    assert_eq!((api.drain_deadline.as_secs(), api.replicas, api.internal), (10, 1, true));
}

#[test]
fn overrides_hold_in_their_environment_only() {
    for (environment, replicas, access) in [("local", 1, Access::Public), ("production", 2, Access::Protected)] {
        let environment = resolve(environment);
        let Runs::Server(api) = &environment.apps[1].runs else { panic!("the api is a server") };
        assert_eq!((api.replicas, environment.apps[2].access), (replicas, access));
    }
    let level = |environment: &str| {
        resolve(environment)
            .variables
            .into_iter()
            .find(|variable| variable.name.as_str() == "LOG_LEVEL")
            .unwrap()
            .source
    };
    assert_eq!(level("local"), Origin::Literal("debug".to_owned()));
    assert_eq!(level("staging"), Origin::Literal("info".to_owned()));
}

#[test]
fn no_preview_has_a_payment_variable() {
    let preview = resolve("preview/pr-42");
    assert_eq!(preview.domain, "pr-42.preview.urbancart.example");
    assert_eq!(preview.mongodb.unwrap().database, "urbancart_preview_pr_42");
    assert!(preview.variables.iter().all(|variable| variable.class != Class::Payment));
    assert!(resolve("production").variables.iter().any(|variable| variable.class == Class::Payment));
}

#[test]
fn the_branch_alone_decides_the_target() {
    let manifest = manifest();
    let target = |change: Change| manifest.target(&change).map(|environment| environment.to_string());
    assert_eq!(target(Change::Branch("main".to_owned())).as_deref(), Some("production"));
    assert_eq!(target(Change::Branch("develop".to_owned())).as_deref(), Some("staging"));
    assert_eq!(target(Change::Branch("feature/main".to_owned())), None);
    assert_eq!(target(Change::PullRequest(7)).as_deref(), Some("preview/pr-7"));
}

#[test]
fn an_environment_that_does_not_exist_is_refused() {
    let manifest = manifest();
    let why = |environment: EnvRef| manifest.resolve(&environment).unwrap_err().to_string();
    assert_eq!(
        why(EnvRef::new(EnvName::new("prod").unwrap())),
        "the manifest declares no environment \"prod\"; it has local, staging, production, preview"
    );
    assert!(why("preview".parse().unwrap()).contains("preview/pr-42"));
    assert!(why("staging/pr-1".parse().unwrap()).contains("only one"));
    for text in ["preview/Feature", "preview/pr-042", "preview/pr-+1", "preview/pr-", "Preview", ""] {
        assert!(text.parse::<EnvRef>().is_err(), "{text}");
    }
}
