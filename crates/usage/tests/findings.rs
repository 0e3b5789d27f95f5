//! What is found about which use, and what a suppression takes away.

#![allow(clippy::unwrap_used, reason = "names of the tests' own")]

use std::collections::BTreeSet;

use manifest::{AppName, Severity, Source};
use usage::{
    AppCode, Fallback, Finding, How, Inlined, Language, Name, Place, ProjectCode, Rules, ShownPrefix, Use, judge,
    suppress, suppressions,
};

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
[variables.KEY]
description = "Opens something"
apps = ["api"]
class = "secret"
owner = "team"
source = "generated"
[variables.API_URL]
description = "Where the API is"
apps = ["api", "web"]
class = "internal"
owner = "team"
value = "${environment}"
[variables.ROUTE_KEY]
description = "Which page a visitor is shown"
apps = ["web"]
class = "internal"
reach = "edge"
owner = "team"
value = "blue"
[variables.SITE_NAME]
description = "Its name"
apps = ["web"]
class = "public"
owner = "team"
value = "${environment}"
[variables.NEXT_PUBLIC_THEME]
description = "Colours"
apps = ["web"]
class = "public"
phase = "build"
reach = "client"
owner = "team"
value = "dark"
[variables.TENANT_A_URL]
description = "One of many"
apps = ["api"]
class = "internal"
type = "url"
owner = "team"
value = "http://a.example"
[patterns."TENANT_*_URL"]
description = "Each tenant's own"
apps = ["api"]
class = "internal"
type = "url"
owner = "team"
[scan]
ignore = ["VENDOR_*"]
allow = [
  { name = "LEGACY", kind = "undeclared", file = "apps/*/old.ts", reason = "goes away with the old checkout" },
]
"#;

fn rules() -> Rules {
    let source = Source::new("roadbed.toml", MANIFEST);
    let (manifest, diagnostics) = manifest::parse(&source);
    let told: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
    let manifest = manifest.unwrap_or_else(|| panic!("{told:#?}"));
    Rules::new(manifest::matrix(&manifest), manifest::scan(&manifest, &source), "roadbed.toml")
}

fn read(file: &str, name: &str) -> Use {
    Use {
        place: Place { file: file.to_owned(), line: 2, column: 3 },
        name: Name::Exact(name.to_owned()),
        how: How::Read,
        fallback: Fallback::None,
        language: Language::JavaScript,
    }
}

/// One use in an app; whatever else the app receives counts as read.
fn found(app: &str, one: Use) -> Vec<Finding> {
    let everything = ["KEY", "API_URL", "SITE_NAME", "NEXT_PUBLIC_THEME", "TENANT_A_URL", "ROUTE_KEY"];
    let code = AppCode {
        uses: vec![one],
        in_browsers: BTreeSet::from(["apps/web/client.tsx".to_owned()]),
        named: everything.map(str::to_owned).into(),
        at_edge: BTreeSet::from(["apps/web/middleware.ts".to_owned()]),
        ..AppCode::new(AppName::new(app).unwrap())
    };
    judge(&rules(), &ProjectCode { apps: vec![code], ..ProjectCode::default() })
}

fn ids(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|finding| format!("{} {}", finding.id, finding.name)).collect()
}

