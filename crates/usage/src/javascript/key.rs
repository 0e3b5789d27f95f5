//! What the name in `process.env[name]` is.

use oxc_ast::AstKind;
use oxc_ast::ast::{Argument, ArrayExpressionElement, Expression, ObjectPropertyKind, PropertyKey, TemplateLiteral};
use oxc_span::GetSpan;
use oxc_syntax::node::NodeId;
use oxc_syntax::operator::BinaryOperator;
use oxc_syntax::symbol::SymbolId;

use super::flow::Flow;
use crate::Name;

/// More names than this for one use are a table that somebody else should check.
const MOST_NAMES: usize = 64;

/// Constants that lead to constants, from the use on.
const MOST_STEPS: usize = 8;

/// Stands for a part that only the running program knows. No name of a variable can hold it.
const GAP: char = '\0';

/// A name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Names(Vec<Name>),
    /// Whoever calls the function says it.
    Parameter {
        function: NodeId,
        parameter: usize,
    },
    Unknown,
}

impl Key {
    pub(super) fn exact(name: &str) -> Self {
        Self::Names(vec![Name::Exact(name.to_owned())])
    }

    /// The one name that it is.
    pub(super) fn only(&self) -> Option<&str> {
        match self {
            Self::Names(names) => match names.as_slice() {
                [Name::Exact(name)] => Some(name),
                _ => None,
            },
            _ => None,
        }
    }
}

pub(super) fn name(text: &str) -> Name {
    if !text.contains(GAP) {
        return Name::Exact(text.to_owned());
    }
    let mut pattern = String::new();
    for c in text.chars() {
        let c = if c == GAP { '*' } else { c };
        if c != '*' || !pattern.ends_with('*') {
            pattern.push(c);
        }
    }
    if pattern == "*" { Name::Computed } else { Name::Pattern(pattern) }
}

