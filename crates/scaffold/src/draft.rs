//! The text of the manifest, held against the manifest's own rules.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use manifest::{Diagnostic, FindingKind, Severity, Source};
use usage::{Id, ProjectFault};

use crate::server::Build;
use crate::survey::{FoundApp, Kind, Service, Survey};
use crate::variables::{Purpose, Variable};

const SHELL: &str = "sh";

/// What files do not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers {
    pub product: String,
    /// Of production; the other environments' are made from it.
    pub domain: String,
    /// How whoever answers for everything is reached.
    pub contact: String,
}

/// A manifest that has no fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub text: String,
    /// Names of the variables that the code reads.
    pub variables: Vec<String>,
    pub services: Vec<&'static str>,
    /// Folders that builds make, relative to their apps.
    pub outputs: Vec<String>,
    /// What a person has to see to, or should know: the survey's, and what the code says.
    pub notes: Vec<String>,
}

/// Why there is no manifest.
#[derive(Debug, thiserror::Error)]
pub enum DraftFault {
    #[error("cannot read which variables the code uses")]
    Code(#[from] ProjectFault),
    /// An answer that the manifest does not take, for example a domain that is none.
    #[error("these answers make no manifest: {}", .0.iter().map(|told| told.message.as_str()).collect::<Vec<_>>().join("; "))]
    Refused(Vec<Diagnostic>),
}

/// Writes the manifest of what was found in `folder`.
///
/// # Errors
/// Where code cannot be read, or an answer is refused.
pub fn draft(folder: &Path, survey: &Survey, answers: &Answers) -> Result<Draft, DraftFault> {
    let mut survey = survey.clone();
    let without = Source::new("roadbed.toml", text(&survey, answers, &[]));
    let (parsed, _) = checked(&without)?;
    let mut read: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for finding in usage::check(folder, &parsed, &without)?.findings {
        if let (Id::Use(FindingKind::Undeclared), Some(app)) = (finding.id, &finding.app)
            && finding.name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
        {
            read.entry(finding.name).or_default().insert(app.to_string());
        }
    }
    let mut variables = Variable::of(&read, &mut survey);
    let mut notes = std::mem::take(&mut survey.notes);
    notes.extend(services_notes(&survey, &variables));
    variables.extend(Variable::of_services(&survey, &variables, &read));
    variables.sort_by(|one, other| one.name.cmp(&other.name));

    let whole = Source::new("roadbed.toml", text(&survey, answers, &variables));
    let (parsed, _) = checked(&whole)?;
    let left = usage::check(folder, &parsed, &whole)?.findings;
    let left = left.iter().filter(|finding| finding.severity == Severity::Error).count();
    if left > 0 {
        notes.push(format!("the code has {left} uses of variables that are not in order, and the gate will say so: `roadbed env check` shows each"));
    }
    let by_person: Vec<&str> =
        variables.iter().filter(|one| one.purpose == Purpose::Person).map(|one| one.name.as_str()).collect();
    if !by_person.is_empty() {
        notes.push(format!(
            "set by a person where it is needed, with `roadbed secrets set NAME`: {}",
            by_person.join(", ")
        ));
    }
    Ok(Draft {
        variables: read.into_keys().collect(),
        services: services(&survey).into_iter().collect(),
        outputs: outputs(&survey),
        text: whole.text,
        notes,
    })
}

fn checked(source: &Source) -> Result<(manifest::Manifest, Vec<Diagnostic>), DraftFault> {
    let (parsed, diagnostics) = manifest::parse(source);
    match parsed {
        Some(parsed) if !diagnostics.iter().any(Diagnostic::is_error) => Ok((parsed, diagnostics)),
        _ => Err(DraftFault::Refused(diagnostics.into_iter().filter(Diagnostic::is_error).collect())),
    }
}

fn services(survey: &Survey) -> BTreeSet<&'static str> {
    survey.apps.iter().flat_map(|app| &app.services).map(|service| service.as_str()).collect()
}

fn outputs(survey: &Survey) -> Vec<String> {
    let of = |app: &FoundApp| match &app.kind {
        Kind::Next => None,
        Kind::Static { output } => Some(output.clone()),
        Kind::Node(server) => match &server.build {
            Build::Script { output } => Some(output.clone()),
            Build::Copy { .. } => Some("dist".to_owned()),
            // What is started lies in git.
            Build::Folder { .. } => None,
        },
    };
    let all: BTreeSet<String> = survey.apps.iter().filter_map(of).collect();
    all.into_iter().collect()
}

