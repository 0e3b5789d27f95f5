//! What `roadbed env check` goes by: how code reads variables, what it may leave alone, and names that only the running
//! program knows.

use serde_json::json;

use crate::Manifest;
use crate::environment::Class;
use crate::id::{AppName, OwnerName, VarName};
use crate::record::{choice, record};
use crate::shape::{self, text_shape};
use crate::source::{At, Lines, Source, Span};
use crate::tables::Kind;
use crate::value::ValueType;

record! {
    /// How `roadbed env check` reads the code of the apps.
    pub(crate) struct ScanTable {
        /// Functions of the apps' own whose text argument is the name of a variable: `env.get` for `env.get("API_URL")`.
        wrappers: Vec<At<Callee>> = [],
        /// Variables that others give and that need no declaration; `*` stands for any rest.
        ignore: Vec<At<Glob>> = [],
        /// Findings that are known and meant, each with its reason.
        allow: Vec<AllowTable> = [],
    }
}

record! {
    /// A finding that is meant to be.
    pub(crate) struct AllowTable {
        /// The variable; `*` stands for any rest.
        name: At<Glob>,
        /// The file, relative to the manifest; `*` stands for any rest. Default: every file.
        file: Option<At<FileGlob>>,
        /// Which kind of finding.
        kind: At<FindingKind>,
        /// Why it is right here. Whoever reads the manifest next year has only this.
        reason: String,
    }
}

record! {
    /// Variables whose names the code puts together: `[patterns."TENANT_*_URL"]` for `process.env[`TENANT_${id}_URL`]`.
    pub(crate) struct PatternTable {
        /// What they are for.
        description: String,
        /// Apps that read them.
        apps: At<Vec<At<AppName>>>,
        /// What kind of thing each holds.
        class: At<Class>,
        /// How each value is written.
        r#type: At<ValueType> = "string",
        /// Who answers for them.
        owner: At<OwnerName>,
    }
}

choice! {
    /// What `roadbed env check` finds in code.
    pub enum FindingKind {
        /// A variable is read that the manifest does not declare.
        Undeclared = "undeclared",
        /// A variable is declared for an app that never reads it.
        Unused = "unused",
        /// An app reads a variable that it does not receive.
        NotAConsumer = "not-a-consumer",
        /// A sensitive variable has a name that build tools show visitors.
        SecretInPublicName = "secret-in-public-name",
        /// Code that runs in visitors' browsers reads a variable of the server.
        ServerVariableInClient = "server-variable-in-client",
        /// Code that runs before routing reads a variable of the server.
        ServerVariableAtEdge = "server-variable-at-edge",
        /// A name that only the running program knows.
        ComputedName = "computed-name",
        /// The environment as a whole is handed on.
        WholeEnvironment = "whole-environment",
        /// The value of a sensitive variable stands in the code.
        LiteralForASecret = "literal-for-a-secret",
        /// A variable of the run time is read while the app is built.
        FrozenAtBuild = "frozen-at-build",
        /// Code changes its own environment.
        Write = "write",
    }
}

/// A name in which `*` stands for any rest, also none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Glob(String);

impl Glob {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn matches(&self, text: &str) -> bool {
        glob_matches(&self.0, text)
    }
}

/// Whether `text` is what `glob` describes. In the length of both texts, whatever is in them.
fn glob_matches(glob: &str, text: &str) -> bool {
    let (glob, text) = (glob.as_bytes(), text.as_bytes());
    let (mut at, mut seen) = (0, 0);
    // Where the last `*` stands, and how much of the text it has eaten.
    let mut star: Option<(usize, usize)> = None;
    while seen < text.len() {
        if glob.get(at) == Some(&b'*') {
            star = Some((at, seen));
            at += 1;
        } else if glob.get(at) == Some(&text[seen]) {
            at += 1;
            seen += 1;
        } else if let Some((star_at, eaten)) = star {
            star = Some((star_at, eaten + 1));
            at = star_at + 1;
            seen = eaten + 1;
        } else {
            return false;
        }
    }
    glob[at..].iter().all(|byte| *byte == b'*')
}

