//! A project on disk, looked at as a whole.

#![allow(clippy::unwrap_used, reason = "the files of these tests are their own")]

use std::path::Path;

use host::files::{Access, create_dir, write};
use manifest::Source;
use usage::Checked;

const MANIFEST: &str = r#"
[product]
name = "shop"
[owners.team]
description = "All"
contact = "team@shop.example"
[environments.local]
domain = "shop.localhost"
[apps.api]
owner = "team"
path = "apps/api"
kind = "node"
hosts = ["api"]
start = ["node", "server.js"]
[apps.web]
owner = "team"
path = "apps/web"
kind = "next"
hosts = ["www"]
[apps.admin]
owner = "team"
path = "apps/admin"
kind = "static"
hosts = ["admin"]
[variables.KEY]
description = "Opens something"
apps = ["api", "web"]
class = "secret"
owner = "team"
source = "generated"
[variables.TITLE]
description = "What stands above"
apps = ["admin"]
class = "public"
owner = "team"
value = "${environment}"
"#;

fn looked_at(files: &[(&str, &str)]) -> Checked {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        create_dir(path.parent().unwrap(), Access::Owner).unwrap();
        write(&path, text.as_bytes(), Access::Everyone).unwrap();
    }
    for app in ["api", "web", "admin"] {
        create_dir(&folder.path().join("apps").join(app), Access::Owner).unwrap();
    }
    let source = Source::new("roadbed.toml", MANIFEST);
    let manifest = manifest::parse(&source).0.unwrap();
    usage::check(Path::new(folder.path()), &manifest, &source).unwrap()
}

/// What is found beside variables that nobody reads, and those as the last.
fn found(files: &[(&str, &str)]) -> Vec<String> {
    let checked = looked_at(files);
    checked.findings.iter().map(|one| format!("{} {} {}", one.place, one.id, one.name)).collect()
}

const READ: [(&str, &str); 3] = [
    ("apps/api/server.ts", "use(process.env.KEY);"),
    ("apps/web/page.tsx", "use(process.env.KEY);"),
    ("apps/admin/src/main.ts", "const { TITLE } = config;"),
];

fn found_beside(more: &[(&str, &str)]) -> Vec<String> {
    found(&READ.iter().chain(more).copied().collect::<Vec<_>>())
}

#[test]
fn a_project_whose_apps_read_what_they_receive_is_clean() {
    assert_eq!(found_beside(&[]), Vec::<String>::new());
    let nobody = ["roadbed.toml:25:12 unused KEY", "roadbed.toml:25:12 unused KEY", "roadbed.toml:31:12 unused TITLE"];
    assert_eq!(found(&[]), nobody);
}

#[test]
fn every_kind_of_file_is_read_where_it_is_an_apps() {
    let seen = found_beside(&[
        ("apps/api/a.mjs", "process.env.A"),
        ("apps/api/run.sh", "echo $B"),
        ("apps/api/src/main.rs", "fn main() { std::env::var(\"C\"); }"),
        ("apps/api/Dockerfile", "RUN echo $D"),
        ("compose.yaml", "services:\n  api:\n    environment:\n      KEY: ${E}\n"),
        (".github/workflows/ci.yml", "env:\n  X: ${{ secrets.F }}\n"),
        ("docker/web.Dockerfile", "ARG G\n"),
        ("apps/admin/index.html", "<title>%VITE_H%</title>"),
        // Neither an app's, nor handed to one.
        ("tools/x.ts", "process.env.X"),
        ("tools/x.sh", "echo $X"),
        ("apps/api/test/a.ts", "process.env.X"),
        ("apps/api/node_modules/x/index.js", "process.env.X"),
        ("apps/api/.gitignore", "dist/\n"),
        ("apps/api/dist/server.js", "process.env.X"),
    ]);
    let expected = [
        ".github/workflows/ci.yml:2:10 undeclared F",
        "apps/admin/index.html:1:8 undeclared VITE_H",
        "apps/api/Dockerfile:1:10 undeclared D",
        "apps/api/a.mjs:1:1 undeclared A",
        "apps/api/run.sh:1:6 undeclared B",
        "apps/api/src/main.rs:1:23 undeclared C",
        "compose.yaml:4:12 undeclared E",
        "docker/web.Dockerfile:1:5 undeclared G",
    ];
    assert_eq!(seen, expected);
}

#[test]
fn what_browsers_load_is_followed_along_imports() {
    let seen = found_beside(&[
        ("apps/web/button.tsx", "\"use client\";\nimport { key } from \"./key\";"),
        ("apps/web/key.ts", "export const key = process.env.KEY;"),
        ("apps/web/server.ts", "export const key = process.env.KEY;"),
    ]);
    assert_eq!(seen, ["apps/web/key.ts:1:20 server-variable-in-client KEY"]);
}

#[test]
fn what_runs_before_routing_is_followed_along_imports() {
    let seen = found_beside(&[
        ("apps/web/middleware.ts", "import { key } from \"./key\";"),
        ("apps/web/key.ts", "export const key = process.env.KEY;"),
        // Only Next.js knows such a file.
        ("apps/api/middleware.ts", "export const key = process.env.KEY;"),
    ]);
    assert_eq!(seen, ["apps/web/key.ts:1:20 server-variable-at-edge KEY"]);
}

#[test]
fn settings_of_build_tools_are_looked_into() {
    let seen = found_beside(&[("apps/web/next.config.ts", "export default { env: { SHOWN: process.env.KEY } };")]);
    let expected = [
        "apps/web/next.config.ts:1:32 server-variable-in-client KEY",
        "apps/web/next.config.ts:1:32 frozen-at-build KEY",
    ];
    assert_eq!(seen, expected);
}

#[test]
fn the_generated_accessor_reads_for_others() {
    let accessor = "// Generated from roadbed.toml by `roadbed generate`; edit that.\nexport const environment = { KEY: process.env.KEY };";
    let unread = [READ[1], READ[2], ("apps/api/environment.ts", accessor)];
    assert_eq!(found(&unread), ["roadbed.toml:25:12 unused KEY"]);
    let read = [unread[0], unread[1], unread[2], ("apps/api/server.ts", "start(environment.KEY);")];
    assert_eq!(found(&read), Vec::<String>::new());
}

#[test]
fn what_cannot_be_read_is_told() {
    let seen = found_beside(&[("apps/api/broken.ts", "process.env.KEY ? {"), ("compose.yml", "a: [\n")]);
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen.iter().all(|told| told.contains(" unreadable ")), "{seen:?}");
}
