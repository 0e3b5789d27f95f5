//! Apps of several files: what goes from file to file, which files count, and what reaches browsers.

use std::path::Path;

use host::files::{Access, create_dir, write};
use usage::code::{Code, Reach, read};
use usage::walk::Part;
use usage::{How, Name};

/// An app from its files; the app is the folder `app`.
fn app(files: &[(&str, &str)]) -> (tempfile::TempDir, Code) {
    let root = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        let path = root.path().join(name);
        create_dir(path.parent().expect("a file has a folder"), Access::Owner).expect("the folder can be made");
        write(&path, text.as_bytes(), Access::Owner).expect("the file can be written");
    }
    let code = read(root.path(), "app", &[]).expect("the app can be read");
    (root, code)
}

/// `file:line name`, with what differs from a read of the server's own code.
fn shown(code: &Code) -> Vec<String> {
    let one = |seen: &usage::code::Seen| {
        let name = match &seen.used.name {
            Name::Exact(name) | Name::Pattern(name) => name.clone(),
            Name::Computed => "computed".to_owned(),
            Name::Whole(by) => format!("whole by {by}"),
        };
        let file = seen.used.place.file.strip_prefix("app/").unwrap_or(&seen.used.place.file);
        let how = if seen.used.how == How::Wrapper { " by a reader" } else { "" };
        let part = match seen.part {
            Part::Source => "",
            Part::Test => ", in a test",
            Part::Settings => ", in settings",
        };
        let reach = match seen.reach {
            Reach::Client => ", in browsers",
            Reach::Edge => ", at the edge",
            Reach::Server => "",
        };
        format!("{file}:{} {name}{how}{part}{reach}", seen.used.place.line)
    };
    code.uses.iter().map(one).collect()
}

#[track_caller]
fn expect(files: &[(&str, &str)], expected: &[&str]) {
    assert_eq!(shown(&app(files).1), expected);
}

#[test]
fn an_exported_environment_is_followed_to_who_imports_it() {
    expect(
        &[
            ("app/env.ts", "export const env = process.env;\nexport { env as default };\n"),
            ("app/a.ts", "import { env } from \"./env\";\nstart(env.A_URL);\n"),
            ("app/b.ts", "import e from \"./env.js\";\nconst { B_URL } = e;\n"),
            ("app/c.ts", "import * as config from \"./env\";\nstart(config.env.C_URL);\n"),
            ("app/d.cjs", "const { env } = require(\"./env\");\nstart(env.D_URL);\n"),
            ("app/other.ts", "import { env } from \"./elsewhere\";\nstart(env.NOT);\n"),
        ],
        &["a.ts:2 A_URL", "b.ts:2 B_URL", "c.ts:2 C_URL", "d.cjs:2 D_URL"],
    );
}

#[test]
fn re_exports_are_gone_through() {
    expect(
        &[
            ("app/env.ts", "export const env = process.env;"),
            ("app/named.ts", "export { env as e } from \"./env\";"),
            ("app/lib/index.ts", "export * from \"../named\";"),
            ("app/a.ts", "import { e } from \"./lib\";\nstart(e.A_URL);\n"),
        ],
        &["a.ts:2 A_URL"],
    );
}

#[test]
fn a_reader_is_followed_to_who_calls_it() {
    expect(
        &[
            ("app/need.ts", "export function need(name: string) { return process.env[name]!; }"),
            ("app/config.ts", "export const config = { get: (n: string) => process.env[n] };"),
            (
                "app/number.ts",
                "import { need } from \"./need\";\nexport const number = (n: string) => Number(need(n));\n",
            ),
            ("app/a.ts", "import { need } from \"./need\";\nstart(need(\"A_URL\"), need(other()));\n"),
            ("app/b.ts", "import { config } from \"./config\";\nstart(config.get(\"B_URL\"));\n"),
            ("app/c.ts", "import { number } from \"./number\";\nstart(number(\"C_PORT\"));\n"),
        ],
        &[
            "a.ts:2 A_URL by a reader",
            "a.ts:2 computed by a reader",
            "b.ts:2 B_URL by a reader",
            "c.ts:2 C_PORT by a reader",
        ],
    );
}

#[test]
fn a_reader_that_nobody_imports_is_a_computed_name() {
    expect(&[("app/need.ts", "export const need = (name) => process.env[name];")], &["need.ts:1 computed"]);
}