#[test]
fn every_kind_of_finding_and_its_innocent_neighbour() {
    let server = "apps/api/server.ts";
    let page = "apps/web/page.tsx";
    let client = "apps/web/client.tsx";
    let with = |one: Use, change: fn(&mut Use)| {
        let mut one = one;
        change(&mut one);
        one
    };
    let cases: Vec<(&str, Use, &[&str])> = vec![
        ("api", read(server, "KEY"), &[]),
        ("api", read(server, "KEI"), &["undeclared KEI"]),
        ("api", read(server, "PORT"), &[]),
        ("api", read(server, "npm_package_version"), &[]),
        ("api", read(server, "VENDOR_X"), &[]),
        ("api", read(server, "GITHUB_TOKEN"), &["undeclared GITHUB_TOKEN"]),
        ("web", read(page, "KEY"), &["not-a-consumer KEY"]),
        ("web", read(page, "API_URL"), &[]),
        ("web", read(client, "API_URL"), &["server-variable-in-client API_URL"]),
        ("web", read(client, "SITE_NAME"), &["server-variable-in-client SITE_NAME"]),
        ("web", read(client, "NEXT_PUBLIC_THEME"), &[]),
        ("web", read(client, "PORT"), &["server-variable-in-client PORT"]),
        ("web", read(client, "NODE_ENV"), &[]),
        ("web", read("apps/web/middleware.ts", "API_URL"), &["server-variable-at-edge API_URL"]),
        ("web", read("apps/web/middleware.ts", "ROUTE_KEY"), &[]),
        ("web", read("apps/web/middleware.ts", "NEXT_PUBLIC_THEME"), &[]),
        ("web", read(page, "ROUTE_KEY"), &[]),
        ("web", read(client, "ROUTE_KEY"), &["server-variable-in-client ROUTE_KEY"]),
        ("web", read(client, "NEXT_PUBLIC_STRIPE_SECRET"), &["secret-in-public-name NEXT_PUBLIC_STRIPE_SECRET"]),
        (
            "web",
            read(client, "NEXT_PUBLIC_STRIPE_PUBLISHABLE_TOKEN"),
            &["undeclared NEXT_PUBLIC_STRIPE_PUBLISHABLE_TOKEN"],
        ),
        (
            "web",
            with(read(page, "API_URL"), |one| one.language = Language::ImportMeta),
            &["server-variable-in-client API_URL"],
        ),
        (
            "web",
            with(read(page, "SITE_NAME"), |one| one.language = Language::ImportMeta),
            &["frozen-at-build SITE_NAME"],
        ),
        ("web", with(read(page, "MODE"), |one| one.language = Language::ImportMeta), &[]),
        ("web", read("apps/web/next.config.ts", "SITE_NAME"), &["frozen-at-build SITE_NAME"]),
        ("web", read("apps/web/next.config.ts", "NEXT_PUBLIC_THEME"), &[]),
        ("api", with(read(server, "KEY"), |one| one.fallback = Fallback::Literal), &["literal-for-a-secret KEY"]),
        ("api", with(read(server, "API_URL"), |one| one.fallback = Fallback::Literal), &[]),
        ("api", with(read(server, "KEY"), |one| one.how = How::Write), &["write KEY"]),
        ("api", with(read(server, "OTHER"), |one| one.how = How::Remove), &["write OTHER"]),
        ("api", with(read(server, ""), |one| one.name = Name::Computed), &["computed-name process.env[…]"]),
        ("api", with(read(server, ""), |one| one.name = Name::Pattern("TENANT_*_URL".into())), &[]),
        (
            "web",
            with(read(page, ""), |one| one.name = Name::Pattern("TENANT_*_URL".into())),
            &["not-a-consumer TENANT_*_URL"],
        ),
        ("api", with(read(server, ""), |one| one.name = Name::Pattern("TENANT_*".into())), &["computed-name TENANT_*"]),
        (
            "api",
            with(read(server, ""), |one| one.name = Name::Whole("spread".into())),
            &["whole-environment process.env"],
        ),
        ("api", with(read(server, "Hello, world"), |one| one.how = How::Wrapper), &[]),
        ("api", with(read(server, "KEI"), |one| one.how = How::Wrapper), &["undeclared KEI"]),
        // Files that hand variables on.
        (
            "api",
            with(read("apps/api/Dockerfile", "KEY"), |one| {
                (one.language, one.how) = (Language::Dockerfile, How::BuildInput)
            }),
            &["frozen-at-build KEY"],
        ),
        (
            "api",
            with(read("apps/api/Dockerfile", "NODE"), |one| {
                (one.language, one.how, one.fallback) = (Language::Dockerfile, How::BuildInput, Fallback::Literal)
            }),
            &[],
        ),
        (
            "api",
            with(read("apps/api/Dockerfile", "KEY"), |one| {
                (one.language, one.how, one.fallback) = (Language::Dockerfile, How::Write, Fallback::Literal)
            }),
            &["literal-for-a-secret KEY"],
        ),
        (
            "api",
            with(read("apps/api/Dockerfile", "X"), |one| (one.language, one.how) = (Language::Dockerfile, How::Write)),
            &[],
        ),
        (
            "api",
            with(read("apps/api/start.sh", "X"), |one| (one.language, one.how) = (Language::Shell, How::Remove)),
            &[],
        ),
    ];
    for (app, one, expected) in cases {
        let shown = format!("{one:?}");
        let findings = found(app, one);
        assert_eq!(ids(&findings), expected, "{shown}");
        for finding in findings {
            assert!(!finding.message.is_empty() && !finding.message.ends_with('.') && !finding.hint.is_empty());
            assert_eq!((finding.place.line, finding.place.column, finding.severity), (2, 3, Severity::Error));
        }
    }
}

#[test]
fn what_an_app_receives_and_never_reads_is_told_at_its_declaration() {
    let code = |uses: Vec<Use>, named: &[&str]| AppCode {
        uses,
        named: named.iter().map(|name| (*name).to_owned()).collect(),
        ..AppCode::new(AppName::new("api").unwrap())
    };
    let of = |code: AppCode| judge(&rules(), &ProjectCode { apps: vec![code], ..ProjectCode::default() });
    let findings = of(code(Vec::new(), &[]));
    assert_eq!(ids(&findings), ["unused KEY", "unused API_URL", "unused TENANT_A_URL"]);
    let line = MANIFEST.lines().position(|line| line == "[variables.KEY]").unwrap() + 1;
    assert_eq!(findings[0].place, Place { file: "roadbed.toml".into(), line: line.try_into().unwrap(), column: 12 });
    // By its name, by a property of the generated accessor, by a pattern.
    let pattern = Use { name: Name::Pattern("TENANT_*_URL".into()), ..read("apps/api/a.ts", "") };
    assert_eq!(ids(&of(code(vec![read("apps/api/a.ts", "KEY"), pattern], &["API_URL"]))), Vec::<String>::new());
    // A Dockerfile that hands it on does not read it, and neither does a write.
    let handed_on = Use { language: Language::Compose, ..read("apps/api/compose.yaml", "KEY") };
    assert_eq!(ids(&of(code(vec![handed_on], &["API_URL", "TENANT_A_URL"]))), ["unused KEY"]);
}

