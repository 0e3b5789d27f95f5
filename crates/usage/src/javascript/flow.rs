//! Where the environment goes in a source: from each root up through the tree, along names, to the uses.

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};

use oxc_ast::AstKind;
use oxc_ast::ast::{Expression, LogicalOperator};
use oxc_semantic::{AstNode, AstNodes, Scoping, Semantic};
use oxc_span::{GetSpan, Span};
use oxc_syntax::module_record::{ExportExportName, ImportImportName, ModuleRecord};
use oxc_syntax::node::NodeId;
use oxc_syntax::operator::{AssignmentOperator, BinaryOperator};
use oxc_syntax::symbol::SymbolId;

use super::key::Key;
use super::{Export, Extracted, Given, Handed, Shared, Spotted};
use crate::{Fallback, How, Language, Name};

/// What an expression stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    /// `globalThis`, `global`, `window`
    Global,
    /// `process`
    Process,
    /// The environment as an object.
    Environment(Language),
    Bun,
    Deno,
    /// `Deno.env`: an object with `get`, `set`, …
    DenoEnvironment,
    /// `import.meta`
    Meta,
    /// Another module as an object: an index into [`Given::modules`].
    Module(usize),
}

/// The source while it is read.
pub(super) struct Flow<'r, 'a> {
    pub(super) nodes: &'r AstNodes<'a>,
    pub(super) scoping: &'r Scoping,
    pub(super) record: &'r ModuleRecord<'a>,
    pub(super) given: &'r Given,
    /// Each as its words: `env`, `get`.
    pub(super) wrappers: Vec<Vec<&'r str>>,
    /// Under which names a top-level name is exported.
    exported: BTreeMap<&'r str, Vec<&'r str>>,
    pub(super) queue: Vec<(NodeId, Role)>,
    seen_nodes: HashSet<(NodeId, Role)>,
    seen_symbols: HashSet<(SymbolId, Role)>,
    pub(super) seen_readers: HashSet<(NodeId, usize)>,
    pub(super) seen_schemas: HashSet<NodeId>,
    uses: Vec<Spotted>,
    exports: Vec<Export>,
    pub(super) accepted: Vec<Handed>,
    /// How many more looks the question at hand may take. Constants can be made of constants so that all of them would take
    /// for ever.
    looks: Cell<usize>,
    /// Walks through the whole tree that are left.
    walks: Cell<usize>,
}

/// Looks that a question may take.
const LOOKS: usize = 2_000;

/// Walks through the whole tree that a source may cause.
const WALKS: usize = 50;

pub(super) fn extract(
    semantic: &Semantic<'_>,
    record: &ModuleRecord<'_>,
    wrappers: &[String],
    given: &Given,
) -> Extracted {
    let mut exported: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for entry in &record.local_export_entries {
        let (Some(local), false) = (entry.local_name.name(), entry.is_type) else { continue };
        let name = match &entry.export_name {
            ExportExportName::Name(name) => name.name.as_str(),
            ExportExportName::Default(_) => "default",
            ExportExportName::Null => continue,
        };
        exported.entry(local.as_str()).or_default().push(name);
    }
    let mut flow = Flow {
        nodes: semantic.nodes(),
        scoping: semantic.scoping(),
        record,
        given,
        wrappers: wrappers.iter().map(|wrapper| wrapper.split('.').collect()).collect(),
        exported,
        queue: Vec::new(),
        seen_nodes: HashSet::new(),
        seen_symbols: HashSet::new(),
        seen_readers: HashSet::new(),
        seen_schemas: HashSet::new(),
        uses: Vec::new(),
        exports: Vec::new(),
        accepted: Vec::new(),
        looks: Cell::new(LOOKS),
        walks: Cell::new(WALKS),
    };
    flow.find_roots();
    while let Some((node, role)) = flow.queue.pop() {
        if flow.seen_nodes.insert((node, role)) {
            flow.step(node, role);
        }
    }
    let Flow { mut uses, mut exports, mut accepted, .. } = flow;
    uses.sort_by(|a, b| {
        (a.start, a.end, &a.name, a.how, a.fallback).cmp(&(b.start, b.end, &b.name, b.how, b.fallback))
    });
    // The same place found by two ways, one of them with a fallback, is one use.
    uses.dedup_by(|b, a| {
        let same = (a.start, a.end, &a.name, a.how, a.language) == (b.start, b.end, &b.name, b.how, b.language);
        if same && b.fallback == Fallback::Literal {
            a.fallback = Fallback::Literal;
        }
        same
    });
    exports.sort();
    exports.dedup();
    accepted.sort();
    accepted.dedup();
    Extracted { uses, exports, accepted, ..Extracted::default() }
}