impl shape::Text for Glob {
    const WANTS: &'static str = "the name of a variable, in which \"*\" may stand for any rest";
    const PATTERN: Option<&'static str> = Some("^[A-Za-z_*][A-Za-z0-9_.*]*$");
    const EXAMPLES: &'static [&'static str] = &["CI", "npm_*"];

    fn read(text: &str) -> Result<Self, Option<String>> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "_.*".contains(c);
        let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || "_*".contains(c));
        if starts && text.chars().all(is_part) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Some("write letters, digits, \"_\" and \"*\"".to_owned()))
        }
    }

    fn stand_in() -> Self {
        Self("UNREADABLE".to_owned())
    }
}
text_shape!(Glob);

/// A path in which `*` stands for any rest, `/` included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileGlob(pub(crate) String);

impl shape::Text for FileGlob {
    const WANTS: &'static str = "a path relative to the manifest, in which \"*\" may stand for any rest";
    const EXAMPLES: &'static [&'static str] = &["apps/api/src/server.ts", "apps/*/Dockerfile"];

    fn read(text: &str) -> Result<Self, Option<String>> {
        if text.is_empty() || text.starts_with('/') || text.split('/').any(|part| part == "." || part == "..") {
            Err(Some("write folders and a name joined by \"/\", without \".\" and \"..\"".to_owned()))
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    fn stand_in() -> Self {
        Self("unreadable".to_owned())
    }
}
text_shape!(FileGlob);

/// A function, as code calls it: `env.get`, `requireEnv`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Callee(pub(crate) String);

impl shape::Text for Callee {
    const WANTS: &'static str = "the name of a function";
    const PATTERN: Option<&'static str> = Some(r"^[A-Za-z_$][A-Za-z0-9_$]*(\.[A-Za-z_$][A-Za-z0-9_$]*)*$");
    const EXAMPLES: &'static [&'static str] = &["env.get", "requireEnv"];

    fn read(text: &str) -> Result<Self, Option<String>> {
        let is_word = |word: &str| {
            word.starts_with(|c: char| c.is_ascii_alphabetic() || "_$".contains(c))
                && word.chars().all(|c| c.is_ascii_alphanumeric() || "_$".contains(c))
        };
        if text.split('.').all(is_word) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Some("write it as it is called, without brackets: \"env.get\"".to_owned()))
        }
    }

    fn stand_in() -> Self {
        Self("unreadable".to_owned())
    }
}
text_shape!(Callee);

/// The name of variables with a part that only the running program knows: `TENANT_*_URL`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NamePattern(pub(crate) Glob);

impl shape::Text for NamePattern {
    const WANTS: &'static str = "the name of variables with a \"*\" for the part that differs";
    const PATTERN: Option<&'static str> = Some(r"^[A-Z][A-Z0-9_]*\*[A-Z0-9_*]*$");
    const EXAMPLES: &'static [&'static str] = &["TENANT_*_URL"];

    fn read(text: &str) -> Result<Self, Option<String>> {
        let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "_*".contains(c);
        if text.starts_with(|c: char| c.is_ascii_uppercase()) && text.contains('*') && text.chars().all(is_part) {
            Ok(Self(Glob(text.to_owned())))
        } else {
            // A pattern that begins with its gap would legalise reading everything.
            Err(Some("begin with a letter A-Z, and write a \"*\": \"TENANT_*_URL\"".to_owned()))
        }
    }

    fn stand_in() -> Self {
        Self(Glob("UNREADABLE_*".to_owned()))
    }

    fn text_schema() -> serde_json::Value {
        json!({ "type": "string", "pattern": Self::PATTERN, "examples": Self::EXAMPLES })
    }
}
text_shape!(NamePattern);

