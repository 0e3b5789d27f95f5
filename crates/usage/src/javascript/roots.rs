//! Where the environment enters a source.

use oxc_ast::AstKind;
use oxc_ast::ast::{Argument, CallExpression, Expression, Statement, TSModuleReference};
use oxc_span::GetSpan;
use oxc_syntax::module_record::ImportImportName;
use oxc_syntax::node::NodeId;
use oxc_syntax::symbol::SymbolId;

use super::flow::{Flow, Role};
use super::key::Key;
use super::links::required;
use super::{HandedTo, Shared};
use crate::{Fallback, How, Language, Name};

/// Names that mean something unless the source declares them itself.
const GLOBALS: [(&str, Role); 7] = [
    ("process", Role::Process),
    ("globalThis", Role::Global),
    ("global", Role::Global),
    ("window", Role::Global),
    ("self", Role::Global),
    ("Bun", Role::Bun),
    ("Deno", Role::Deno),
];

fn is_process(specifier: &str) -> bool {
    matches!(specifier, "process" | "node:process")
}

impl<'a> Flow<'_, 'a> {
    pub(super) fn find_roots(&mut self) {
        self.globals();
        self.imports();
        self.imports_of_typescript();
        self.tree();
        self.given_the_environment();
    }

    fn globals(&mut self) {
        let scoping = self.scoping;
        for (name, role) in GLOBALS {
            for reference in scoping.root_unresolved_references().get(name).into_iter().flatten() {
                self.push(scoping.get_reference(*reference).node_id(), role);
            }
            // `declare const process: …` says that it is there, and makes none.
            let declared = scoping.get_root_binding(name.into());
            if let Some(symbol) = declared.filter(|symbol| scoping.symbol_flags(*symbol).is_ambient()) {
                self.follow(symbol, role);
            }
        }
        for reference in scoping.root_unresolved_references().get("require").into_iter().flatten() {
            let call = self.nodes.parent_id(scoping.get_reference(*reference).node_id());
            if let AstKind::CallExpression(expression) = self.kind(call)
                && let Some(Argument::StringLiteral(specifier)) = expression.arguments.first()
            {
                self.whole_module(call, &specifier.value);
            }
        }
    }

    /// An expression that is a module as an object.
    fn whole_module(&mut self, node: NodeId, specifier: &str) {
        if is_process(specifier) {
            self.push(node, Role::Process);
        } else if specifier == "bun" {
            self.push(node, Role::Bun);
        } else if let Some(module) = self.given.modules.iter().position(|(given, _)| given == specifier) {
            self.push(node, Role::Module(module));
        }
    }

    fn imports(&mut self) {
        let record = self.record;
        for entry in record.import_entries.iter().filter(|entry| !entry.is_type) {
            let Some(symbol) = self.scoping.get_root_binding(entry.local_name.name.as_str().into()) else { continue };
            let specifier = entry.module_request.name.as_str();
            let name = match &entry.import_name {
                ImportImportName::Name(name) => name.name.as_str(),
                ImportImportName::Default(_) => "default",
                ImportImportName::NamespaceObject => "*",
            };
            match (specifier, name) {
                _ if is_process(specifier) => match name {
                    "env" => self.follow(symbol, Role::Environment(Language::JavaScript)),
                    "default" | "*" => self.follow(symbol, Role::Process),
                    _ => {}
                },
                ("bun", "env") => self.follow(symbol, Role::Environment(Language::JavaScript)),
                ("bun", "*") => self.follow(symbol, Role::Bun),
                // It returns what `.env` files and the environment say.
                ("vite", "loadEnv") => {
                    for (call, _) in self.calls_of(symbol) {
                        self.push(call, Role::Environment(Language::JavaScript));
                    }
                }
                ("envsafe", "envsafe") => self.schemas_of_library(symbol),
                (library, "createEnv") if library.starts_with("@t3-oss/env-") => self.schemas_of_library(symbol),
                _ => self.import_of_given(symbol, specifier, name),
            }
        }
    }

    /// `import p = require("process")`
    fn imports_of_typescript(&mut self) {
        for statement in &self.nodes.program().body {
            let Statement::TSImportEqualsDeclaration(import) = statement else { continue };
            if let TSModuleReference::ExternalModuleReference(module) = &import.module_reference
                && is_process(&module.expression.value)
                && let Some(symbol) = import.id.symbol_id.get()
            {
                self.follow(symbol, Role::Process);
            }
        }
    }

    /// A library whose function reads the environment by itself.
    fn schemas_of_library(&mut self, symbol: SymbolId) {
        for (call, expression) in self.calls_of(symbol) {
            self.own_schema(call, expression);
        }
    }

    fn import_of_given(&mut self, symbol: SymbolId, specifier: &str, name: &str) {
        let given = self.given;
        let Some(module) = given.modules.iter().position(|(known, _)| known == specifier) else { return };
        if name == "*" {
            return self.follow(symbol, Role::Module(module));
        }
        for export in given.modules[module].1.iter().filter(|export| export.name == name) {
            match &export.shared {
                Shared::Environment(language) => self.follow(symbol, Role::Environment(*language)),
                Shared::Process => self.follow(symbol, Role::Process),
                Shared::Reader { method, parameter, language } => {
                    self.calls_to_reader(symbol, method.as_deref(), *parameter, Fallback::None, *language);
                }
            }
        }
    }

    /// What only a walk through the whole tree finds; made only if there is something.
    fn tree(&mut self) {
        let has_dynamic = !self.record.dynamic_imports.is_empty();
        if self.record.import_metas.is_empty() && !has_dynamic && self.wrappers.is_empty() {
            return;
        }
        let nodes = self.nodes;
        for node in nodes.iter() {
            match node.kind() {
                AstKind::ImportMeta(_) => self.push(node.id(), Role::Meta),
                AstKind::ImportExpression(import) => {
                    if let Expression::StringLiteral(specifier) = &import.source {
                        self.whole_module(node.id(), &specifier.value);
                    }
                }
                AstKind::CallExpression(call) if !self.wrappers.is_empty() => self.wrapper(node.id(), call),
                _ => {}
            }
        }
    }

    /// A call of a reader that the manifest names.
    fn wrapper(&mut self, node: NodeId, call: &CallExpression<'a>) {
        if !self.wrappers.iter().any(|words| ends_with(&call.callee, words)) {
            return;
        }
        let Some(argument) = call.arguments.first().and_then(|argument| argument.as_expression()) else { return };
        let (_, fallback) = self.fate(node);
        let fallback = self.or_argument(fallback, call, 0);
        match self.key(argument) {
            Key::Names(names) => {
                for name in names {
                    self.spot(argument.span(), name, How::Wrapper, fallback, Language::JavaScript);
                }
            }
            // Within the reader itself, or one around it: their callers say the name.
            Key::Parameter { function, .. } if self.is_wrapper(function) => {}
            Key::Parameter { function, parameter } => {
                self.reader(function, parameter, argument.span(), &[How::Wrapper], fallback, Language::JavaScript);
            }
            Key::Unknown => {
                self.spot(argument.span(), Name::Computed, How::Wrapper, fallback, Language::JavaScript);
            }
        }
    }

    /// Whether a function has the name of a reader that the manifest names.
    pub(super) fn is_wrapper(&self, function: NodeId) -> bool {
        let Some(name) = self.function_name(function) else { return false };
        self.wrappers.iter().any(|words| words.last().is_some_and(|last| *last == name))
    }

    /// Functions and schemas of this source that another gives the environment to.
    fn given_the_environment(&mut self) {
        let given = self.given;
        for handed in &given.handed {
            let accepted = match handed.to {
                HandedTo::Argument(index) => self
                    .exported_function(&handed.name)
                    .is_some_and(|function| self.bind_parameter(function, index, Role::Environment(handed.language))),
                HandedTo::Schema => self.exported_schema(&handed.name, handed.language),
            };
            if accepted {
                self.accepted.push(handed.clone());
            }
        }
    }
}

/// Whether a callee ends with these words: `this.config.get` with `config.get`.
fn ends_with(callee: &Expression<'_>, words: &[&str]) -> bool {
    let Some((last, before)) = words.split_last() else { return false };
    match callee.get_inner_expression() {
        Expression::Identifier(identifier) => before.is_empty() && identifier.name == *last,
        Expression::StaticMemberExpression(member) => {
            member.property.name == *last && (before.is_empty() || ends_with(&member.object, before))
        }
        Expression::ChainExpression(chain) => chain.expression.member_expression().is_some_and(|member| {
            member.static_property_name() == Some(*last) && (before.is_empty() || ends_with(member.object(), before))
        }),
        Expression::PrivateFieldExpression(member) => {
            member.field.name == *last && (before.is_empty() || ends_with(&member.object, before))
        }
        // `this.config().get`, `(await config).get`
        Expression::CallExpression(call) => ends_with(&call.callee, words),
        expression => required(expression).is_some_and(|specifier| before.is_empty() && specifier == *last),
    }
}
