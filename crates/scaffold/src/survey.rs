//! What lies in a folder: apps, the data services that they use, and what a person should know of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use host::files::{self, FileFault};

use crate::naming;
use crate::package::Package;
use crate::server::{self, Server};
use crate::sources::Sources;

/// Why a folder cannot be surveyed.
#[derive(Debug, thiserror::Error)]
pub enum SurveyFault {
    #[error(transparent)]
    File(#[from] FileFault),
    #[error("{} is no package.json that can be read", path.display())]
    Package {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    /// Nothing of what is there can be run. The notes say what is there all the same.
    #[error("there is nothing in {} that Roadbed can run: no package.json of a Next.js app, a Node server or a site that is built", folder.display())]
    Nothing { folder: PathBuf, notes: Vec<String> },
}

/// What an app is made with, as the manifest has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Next,
    /// A server, and how it is started.
    Node(Box<Server>),
    /// Files that a build leaves in a folder.
    Static {
        output: String,
    },
}

impl Kind {
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Node(_) => "node",
            Self::Static { .. } => "static",
        }
    }

    /// Whether people look at what it answers.
    pub(crate) fn has_pages(&self) -> bool {
        !matches!(self, Self::Node(_))
    }
}

/// A data service that the code of an app speaks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    MongoDb,
    Redis,
    /// Redis, by Upstash's client.
    RedisRest,
}

impl Service {
    /// Its name in `needs`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MongoDb => "mongodb",
            Self::Redis | Self::RedisRest => "redis",
        }
    }
}

/// An app that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundApp {
    pub name: String,
    /// Relative to the product's folder; `.` is that folder itself.
    pub path: String,
    pub kind: Kind,
    pub services: BTreeSet<Service>,
    /// Path that answers while the process is able to.
    pub health: Option<String>,
    /// Path that answers 200 when it can serve.
    pub ready: Option<String>,
    /// What in its folder says so.
    pub because: String,
    /// Whether its package has a development server.
    pub has_dev: bool,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    pub apps: Vec<FoundApp>,
    /// What the package at the top is called.
    pub package: Option<String>,
    /// What a person has to see to before `up` can succeed, or should know.
    pub notes: Vec<String>,
    /// Whether npm's lock file is there.
    pub has_lock: bool,
}

/// Folders that hold no sources of the product, wherever they lie.
const NO_SOURCES: [&str; 9] = ["node_modules", "dist", "build", "out", "coverage", "target", "vendor", "test", "tests"];

const MONGODB: [&str; 3] = ["mongodb", "mongoose", "connect-mongo"];
const REDIS: [&str; 5] = ["ioredis", "redis", "bullmq", "connect-redis", "rate-limit-redis"];
const REDIS_REST: [&str; 2] = ["@upstash/redis", "@upstash/ratelimit"];
const SERVERS: [&str; 11] = [
    "express",
    "fastify",
    "koa",
    "hono",
    "@hono/node-server",
    "@nestjs/core",
    "@hapi/hapi",
    "restify",
    "polka",
    "@trpc/server",
    "apollo-server",
];
const SITES: [&str; 7] =
    ["vite", "react-scripts", "@angular/cli", "@vue/cli-service", "parcel", "astro", "@11ty/eleventy"];

/// Looks at a folder and what lies in it, two folders deep.
///
/// # Errors
/// Where a file cannot be read, or nothing is there that could be run.
pub fn survey(folder: &Path) -> Result<Survey, SurveyFault> {
    let top = Package::read(folder)?;
    let mut notes = Vec::new();
    let mut apps: Vec<FoundApp> = Vec::new();
    for path in candidates(folder, top.as_ref())? {
        let place = if path == "." { folder.to_owned() } else { folder.join(&path) };
        if let Some(package) = Package::read(&place)? {
            let taken: BTreeSet<&str> = apps.iter().map(|app| app.name.as_str()).collect();
            let found = app(&place, &path, &package, &taken, &mut notes)?;
            apps.extend(found);
        }
        if let Some(program) = cargo_program(&place)? {
            let place = if path == "." { "this folder".to_owned() } else { path.clone() };
            notes.push(format!(
                "{place} has the Rust program {program}, which is left out: Roadbed runs Node servers and static files"
            ));
        }
    }
    if apps.is_empty() {
        return Err(SurveyFault::Nothing { folder: folder.to_owned(), notes });
    }
    let has_lock = files::exists(&folder.join("package-lock.json"));
    notes.extend(packages(folder, top.as_ref(), &apps, has_lock));
    apps.sort_by_key(|app| (!app.kind.has_pages(), app.name.clone()));
    Ok(Survey { apps, package: top.and_then(|package| package.name), notes, has_lock })
}

