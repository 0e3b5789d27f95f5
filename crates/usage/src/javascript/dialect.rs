//! Which language a file is written in, by its name.

use oxc_span::SourceType;

/// How a source is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// `.js`, `.jsx`: a module if it imports or exports, else a script; with JSX.
    JavaScript,
    /// `.mjs`
    Module,
    /// `.cjs`
    CommonJs,
    /// `.ts`, `.mts`, `.cts`
    TypeScript,
    /// `.tsx`
    TypeScriptJsx,
}

impl Dialect {
    /// The dialect of a file. Declarations (`.d.ts`) hold no code, so they have none.
    pub fn of(file: &str) -> Option<Self> {
        let name = file.rsplit('/').next().unwrap_or(file);
        let (stem, extension) = name.rsplit_once('.')?;
        let is_typescript = matches!(extension, "ts" | "mts" | "cts");
        // Beside `x.d.ts` there is `x.d.css.ts` for types of other files.
        if is_typescript && (stem.ends_with(".d") || stem.contains(".d.")) {
            return None;
        }
        Some(match extension {
            "js" | "jsx" => Self::JavaScript,
            "mjs" => Self::Module,
            "cjs" => Self::CommonJs,
            "tsx" => Self::TypeScriptJsx,
            _ if is_typescript => Self::TypeScript,
            _ => return None,
        })
    }

    pub(super) fn is_javascript(self) -> bool {
        matches!(self, Self::JavaScript | Self::Module | Self::CommonJs)
    }

    pub(super) fn source_type(self) -> SourceType {
        match self {
            Self::JavaScript => SourceType::unambiguous().with_jsx(true),
            Self::Module => SourceType::mjs().with_jsx(true),
            Self::CommonJs => SourceType::cjs(),
            Self::TypeScript => SourceType::ts(),
            Self::TypeScriptJsx => SourceType::tsx(),
        }
    }

    /// Scripts may say what modules may not, and sources of old have endings that say little.
    pub(super) fn second_try(self) -> Option<SourceType> {
        match self {
            Self::JavaScript => Some(SourceType::cjs().with_jsx(true)),
            Self::CommonJs => Some(SourceType::unambiguous().with_jsx(true)),
            Self::Module | Self::TypeScript | Self::TypeScriptJsx => None,
        }
    }
}