#[test]
fn settings_of_build_tools_show_what_is_public_and_nothing_else() {
    let place = Place { file: "apps/web/next.config.ts".into(), line: 4, column: 9 };
    let inlined =
        |variable: &str| Inlined { place: place.clone(), variable: variable.to_owned(), shown_as: "SHOWN".to_owned() };
    let prefix = |prefix: &str| ShownPrefix { place: place.clone(), prefix: prefix.to_owned() };
    let code = AppCode {
        named: ["API_URL", "SITE_NAME", "NEXT_PUBLIC_THEME", "ROUTE_KEY"].map(str::to_owned).into(),
        inlined: vec![inlined("API_URL"), inlined("SITE_NAME"), inlined("NOWHERE")],
        shown_prefixes: vec![prefix("API_"), prefix("SITE_")],
        ..AppCode::new(AppName::new("web").unwrap())
    };
    let findings = judge(&rules(), &ProjectCode { apps: vec![code], ..ProjectCode::default() });
    assert_eq!(ids(&findings), ["secret-in-public-name API_URL", "server-variable-in-client API_URL"]);
}

#[test]
fn a_file_that_cannot_be_read_is_a_finding() {
    let place = Place { file: "apps/api/x.rs".into(), line: 1, column: 1 };
    let code = ProjectCode { unreadable: vec![(None, place, "it is not Rust".into())], ..ProjectCode::default() };
    assert_eq!(ids(&judge(&rules(), &code)), ["unreadable *"]);
}

/// Findings of uses on line 2 and what comments make of them.
fn left(text: &str, uses: Vec<Use>) -> Vec<String> {
    let named = ["KEY", "API_URL", "TENANT_A_URL"].map(str::to_owned).into();
    let code = AppCode { uses, named, ..AppCode::new(AppName::new("api").unwrap()) };
    let rules = rules();
    let findings = judge(&rules, &ProjectCode { apps: vec![code], ..ProjectCode::default() });
    ids(&suppress(&rules, findings, &suppressions("apps/api/a.ts", text)))
}

#[test]
fn a_suppression_has_a_reason_and_does_something() {
    let uses = || vec![read("apps/api/a.ts", "X"), read("apps/web/old.ts", "LEGACY")];
    let cases: &[(&str, &[&str])] = &[
        ("\nprocess.env.X", &["undeclared X"]),
        ("// roadbed-allow(undeclared): the vendor's own\nprocess.env.X", &[]),
        ("\nprocess.env.X // roadbed-allow(undeclared): the vendor's own", &[]),
        ("\nprocess.env.X /* roadbed-allow(undeclared): why */", &[]),
        ("// roadbed-allow(write, undeclared): two at once\nprocess.env.X", &[]),
        ("// roadbed-allow(undeclared): for the line behind it\nprocess.env.Y\nprocess.env.X", &[]),
        ("# roadbed-allow(undeclared)\nprocess.env.X", &["suppression-without-reason undeclared", "undeclared X"]),
        ("# roadbed-allow(undeclared):\nprocess.env.X", &["suppression-without-reason undeclared", "undeclared X"]),
        ("// roadbed-allow(undeclard): why\nprocess.env.X", &["suppression-unknown undeclard", "undeclared X"]),
        ("// roadbed-allow(write): why\nprocess.env.X", &["suppression-unused write", "undeclared X"]),
        ("\"roadbed-allow(undeclared): a text\"\nprocess.env.X", &["undeclared X"]),
    ];
    for (text, expected) in cases {
        assert_eq!(left(text, uses()), *expected, "{text}");
    }
    // Two in a row are both for the line behind them.
    let written =
        Use { how: How::Write, place: Place { file: "apps/api/a.ts".into(), line: 3, column: 1 }, ..read("", "X") };
    let text = "// roadbed-allow(write): why\n// roadbed-allow(undeclared): why\nprocess.env.X";
    assert_eq!(left(text, vec![written, read("apps/web/old.ts", "LEGACY")]), ["suppression-unused undeclared"]);
}

#[test]
fn an_entry_of_the_manifest_allows_in_its_files_and_is_told_when_it_allows_nothing() {
    assert_eq!(left("", vec![read("apps/web/old.ts", "LEGACY")]), Vec::<String>::new());
    assert_eq!(left("", vec![read("apps/web/new.ts", "LEGACY")]), ["undeclared LEGACY", "suppression-unused LEGACY"]);
}