/// Folders that may be apps: the top, npm's workspaces, and what lies where people put apps.
fn candidates(folder: &Path, top: Option<&Package>) -> Result<Vec<String>, SurveyFault> {
    let mut found: BTreeSet<String> = BTreeSet::new();
    let written = top.map(Package::workspaces).unwrap_or_default();
    for workspace in written {
        let workspace = workspace.trim_start_matches("./").trim_end_matches('/');
        match workspace.strip_suffix("/*") {
            Some(within) => found.extend(folders(&folder.join(within))?.iter().map(|name| format!("{within}/{name}"))),
            None => _ = found.insert(workspace.to_owned()),
        }
    }
    if written.is_empty() {
        for name in folders(folder)? {
            let within = folders(&folder.join(&name))?;
            found.extend(within.iter().map(|inner| format!("{name}/{inner}")));
            found.insert(name);
        }
    }
    let mut all = vec![".".to_owned()];
    // A folder within an app is part of it.
    let of_apps = |path: &str| files::exists(&folder.join(path).join("package.json"));
    all.extend(
        found
            .iter()
            .filter(|path| {
                path.rsplit_once('/')
                    .is_none_or(|(above, _)| written.iter().any(|one| one.contains('*')) || !of_apps(above))
            })
            .cloned(),
    );
    Ok(all)
}

/// Names of folders in a folder, without those that hold no sources.
fn folders(folder: &Path) -> Result<Vec<String>, SurveyFault> {
    let inner = files::list(folder)?.into_iter().filter(|path| files::is_dir(path) && !files::is_link(path));
    let names = inner.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
    Ok(names.filter(|name| !name.starts_with('.') && !NO_SOURCES.contains(&name.as_str())).collect())
}

fn app(
    place: &Path,
    path: &str,
    package: &Package,
    taken: &BTreeSet<&str>,
    notes: &mut Vec<String>,
) -> Result<Option<FoundApp>, SurveyFault> {
    let name = |kind: &str| naming::app_name(path, kind, taken);
    let services = services(package);
    let has_dev = package.script("dev").is_some();
    let built = |services, kind, name: String, because: &str| FoundApp {
        name,
        path: path.to_owned(),
        kind,
        services,
        health: None,
        ready: None,
        because: because.to_owned(),
        has_dev,
    };
    if package.uses(&["next"]) {
        let mut found = built(services, Kind::Next, name("web"), "package.json depends on next");
        next(place, path, &mut found, notes)?;
        return Ok(Some(found));
    }
    let is_server = package.uses(&SERVERS);
    if !is_server && let Some(tool) = SITES.iter().find(|tool| package.is_made_with(&[tool])) {
        if package.script("build").is_none() {
            notes.push(format!("{path}/package.json depends on {tool} and has no script `build`: it is left out"));
            return Ok(None);
        }
        let output = match *tool {
            "react-scripts" => "build",
            "@11ty/eleventy" => "_site",
            _ => "dist",
        };
        let kind = Kind::Static { output: output.to_owned() };
        return Ok(Some(built(BTreeSet::new(), kind, name("web"), &format!("package.json is built with {tool}"))));
    }
    let sources = Sources::read(place)?;
    let starts = package.script("start").is_some_and(|start| start.starts_with("node "));
    let listens = starts && sources.contain(&["createServer", ".listen("]);
    if !is_server && !listens {
        return Ok(None);
    }
    let because = match SERVERS.iter().find(|name| package.uses(&[name])) {
        Some(server) => format!("package.json depends on {server}"),
        None => "its script `start` is a program of Node that listens".to_owned(),
    };
    let Some(server) = server::of(place, package)? else {
        notes.push(format!("{path} looks like a server ({because}), but nothing says which file starts it: add a script `start` such as `node dist/server.js`"));
        return Ok(None);
    };
    let mut found = built(services, Kind::Node(Box::new(server)), name("api"), &because);
    let path_of = |paths: &[&str]| paths.iter().find(|path| sources.name_path(path)).map(|path| (*path).to_owned());
    found.health = path_of(&["/health", "/healthz", "/livez", "/api/health", "/api/healthz", "/ping"]);
    found.ready = path_of(&["/ready", "/readyz", "/api/ready"]).or_else(|| found.health.clone());
    if !sources.contain(&["PORT"]) {
        notes.push(format!("{} does not read PORT: Roadbed says by it where a server listens", found.name));
    }
    if !sources.contain(&["SIGTERM"]) {
        notes.push(format!(
            "{} does not listen for SIGTERM: answers that are under way at a restart are lost; close the server there",
            found.name
        ));
    }
    Ok(Some(found))
}

