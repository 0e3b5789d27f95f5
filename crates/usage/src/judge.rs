//! Uses held against the matrix. Pure: what the manifest says and what code does go in, findings come out.

mod apps;

use std::collections::BTreeMap;

use manifest::environment::{Class, Delivery, GIVEN, Phase, Reach};
use manifest::{AppName, ComputedNames, FindingKind, Matrix, Position, Row, Scan, Severity};

use crate::finding::{Finding, Id};
use crate::project_code::{AppCode, ProjectCode};
use crate::{Fallback, How, Language, Name, Place, Use, platform};

/// What the manifest says about variables.
#[derive(Clone, Debug)]
pub struct Rules {
    matrix: Matrix,
    scan: Scan,
    /// By name: its row in the matrix, and where it is declared.
    declared: BTreeMap<String, (usize, Position)>,
    /// The manifest's own name, for findings about it.
    manifest: String,
}

/// What build tools put into pages that visitors load.
const PUBLIC_PREFIXES: [&str; 5] = ["NEXT_PUBLIC_", "VITE_", "REACT_APP_", "GATSBY_", "EXPO_PUBLIC_"];

/// Words that a name has which opens something, unless it says that it may be shown.
const SECRET_WORDS: [&str; 6] = ["SECRET", "TOKEN", "PASSWORD", "PRIVATE", "CREDENTIAL", "PASSPHRASE"];
const SHOWN_WORDS: [&str; 2] = ["PUBLISHABLE", "PUBLIC_KEY"];

impl Rules {
    /// `manifest` is the name of its file, relative to its folder.
    pub fn new(matrix: Matrix, scan: Scan, manifest: impl Into<String>) -> Self {
        // Both list the variables in the order of the manifest.
        let declared =
            scan.declared.iter().enumerate().map(|(at, (name, position))| (name.to_string(), (at, *position)));
        let declared = declared.collect();
        Self { matrix, scan, declared, manifest: manifest.into() }
    }

    pub(crate) fn scan(&self) -> &Scan {
        &self.scan
    }

    fn row(&self, name: &str) -> Option<&Row> {
        self.declared.get(name).and_then(|(at, _)| self.matrix.variables.get(*at))
    }

    /// The variable whose file `NAME_FILE` points to.
    fn row_of_file(&self, name: &str) -> Option<&Row> {
        name.strip_suffix("_FILE").and_then(|name| self.row(name)).filter(|row| row.delivery == Delivery::File)
    }

    fn is_ignored(&self, name: &str, language: Language) -> bool {
        self.scan.ignored.iter().any(|glob| glob.matches(name)) || platform::gives(name, language)
    }

    fn pattern(&self, text: &str) -> Option<&ComputedNames> {
        // A `*` of the code is met only by a `*` of the manifest.
        self.scan.patterns.iter().find(|pattern| pattern.name.matches(text))
    }

    /// A position in the manifest as a place.
    pub(crate) fn place(&self, position: Position) -> Place {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Place { file: self.manifest.clone(), line: number(position.line), column: number(position.column) }
    }
}

/// Every finding, in the order of files, before suppressions.
pub fn judge(rules: &Rules, code: &ProjectCode) -> Vec<Finding> {
    let mut findings = Vec::new();
    for app in &code.apps {
        for one in &app.uses {
            Judge { rules, app: Some(app), one, findings: &mut findings }.judge();
        }
        apps::unused(rules, app, &mut findings);
        apps::shown(rules, app, &mut findings);
    }
    for one in &code.shared {
        Judge { rules, app: None, one, findings: &mut findings }.judge();
    }
    for (app, place, why) in &code.unreadable {
        findings.push(Finding {
            id: Id::Unreadable,
            // Whatever it reads.
            name: "*".to_owned(),
            app: app.clone(),
            place: place.clone(),
            severity: Severity::Error,
            message: format!("nobody can tell which variables this file uses: {why}"),
            hint: "mend the file, or let .gitignore name it if it is none of the sources".to_owned(),
        });
    }
    findings.sort_by(|a, b| (&a.place, a.id, &a.name).cmp(&(&b.place, b.id, &b.name)));
    findings.dedup();
    findings
}

/// The judgement of one use.
struct Judge<'a> {
    rules: &'a Rules,
    app: Option<&'a AppCode>,
    one: &'a Use,
    findings: &'a mut Vec<Finding>,
}

