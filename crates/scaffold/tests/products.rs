//! Products as people have them, and the manifests that come of them.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests make files and fail by panicking")]

use std::path::Path;

use manifest::{Diagnostic, Source};
use scaffold::{Answers, Draft, Survey, SurveyFault, draft, survey};
use tempfile::TempDir;

fn product(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn answers() -> Answers {
    Answers {
        product: "corner".into(),
        domain: "corner.example".into(),
        contact: "a \"team\" <t@corner.example>".into(),
    }
}

fn of(folder: &Path) -> (Survey, Draft) {
    let found = survey(folder).unwrap();
    let made = draft(folder, &found, &answers()).unwrap();
    let (parsed, diagnostics) = manifest::parse(&Source::new("roadbed.toml", made.text.clone()));
    let errors: Vec<&Diagnostic> = diagnostics.iter().filter(|told| told.is_error()).collect();
    assert!(errors.is_empty() && parsed.is_some(), "{errors:#?}\n{}", made.text);
    let warnings: Vec<&str> = diagnostics.iter().map(|told| told.message.as_str()).collect();
    assert_eq!(warnings, [""; 0], "{}", made.text);
    let parsed = parsed.unwrap();
    let used = usage::check(folder, &parsed, &Source::new("roadbed.toml", made.text.clone())).unwrap();
    assert_eq!(used.findings, [], "the gate would not hold\n{}", made.text);
    (found, made)
}

fn has(draft: &Draft, lines: &[&str]) {
    for line in lines {
        assert!(draft.text.lines().any(|one| one == *line), "no line {line:?} in\n{}", draft.text);
    }
}

#[test]
fn a_next_app_alone_lies_at_the_top() {
    let folder = product(&[
        (
            "package.json",
            r#"{ "name": "@acme/corner", "scripts": { "dev": "next dev" }, "dependencies": { "next": "16.0.0" } }"#,
        ),
        ("package-lock.json", "{}"),
        ("next.config.ts", "export default { output: \"standalone\" };"),
        ("app/api/health/route.ts", "export const GET = () => new Response(\"ok\");"),
        ("app/page.tsx", "export default () => <a href={process.env.NEXT_PUBLIC_SHOP ?? \"\"}>shop</a>;"),
        (
            "lib/session.ts",
            "export const key = process.env.SESSION_SECRET; export const mail = process.env.MAIL_TOKEN;",
        ),
    ]);
    let (found, made) = of(folder.path());
    assert_eq!(found.apps.len(), 1);
    has(
        &made,
        &[
            "[apps.web]",
            "path = \".\"",
            "kind = \"next\"",
            "hosts = [\"www\",\"@\"]",
            "health = \"/api/health\"",
            "[variables.NEXT_PUBLIC_SHOP]",
            "source = \"ci\"",
            "source = \"generated\"",
        ],
    );
    assert_eq!(made.variables, ["MAIL_TOKEN", "NEXT_PUBLIC_SHOP", "SESSION_SECRET"]);
    assert_eq!(made.notes, ["set by a person where it is needed, with `roadbed secrets set NAME`: MAIL_TOKEN"]);
    assert!(made.services.is_empty());
}

#[test]
fn a_site_of_vite_and_its_api_are_two_apps() {
    let folder = product(&[
        ("package.json", r#"{ "name": "corner", "workspaces": ["apps/*", "packages/money"] }"#),
        ("package-lock.json", "{}"),
        ("packages/money/package.json", r#"{ "name": "money", "main": "index.js" }"#),
        (
            "apps/site/package.json",
            r#"{ "scripts": { "dev": "vite", "build": "vite build" }, "devDependencies": { "vite": "8.0.0" } }"#,
        ),
        ("apps/site/src/main.ts", "fetch(import.meta.env.VITE_API_URL + '/products');"),
        (
            "apps/server/package.json",
            r#"{ "scripts": { "build": "tsc", "start": "node build/main.js" }, "dependencies": { "express": "5.0.0" } }"#,
        ),
        (
            "apps/server/src/main.ts",
            "app.get('/healthz', ok); app.listen(process.env.PORT); cors(process.env.CORS_ORIGIN); process.on('SIGTERM', close);",
        ),
    ]);
    let (found, made) = of(folder.path());
    assert_eq!(found.apps.iter().map(|app| app.name.as_str()).collect::<Vec<_>>(), ["site", "server"]);
    has(
        &made,
        &[
            "kind = \"static\"",
            "spa_fallback = \"index.html\"",
            "hosts = [\"server\"]",
            "build = { output = \"build\" }",
            "start = [\"node\",\"build/main.js\"]",
            "health = \"/healthz\"",
            "ready = \"/healthz\"",
            "value = \"${url.site}\"",
            "phase = \"build\"",
        ],
    );
    assert_eq!(made.outputs, ["build", "dist"]);
    assert_eq!(made.notes, [""; 0]);
}

#[test]
fn a_server_with_clients_of_data_services_gets_these_services() {
    let folder = product(&[
        ("package.json", r#"{ "name": "corner", "workspaces": { "packages": ["apps/*"] } }"#),
        ("package-lock.json", "{}"),
        (
            "apps/api/package.json",
            r#"{ "main": "server.js", "dependencies": { "fastify": "5.0.0", "mongodb": "6.0.0", "ioredis": "5.0.0" } }"#,
        ),
        (
            "apps/api/server.js",
            "const db = new MongoClient(process.env.MONGO_URI); const redis = new Redis(process.env.REDIS_URL, { keyPrefix: process.env.REDIS_KEY_PREFIX }); app.listen({ port: process.env.PORT }); process.on('SIGTERM', stop);",
        ),
        ("apps/api/lib/orders.js", ""),
        ("apps/web/package.json", r#"{ "dependencies": { "next": "16.0.0" } }"#),
        ("apps/web/next.config.mjs", "export default {}"),
        ("apps/web/app/page.tsx", "const products = await fetch(process.env.API_URL + '/products');"),
    ]);
    let (_, made) = of(folder.path());
    assert_eq!(made.services, ["mongodb", "redis"]);
    has(
        &made,
        &[
            "[services.mongodb]",
            "[services.redis]",
            "needs = [\"mongodb\",\"redis\"]",
            "needs = [\"api\"]",
            "internal = true",
            "value = \"${service.mongodb.url}\"",
            "value = \"${service.redis.url}\"",
            "value = \"${service.redis.prefix}\"",
            "value = \"${service.ca}\"",
            "value = \"${internal.api}\"",
            "build = { command = [\"sh\",\"-c\",\"rm -rf dist && mkdir dist && cp -R lib package.json server.js dist/\"] }",
            "start = [\"sh\",\"-c\",\"NODE_EXTRA_CA_CERTS=\\\"$SERVICES_CA_FILE\\\" exec node dist/server.js\"]",
        ],
    );
    assert!(made.notes.iter().any(|note| note.contains("output: \"standalone\"")), "{:?}", made.notes);
}

#[test]
fn what_stands_in_the_way_is_said() {
    let folder = product(&[
        ("shop/package.json", r#"{ "scripts": { "start": "node index.js" }, "dependencies": { "redis": "5.0.0" } }"#),
        ("shop/index.js", "require('http').createServer().listen(3000);"),
        ("worker/Cargo.toml", "[package]\nname = \"worker\"\n"),
        ("worker/src/main.rs", "fn main() {}"),
        ("yarn.lock", ""),
    ]);
    let found = survey(folder.path()).unwrap();
    let made = draft(folder.path(), &found, &answers()).unwrap();
    for words in [
        "Rust program worker",
        "yarn.lock",
        "\"workspaces\": [\"shop\"]",
        "does not read PORT",
        "SIGTERM",
        "readiness-follows-the-stores",
        "REDIS_URL",
        "keyPrefix",
    ] {
        assert!(made.notes.iter().any(|note| note.contains(words)), "nobody says {words}: {:#?}", made.notes);
    }
}

#[test]
fn a_folder_with_nothing_to_run_is_refused_with_what_is_there() {
    let folder =
        product(&[("Cargo.toml", "[package]\nname = \"tool\"\n"), ("src/main.rs", "fn main() {}"), ("README.md", "")]);
    let Err(SurveyFault::Nothing { notes, .. }) = survey(folder.path()) else { panic!("something was found") };
    assert!(notes[0].contains("tool"), "{notes:?}");
    let broken = product(&[("package.json", "{ no")]);
    assert!(survey(broken.path()).unwrap_err().to_string().contains("package.json"));
}

#[test]
fn an_answer_that_the_manifest_does_not_take_is_refused() {
    let folder = product(&[("package.json", r#"{ "dependencies": { "next": "16.0.0" } }"#)]);
    let found = survey(folder.path()).unwrap();
    let wrong = Answers { domain: "not a domain".into(), ..answers() };
    assert!(draft(folder.path(), &found, &wrong).unwrap_err().to_string().contains("domain"));
}