impl<'a> Flow<'_, 'a> {
    pub(super) fn key(&self, expression: &Expression<'_>) -> Key {
        self.ask();
        if let Some(texts) = self.texts(expression, MOST_STEPS) {
            return Key::Names(texts.iter().map(|text| name(text)).collect());
        }
        match self.symbol_of(expression).and_then(|symbol| self.as_parameter(symbol)) {
            Some((function, parameter)) => Key::Parameter { function, parameter },
            None => Key::Unknown,
        }
    }

    pub(super) fn property_key(&self, key: &PropertyKey<'_>, is_computed: bool) -> Key {
        match (key.static_name(), key.as_expression()) {
            (Some(name), _) => Key::exact(&name),
            (None, Some(expression)) if is_computed => self.key(expression),
            _ => Key::Unknown,
        }
    }

    /// Every text that an expression can be, as far as the source says.
    pub(super) fn texts(&self, expression: &Expression<'_>, steps: usize) -> Option<Vec<String>> {
        let steps = steps.checked_sub(1)?;
        self.look()?;
        let texts = match expression.get_inner_expression() {
            Expression::StringLiteral(text) => vec![text.value.to_string()],
            Expression::NumericLiteral(number) => vec![number.raw?.to_string()],
            Expression::TemplateLiteral(template) => self.template(template, steps)?,
            Expression::BinaryExpression(binary) if binary.operator == BinaryOperator::Addition => {
                let left = self.texts(&binary.left, steps);
                let right = self.texts(&binary.right, steps);
                if left.is_none() && right.is_none() {
                    return None;
                }
                joined(&left.unwrap_or_else(gap), &right.unwrap_or_else(gap))
            }
            Expression::ConditionalExpression(conditional) => {
                let mut both = self.texts(&conditional.consequent, steps)?;
                both.extend(self.texts(&conditional.alternate, steps)?);
                both
            }
            Expression::LogicalExpression(logical) => {
                let mut both = self.texts(&logical.left, steps)?;
                both.extend(self.texts(&logical.right, steps)?);
                both
            }
            Expression::Identifier(_) => self.constant(self.symbol_of(expression)?, steps)?,
            Expression::StaticMemberExpression(member) => {
                let value = self.member_of_constant(&member.object, &member.property.name)?;
                self.texts(value, steps)?
            }
            Expression::ComputedMemberExpression(member) => {
                let Expression::StringLiteral(property) = &member.expression else { return None };
                let value = self.member_of_constant(&member.object, &property.value)?;
                self.texts(value, steps)?
            }
            _ => return None,
        };
        (!texts.is_empty() && texts.len() <= MOST_NAMES).then_some(texts)
    }

    fn template(&self, template: &TemplateLiteral<'_>, steps: usize) -> Option<Vec<String>> {
        let mut texts = vec![String::new()];
        for (index, part) in template.quasis.iter().enumerate() {
            let cooked = part.value.cooked.as_ref()?;
            texts.iter_mut().for_each(|text| text.push_str(cooked));
            if let Some(expression) = template.expressions.get(index) {
                texts = joined(&texts, &self.texts(expression, steps).unwrap_or_else(gap));
            }
            if texts.len() > MOST_NAMES {
                return None;
            }
        }
        Some(texts)
    }

    fn constant(&self, symbol: SymbolId, steps: usize) -> Option<Vec<String>> {
        let declaration = self.scoping.symbol_declaration(symbol);
        if let Some((function, 0)) = self.as_parameter(symbol) {
            return self.element_of_list(function, steps);
        }
        let AstKind::VariableDeclarator(declarator) = self.kind(declaration) else { return None };
        declarator.id.get_binding_identifier()?;
        if let Some(init) = &declarator.init {
            return if self.scoping.symbol_is_mutated(symbol) { None } else { self.texts(init, steps) };
        }
        // `for (const name of ["A", "B"])`
        let declarations = self.nodes.parent_id(declaration);
        match self.nodes.parent_kind(declarations) {
            AstKind::ForOfStatement(of) if of.left.span() == self.kind(declarations).span() => {
                self.elements(&of.right, steps)
            }
            _ => None,
        }
    }

    /// `["A", "B"].forEach((name) => …)`: what the first argument of such a function is.
    fn element_of_list(&self, function: NodeId, steps: usize) -> Option<Vec<String>> {
        let AstKind::CallExpression(call) = self.nodes.parent_kind(function) else { return None };
        let first = call.arguments.first().map(Argument::span);
        let member = call.callee.get_inner_expression().as_member_expression()?;
        let method = member.static_property_name()?;
        let each = ["forEach", "map", "filter", "some", "every", "find", "flatMap", "findIndex"];
        if first != Some(self.kind(function).span()) || !each.contains(&method) {
            return None;
        }
        self.elements(member.object(), steps)
    }

    /// Every text in a list.
    pub(super) fn elements(&self, expression: &Expression<'_>, steps: usize) -> Option<Vec<String>> {
        let steps = steps.checked_sub(1)?;
        self.look()?;
        match expression.get_inner_expression() {
            Expression::ArrayExpression(array) => {
                let mut texts = Vec::new();
                for element in &array.elements {
                    match element {
                        ArrayExpressionElement::SpreadElement(spread) => {
                            texts.extend(self.elements(&spread.argument, steps)?);
                        }
                        element => texts.extend(self.texts(element.as_expression()?, steps)?),
                    }
                }
                (texts.len() <= MOST_NAMES).then_some(texts)
            }
            Expression::Identifier(_) => self.elements(self.initial_value(self.symbol_of(expression)?)?, steps),
            // `["A", "B"].filter(…)` holds no others.
            Expression::CallExpression(call) => {
                let member = call.callee.as_member_expression()?;
                let keeps = ["filter", "slice", "sort", "reverse", "toSorted", "toReversed"];
                if !keeps.contains(&member.static_property_name()?) {
                    return None;
                }
                self.elements(member.object(), steps)
            }
            _ => None,
        }
    }

    /// What a name is declared as, if it stays so.
    pub(super) fn initial_value(&self, symbol: SymbolId) -> Option<&'a Expression<'a>> {
        if self.scoping.symbol_is_mutated(symbol) {
            return None;
        }
        let AstKind::VariableDeclarator(declarator) = self.kind(self.scoping.symbol_declaration(symbol)) else {
            return None;
        };
        declarator.id.get_binding_identifier()?;
        declarator.init.as_ref()
    }

    /// `KEYS.API` of `const KEYS = { API: "API_URL" }`, or of an enumeration.
    fn member_of_constant(&self, object: &Expression<'_>, property: &str) -> Option<&'a Expression<'a>> {
        let symbol = self.symbol_of(object)?;
        if let AstKind::TSEnumDeclaration(enumeration) = self.kind(self.scoping.symbol_declaration(symbol)) {
            let member = enumeration.body.members.iter().find(|member| member.id.static_name() == property)?;
            return member.initializer.as_ref();
        }
        let Expression::ObjectExpression(object) = self.initial_value(symbol)?.get_inner_expression() else {
            return None;
        };
        object.properties.iter().find_map(|one| match one {
            ObjectPropertyKind::ObjectProperty(one) if one.key.is_specific_static_name(property) => Some(&one.value),
            _ => None,
        })
    }

    /// Of which function, and which in its order, a name is a parameter.
    pub(super) fn as_parameter(&self, symbol: SymbolId) -> Option<(NodeId, usize)> {
        let declaration = self.scoping.symbol_declaration(symbol);
        let AstKind::FormalParameter(parameter) = self.kind(declaration) else { return None };
        parameter.pattern.get_binding_identifier()?;
        let list = self.nodes.parent_id(declaration);
        let AstKind::FormalParameters(parameters) = self.kind(list) else { return None };
        let index = parameters.items.iter().position(|item| item.span == parameter.span)?;
        Some((self.nodes.parent_id(list), index))
    }
}

fn gap() -> Vec<String> {
    vec![GAP.to_string()]
}

fn joined(left: &[String], right: &[String]) -> Vec<String> {
    let pairs = left.iter().flat_map(|left| right.iter().map(move |right| format!("{left}{right}")));
    pairs.take(MOST_NAMES + 1).collect()
}