impl Judge<'_> {
    fn judge(&mut self) {
        match &self.one.name {
            Name::Exact(name) => self.exact(&name.clone()),
            Name::Pattern(text) => self.pattern(&text.clone()),
            Name::Computed => {
                let door = self.door();
                self.tell(
                    FindingKind::ComputedName,
                    &format!("{door}[…]"),
                    format!("only the running program knows which variable is read from {door} here"),
                    "read each variable by its name; names that follow a pattern are declared as [patterns.\"TENANT_*_URL\"]",
                );
            }
            Name::Whole(how) => {
                let door = self.door();
                let message =
                    format!("{door} is handed on as a whole ({how}), so nobody can tell what is read from it");
                let hint = "hand on the variables that are needed, by their names";
                self.tell(FindingKind::WholeEnvironment, door, message, hint);
            }
        }
    }

    fn exact(&mut self, name: &str) {
        let (one, language) = (self.one, self.one.language);
        let is_program = matches!(language, Language::JavaScript | Language::ImportMeta | Language::Rust);
        match one.how {
            How::Write | How::Remove if is_program => return self.write(name),
            How::Remove => return,
            How::Write => {
                if let Some(row) = self.rules.row(name).filter(|row| row.sensitive && one.fallback == Fallback::Literal)
                {
                    let message = format!("{name} is {}, but a value for it stands in this file", row.class);
                    self.tell(FindingKind::LiteralForASecret, name, message, LITERAL_HINT);
                }
                return;
            }
            _ => {}
        }
        // `text("Hello")` of a wrapper that is used for other texts as well.
        let is_name = name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
        if one.how == How::Wrapper && !is_name {
            return;
        }
        if self.rules.is_ignored(name, language) {
            return;
        }
        if GIVEN.iter().any(|(given, _)| *given == name) {
            return self.given(name);
        }
        let row = self.rules.row(name).or_else(|| self.rules.row_of_file(name)).cloned();
        match row {
            None => self.undeclared(name),
            Some(row) => self.declared(&row),
        }
    }

    fn write(&mut self, name: &str) {
        let door = self.door();
        let done = if self.one.how == How::Remove { "removes" } else { "sets" };
        let message =
            format!("this {done} {name} in {door}, which every later reader takes for what the manifest says");
        self.tell(FindingKind::Write, name, message, "keep it in a variable of the program, and pass that on");
    }

    /// One that Roadbed gives: to servers.
    fn given(&mut self, name: &str) {
        let fills_in = name == "NODE_ENV";
        let reads = matches!(self.one.how, How::Read | How::Test);
        if !fills_in && reads && self.is_in_browsers() {
            let message = format!("{name} is given to servers, but this code runs in visitors' browsers");
            self.tell(FindingKind::ServerVariableInClient, name, message, CLIENT_HINT);
        }
    }

    fn undeclared(&mut self, name: &str) {
        // `ARG NODE_VERSION=22` is a constant of its file.
        if self.one.how == How::BuildInput && self.one.fallback == Fallback::Literal {
            return;
        }
        if let Some(prefix) = public_prefix(name).filter(|_| looks_secret(name)) {
            let message =
                format!("{name} sounds like a secret, but build tools show visitors whatever begins with {prefix}");
            let hint = "give it a name without that beginning, declare it, and read it on the server";
            return self.tell(FindingKind::SecretInPublicName, name, message, hint);
        }
        let hint = match self.nearest(name) {
            Some(meant) => format!("did you mean {meant}? Otherwise declare it: add the table [variables.{name}]"),
            None => format!("declare it in {}: add the table [variables.{name}]", self.rules.manifest),
        };
        self.tell(FindingKind::Undeclared, name, format!("{name} is read here, but not declared"), &hint);
    }

    fn nearest(&self, name: &str) -> Option<String> {
        let distance = |row: &&Row| strsim::osa_distance(name, row.name.as_str());
        let nearest = self.rules.matrix.variables.iter().min_by_key(distance)?;
        (distance(&nearest) <= (name.len() / 4).max(1)).then(|| nearest.name.to_string())
    }

    fn declared(&mut self, row: &Row) {
        let name = row.name.as_str();
        let language = self.one.language;
        if let Some(code) = self.app
            && !row.consumers.contains(&code.app)
        {
            let message = format!("\"{}\" reads {name}, but does not receive it", code.app);
            let hint = format!("add \"{}\" to `apps` of [variables.{name}], or read something else", code.app);
            self.tell(FindingKind::NotAConsumer, name, message, &hint);
        }
        if let Some(prefix) = public_prefix(name).filter(|_| row.sensitive) {
            let message =
                format!("{name} is {}, but build tools show visitors whatever begins with {prefix}", row.class);
            self.tell(FindingKind::SecretInPublicName, name, message, "give it a name without that beginning");
        }
        if row.sensitive && self.one.fallback == Fallback::Literal {
            let message = format!("{name} is {}, but a value for when it is not set stands in the code", row.class);
            self.tell(FindingKind::LiteralForASecret, name, message, LITERAL_HINT);
        }
        let is_filled_in = matches!(language, Language::ImportMeta | Language::Html)
            || (language == Language::JavaScript && public_prefix(name).is_some());
        if row.class != Class::Public && (is_filled_in || self.is_in_browsers()) {
            let message = format!("{name} is {}, but this code runs in visitors' browsers", row.class);
            return self.tell(FindingKind::ServerVariableInClient, name, message, CLIENT_HINT);
        }
        let reads_directly = matches!(self.one.how, How::Read | How::Test);
        if self.is_in_browsers() && reads_directly && !is_filled_in && row.reach != Reach::Client {
            let message = format!("{name} is not there in visitors' browsers, where this code runs");
            return self.tell(FindingKind::ServerVariableInClient, name, message, CLIENT_HINT);
        }
        if row.reach == Reach::Server && reads_directly && self.is_at_edge() {
            let message = format!("{name} is for servers, but this code runs at the edge, before routing");
            let hint = format!("read it behind the route, or set reach = \"edge\" in [variables.{name}]");
            self.tell(FindingKind::ServerVariableAtEdge, name, message, &hint);
        }
        self.frozen(row, is_filled_in);
    }

    fn frozen(&mut self, row: &Row, is_filled_in: bool) {
        if row.phase != Phase::Runtime {
            return;
        }
        let name = row.name.as_str();
        let how = if self.one.how == How::BuildInput {
            "a build is given it here"
        } else if is_filled_in {
            "a build fills it in here"
        } else if is_build_config(&self.one.place.file) && self.one.language == Language::JavaScript {
            "this file is run while the app is built"
        } else {
            return;
        };
        let message = format!("{name} differs between environments and is read at run time, but {how}");
        let hint = "read it while the app runs: one build serves every environment. If it is the same everywhere, declare phase = \"build\"";
        self.tell(FindingKind::FrozenAtBuild, name, message, hint);
    }

    fn pattern(&mut self, text: &str) {
        let Some(pattern) = self.rules.pattern(text).cloned() else {
            let message =
                format!("the name of the variable is put together here ({text}), and nothing says which there are");
            let hint = format!("declare it: add the table [patterns.\"{text}\"], or read each variable by its name");
            return self.tell(FindingKind::ComputedName, text, message, &hint);
        };
        if let Some(code) = self.app
            && !pattern.apps.contains(&code.app)
        {
            let message = format!("\"{}\" reads {text}, but does not receive such variables", code.app);
            let hint = format!("add \"{}\" to `apps` of [patterns.\"{}\"]", code.app, pattern.name.as_str());
            self.tell(FindingKind::NotAConsumer, text, message, &hint);
        }
        if pattern.class.is_sensitive() && self.one.fallback == Fallback::Literal {
            let message = format!("{text} is {}, but a value for when it is not set stands in the code", pattern.class);
            self.tell(FindingKind::LiteralForASecret, text, message, LITERAL_HINT);
        }
        if pattern.class != Class::Public && self.is_in_browsers() {
            let message = format!("{text} is {}, but this code runs in visitors' browsers", pattern.class);
            self.tell(FindingKind::ServerVariableInClient, text, message, CLIENT_HINT);
        }
    }

    fn is_in_browsers(&self) -> bool {
        let is_code = matches!(self.one.language, Language::JavaScript | Language::ImportMeta);
        is_code && self.app.is_some_and(|code| code.in_browsers.contains(&self.one.place.file))
    }

    fn is_at_edge(&self) -> bool {
        self.one.language == Language::JavaScript
            && self.app.is_some_and(|code| code.at_edge.contains(&self.one.place.file))
    }

    /// Where this language keeps the environment.
    fn door(&self) -> &'static str {
        match self.one.language {
            Language::JavaScript => "process.env",
            Language::ImportMeta | Language::Html => "import.meta.env",
            Language::Rust => "std::env",
            Language::Workflow => "secrets",
            Language::Shell | Language::Dockerfile | Language::Compose => "the environment",
        }
    }

    fn tell(&mut self, kind: FindingKind, name: &str, message: String, hint: &str) {
        self.findings.push(Finding {
            id: Id::Use(kind),
            name: name.to_owned(),
            app: self.app.map(|code: &AppCode| -> AppName { code.app.clone() }),
            place: self.one.place.clone(),
            severity: Severity::Error,
            message,
            hint: hint.to_owned(),
        });
    }
}

const LITERAL_HINT: &str =
    "remove the value and refuse to start without the variable; if it ever opened something, have it replaced";
const CLIENT_HINT: &str =
    "read it on the server and hand the result to the page; browsers get only what every visitor may see";

fn public_prefix(name: &str) -> Option<&'static str> {
    PUBLIC_PREFIXES.into_iter().find(|prefix| name.starts_with(prefix))
}

fn looks_secret(name: &str) -> bool {
    SECRET_WORDS.iter().any(|word| name.contains(word)) && !SHOWN_WORDS.iter().any(|word| name.contains(word))
}

/// Settings of build tools are programs that the build runs.
fn is_build_config(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file);
    let stem = ["next.config.", "vite.config.", "webpack.config.", "rollup.config.", "astro.config."];
    stem.iter().any(|stem| name.starts_with(stem))
}