impl<'r, 'a> Flow<'r, 'a> {
    /// A new question is asked.
    pub(super) fn ask(&self) {
        self.looks.set(LOOKS);
    }

    /// Takes one look, if the question may take another.
    pub(super) fn look(&self) -> Option<()> {
        self.looks.set(self.looks.get().checked_sub(1)?);
        Some(())
    }

    /// The whole tree, if the source may cause another walk.
    pub(super) fn walk(&self) -> impl Iterator<Item = &'r AstNode<'a>> + use<'r, 'a> {
        let left = self.walks.get();
        self.walks.set(left.saturating_sub(1));
        self.nodes.iter().filter(move |_| left > 0)
    }

    pub(super) fn kind(&self, node: NodeId) -> AstKind<'a> {
        self.nodes.kind(node)
    }

    pub(super) fn push(&mut self, node: NodeId, role: Role) {
        self.queue.push((node, role));
    }

    pub(super) fn spot(&mut self, span: Span, name: Name, how: How, fallback: Fallback, language: Language) {
        let Span { start, end, .. } = span;
        self.uses.push(Spotted { start, end, line: 1, column: 1, name, how, fallback, language, handed: None });
    }

    /// The environment as a whole leaves our sight.
    pub(super) fn escape(&mut self, node: NodeId, role: Role, by: impl Into<String>) {
        if let Role::Environment(language) = role {
            self.spot(self.kind(node).span(), Name::Whole(by.into()), How::Read, Fallback::None, language);
        }
    }

    pub(super) fn hand_over(&mut self, node: NodeId, by: String, handed: Handed) {
        let language = handed.language;
        self.escape(node, Role::Environment(language), by);
        if let Some(last) = self.uses.last_mut() {
            last.handed = Some(handed);
        }
    }

    pub(super) fn export_at(&mut self, name: &str, shared: Shared, span: Span) {
        self.exports.push(Export { name: name.to_owned(), shared, start: span.start, line: 1, column: 1 });
    }

    /// Under which names others can import a top-level name.
    pub(super) fn export_names(&self, symbol: SymbolId) -> Vec<&'r str> {
        let is_top = self.scoping.symbol_scope_id(symbol) == self.scoping.root_scope_id();
        let names = self.exported.get(self.scoping.symbol_name(symbol));
        names.filter(|_| is_top).cloned().unwrap_or_default()
    }

    /// Others can import something of that role, which stands at `span`.
    pub(super) fn share(&mut self, name: &str, role: Role, span: Span) {
        match role {
            Role::Environment(language) => self.export_at(name, Shared::Environment(language), span),
            Role::Process => self.export_at(name, Shared::Process, span),
            _ => {}
        }
    }

    /// A name of the source stands for it from now on.
    pub(super) fn follow(&mut self, symbol: SymbolId, role: Role) {
        if !self.seen_symbols.insert((symbol, role)) {
            return;
        }
        for name in self.export_names(symbol) {
            self.share(name, role, self.scoping.symbol_span(symbol));
        }
        let scoping = self.scoping;
        for reference in scoping.get_resolved_references(symbol) {
            if reference.is_read() {
                self.push(reference.node_id(), role);
            }
        }
    }

    /// What is around an expression decides what becomes of it.
    fn step(&mut self, node: NodeId, role: Role) {
        let span = self.kind(node).span();
        let parent = self.nodes.parent_id(node);
        match self.kind(parent) {
            AstKind::TSAsExpression(_)
            | AstKind::TSSatisfiesExpression(_)
            | AstKind::TSTypeAssertion(_)
            | AstKind::TSNonNullExpression(_)
            | AstKind::TSInstantiationExpression(_)
            | AstKind::ChainExpression(_)
            | AstKind::ParenthesizedExpression(_)
            | AstKind::AwaitExpression(_) => self.push(parent, role),
            AstKind::StaticMemberExpression(member) if member.object.span() == span => {
                self.member(parent, role, Key::exact(&member.property.name));
            }
            AstKind::ComputedMemberExpression(member) if member.object.span() == span => {
                let key = self.key(&member.expression);
                self.member(parent, role, key);
            }
            AstKind::VariableDeclarator(declarator) => self.bind(&declarator.id, role),
            AstKind::AssignmentExpression(assignment) if assignment.right.span() == span => {
                self.assign(&assignment.left, role);
                self.push(parent, role);
            }
            AstKind::AssignmentExpression(assignment) => {
                if assignment.operator == AssignmentOperator::Assign
                    && let Role::Environment(language) = role
                {
                    self.spot(span, Name::Whole("assigned".to_owned()), How::Write, Fallback::None, language);
                }
            }
            // `process.env && …` asks whether it is there.
            AstKind::LogicalExpression(logical)
                if logical.operator != LogicalOperator::And || logical.right.span() == span =>
            {
                self.push(parent, role);
            }
            AstKind::ConditionalExpression(conditional) if conditional.test.span() != span => self.push(parent, role),
            AstKind::SequenceExpression(sequence)
                if sequence.expressions.last().is_some_and(|last| last.span() == span) =>
            {
                self.push(parent, role);
            }
            AstKind::BinaryExpression(binary)
                if binary.operator == BinaryOperator::In && binary.right.span() == span =>
            {
                self.tested(&binary.left, role);
            }
            AstKind::SpreadElement(_) if self.parsed_as_spread(parent, role) => {}
            AstKind::SpreadElement(_) | AstKind::JSXSpreadAttribute(_) => self.escape(node, role, "spread"),
            AstKind::JSXExpressionContainer(_) => self.escape(node, role, "attribute"),
            AstKind::TemplateLiteral(_) => self.escape(node, role, "text"),
            AstKind::ArrayExpression(_) => self.escape(node, role, "element"),
            AstKind::ForInStatement(_) | AstKind::ForOfStatement(_) => self.escape(node, role, "loop"),
            AstKind::YieldExpression(_) => self.escape(node, role, "yielded"),
            AstKind::CallExpression(call) => {
                self.passed(node, role, parent, &call.callee, &call.arguments, "call");
            }
            AstKind::NewExpression(call) => self.passed(node, role, parent, &call.callee, &call.arguments, "new"),
            AstKind::FormalParameter(parameter) => {
                self.bind(&parameter.pattern, role);
                if parameter.accessibility.is_some() || parameter.readonly {
                    self.of_class(parent, &parameter.pattern, role);
                }
            }
            AstKind::AssignmentPattern(pattern) => self.bind(&pattern.left, role),
            AstKind::AssignmentTargetWithDefault(target) => self.assign(&target.binding, role),
            AstKind::ReturnStatement(_) => {
                if let Some(function) = self.enclosing_function(parent) {
                    self.returned(node, role, function);
                }
            }
            AstKind::ArrowFunctionExpression(_) => self.returned(node, role, parent),
            AstKind::ObjectProperty(property) => self.in_object(node, role, parent, property),
            AstKind::PropertyDefinition(property) => match property.key.static_name() {
                Some(name) => self.as_own_property(node, parent, &name, role),
                None => self.escape(node, role, "property"),
            },
            AstKind::ExportDefaultDeclaration(_) | AstKind::TSExportAssignment(_) => self.share("default", role, span),
            _ => {}
        }
    }

    /// From which module, and as what, a name is imported.
    pub(super) fn imported(&self, symbol: SymbolId) -> Option<(&'r str, &'r str)> {
        if !self.scoping.symbol_flags(symbol).is_import() {
            return None;
        }
        let local = self.scoping.symbol_name(symbol);
        let entry = self.record.import_entries.iter().find(|entry| entry.local_name.name == local)?;
        let name = match &entry.import_name {
            ImportImportName::Name(name) => name.name.as_str(),
            ImportImportName::Default(_) => "default",
            ImportImportName::NamespaceObject => "*",
        };
        Some((entry.module_request.name.as_str(), name))
    }

    /// What a name of the source refers to.
    pub(super) fn symbol_of(&self, expression: &Expression<'_>) -> Option<SymbolId> {
        let Expression::Identifier(identifier) = expression.get_inner_expression() else { return None };
        self.scoping.get_reference(identifier.reference_id.get()?).symbol_id()
    }
}
