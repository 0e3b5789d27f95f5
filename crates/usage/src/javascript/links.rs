//! What a source imports, and what it gives to other modules.

use std::collections::BTreeSet;

use oxc_ast::AstKind;
use oxc_ast::ast::{Argument, Expression, ImportDeclarationSpecifier, Statement};
use oxc_parser::ParserReturn;
use oxc_semantic::Semantic;
use oxc_syntax::module_record::{ExportExportName, ExportImportName};

use super::{Extracted, runtime};
use crate::Language;

/// A module that a source asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    /// As it is written: `./env`, `@/lib/db`, `node:process`.
    pub specifier: String,
    pub kind: ImportKind,
}

/// When an import is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImportKind {
    /// `import`, `export … from`, `require`
    Value,
    /// `import()`
    Dynamic,
    /// `import type`: gone before the code runs.
    Type,
}

/// What a module has that leads to the environment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shared {
    /// The environment itself: `export const env = process.env`.
    Environment(Language),
    /// `process` itself.
    Process,
    /// A function whose argument is the name of a variable, counted from 0; with a method, an object that has this function.
    Reader { method: Option<String>, parameter: usize, language: Language },
}

/// A door to the environment under the name by which it is imported; `default` is one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Export {
    pub name: String,
    pub shared: Shared,
    /// Where it is, as of a use.
    pub start: u32,
    pub line: u32,
    pub column: u32,
}

/// `export { env as e } from "./env"`; without names, `export * from "./env"`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReExport {
    pub specifier: String,
    /// What it is called there, and here.
    pub names: Option<(String, String)>,
}

/// What of another module gets the environment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Handed {
    pub specifier: String,
    /// What it is called there.
    pub name: String,
    pub to: HandedTo,
    pub language: Language,
}

/// What the other module has under that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HandedTo {
    /// A function that gets it as this argument, from 0.
    Argument(usize),
    /// A schema that it is held against.
    Schema,
}

/// What is known of other modules before a source is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// By specifier: what that module exports.
    pub modules: Vec<(String, Vec<Export>)>,
    /// What this source exports that others give the environment to.
    pub handed: Vec<Handed>,
}

impl Given {
    pub fn is_empty(&self) -> bool {
        self.modules.is_empty() && self.handed.is_empty()
    }
}

pub(super) fn add(extracted: &mut Extracted, read: &ParserReturn<'_>, semantic: &Semantic<'_>) {
    add_imports(extracted, read);
    let scoping = semantic.scoping();
    let mut required = BTreeSet::new();
    if let Some(references) = scoping.root_unresolved_references().get("require") {
        for reference in references {
            let node = scoping.get_reference(*reference).node_id();
            if let AstKind::CallExpression(call) = semantic.nodes().parent_kind(node)
                && let Some(Argument::StringLiteral(specifier)) = call.arguments.first()
            {
                required.insert(specifier.value.to_string());
            }
        }
    }
    extracted.imports.extend(required.into_iter().map(|specifier| Import { specifier, kind: ImportKind::Value }));
}

/// Imports and re-exports by the grammar alone; `require` needs to know what the word means, so it is not among them.
pub(super) fn add_imports(extracted: &mut Extracted, read: &ParserReturn<'_>) {
    let says = |what: &str| read.program.directives.iter().any(|directive| directive.directive == what);
    (extracted.is_client, extracted.is_server) = (says("use client"), says("use server"));
    extracted.runtime = runtime::of(&read.program);
    let mut imports = BTreeSet::new();
    for statement in &read.program.body {
        let (specifier, is_type) = match statement {
            Statement::ImportDeclaration(import) => {
                // `import {} from "x"` and `import "x"` run the module; `import { type A } from "x"` does not.
                let only_types = import.specifiers.as_ref().is_some_and(|specifiers| {
                    !specifiers.is_empty()
                        && specifiers.iter().all(|specifier| {
                            matches!(specifier, ImportDeclarationSpecifier::ImportSpecifier(one) if one.import_kind.is_type())
                        })
                });
                (&import.source, import.import_kind.is_type() || only_types)
            }
            Statement::ExportAllDeclaration(export) => (&export.source, export.export_kind.is_type()),
            Statement::ExportFromDeclaration(export) => {
                let only_types =
                    !export.specifiers.is_empty() && export.specifiers.iter().all(|one| one.export_kind.is_type());
                (&export.source, export.export_kind.is_type() || only_types)
            }
            _ => continue,
        };
        let kind = if is_type { ImportKind::Type } else { ImportKind::Value };
        imports.insert(Import { specifier: specifier.value.to_string(), kind });
    }
    for import in &read.module_record.dynamic_imports {
        let span = import.module_request;
        let written = read.program.source_text.get(span.start as usize..span.end as usize).unwrap_or_default();
        let inner = written.get(1..written.len().saturating_sub(1)).unwrap_or_default();
        let is_plain = written.starts_with(['"', '\'', '`']) && !inner.contains(['\\', '$', '\'', '"', '`']);
        if is_plain {
            imports.insert(Import { specifier: inner.to_owned(), kind: ImportKind::Dynamic });
        }
    }
    extracted.imports.extend(imports);
    let record = &read.module_record;
    for entry in record.indirect_export_entries.iter().chain(&record.star_export_entries) {
        let Some(module) = &entry.module_request else { continue };
        if entry.is_type {
            continue;
        }
        let names = match (&entry.import_name, &entry.export_name) {
            (ExportImportName::Name(there), ExportExportName::Name(here)) => {
                Some((there.name.to_string(), here.name.to_string()))
            }
            (ExportImportName::Name(there), ExportExportName::Default(_)) => {
                Some((there.name.to_string(), "default".to_owned()))
            }
            (ExportImportName::AllButDefault, _) => None,
            // `export * as config from "./config"` makes an object of it, which nobody follows.
            _ => continue,
        };
        extracted.re_exports.push(ReExport { specifier: module.name.to_string(), names });
    }
}

/// The text of `require("text")`.
pub(super) fn required<'a>(expression: &'a Expression<'_>) -> Option<&'a str> {
    let Expression::CallExpression(call) = expression else { return None };
    match (&call.callee, call.arguments.first()) {
        (Expression::Identifier(callee), Some(Argument::StringLiteral(text))) if callee.name == "require" => {
            Some(text.value.as_str())
        }
        _ => None,
    }
}
