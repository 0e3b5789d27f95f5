//! Functions of the source: who calls them, and with what.

use oxc_ast::AstKind;
use oxc_ast::ast::{Argument, CallExpression, Expression, FormalParameters};
use oxc_span::{GetSpan, Span};
use oxc_syntax::node::NodeId;
use oxc_syntax::symbol::SymbolId;

use super::flow::{Flow, Role};

/// Who calls a function.
#[derive(Default)]
pub(super) struct Callers<'a> {
    pub(super) calls: Vec<(NodeId, &'a CallExpression<'a>)>,
    /// Under which names, and as which method of them, other modules can.
    pub(super) exports: Vec<(String, Option<String>)>,
    /// Where it is handed on as a value, so that others can.
    pub(super) escapes: Vec<Span>,
    /// `["A", "B"].map(need)`
    pub(super) lists: Vec<(Span, Vec<String>)>,
}

/// By which name a function is called.
enum Handle {
    Symbol(SymbolId, Option<String>),
    /// A method, by `this` within its class.
    OwnMethod(NodeId, String),
    /// `export default function …`
    Default,
    /// It is called where it is written.
    AtOnce(NodeId),
}

impl<'a> Flow<'_, 'a> {
    /// The call whose callee an expression is.
    pub(super) fn called(&self, node: NodeId) -> Option<(NodeId, &'a CallExpression<'a>)> {
        let mut node = node;
        loop {
            let parent = self.nodes.parent_id(node);
            match self.kind(parent) {
                AstKind::ChainExpression(_)
                | AstKind::TSNonNullExpression(_)
                | AstKind::TSAsExpression(_)
                | AstKind::TSInstantiationExpression(_) => node = parent,
                AstKind::CallExpression(call) if call.callee.span() == self.kind(node).span() => {
                    return Some((parent, call));
                }
                _ => return None,
            }
        }
    }

    pub(super) fn calls_of(&self, symbol: SymbolId) -> Vec<(NodeId, &'a CallExpression<'a>)> {
        self.scoping.get_resolved_references(symbol).filter_map(|reference| self.called(reference.node_id())).collect()
    }

    pub(super) fn enclosing_function(&self, node: NodeId) -> Option<NodeId> {
        self.nodes
            .ancestor_ids(node)
            .find(|id| matches!(self.kind(*id), AstKind::Function(_) | AstKind::ArrowFunctionExpression(_)))
    }

    pub(super) fn enclosing_class(&self, node: NodeId) -> Option<NodeId> {
        self.nodes.ancestor_ids(node).find(|id| matches!(self.kind(*id), AstKind::Class(_)))
    }

    fn parameters(&self, function: NodeId) -> Option<&'a FormalParameters<'a>> {
        match self.kind(function) {
            AstKind::Function(function) => function.body.as_ref().map(|_| &*function.params),
            AstKind::ArrowFunctionExpression(arrow) => Some(&*arrow.params),
            _ => None,
        }
    }

    /// A parameter of a function gets something of that role. False if there is no such parameter.
    pub(super) fn bind_parameter(&mut self, function: NodeId, index: usize, role: Role) -> bool {
        let Some(parameter) = self.parameters(function).and_then(|parameters| parameters.items.get(index)) else {
            return false;
        };
        self.bind(&parameter.pattern, role);
        if parameter.accessibility.is_some() || parameter.readonly {
            self.of_class(parameter.node_id.get(), &parameter.pattern, role);
        }
        true
    }

    /// The function that a callee stands for, if this source has it.
    pub(super) fn own_function(&self, callee: &Expression<'a>) -> Option<NodeId> {
        match callee.get_inner_expression() {
            Expression::FunctionExpression(function) => Some(function.node_id.get()),
            Expression::ArrowFunctionExpression(arrow) => Some(arrow.node_id.get()),
            Expression::Identifier(_) => self.function_of(self.symbol_of(callee)?),
            // `this.read(process.env)`
            Expression::StaticMemberExpression(member) => match &member.object {
                Expression::ThisExpression(this) => {
                    let AstKind::Class(class) = self.kind(self.enclosing_class(this.node_id.get())?) else {
                        return None;
                    };
                    class.body.body.iter().find_map(|element| match element {
                        oxc_ast::ast::ClassElement::MethodDefinition(method)
                            if method.key.is_specific_static_name(&member.property.name) =>
                        {
                            Some(method.value.node_id.get())
                        }
                        _ => None,
                    })
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn function_of(&self, symbol: SymbolId) -> Option<NodeId> {
        // Of overloads, the one with a body.
        let functions = self.scoping.symbol_declarations(symbol);
        for declaration in functions {
            match self.kind(declaration) {
                AstKind::Function(function) if function.body.is_some() => return Some(declaration),
                AstKind::Class(class) => {
                    return class.body.body.iter().find_map(|element| match element {
                        oxc_ast::ast::ClassElement::MethodDefinition(method) if method.kind.is_constructor() => {
                            Some(method.value.node_id.get())
                        }
                        _ => None,
                    });
                }
                _ => {}
            }
        }
        match self.initial_value(symbol)?.get_inner_expression() {
            Expression::FunctionExpression(function) => Some(function.node_id.get()),
            Expression::ArrowFunctionExpression(arrow) => Some(arrow.node_id.get()),
            _ => None,
        }
    }

    pub(super) fn exported_function(&self, name: &str) -> Option<NodeId> {
        for symbol in self.scoping.symbol_ids() {
            if self.export_names(symbol).contains(&name) {
                return self.function_of(symbol);
            }
        }
        // `export default function (env) { … }`
        self.walk().filter(|_| name == "default").find_map(|node| match node.kind() {
            AstKind::Function(_) | AstKind::ArrowFunctionExpression(_)
                if matches!(self.nodes.parent_kind(node.id()), AstKind::ExportDefaultDeclaration(_)) =>
            {
                Some(node.id())
            }
            _ => None,
        })
    }

    pub(super) fn function_name(&self, function: NodeId) -> Option<String> {
        if let AstKind::Function(is) = self.kind(function)
            && let Some(id) = &is.id
        {
            return Some(id.name.to_string());
        }
        match self.nodes.parent_kind(function) {
            AstKind::VariableDeclarator(declarator) => Some(declarator.id.get_identifier_name()?.to_string()),
            AstKind::MethodDefinition(method) => Some(method.key.static_name()?.into_owned()),
            AstKind::PropertyDefinition(property) => Some(property.key.static_name()?.into_owned()),
            AstKind::ObjectProperty(property) => Some(property.key.static_name()?.into_owned()),
            _ => None,
        }
    }

    fn handles(&self, function: NodeId) -> Vec<Handle> {
        let mut handles = Vec::new();
        if let AstKind::Function(is) = self.kind(function)
            && let Some(symbol) = is.id.as_ref().and_then(|id| id.symbol_id.get())
        {
            handles.push(Handle::Symbol(symbol, None));
        }
        let mut value = function;
        while let AstKind::TSAsExpression(_) | AstKind::TSSatisfiesExpression(_) = self.nodes.parent_kind(value) {
            value = self.nodes.parent_id(value);
        }
        match self.nodes.parent_kind(value) {
            AstKind::VariableDeclarator(declarator) => handles.extend(symbol_handle(declarator, None)),
            AstKind::ExportDefaultDeclaration(_) => handles.push(Handle::Default),
            AstKind::MethodDefinition(method) => {
                let class = self.enclosing_class(function);
                if let (Some(class), Some(name)) = (class, method.key.static_name()) {
                    if method.r#static
                        && let AstKind::Class(class) = self.kind(class)
                        && let Some(symbol) = class.id.as_ref().and_then(|id| id.symbol_id.get())
                    {
                        handles.push(Handle::Symbol(symbol, Some(name.to_string())));
                    }
                    handles.push(Handle::OwnMethod(class, name.into_owned()));
                }
            }
            AstKind::PropertyDefinition(property) => {
                if let (Some(class), Some(name)) = (self.enclosing_class(function), property.key.static_name()) {
                    handles.push(Handle::OwnMethod(class, name.into_owned()));
                }
            }
            AstKind::ObjectProperty(property) => {
                let mut object = self.nodes.parent_id(self.nodes.parent_id(value));
                while let AstKind::TSAsExpression(_) | AstKind::TSSatisfiesExpression(_) =
                    self.nodes.parent_kind(object)
                {
                    object = self.nodes.parent_id(object);
                }
                if let (AstKind::VariableDeclarator(declarator), Some(name)) =
                    (self.nodes.parent_kind(object), property.key.static_name())
                {
                    handles.extend(symbol_handle(declarator, Some(name.into_owned())));
                }
            }
            AstKind::CallExpression(call) if call.callee.span() == self.kind(value).span() => {
                handles.push(Handle::AtOnce(self.nodes.parent_id(value)));
            }
            _ => {}
        }
        handles
    }

    pub(super) fn callers(&self, function: NodeId) -> Callers<'a> {
        let mut callers = Callers::default();
        for handle in self.handles(function) {
            match handle {
                Handle::Symbol(symbol, method) => self.callers_by_name(&mut callers, symbol, method),
                Handle::OwnMethod(class, name) => {
                    for node in self.walk() {
                        if let AstKind::StaticMemberExpression(member) = node.kind()
                            && matches!(&member.object, Expression::ThisExpression(_))
                            && member.property.name == name.as_str()
                            && self.enclosing_class(node.id()) == Some(class)
                        {
                            callers.calls.extend(self.called(node.id()));
                        }
                    }
                }
                Handle::Default => callers.exports.push(("default".to_owned(), None)),
                Handle::AtOnce(call) => {
                    if let AstKind::CallExpression(expression) = self.kind(call) {
                        callers.calls.push((call, expression));
                    }
                }
            }
        }
        callers
    }

    pub(super) fn callers_by_name(&self, callers: &mut Callers<'a>, symbol: SymbolId, method: Option<String>) {
        for reference in self.scoping.get_resolved_references(symbol).filter(|reference| reference.is_read()) {
            let node = reference.node_id();
            let parent = self.nodes.parent_id(node);
            match (self.kind(parent), &method) {
                (AstKind::ExportSpecifier(_) | AstKind::ExportDefaultDeclaration(_), _) => {}
                (AstKind::StaticMemberExpression(member), Some(method)) => {
                    if member.property.name == method.as_str() {
                        match self.called(parent) {
                            Some(call) => callers.calls.push(call),
                            None => callers.escapes.push(self.kind(node).span()),
                        }
                    }
                }
                (AstKind::CallExpression(call), None) if call.callee.span() != self.kind(node).span() => {
                    match self.list_of(call, self.kind(node).span()) {
                        Some(texts) => callers.lists.push((call.span, texts)),
                        None => callers.escapes.push(self.kind(node).span()),
                    }
                }
                (_, None) => match self.called(node) {
                    Some(call) => callers.calls.push(call),
                    None => callers.escapes.push(self.kind(node).span()),
                },
                (_, Some(_)) => callers.escapes.push(self.kind(node).span()),
            }
        }
        callers.exports.extend(self.export_names(symbol).into_iter().map(|name| (name.to_owned(), method.clone())));
    }

    /// `["A", "B"].map(need)`: the list.
    fn list_of(&self, call: &CallExpression<'_>, function: Span) -> Option<Vec<String>> {
        let member = call.callee.get_inner_expression().as_member_expression()?;
        let is_first = call.arguments.first().map(Argument::span) == Some(function);
        let each = ["forEach", "map", "filter", "some", "every"].contains(&member.static_property_name()?);
        if is_first && each { self.elements(member.object(), 8) } else { None }
    }

    /// An object that holds the environment under `name` is read by its members alone: they are followed.
    pub(super) fn only_members_of(&mut self, symbol: SymbolId, name: &str, role: Role) -> bool {
        let mut members = Vec::new();
        for reference in self.scoping.get_resolved_references(symbol) {
            let parent = self.nodes.parent_id(reference.node_id());
            match self.kind(parent) {
                AstKind::StaticMemberExpression(member) if member.property.name == name => members.push(parent),
                AstKind::StaticMemberExpression(_) => {}
                _ => return false,
            }
        }
        if members.is_empty() || !self.export_names(symbol).is_empty() {
            return false;
        }
        for member in members {
            self.push(member, role);
        }
        true
    }
}

fn symbol_handle(declarator: &oxc_ast::ast::VariableDeclarator<'_>, method: Option<String>) -> Option<Handle> {
    Some(Handle::Symbol(declarator.id.get_binding_identifier()?.symbol_id.get()?, method))
}
