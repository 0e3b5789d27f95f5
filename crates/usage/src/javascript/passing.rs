//! The environment as an argument, as a property, as what a function returns.

use oxc_ast::AstKind;
use oxc_ast::ast::{Argument, Expression, ObjectProperty, ObjectPropertyKind};
use oxc_span::GetSpan;
use oxc_syntax::node::NodeId;

use super::flow::{Flow, Role};
use super::key::Key;
use super::{Handed, HandedTo};
use crate::{Fallback, How, Name};

/// Words of a callee that a person still reads.
const MOST_WORDS: usize = 6;

impl<'a> Flow<'_, 'a> {
    /// `node` is an argument, or the callee, of a call.
    pub(super) fn passed(
        &mut self,
        node: NodeId,
        role: Role,
        call: NodeId,
        callee: &'a Expression<'a>,
        arguments: &'a [Argument<'a>],
        verb: &str,
    ) {
        let span = self.kind(node).span();
        let Some(index) = arguments.iter().position(|argument| argument.span() == span) else { return };
        if self.own_function(callee).is_some_and(|function| self.bind_parameter(function, index, role)) {
            return;
        }
        let Role::Environment(language) = role else { return };
        let path = path(callee);
        if self.of_object(node, role, call, &path, arguments, index)
            || self.parsed(call, callee, arguments, index, language)
        {
            return;
        }
        let by = if path.is_empty() { verb.to_owned() } else { format!("{verb}:{path}") };
        match self.symbol_of(callee).and_then(|symbol| self.imported(symbol)) {
            Some((specifier, name)) if name != "*" => {
                let (specifier, name) = (specifier.to_owned(), name.to_owned());
                self.hand_over(node, by, Handed { specifier, name, to: HandedTo::Argument(index), language });
            }
            _ => match self.foreign_schema(callee, arguments) {
                Some((specifier, name)) => {
                    self.hand_over(node, by, Handed { specifier, name, to: HandedTo::Schema, language });
                }
                None => self.escape(node, role, by),
            },
        }
    }

    /// Functions of the language that take an object. True if that says all.
    fn of_object(
        &mut self,
        node: NodeId,
        role: Role,
        call: NodeId,
        path: &str,
        arguments: &'a [Argument<'a>],
        index: usize,
    ) -> bool {
        let Role::Environment(language) = role else { return false };
        let second = arguments.get(1).and_then(Argument::as_expression);
        match (path, index, second) {
            ("Object.freeze" | "Object.seal" | "structuredClone", 0, _) => self.push(call, role),
            ("Object.hasOwn" | "Reflect.has", 0, Some(name)) => self.tested(name, role),
            ("Reflect.get", 0, Some(name)) => {
                let key = self.key(name);
                self.used(call, self.kind(call).span(), key, language);
            }
            ("Reflect.deleteProperty" | "Reflect.set" | "Object.defineProperty", 0, Some(name)) => {
                let how = if path == "Reflect.deleteProperty" { How::Remove } else { How::Write };
                let names = match self.key(name) {
                    Key::Names(names) => names,
                    Key::Parameter { .. } | Key::Unknown => vec![Name::Computed],
                };
                for name in names {
                    self.spot(self.kind(call).span(), name, how, Fallback::None, language);
                }
            }
            ("Object.assign", 0, _) => {
                for source in arguments.iter().skip(1) {
                    self.written_from(node, source, role);
                }
            }
            _ => return false,
        }
        true
    }

    /// `Object.assign(process.env, { X: … })`
    fn written_from(&mut self, node: NodeId, source: &Argument<'a>, role: Role) {
        let Role::Environment(language) = role else { return };
        let whole = Name::Whole("call:Object.assign".to_owned());
        let Some(Expression::ObjectExpression(object)) = source.as_expression().map(Expression::get_inner_expression)
        else {
            return self.spot(self.kind(node).span(), whole, How::Write, Fallback::None, language);
        };
        for property in &object.properties {
            let (span, names) = match property {
                ObjectPropertyKind::ObjectProperty(property) => {
                    match self.property_key(&property.key, property.computed) {
                        Key::Names(names) => (property.key.span(), names),
                        _ => (property.key.span(), vec![Name::Computed]),
                    }
                }
                ObjectPropertyKind::SpreadProperty(spread) => (spread.span, vec![whole.clone()]),
            };
            for name in names {
                self.spot(span, name, How::Write, Fallback::None, language);
            }
        }
    }

    /// `{ env: process.env }`
    pub(super) fn in_object(&mut self, node: NodeId, role: Role, property: NodeId, is: &ObjectProperty<'_>) {
        let Some(name) = is.key.static_name() else { return self.escape(node, role, "property") };
        let object = self.nodes.parent_id(property);
        if let AstKind::CallExpression(call) = self.nodes.parent_kind(object) {
            let is_runtime = ["runtimeEnv", "runtimeEnvStrict", "experimental__runtimeEnv", "env"].contains(&&*name);
            if is_runtime && self.own_schema(self.nodes.parent_id(object), call) {
                return;
            }
        }
        // `module.exports = { env: process.env }`
        if let AstKind::AssignmentExpression(assignment) = self.nodes.parent_kind(object)
            && assignment
                .left
                .as_member_expression()
                .is_some_and(|member| member.is_specific_member_access("module", "exports"))
        {
            return self.share(&name, role, is.key.span());
        }
        // `const context = { env: process.env }` … `context.env.X`
        if let AstKind::VariableDeclarator(declarator) = self.nodes.parent_kind(object)
            && let Some(identifier) = declarator.id.get_binding_identifier()
            && let Some(symbol) = identifier.symbol_id.get()
            && self.only_members_of(symbol, &name, role)
        {
            return;
        }
        self.escape(node, role, format!("property:{name}"));
    }

    /// A function returns something of that role: so do its calls.
    pub(super) fn returned(&mut self, node: NodeId, role: Role, function: NodeId) {
        let callers = self.callers(function);
        let is_seen = !callers.calls.is_empty() && callers.exports.is_empty() && callers.escapes.is_empty();
        for (call, _) in callers.calls {
            self.push(call, role);
        }
        if !is_seen {
            self.escape(node, role, "returned");
        }
    }
}

/// A callee as words: `Object.keys`. Of a long chain the last words; empty if it has no names.
pub(super) fn path(callee: &Expression<'_>) -> String {
    let mut words = Vec::new();
    let mut at = callee;
    while words.len() < MOST_WORDS {
        match at.get_inner_expression() {
            Expression::Identifier(identifier) => {
                words.push(identifier.name.as_str());
                break;
            }
            Expression::ThisExpression(_) => {
                words.push("this");
                break;
            }
            Expression::StaticMemberExpression(member) => {
                words.push(member.property.name.as_str());
                at = &member.object;
            }
            Expression::ChainExpression(chain) => match chain.expression.member_expression() {
                Some(member) => {
                    words.extend(member.static_property_name());
                    at = member.object();
                }
                None => break,
            },
            _ => break,
        }
    }
    words.reverse();
    words.join(".")
}