/// What `env check` goes by, beside the matrix.
#[derive(Clone, Debug)]
pub struct Scan {
    pub wrappers: Vec<String>,
    pub ignored: Vec<Glob>,
    pub allowed: Vec<Allowed>,
    pub patterns: Vec<ComputedNames>,
    /// In the order of the manifest.
    pub apps: Vec<ScannedApp>,
    /// Where each variable is declared, in the order of [`crate::Matrix::variables`].
    pub declared: Vec<(VarName, Position)>,
}

/// A place in the manifest: line and column, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// A finding that the manifest says is meant.
#[derive(Clone, Debug)]
pub struct Allowed {
    pub name: Glob,
    pub file: Option<Glob>,
    pub kind: FindingKind,
    pub reason: String,
    pub position: Position,
}

/// Names that code puts together.
#[derive(Clone, Debug)]
pub struct ComputedNames {
    pub name: Glob,
    pub apps: Vec<AppName>,
    pub class: Class,
    pub value_type: ValueType,
    pub owner: OwnerName,
    pub description: String,
}

/// An app, as far as its code is looked at.
#[derive(Clone, Debug)]
pub struct ScannedApp {
    pub name: AppName,
    /// Its folder, relative to the manifest.
    pub path: String,
    pub runs_in: RunsIn,
}

/// Where an app's code runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunsIn {
    /// On the server.
    Server,
    /// On the server, and what says "use client" in browsers.
    Both,
    /// In browsers.
    Browsers,
}

/// Reads off a manifest what `env check` goes by. `source` is what the manifest was parsed from.
pub fn scan(manifest: &Manifest, source: &Source) -> Scan {
    let document = &manifest.document;
    let lines = Lines::new(&source.text);
    let position = |span: Span| {
        let (line, column) = lines.position(span.start);
        Position { line, column }
    };
    Scan {
        wrappers: document.scan.wrappers.iter().map(|callee| callee.0.clone()).collect(),
        ignored: document.scan.ignore.iter().map(|glob| glob.value.clone()).collect(),
        allowed: document
            .scan
            .allow
            .iter()
            .map(|allow| Allowed {
                name: allow.name.value.clone(),
                file: allow.file.as_ref().map(|file| Glob(file.0.clone())),
                kind: allow.kind.value,
                reason: allow.reason.clone(),
                position: position(allow.name.span),
            })
            .collect(),
        patterns: document
            .patterns
            .iter()
            .map(|(name, table)| ComputedNames {
                name: name.0.clone(),
                apps: table.apps.iter().map(|app| app.value.clone()).collect(),
                class: table.class.value,
                value_type: table.r#type.value,
                owner: table.owner.value.clone(),
                description: table.description.clone(),
            })
            .collect(),
        apps: document
            .apps
            .in_order()
            .into_iter()
            .map(|(name, app)| ScannedApp {
                name: name.value.clone(),
                path: app.path.0.clone(),
                runs_in: match app.kind {
                    Kind::Node => RunsIn::Server,
                    Kind::Next => RunsIn::Both,
                    Kind::Static => RunsIn::Browsers,
                },
            })
            .collect(),
        declared: document
            .variables
            .in_order()
            .into_iter()
            .map(|(name, _)| (name.value.clone(), position(name.span)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::glob_matches;

    #[test]
    fn a_star_stands_for_any_rest() {
        let cases = [
            ("npm_*", "npm_config_cache", true),
            ("npm_*", "npm_", true),
            ("npm_*", "NPM_X", false),
            ("*", "", true),
            ("CI", "CI", true),
            ("CI", "CIRCLE", false),
            ("TENANT_*_URL", "TENANT_A_B_URL", true),
            ("TENANT_*_URL", "TENANT_*_URL", true),
            ("TENANT_*_URL", "TENANT__UR", false),
            ("A**B*C", "AxByBzC", true),
            ("", "x", false),
        ];
        for (glob, text, expected) in cases {
            assert_eq!(glob_matches(glob, text), expected, "{glob:?} {text:?}");
        }
        // What would take for ever if each `*` tried everything.
        assert!(!glob_matches(&"a*".repeat(30), &("a".repeat(4_000) + "b").repeat(2).replace('a', "b")));
    }
}