#[test]
fn a_function_that_is_given_the_environment_is_read_where_it_is() {
    expect(
        &[
            (
                "app/main.ts",
                "import { readEnvironment } from \"./environment\";\nstart(readEnvironment(process.env));\n",
            ),
            (
                "app/environment.ts",
                "export function readEnvironment(source) {\n  const text = (name) => source[name];\n  return [text(\"HOST\"), source.PORT];\n}\n",
            ),
        ],
        &["environment.ts:3 HOST by a reader", "environment.ts:3 PORT"],
    );
    expect(
        &[("app/main.ts", "import { parse } from \"a-library\";\nparse(process.env);\n")],
        &["main.ts:2 whole by call:parse"],
    );
}

#[test]
fn a_schema_of_another_file_is_read_where_it_is() {
    expect(
        &[
            ("app/main.ts", "import { schema } from \"./schema\";\nexport const env = schema.parse(process.env);\n"),
            (
                "app/other.ts",
                "import * as v from \"valibot\";\nimport { S } from \"./schema\";\nv.parse(S, process.env);\n",
            ),
            (
                "app/schema.ts",
                "export const schema = z.object({ A_URL: z.string() });\nexport const S = v.object({ B_URL: v.string() });\n",
            ),
        ],
        &["schema.ts:1 A_URL", "schema.ts:2 B_URL"],
    );
}

