//! Whatever a branch is called, what is named after it is valid, its own, and the same tomorrow.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

use std::collections::BTreeMap;

use manifest::{BranchSlug, Change, EnvRef, Instance, Manifest, Source, Target, parse};
use proptest::prelude::*;

/// UrbanCart's manifest, with an environment for every other branch.
fn manifest() -> Manifest {
    let text = include_str!("../../../roadbed.toml").to_owned();
    let sandbox = "\n[environments.sandbox]\nper = \"branch\"\ndomain = \"{branch}.sandbox.urbancart.example\"\n";
    let (manifest, diagnostics) = parse(&Source::new("roadbed.toml", text + sandbox));
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    manifest.unwrap()
}

fn names(manifest: &Manifest, change: &Change) -> Target {
    manifest.names(&manifest.target(change).unwrap()).unwrap()
}

/// Git allows them, and people use them.
fn branch() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9/_.-]{1,40}",
        "\\PC{1,300}",
        "(main|develop|Main|MAIN|refs/heads/main|pr-[0-9]{1,3}|feature-[0-9a-z]{8})[/-]?",
        "[a-z]{1,3}-[0-9bcdfghjkmnpqrstvwxyzal]{8}",
    ]
}

fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

proptest! {
    #[test]
    fn every_name_is_valid_where_it_is_used(branch in branch()) {
        let target = names(&manifest(), &Change::Branch(branch));
        for host in target.hosts.values().flatten() {
            prop_assert!(host.len() <= 253 && host.split('.').all(is_label), "{host}");
        }
        let database = target.database.unwrap();
        prop_assert!(database.len() <= 63 && !database.contains(['/', '\\', '.', ' ', '"', '$', '*', '<', '>', ':', '|', '?', '\0']), "{database}");
        prop_assert!(target.redis_key_prefix.unwrap().bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b":-".contains(&byte)));
        for bucket in target.buckets.values() {
            prop_assert!(is_label(bucket), "{bucket}");
        }
        for (unit, user) in &target.units {
            prop_assert!(unit.len() <= 31, "{unit}");
            prop_assert!(user.len() <= 32 && user.starts_with(|c: char| c.is_ascii_lowercase()) && is_label(user), "{user}");
        }
        prop_assert!(target.secret_scope.split('/').all(is_label), "{}", target.secret_scope);
    }

    #[test]
    fn an_environment_is_written_and_read_back(branch in branch()) {
        let environment = manifest().target(&Change::Branch(branch)).unwrap();
        prop_assert_eq!(environment.to_string().parse::<EnvRef>().unwrap(), environment);
    }

    #[test]
    fn two_branches_never_meet(one in branch(), other in branch()) {
        prop_assume!(one != other);
        prop_assert_ne!(BranchSlug::of(&one), BranchSlug::of(&other));
    }

    /// What the slug of a branch is must not be the slug of another: else whoever names a branch after a slug has its data.
    #[test]
    fn a_branch_called_like_the_slug_of_another_has_its_own(branch in branch()) {
        let slug = BranchSlug::of(&branch);
        prop_assume!(slug.as_str() != branch);
        prop_assert_ne!(BranchSlug::of(slug.as_str()), slug);
    }

    #[test]
    fn only_the_exact_branch_is_production(branch in branch()) {
        let target = manifest().target(&Change::Branch(branch.clone())).unwrap();
        prop_assert_eq!(target.name.as_str() == "production", branch == "main");
        prop_assert_eq!(target.instance.is_none(), branch == "main" || branch == "develop");
    }

    #[test]
    fn what_git_refuses_is_no_branch(text in "\\PC{0,20}[\n\r\0 ~^:?*\\[\\\\]\\PC{0,20}") {
        prop_assert!(Change::branch(&text).is_err());
    }
}

#[test]
fn no_branch_leads_out_of_its_place() {
    for text in [
        "",
        "../../production",
        "main\n",
        "main ",
        " main",
        "/main",
        "main/",
        "a//b",
        "refs/heads/main",
        "-main",
        "@",
        "HEAD",
        "a..b",
        "a@{1}",
        ".main",
        "a/.b",
        "main.lock",
        "main.",
        "a\0b",
        "a:b",
        "a\\b",
    ] {
        assert!(Change::branch(text).is_err(), "{text:?}");
    }
    for text in ["main", "feature/x", "Main", "🚀", "ünïcode", "a.b", "x@y", "dependabot/npm_and_yarn/left-pad-1.3.0"]
    {
        assert_eq!(Change::branch(text), Ok(Change::Branch(text.to_owned())));
    }
    assert!(Change::branch(&"x".repeat(300)).is_err());
}

/// A name that changes has lost its data: these are for ever.
#[test]
fn names_stay_what_they_are() {
    let manifest = manifest();
    let slugs: BTreeMap<&str, String> =
        ["feature-x", "feature/x", "Feature-X", "🚀", "pr-42", "a-0123bcdf", "dependabot/npm_and_yarn/left-pad-1.3.0"]
            .map(|branch| (branch, BranchSlug::of(branch).to_string()))
            .into();
    let golden = include_str!("naming.golden");
    let seen: String = slugs.iter().map(|(branch, slug)| format!("{branch} {slug}\n")).collect();
    let pull_request = names(&manifest, &Change::PullRequest(42));
    let branch = names(&manifest, &Change::Branch("feature/x".to_owned()));
    let seen = [&pull_request, &branch]
        .into_iter()
        .fold(seen, |seen, target| seen + &serde_json::to_string_pretty(target).unwrap() + "\n");
    if std::env::var_os("WRITE_CASES").is_some() {
        write(&seen);
    } else {
        assert_eq!(seen, golden, "a change of names orphans data: see whether it is meant");
    }
}

#[expect(clippy::disallowed_methods, reason = "the driver records its cases")]
fn write(seen: &str) {
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/naming.golden"), seen).unwrap();
}

#[test]
fn no_two_environments_share_a_name() {
    let manifest = manifest();
    let branches = ["feature/x", "feature-x", "Feature-X", "pr-42", "local", "staging", "main", "develop"];
    let changes = branches.map(|branch| Change::Branch(branch.to_owned())).into_iter();
    let changes = changes.chain([Change::PullRequest(42), Change::PullRequest(4), Change::PullRequest(2)]);
    let local = manifest.names(&"local".parse().unwrap()).unwrap();
    let targets: Vec<Target> = changes.map(|change| names(&manifest, &change)).chain([local]).collect();
    let mut owners: BTreeMap<String, EnvRef> = BTreeMap::new();
    for target in targets {
        let all = target.hosts.values().flatten().chain(target.buckets.values()).chain(target.units.values());
        let all =
            all.chain(&target.database).chain(&target.redis_key_prefix).chain([&target.secret_scope, &target.domain]);
        for name in all.cloned().collect::<std::collections::BTreeSet<_>>() {
            let earlier = owners.insert(name.clone(), target.environment.clone());
            assert_eq!(earlier, None, "{name} is also of {}", target.environment);
        }
    }
}

#[test]
fn a_slug_is_no_pull_request() {
    let environment = manifest().target(&Change::Branch("pr-42".to_owned())).unwrap();
    assert!(matches!(environment.instance, Some(Instance::Branch(_))), "{environment}");
}