fn services(package: &Package) -> BTreeSet<Service> {
    [(Service::MongoDb, &MONGODB[..]), (Service::Redis, &REDIS[..]), (Service::RedisRest, &REDIS_REST[..])]
        .into_iter()
        .filter(|(_, names)| package.uses(names))
        .map(|(service, _)| service)
        .collect()
}

/// What Next.js is asked by, and whether it builds what Roadbed starts.
fn next(place: &Path, path: &str, found: &mut FoundApp, notes: &mut Vec<String>) -> Result<(), SurveyFault> {
    let endings = ["js", "mjs", "ts", "cjs", "mts"];
    let mut settings = String::new();
    for ending in endings {
        if let Some(text) = files::read_if_exists(&place.join(format!("next.config.{ending}")))? {
            settings += &String::from_utf8_lossy(&text);
        }
    }
    if !settings.contains("standalone") {
        notes.push(format!(
            "{} needs `output: \"standalone\"` in {path}/next.config: Roadbed starts the server that it makes",
            found.name
        ));
    }
    for (asked, file) in [("/health", "health"), ("/healthz", "healthz"), ("/api/health", "api/health")] {
        let routes = ["app", "src/app", "pages", "src/pages"].iter().flat_map(|base| {
            ["route.ts", "route.js"]
                .map(|route| format!("{base}/{file}/{route}"))
                .into_iter()
                .chain(["ts", "js", "tsx"].map(|ending| format!("{base}/{file}.{ending}")))
        });
        if routes.into_iter().any(|route| files::exists(&place.join(route))) {
            found.health = Some(asked.to_owned());
            found.ready = Some(asked.to_owned());
            break;
        }
    }
    Ok(())
}

/// The program of a crate, if the folder is one.
fn cargo_program(place: &Path) -> Result<Option<String>, SurveyFault> {
    let Some(text) = files::read_if_exists(&place.join("Cargo.toml"))? else { return Ok(None) };
    if !files::exists(&place.join("src/main.rs")) {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    let name = text.lines().find_map(|line| line.trim().strip_prefix("name")?.trim_start().strip_prefix('='));
    Ok(name.map(|name| name.trim().trim_matches('"').to_owned()))
}

/// What is to be said about how packages are installed: by npm, by one lock file beside the manifest.
fn packages(folder: &Path, top: Option<&Package>, apps: &[FoundApp], has_lock: bool) -> Vec<String> {
    let mut notes = Vec::new();
    let other = ["yarn.lock", "pnpm-lock.yaml", "bun.lock", "bun.lockb"];
    if let Some(other) = other.iter().find(|name| files::exists(&folder.join(name))) {
        notes.push(format!(
            "packages are locked by {other}: Roadbed installs by npm's package-lock.json, which `npm install` makes"
        ));
    } else if !has_lock {
        notes.push("there is no package-lock.json here: run `npm install` once and commit it".to_owned());
    }
    let outside: Vec<&str> = apps
        .iter()
        .filter(|app| app.path != "." && top.is_none_or(|top| top.workspaces().is_empty()))
        .map(|app| app.path.as_str())
        .collect();
    if !outside.is_empty() {
        let listed = outside.iter().map(|path| format!("\"{path}\"")).collect::<Vec<_>>().join(", ");
        notes.push(format!("one lock file at the top serves all apps: put \"workspaces\": [{listed}] into package.json there and run `npm install`"));
    }
    notes
}