/// What code must do to get at a data service, where it does not seem to.
fn services_notes(survey: &Survey, variables: &[Variable]) -> Vec<String> {
    let mut notes = Vec::new();
    for app in &survey.apps {
        let reads =
            |purpose: Purpose| variables.iter().any(|one| one.purpose == purpose && one.apps.contains(&app.name));
        if app.services.iter().any(|service| *service != Service::RedisRest) && app.ready == app.health {
            notes.push(format!("{} has no path of its own that says whether it can serve: let /ready answer 503 while a data service is away, and name it in `ready`. Until then the gate's row readiness-follows-the-stores fails", app.name));
        }
        if app.services.contains(&Service::MongoDb) && !reads(Purpose::MongoDb) {
            notes.push(format!("{} depends on a client of MongoDB, and reads no variable with its address: let it read MONGODB_URL, and declare that with value = \"${{service.mongodb.url}}\"", app.name));
        }
        if app.services.contains(&Service::Redis) {
            if !reads(Purpose::Redis) {
                notes.push(format!("{} depends on a client of Redis, and reads no variable with its address: let it read REDIS_URL, and declare that with value = \"${{service.redis.url}}\"", app.name));
            }
            if !reads(Purpose::RedisPrefix) {
                notes.push(format!("{} may touch only keys that begin with REDIS_KEY_PREFIX: give that to its client (`keyPrefix` of ioredis)", app.name));
            }
        }
    }
    notes
}

/// Texts and lists of JSON are texts and lists of TOML.
fn quoted(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("texts and lists can be written")
}

fn text(survey: &Survey, answers: &Answers, variables: &[Variable]) -> String {
    let Answers { product, domain, contact } = answers;
    let mut inputs = vec!["package.json"];
    if survey.has_lock {
        inputs.push("package-lock.json");
    }
    let mut text = format!(
        "# {product}: what it is made of and where it runs. Written by `roadbed init` from what was found; it is yours to change.
# `roadbed manifest check` says what is wrong with it, `roadbed up` makes it true.

[product]
name = {}
# A change of these changes every build.
build_inputs = {}

# Who answers for what. Name the teams that you have; alerts and the gate name whoever answers.
[owners.team]
description = \"Everything\"
contact = {}

# The branch alone decides where a deployment goes.
[branches]
main = \"production\"
develop = \"staging\"

# ---- Where it runs: environments share nothing ----

# A developer's own machine, on free ports.
[environments.local]
domain = {}

[environments.staging]
domain = {}
ports = {{ http = 80, https = 443 }}
listed = false

[environments.production]
domain = {}
ports = {{ http = 80, https = 443 }}

# One for each pull request; it purges itself a week after its last `up`.
[environments.preview]
per = \"pull-request\"
domain = {}
ttl = \"7d\"
idle = \"30m\"

# ---- Apps ----
",
        quoted(product),
        quoted(&inputs),
        quoted(contact),
        quoted(&format!("{product}.localhost")),
        quoted(&format!("staging.{domain}")),
        quoted(domain),
        quoted(&format!("pr-{{pr}}.preview.{domain}")),
    );
    let front = survey.apps.iter().find(|app| app.kind.has_pages());
    for one in &survey.apps {
        app(&mut text, one, front.is_some_and(|front| front.name == one.name), variables);
    }
    data(&mut text, survey);
    if !variables.is_empty() {
        text += "\n# ---- Variables: all that the apps read, but for HOST, PORT and ROADBED_…, which every server gets ----\n";
    }
    for variable in variables {
        text.push('\n');
        text += &variable.table();
    }
    text
}

