//! JavaScript and TypeScript: which variables a source reads, what it imports and what it hands to other modules.
//!
//! ```text
//!   roots (process, import.meta, …) ──► flow: up through the tree, along names ──► uses
//!                                          │ key: what a name is    │ fate: read, written, with a fallback
//!                                          │ schema: keys of what the environment is parsed with
//!                                          └ callers: functions whose argument is a name, or that are given the environment
//! ```
//!
//! The parser's types stay in here.

mod callers;
mod depth;
mod dialect;
mod fate;
mod flow;
mod key;
mod links;
mod names;
mod members;
mod passing;
mod patterns;
mod places;
mod readers;
mod roots;
mod runtime;
mod schema;
mod settings;

use std::cell::Cell;

use memchr::memmem;
use oxc_allocator::Allocator;
use oxc_parser::{ParseOptions, Parser, ParserReturn};
use oxc_semantic::{SemanticBuilder, Stats};

pub(crate) use depth::{ROOMY, is_roomy};
pub use dialect::Dialect;
pub use links::{Export, Given, Handed, HandedTo, Import, ImportKind, ReExport, Shared};
pub use names::names;
pub use runtime::Runtime;
pub use settings::{Setting, Tool, settings};

use crate::{Fallback, How, Language, Name};

/// A use in a source. Offsets are in bytes; line and column count from 1, the column in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spotted {
    pub start: u32,
    pub end: u32,
    pub line: u32,
    pub column: u32,
    pub name: Name,
    pub how: How,
    pub fallback: Fallback,
    pub language: Language,
    /// Of a [`Name::Whole`] that goes to another module: to what of it. Whoever follows it there drops this use.
    pub handed: Option<Handed>,
}

/// What a source says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extracted {
    /// In the order of the text.
    pub uses: Vec<Spotted>,
    pub imports: Vec<Import>,
    /// Doors to the environment that other modules can import from here.
    pub exports: Vec<Export>,
    pub re_exports: Vec<ReExport>,
    /// It begins with `"use client"`.
    pub is_client: bool,
    /// It begins with `"use server"`: browsers call it and never get its code.
    pub is_server: bool,
    /// The runtime of Next.js that it asks for.
    pub runtime: Option<Runtime>,
    /// Of what [`Given::handed`] names: what was found here, so that its reads are among the uses.
    pub accepted: Vec<Handed>,
}

/// A source that cannot be read as what its name says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    pub line: u32,
    pub column: u32,
    pub why: String,
}

/// The uses of one source. `wrappers` are functions whose text argument is the name of a variable, as code calls them:
/// `env.get`.
pub fn uses(text: &str, dialect: Dialect, wrappers: &[String]) -> Result<Extracted, Unreadable> {
    uses_given(text, dialect, wrappers, &Given::default())
}

/// As [`uses`], for a source that imports doors to the environment, or whose functions are given the environment by another.
pub fn uses_given(text: &str, dialect: Dialect, wrappers: &[String], given: &Given) -> Result<Extracted, Unreadable> {
    parsed(text, dialect, |read| {
        let built = analyser(text).build(&read.program);
        let mut extracted = flow::extract(&built.semantic, &read.module_record, wrappers, given);
        places::fill(text, &mut extracted);
        links::add(&mut extracted, &read, &built.semantic);
        extracted
    })
}

/// What a source imports, without looking for uses: for the many that have none.
pub fn links(text: &str, dialect: Dialect) -> Result<Extracted, Unreadable> {
    parsed(text, dialect, |read| {
        let mut extracted = Extracted::default();
        if memmem::find(text.as_bytes(), b"require").is_some() {
            links::add(&mut extracted, &read, &analyser(text).build(&read.program).semantic);
        } else {
            links::add_imports(&mut extracted, &read);
        }
        extracted
    })
}

/// The analysis of names and scopes. What it is to make room for is guessed by the length of the text: counting would be a
/// walk through the whole tree, and a wrong guess costs an allocation.
fn analyser<'a>(text: &str) -> SemanticBuilder<'a> {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    let stats = Stats::new(length / 8 + 16, length / 200 + 4, length / 80 + 8, length / 40 + 8);
    SemanticBuilder::new().with_build_nodes(true).with_stats(stats)
}

thread_local! {
    static ARENA: Cell<Option<Allocator>> = const { Cell::new(None) };
}

fn parsed<T: Send>(
    text: &str,
    dialect: Dialect,
    read: impl FnOnce(ParserReturn<'_>) -> T + Send,
) -> Result<T, Unreadable> {
    depth::with_room(text, || parsed_here(text, dialect, read))?
}

fn parsed_here<T>(text: &str, dialect: Dialect, read: impl FnOnce(ParserReturn<'_>) -> T) -> Result<T, Unreadable> {
    // Memory of the source before serves for the next one.
    let mut allocator = ARENA.take().unwrap_or_default();
    let result = parsed_in(&allocator, text, dialect, read);
    allocator.reset();
    ARENA.set(Some(allocator));
    result
}

fn parsed_in<T>(
    allocator: &Allocator,
    text: &str,
    dialect: Dialect,
    read: impl FnOnce(ParserReturn<'_>) -> T,
) -> Result<T, Unreadable> {
    let parse = |source_type, allow_return_outside_function| {
        let options = ParseOptions { preserve_parens: false, allow_return_outside_function, ..ParseOptions::default() };
        Parser::new(allocator, text, source_type).with_options(options).parse()
    };
    let mut result = parse(dialect.source_type(), dialect.is_javascript());
    if result.panicked
        && let Some(other) = dialect.second_try()
    {
        let second = parse(other, true);
        if !second.panicked {
            result = second;
        }
    }
    if result.panicked {
        let fault = result.diagnostics.errors().next();
        let offset = fault.and_then(|fault| fault.labels.first()).map_or(0, |label| label.offset());
        let (line, column) = places::of(text, offset);
        let why = fault.map_or_else(|| "it is no source of this kind".to_owned(), |fault| fault.message.to_string());
        return Err(Unreadable { line, column, why });
    }
    Ok(read(result))
}
