//! The environment taken apart: `const { API_URL = "…", ...rest } = process.env`, and where it is assigned to.

use oxc_ast::AstKind;
use oxc_ast::ast::{
    AssignmentTarget, AssignmentTargetMaybeDefault, AssignmentTargetProperty, BindingPattern, Expression,
    ObjectAssignmentTarget, ObjectPattern,
};
use oxc_span::{GetSpan, Span};
use oxc_syntax::node::NodeId;
use oxc_syntax::symbol::SymbolId;

use super::Shared;
use super::flow::{Flow, Role};
use super::key::Key;
use crate::{Fallback, How, Name};

impl<'a> Flow<'_, 'a> {
    /// A pattern gets something of that role.
    pub(super) fn bind(&mut self, pattern: &BindingPattern<'_>, role: Role) {
        match pattern {
            BindingPattern::BindingIdentifier(identifier) => {
                if let Some(symbol) = identifier.symbol_id.get() {
                    self.follow(symbol, role);
                }
            }
            BindingPattern::ObjectPattern(object) => self.take_apart(object, role),
            BindingPattern::AssignmentPattern(pattern) => self.bind(&pattern.left, role),
            BindingPattern::ArrayPattern(_) => {}
        }
    }

    fn take_apart(&mut self, object: &ObjectPattern<'_>, role: Role) {
        for property in &object.properties {
            let key = self.property_key(&property.key, property.computed);
            let (pattern, fallback) = match &property.value {
                BindingPattern::AssignmentPattern(pattern) => (&pattern.left, self.literal(&pattern.right)),
                pattern => (pattern, Fallback::None),
            };
            if !self.taken(&key, property.key.span(), fallback, role)
                && let Some(name) = key.only()
            {
                if let Some(next) = self.inside(role, name) {
                    self.bind(pattern, next);
                } else if let (Role::Module(module), BindingPattern::BindingIdentifier(identifier)) = (role, pattern)
                    && let Some(symbol) = identifier.symbol_id.get()
                {
                    self.reader_as_name(symbol, module, name);
                }
            }
        }
        if let Some(rest) = &object.rest
            && let Role::Environment(language) = role
        {
            self.spot(rest.span, Name::Whole("rest".to_owned()), How::Read, Fallback::None, language);
            self.bind(&rest.argument, role);
        }
    }

    /// Something of that role is assigned.
    pub(super) fn assign(&mut self, target: &AssignmentTarget<'a>, role: Role) {
        match target {
            AssignmentTarget::AssignmentTargetIdentifier(identifier) => {
                let reference = identifier.reference_id.get().map(|id| self.scoping.get_reference(id));
                if let Some(symbol) = reference.and_then(|reference| reference.symbol_id()) {
                    self.follow(symbol, role);
                }
            }
            AssignmentTarget::ObjectAssignmentTarget(object) => self.take_apart_into(object, role),
            AssignmentTarget::StaticMemberExpression(member) => {
                let (node, name) = (member.node_id.get(), member.property.name.as_str());
                match &member.object {
                    Expression::ThisExpression(_) => self.as_own_property(node, node, name, role),
                    // CommonJS: `module.exports = …`, `exports.env = …`, `module.exports.env = …`
                    Expression::Identifier(object) if object.name == "module" && name == "exports" => {
                        self.share("default", role, member.span);
                    }
                    Expression::Identifier(object) if object.name == "exports" => self.share(name, role, member.span),
                    Expression::StaticMemberExpression(outer)
                        if outer.property.name == "exports"
                            && matches!(&outer.object, Expression::Identifier(module) if module.name == "module") =>
                    {
                        self.share(name, role, member.span);
                    }
                    _ => self.escape(node, role, format!("property:{name}")),
                }
            }
            AssignmentTarget::PrivateFieldExpression(member) => {
                let node = member.node_id.get();
                self.as_own_property(node, node, &format!("#{}", member.field.name), role);
            }
            AssignmentTarget::ComputedMemberExpression(member) => self.escape(member.node_id.get(), role, "property"),
            _ => {}
        }
    }

    fn take_apart_into(&mut self, object: &ObjectAssignmentTarget<'a>, role: Role) {
        for property in &object.properties {
            match property {
                AssignmentTargetProperty::AssignmentTargetPropertyIdentifier(property) => {
                    let fallback = property.init.as_ref().map_or(Fallback::None, |init| self.literal(init));
                    let key = Key::exact(&property.binding.name);
                    if !self.taken(&key, property.binding.span, fallback, role)
                        && let Some(next) = self.inside(role, &property.binding.name)
                        && let Some(reference) = property.binding.reference_id.get()
                        && let Some(symbol) = self.scoping.get_reference(reference).symbol_id()
                    {
                        self.follow(symbol, next);
                    }
                }
                AssignmentTargetProperty::AssignmentTargetPropertyProperty(property) => {
                    let key = self.property_key(&property.name, property.computed);
                    let (target, fallback) = match &property.binding {
                        AssignmentTargetMaybeDefault::AssignmentTargetWithDefault(with) => {
                            (Some(&with.binding), self.literal(&with.init))
                        }
                        other => (other.as_assignment_target(), Fallback::None),
                    };
                    if !self.taken(&key, property.name.span(), fallback, role)
                        && let (Some(target), Some(name)) = (target, key.only())
                        && let Some(next) = self.inside(role, name)
                    {
                        self.assign(target, next);
                    }
                }
            }
        }
        if let (Some(rest), Role::Environment(language)) = (&object.rest, role) {
            self.spot(rest.span, Name::Whole("rest".to_owned()), How::Read, Fallback::None, language);
            self.assign(&rest.target, role);
        }
    }

    /// A property of the environment is taken. False if it is not the environment that is taken apart.
    fn taken(&mut self, key: &Key, span: Span, fallback: Fallback, role: Role) -> bool {
        let Role::Environment(language) = role else { return false };
        match key {
            Key::Names(names) => {
                for name in names {
                    self.spot(span, name.clone(), How::Read, fallback, language);
                }
            }
            Key::Parameter { function, parameter } => {
                self.reader(*function, *parameter, span, &[How::Read], fallback, language);
            }
            Key::Unknown => self.spot(span, Name::Computed, How::Read, fallback, language),
        }
        true
    }

    /// `this.env = process.env`, `env = process.env` in a class: the class reads it by `this.env`.
    pub(super) fn as_own_property(&mut self, node: NodeId, within: NodeId, name: &str, role: Role) {
        let (class, mut is_read) = (self.enclosing_class(within), false);
        for one in self.walk().filter(|_| class.is_some()) {
            let is_it = match one.kind() {
                AstKind::StaticMemberExpression(member) => {
                    matches!(&member.object, Expression::ThisExpression(_)) && member.property.name == name
                }
                AstKind::PrivateFieldExpression(member) => {
                    matches!(&member.object, Expression::ThisExpression(_))
                        && name.strip_prefix('#') == Some(member.field.name.as_str())
                }
                _ => false,
            };
            if is_it && one.id() != node && self.enclosing_class(one.id()) == class {
                is_read = true;
                self.push(one.id(), role);
            }
        }
        if !is_read {
            self.escape(node, role, format!("property:{name}"));
        }
    }

    /// `constructor(private env = process.env)`
    pub(super) fn of_class(&mut self, parameter: NodeId, pattern: &BindingPattern<'_>, role: Role) {
        if let Some(name) = pattern.get_identifier_name() {
            self.as_own_property(parameter, parameter, &name, role);
        }
    }

    /// `const { need } = require("./env")`, where `need` reads a variable.
    fn reader_as_name(&mut self, symbol: SymbolId, module: usize, name: &str) {
        let given = self.given;
        let Some((_, exports)) = given.modules.get(module) else { return };
        for export in exports.iter().filter(|export| export.name == name) {
            if let Shared::Reader { method, parameter, language } = &export.shared {
                self.calls_to_reader(symbol, method.as_deref(), *parameter, Fallback::None, *language);
            }
        }
    }
}
