//! A use of an environment variable, as it stands in a file.

use std::fmt;

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Relative to the folder of the manifest, joined by `/`.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

/// What is named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// `process.env.API_URL`
    Exact(String),
    /// A template or concatenation with gaps, `*` for each: `TENANT_*_URL`.
    Pattern(String),
    /// A name that only the running program knows: `process.env[name]`.
    Computed,
    /// The environment as a whole leaves our sight: `{ ...process.env }`, `parse(process.env)`. The text says how.
    Whole(String),
}

/// What is done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    Read,
    /// `process.env.X = …`, `export X=…`, Dockerfile `ENV X=…`
    Write,
    /// `delete process.env.X`, `unset X`
    Remove,
    /// `"X" in process.env`: whether it is set
    Test,
    /// A key of a schema that the whole environment is parsed with.
    Schema,
    /// A text argument of a reader that the manifest names: `env.get("X")`.
    Wrapper,
    /// Declared as an input of a build: Dockerfile `ARG X`.
    BuildInput,
}

/// A value that stands in the code, for when the variable is not set: `process.env.X ?? "dev"`. The value is not kept: it may be
/// a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fallback {
    None,
    Literal,
}

/// What kind of file, and by which door the environment is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    /// `process.env`, `Bun.env`, `Deno.env`
    JavaScript,
    /// `import.meta.env`: Vite fills it in while it builds.
    ImportMeta,
    Rust,
    Shell,
    Dockerfile,
    Compose,
    Workflow,
    /// `%VITE_X%` in a page that Vite builds.
    Html,
}

/// One use.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    pub place: Place,
    pub name: Name,
    pub how: How,
    pub fallback: Fallback,
    pub language: Language,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}
