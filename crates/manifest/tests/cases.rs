//! Faulty manifests and what is told of them: `tests/cases/*.case`, each a manifest, `----------` and the diagnostics.
//!
//! A manifest starts from the sound one below: a case shows only what is wrong in it. A table that the case also has
//! replaces the sound one. Run with `WRITE_CASES=1` to record what is told now, then read the difference.

#![expect(clippy::disallowed_methods, reason = "the driver reads and records its case files")]

use std::path::{Path, PathBuf};

use manifest::{Diagnostic, Provider, Source, parse};

const SEPARATOR: &str = "\n----------\n";

/// A small manifest without faults; each table a case can replace or do without.
const SOUND: &[(&str, &str)] = &[
    ("[product]", "name = \"shop\"\n"),
    ("[owners.team]", "description = \"All\"\ncontact = \"team@shop.example\"\n"),
    ("[branches]", "main = \"production\"\n"),
    ("[environments.local]", "domain = \"shop.localhost\"\n"),
    ("[environments.production]", "domain = \"shop.example\"\n"),
    ("[environments.preview]", "domain = \"pr-{pr}.shop.example\"\nper = \"pull-request\"\n"),
    (
        "[apps.api]",
        "owner = \"team\"\npath = \"apps/api\"\nkind = \"node\"\nhosts = [\"api\"]\nstart = [\"node\", \"server.js\"]\n\
         needs = [\"mongodb\", \"redis\"]\ninternal = true\n",
    ),
    ("[apps.web]", "owner = \"team\"\npath = \"apps/web\"\nkind = \"static\"\nhosts = [\"www\"]\n"),
    ("[services.mongodb]", ""),
    ("[services.redis]", ""),
];

/// The case's own tables first, so that its lines are numbered as they stand in the file.
fn complete(case: &str) -> String {
    if case.starts_with("# complete") {
        return case.to_owned();
    }
    let absent = |head: &str| case.lines().any(|line| line == format!("# without {head}"));
    let rest = SOUND.iter().filter(|(head, _)| !case.lines().any(|line| line.starts_with(head)) && !absent(head));
    let rest: String = rest.map(|(head, body)| format!("\n{head}\n{body}")).collect();
    format!("{case}\n{rest}")
}

fn told(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(|diagnostic| format!("{diagnostic}\n")).collect()
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("the cases lie there").flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

#[test]
fn the_sound_manifest_has_no_fault() {
    let (manifest, diagnostics) = parse(&Source::new("sound.toml", complete("")));
    assert_eq!(told(&diagnostics), "");
    assert!(manifest.is_some());
}

#[test]
fn every_fault_is_told_as_recorded() {
    let files = cases();
    assert!(files.len() > 20, "the cases were not found");
    let mut wrong = String::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let (case, expected) = text.split_once(SEPARATOR).unwrap_or((text.trim_end(), ""));
        let (manifest, diagnostics) = parse(&Source::new("roadbed.toml", complete(case)));
        let seen = told(&diagnostics);
        let hintless =
            diagnostics.iter().find(|told| told.hint.is_none() && !told.message.starts_with("this is not TOML"));
        assert_eq!(hintless, None, "every fault but those of the notation says what to do");
        assert_eq!(manifest.is_none(), diagnostics.iter().any(Diagnostic::is_error), "{}", file.display());
        if std::env::var_os("WRITE_CASES").is_some() {
            std::fs::write(&file, format!("{case}{SEPARATOR}{seen}")).unwrap();
        } else if seen != expected {
            wrong += &format!("== {}\nexpected:\n{expected}\nseen:\n{seen}\n", file.display());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn what_is_ordered_is_named_after_product_and_environment() {
    let case = "[services.redis]\nin.production = { driver = \"upstash\", cache = { driver = \"upstash\" }, upstash = { region = \"us-east4\", \
                adopt = \"0123456789\" } }\ncache = {}\n\n[services.mongodb]\nin.production = { driver = \"atlas\", atlas = { organization = \
                \"32b6e34b3d91647abb20e7b8\", region = \"EU_CENTRAL_1\", allow = [\"203.0.113.7\"] } }\n";
    let (manifest, diagnostics) = parse(&Source::new("sound.toml", complete(case)));
    assert_eq!(told(&diagnostics), "");
    let manifest = manifest.unwrap();
    let of = |name: &str| manifest.resolve(&name.parse().unwrap()).unwrap();
    let (production, local) = (of("production"), of("local"));
    let redis = production.redis.unwrap();
    let ordered = |external: Option<manifest::External>| match external.unwrap().provider {
        Some(Provider::Upstash(upstash)) => upstash,
        other => panic!("{other:?}"),
    };
    let (durable, cache) = (ordered(redis.external), ordered(redis.external_cache));
    assert_eq!((durable.name.as_str(), durable.eviction), ("shop-production-redis", false));
    assert_eq!((cache.name.as_str(), cache.eviction), ("shop-production-redis-cache", true));
    assert_eq!((durable.adopt.as_deref(), cache.adopt), (Some("0123456789"), None));
    let Some(Provider::Atlas(atlas)) = production.mongodb.unwrap().external.unwrap().provider else { panic!() };
    assert_eq!((atlas.project.as_str(), atlas.cluster.as_str()), ("shop-production", "production"));
    assert_eq!(atlas.allow, ["203.0.113.7/32"]);
    assert!(local.redis.unwrap().external.is_none() && local.mongodb.unwrap().external.is_none());
}
