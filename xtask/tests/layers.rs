//! The directions of dependency, held from day one (ARCHITECTURE.md, "Layers").

use std::collections::{BTreeMap, BTreeSet};

use toml::Table;

/// What each crate may use of our own. `manifest` and `host` are layer 0 and open to all but each other.
const MAY_USE: &[(&str, &[&str])] = &[
    ("manifest", &[]),
    ("host", &[]),
    ("journal", &[]),
    ("gate", &[]),
    ("incidents", &[]),
    ("reports", &[]),
    ("secrets", &[]),
    ("certificates", &[]),
    ("usage", &[]),
    ("scaffold", &["usage"]),
    ("doctor", &[]),
    ("smoke", &[]),
    ("leaks", &["secrets"]),
    ("reconcile", &["journal", "gate"]),
    ("delivery", &["reconcile"]),
    ("engine", &["reconcile", "gate", "secrets"]),
    ("runtime", &["secrets"]),
    ("acme", &["reconcile", "certificates"]),
    ("oidc", &[]),
    ("github", &["reconcile", "secrets"]),
    ("managed", &["reconcile", "secrets"]),
    ("response-cache", &[]),
    ("edge", &["reconcile", "gate", "secrets", "certificates", "response-cache"]),
    ("stores", &["reconcile", "gate", "secrets", "certificates"]),
    ("ci", &["reconcile", "engine", "leaks", "secrets", "reports"]),
    ("console", &["reconcile", "gate", "delivery", "telemetry"]),
    ("backup", &["reconcile", "sigv4", "objects"]),
    ("monitors", &["reconcile", "acme", "secrets"]),
    ("telemetry", &["reconcile", "gate", "secrets", "monitors"]),
    ("upstash", &[]),
    ("media", &[]),
    ("sigv4", &[]),
    ("objects", &["sigv4"]),
    (
        "roadbed",
        &[
            "journal",
            "gate",
            "incidents",
            "reports",
            "secrets",
            "certificates",
            "reconcile",
            "delivery",
            "engine",
            "acme",
            "oidc",
            "edge",
            "stores",
            "telemetry",
            "console",
            "monitors",
            "upstash",
            "media",
            "response-cache",
            "sigv4",
            "objects",
            "usage",
            "scaffold",
            "doctor",
            "leaks",
            "smoke",
            "backup",
            "ci",
            "github",
            "managed",
        ],
    ),
];

const LAYER_0: [&str; 2] = ["manifest", "host"];

fn crates() -> BTreeMap<String, Table> {
    xtask::files()
        .iter()
        .filter(|file| file.ends_with("Cargo.toml") && file.as_str() != "Cargo.toml")
        .map(|file| {
            let table: Table = xtask::text(file).expect("a manifest is text").parse().expect("a manifest is TOML");
            (file.clone(), table)
        })
        // A program of a test, which knows the house from outside only.
        .filter(|(_, table)| !table.contains_key("workspace"))
        .collect()
}

fn own_dependencies(table: &Table, section: &str) -> BTreeSet<String> {
    let names = table.get(section).and_then(|section| section.as_table()).map(|section| section.keys());
    names.into_iter().flatten().filter_map(|name| name.strip_prefix("roadbed-")).map(str::to_owned).collect()
}

#[test]
fn every_crate_depends_only_on_layers_below_it() {
    let mut seen = BTreeSet::new();
    for (file, table) in crates() {
        let package = table["package"]["name"].as_str().expect("a package has a name");
        let name = package.strip_prefix("roadbed-").unwrap_or(package);
        if file.starts_with("xtask/") || file.starts_with("testkit/") || file.starts_with("fuzz/") {
            continue;
        }
        let (_, allowed) = MAY_USE
            .iter()
            .find(|(known, _)| *known == name)
            .unwrap_or_else(|| panic!("{file}: say in this test and in ARCHITECTURE.md what {name} may use"));
        for used in own_dependencies(&table, "dependencies") {
            let is_layer_0 = LAYER_0.contains(&used.as_str()) && !LAYER_0.contains(&name);
            assert!(is_layer_0 || allowed.contains(&used.as_str()), "{file}: {name} must not use {used}");
        }
        seen.insert(name.to_owned());
    }
    let known: BTreeSet<String> = MAY_USE.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(seen, known, "a crate of the table is gone");
}

#[test]
fn every_crate_keeps_the_lints_of_the_house() {
    for (file, table) in crates() {
        let inherited = table.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
        assert_eq!(inherited, Some(true), "{file} needs `[lints] workspace = true`");
    }
}

#[test]
fn versions_are_chosen_in_one_place() {
    for (file, table) in crates() {
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let dependencies = table.get(section).and_then(|section| section.as_table());
            for (name, value) in dependencies.into_iter().flatten() {
                let inherited = value.get("workspace").and_then(toml::Value::as_bool);
                assert_eq!(inherited, Some(true), "{file}: {name} must come from the workspace");
            }
        }
    }
}
