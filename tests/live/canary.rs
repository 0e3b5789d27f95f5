//! The canary build finds what a build's settings hand to browsers, and leaves alone what stays on the server.

use std::fs;
use std::path::Path;
use std::time::Duration;

use testkit::{Environment, copy_repository, run};

use crate::stage;

/// A build of both apps took 28 s on two idle cores.
const DEADLINE: Duration = Duration::from_secs(600);

#[test]
fn planted_leaks_of_next_and_vite_are_found() {
    let _stage = stage::enter();
    let project = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    copy_repository(project.path());
    let shop = Environment::new(env!("CARGO_BIN_EXE_roadbed"), project.path());
    if !project.path().join("node_modules").is_dir() {
        let npm = host::process::find_in_path("npm", &shop.variables()["PATH"]).expect("npm is in PATH");
        let _ = run(&npm, &["ci", "--no-audit", "--no-fund"], project.path(), shop.variables(), DEADLINE).expect(0);
    }
    let edit = |file: &str, from: &str, to: &str| {
        let path = project.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has changed");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
    };
    // Under another name, which only the settings connect with the variable.
    edit(
        "apps/storefront/next.config.ts",
        "  output: \"standalone\",",
        "  output: \"standalone\",\n  env: { SIGNED_BY: process.env.JWT_SIGNING_KEY },",
    );
    edit(
        "apps/storefront/src/add-to-basket.tsx",
        "<p role=\"status\">",
        "<p role=\"status\" title={process.env.SIGNED_BY}>",
    );
    // Read on the server alone: it is in `.next/server`, where it may be.
    edit(
        "apps/storefront/src/log.ts",
        "\n",
        "\nif (process.env.SIGNED_BY === \"never\") console.log(process.env.SIGNED_BY);\n",
    );
    edit(
        "apps/admin/vite.config.ts",
        "  plugins: [react()],",
        "  plugins: [react()],\n  define: {\n    __KEY__: JSON.stringify(process.env.SESSION_SECRET),\n    \
         __STORE__: JSON.stringify(btoa(process.env.REDIS_URL ?? \"\")),\n  },",
    );
    edit(
        "apps/admin/src/main.tsx",
        "createRoot(root)",
        "declare const __KEY__: string;\ndeclare const __STORE__: string;\nroot.title = __KEY__ + __STORE__;\ncreateRoot(root)",
    );

    let checked = shop.roadbed_within(DEADLINE, &["env", "check", "--canary", "--json"]).expect(1);
    let document = checked.json();
    let leaks: Vec<(&str, &str, &str)> = document["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["id"] == "canary-in-output")
        .map(|finding| ["name", "file", "message"].map(|key| finding[key].as_str().unwrap()).into())
        .collect();
    let found = |name: &str, below: &str, form: &str| {
        leaks.iter().any(|(leaked, file, message)| *leaked == name && file.starts_with(below) && message.contains(form))
    };
    assert!(found("JWT_SIGNING_KEY", "apps/storefront/.next/static/", "as it is, at byte "), "{leaks:#?}");
    assert!(found("SESSION_SECRET", "apps/admin/dist/assets/", "as it is, at byte "), "{leaks:#?}");
    assert!(found("REDIS_URL", "apps/admin/dist/assets/", "in base64, at byte "), "{leaks:#?}");
    for (name, file, message) in &leaks {
        assert!(["JWT_SIGNING_KEY", "SESSION_SECRET", "REDIS_URL"].contains(name), "{name} in {file}");
        assert!(!file.contains(".next/server"), "{file} stays on the server");
        assert!(!message.contains("rbcanary"), "not even a canary is told: {message}");
    }
    no_copy_is_left(shop.root());
    assert!(!project.path().join("apps/storefront/.next").exists(), "the project itself was built");
}

fn no_copy_is_left(root: &Path) {
    let left: Vec<_> = fs::read_dir(root).map(|entries| entries.flatten().collect()).unwrap_or_default();
    assert!(left.iter().all(|entry| !entry.file_name().to_string_lossy().starts_with("canary")), "{left:?}");
}