fn app(text: &mut String, app: &FoundApp, is_front: bool, variables: &[Variable]) {
    let FoundApp { name, path, kind, .. } = app;
    let line = |text: &mut String, key: &str, value: String| {
        let _ = writeln!(text, "{key} = {value}");
    };
    let _ = writeln!(text, "\n# Found because {}.\n[apps.{name}]", app.because);
    line(text, "owner", quoted(&"team"));
    line(text, "path", quoted(path));
    line(text, "kind", quoted(&kind.as_str()));
    if is_front {
        *text += "# \"@\" is the bare domain; it leads to www.\n";
        line(text, "hosts", quoted(&["www", "@"]));
    } else {
        line(text, "hosts", quoted(&[name]));
    }
    let calls = variables.iter().filter(|one| one.apps.contains(name)).filter_map(|one| one.calls.clone());
    let needs = app.services.iter().map(|service| service.as_str().to_owned()).chain(calls);
    let needs: BTreeSet<String> = needs.collect();
    if !needs.is_empty() {
        line(text, "needs", quoted(&needs));
    }
    // Node trusts what this variable names from its start on, and data services have an authority of their own.
    let trusting = |words: &[String]| match app.services.iter().any(|service| *service != Service::RedisRest) {
        true => shell(format!("NODE_EXTRA_CA_CERTS=\"$SERVICES_CA_FILE\" exec {}", words.join(" "))),
        false => words.to_vec(),
    };
    match kind {
        Kind::Next => {
            let server = if path == "." { "server.js".to_owned() } else { format!("{path}/server.js") };
            let start = ["node".to_owned(), format!(".next/standalone/{server}")];
            let trusting = trusting(&start);
            if trusting != start {
                *text += "# Data services speak TLS alone, by an authority of the environment's own.\n";
                line(text, "start", quoted(&trusting));
            }
        }
        Kind::Static { output } => {
            if output != "dist" {
                line(text, "build", format!("{{ output = {} }}", quoted(output)));
            }
            *text += "# Paths that are no files, which the page's own script answers.\n";
            line(text, "spa_fallback", quoted(&"index.html"));
        }
        Kind::Node(server) => {
            *text += "serves = \"data\"\n";
            match &server.build {
                Build::Script { output } if output == "dist" => {}
                Build::Script { output } => line(text, "build", format!("{{ output = {} }}", quoted(output))),
                Build::Folder { output } => {
                    *text += "# Nothing is built: what lies in this folder is what runs.\n";
                    line(text, "build", format!("{{ command = [\"true\"], output = {} }}", quoted(output)));
                }
                Build::Copy { names } => {
                    *text += "# Nothing is built: a release is these files and folders. Add what comes to it.\n";
                    let script = format!("rm -rf dist && mkdir dist && cp -R {} dist/", names.join(" "));
                    line(text, "build", format!("{{ command = {} }}", quoted(&shell(script))));
                }
            }
            let start = trusting(&server.start);
            if start != server.start {
                *text += "# Data services speak TLS alone, by an authority of the environment's own.\n";
            }
            line(text, "start", quoted(&start));
        }
    }
    if variables.iter().any(|one| one.calls.as_ref() == Some(name)) {
        *text += "# Others call it without going out to its public address.\n";
        line(text, "internal", "true".to_owned());
    }
    if !matches!(kind, Kind::Static { .. }) {
        if app.health.is_none() {
            *text += "# It has no path for this yet. /health should answer while the process is able to, /ready when it can serve.\n";
        }
        let root = || "/".to_owned();
        line(text, "health", quoted(&app.health.clone().unwrap_or_else(root)));
        line(text, "ready", quoted(&app.ready.clone().unwrap_or_else(root)));
    }
    if !app.has_dev {
        let dev = match kind {
            Kind::Node(server) => server
                .start
                .iter()
                .take(1)
                .cloned()
                .chain(["--watch".to_owned()])
                .chain(server.start.iter().skip(1).cloned())
                .collect(),
            _ => vec!["npm".to_owned(), "start".to_owned()],
        };
        line(text, "dev", quoted(&dev));
    }
    let page = if kind.has_pages() { "/" } else { app.health.as_deref().unwrap_or("/") };
    *text += "# What must answer after each deployment. Name the pages that sell, with words that must be on them.\n";
    let _ = writeln!(text, "smoke = [{{ path = {} }}]", quoted(&page));
}

/// A line for a shell of the product's own: where a variable's value has to become another variable, or there is more than one program.
fn shell(line: String) -> Vec<String> {
    vec![SHELL.to_owned(), "-c".to_owned(), line]
}

fn data(text: &mut String, survey: &Survey) {
    let all: BTreeSet<Service> = survey.apps.iter().flat_map(|app| app.services.iter().copied()).collect();
    if all.is_empty() {
        return;
    }
    *text += "\n# ---- Data services: each environment has its own ----\n";
    if all.contains(&Service::MongoDb) {
        *text += "\n[services.mongodb]\nmin_version = \"6.0\"\n";
    }
    if all.contains(&Service::Redis) || all.contains(&Service::RedisRest) {
        *text += "\n# Sessions and carts are dropped by no policy: when there is no room, a new one is refused.\n[services.redis]\nmin_version = \"7.0\"\nmemory = \"64 MiB\"\n";
    }
    if all.contains(&Service::RedisRest) {
        *text += "# Upstash's REST, beside Redis's own protocol.\nrest = true\n";
    }
}