#[test]
fn packages_that_it_imports_count_as_its_own_and_others_do_not() {
    let (_root, code) = app(&[
        ("app/package.json", r#"{ "name": "app" }"#),
        ("app/main.ts", "import { log } from \"@shop/log\";\nlog(process.env.A_URL);\n"),
        ("app/main.test.ts", "import \"@shop/testing\";\nprocess.env.T = \"1\";\n"),
        ("packages/log/package.json", r#"{ "name": "@shop/log", "main": "dist/index.js" }"#),
        ("packages/log/src/index.ts", "import \"@shop/deep\";\nexport const log = process.env.LOG_LEVEL;\n"),
        ("packages/deep/package.json", r#"{ "name": "@shop/deep" }"#),
        ("packages/deep/index.ts", "start(process.env.DEEP);\n"),
        ("packages/testing/package.json", r#"{ "name": "@shop/testing" }"#),
        ("packages/testing/index.ts", "start(process.env.TESTING);\n"),
        ("packages/unused/package.json", r#"{ "name": "@shop/unused" }"#),
        ("packages/unused/index.ts", "start(process.env.UNUSED);\n"),
    ]);
    assert_eq!(
        shown(&code),
        [
            "main.test.ts:2 T, in a test",
            "main.ts:2 A_URL",
            "packages/deep/index.ts:1 DEEP",
            "packages/log/src/index.ts:2 LOG_LEVEL",
        ]
    );
}

#[test]
fn what_a_client_module_imports_is_in_browsers() {
    expect(
        &[
            ("app/tsconfig.json", r#"{ "compilerOptions": { "paths": { "@/*": ["./*"] } } }"#),
            ("app/page.tsx", "import { Button } from \"./button\";\nstart(process.env.PAGE);\n"),
            (
                "app/button.tsx",
                "\"use client\";\nimport { url } from \"@/lib/url\";\nimport type { Db } from \"./db\";\nimport { save } from \"./actions\";\nstart(process.env.BUTTON);\n",
            ),
            ("app/lib/url.ts", "const later = import(\"../later\");\nexport const url = process.env.URL;\n"),
            ("app/later.ts", "start(process.env.LATER);\n"),
            ("app/db.ts", "export type Db = 1;\nstart(process.env.DB);\n"),
            ("app/actions.ts", "\"use server\";\nexport const save = () => process.env.SAVE;\n"),
        ],
        &[
            "actions.ts:2 SAVE",
            "button.tsx:5 BUTTON, in browsers",
            "db.ts:2 DB",
            "later.ts:1 LATER, in browsers",
            "lib/url.ts:2 URL, in browsers",
            "page.tsx:2 PAGE",
        ],
    );
}

#[test]
fn what_a_page_begins_with_is_in_browsers() {
    expect(
        &[
            ("app/index.html", "<script type=\"module\" src=\"/src/main.tsx\"></script>"),
            ("app/src/main.tsx", "import \"./app\";\nstart(import.meta.env.VITE_A);\n"),
            ("app/src/app.tsx", "start(import.meta.env.VITE_B);\n"),
            ("app/vite.config.ts", "export default { define: { __X__: process.env.X } };\n"),
        ],
        &["src/app.tsx:1 VITE_B, in browsers", "src/main.tsx:2 VITE_A, in browsers", "vite.config.ts:1 X, in settings"],
    );
}

#[test]
fn what_middleware_and_edge_modules_import_is_at_the_edge() {
    let edge = "export const runtime = \"edge\";\nimport { url } from \"../lib/url\";\n";
    expect(
        &[
            ("app/src/middleware.ts", "import \"./lib/who\";\nstart(process.env.MIDDLE);\n"),
            ("app/src/lib/who.ts", "start(process.env.WHO);\n"),
            ("app/src/lib/url.ts", "export const url = process.env.URL;\n"),
            ("app/src/lib/db.ts", "start(process.env.DB);\n"),
            ("app/src/route/fast.ts", edge),
            (
                "app/src/route/typed.ts",
                "export const config = { runtime: \"edge\" as const };\nstart(process.env.TYPED);\n",
            ),
            ("app/src/route/slow.ts", "export const runtime = 'nodejs';\nstart(process.env.SLOW);\n"),
            // Only in its place does the name mean anything, and a proxy runs on Node.
            ("app/src/route/middleware.ts", "start(process.env.INNER);\n"),
            ("app/src/proxy.ts", "start(process.env.PROXY);\n"),
        ],
        &[
            "src/lib/db.ts:1 DB",
            "src/lib/url.ts:1 URL, at the edge",
            "src/lib/who.ts:1 WHO, at the edge",
            "src/middleware.ts:2 MIDDLE, at the edge",
            "src/proxy.ts:1 PROXY",
            "src/route/middleware.ts:1 INNER",
            "src/route/slow.ts:2 SLOW",
            "src/route/typed.ts:2 TYPED, at the edge",
        ],
    );
    let on_node = "export const config = { runtime: \"nodejs\", matcher: [\"/\"] };\nstart(process.env.MIDDLE);\n";
    expect(&[("app/middleware.ts", on_node)], &["middleware.ts:2 MIDDLE"]);
}

#[test]
fn settings_say_what_goes_into_the_bundle() {
    use usage::javascript::Setting;
    let (_root, code) = app(&[
        ("app/next.config.ts", "export default { env: { A: process.env.SECRET }, headers: { env: { B: 1 } } };\n"),
        (
            "app/vite.config.ts",
            "export default defineConfig(() => ({ define: { \"process.env.C\": process.env.D }, envPrefix: [\"VITE_\", \"PUBLIC_\"] }));\n",
        ),
    ]);
    let told: Vec<String> = code
        .settings
        .iter()
        .map(|(file, setting)| match setting {
            Setting::Inlined { name, start, end, line, column } => {
                let within =
                    |seen: &&usage::code::Seen| seen.used.place.file == *file && (*start..*end).contains(&seen.offset);
                let uses = code.uses.iter().filter(within).count();
                format!("{file}:{line}:{column} {name} from {uses} use")
            }
            Setting::Prefix { prefix, line, column } => format!("{file}:{line}:{column} {prefix}*"),
        })
        .collect();
    assert_eq!(
        told,
        [
            "app/next.config.ts:1:25 A from 1 use",
            "app/vite.config.ts:1:48 process.env.C from 1 use",
            "app/vite.config.ts:1:94 VITE_*",
            "app/vite.config.ts:1:103 PUBLIC_*",
        ]
    );
}

#[test]
fn a_file_that_cannot_be_read_as_code_is_told_and_the_rest_is_read() {
    let (_root, code) = app(&[("app/bad.ts", "const = ;"), ("app/good.ts", "start(process.env.A);")]);
    assert_eq!(shown(&code), ["good.ts:1 A"]);
    let [(place, why)] = code.unreadable.as_slice() else { panic!("{:?}", code.unreadable) };
    assert_eq!((place.to_string().as_str(), why.as_str()), ("app/bad.ts:1:7", "Unexpected token"));
}

#[test]
fn the_apps_of_this_repository_are_readable() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for name in ["api", "admin", "storefront"] {
        let code = read(&root, &format!("apps/{name}"), &[]).expect("the app can be read");
        assert!(code.unreadable.is_empty(), "{:?}", code.unreadable);
        assert!(!code.uses.is_empty(), "{name} reads something");
    }
}
