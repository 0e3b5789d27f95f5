//! What is done with a variable once it is read: whether it is written, removed, or has a value for when it is not set.

use oxc_ast::AstKind;
use oxc_ast::ast::{CallExpression, Expression, ObjectPropertyKind};
use oxc_span::GetSpan;
use oxc_syntax::node::NodeId;
use oxc_syntax::operator::{AssignmentOperator, BinaryOperator, LogicalOperator, UnaryOperator};

use super::flow::Flow;
use crate::{Fallback, How};

/// How far a literal is looked for behind a use.
const MOST_STEPS: usize = 12;

/// How far up the tree a use is followed: a row of `||` is read by people.
const MOST_LEVELS: usize = 100;

impl Flow<'_, '_> {
    /// What becomes of the expression `node`.
    pub(super) fn fate(&self, node: NodeId) -> (Vec<How>, Fallback) {
        let mut node = node;
        for _ in 0..MOST_LEVELS {
            let span = self.kind(node).span();
            let parent = self.nodes.parent_id(node);
            match self.kind(parent) {
                AstKind::TSAsExpression(_)
                | AstKind::TSSatisfiesExpression(_)
                | AstKind::TSTypeAssertion(_)
                | AstKind::TSNonNullExpression(_)
                | AstKind::ChainExpression(_)
                | AstKind::AwaitExpression(_)
                | AstKind::ParenthesizedExpression(_) => {}
                AstKind::UnaryExpression(unary) if unary.operator == UnaryOperator::Delete => {
                    return (vec![How::Remove], Fallback::None);
                }
                AstKind::UpdateExpression(_) => return (vec![How::Read, How::Write], Fallback::None),
                AstKind::AssignmentExpression(assignment) if assignment.left.span() == span => {
                    let fallback = match assignment.operator {
                        AssignmentOperator::Assign => return (vec![How::Write], Fallback::None),
                        AssignmentOperator::LogicalOr | AssignmentOperator::LogicalNullish => {
                            self.literal(&assignment.right)
                        }
                        _ => Fallback::None,
                    };
                    return (vec![How::Read, How::Write], fallback);
                }
                AstKind::AssignmentTargetWithDefault(target) if target.binding.span() == span => {
                    return (vec![How::Write], Fallback::None);
                }
                AstKind::AssignmentTargetPropertyProperty(target) if target.binding.span() == span => {
                    return (vec![How::Write], Fallback::None);
                }
                AstKind::ArrayAssignmentTarget(_) => return (vec![How::Write], Fallback::None),
                AstKind::LogicalExpression(logical) => {
                    let is_left = logical.left.span() == span;
                    match logical.operator {
                        LogicalOperator::And if is_left => break,
                        LogicalOperator::And => {}
                        LogicalOperator::Or | LogicalOperator::Coalesce => {
                            if is_left && self.literal(&logical.right) == Fallback::Literal {
                                return (vec![How::Read], Fallback::Literal);
                            }
                        }
                    }
                }
                AstKind::ConditionalExpression(conditional) => {
                    let other = if conditional.consequent.span() == span {
                        &conditional.alternate
                    } else if conditional.alternate.span() == span {
                        &conditional.consequent
                    } else {
                        break;
                    };
                    if self.literal(other) == Fallback::Literal {
                        return (vec![How::Read], Fallback::Literal);
                    }
                }
                // `Number(process.env.PORT) || 3000`
                AstKind::CallExpression(call) if is_conversion(call) && call.callee.span() != span => {}
                _ => break,
            }
            node = parent;
        }
        (vec![How::Read], Fallback::None)
    }

    /// Whether an expression holds a value that stands in the code. Nothing, an empty text and yes or no are none: they say
    /// that the variable may be missing.
    pub(super) fn literal(&self, expression: &Expression<'_>) -> Fallback {
        self.ask();
        if self.is_literal(expression, MOST_STEPS) { Fallback::Literal } else { Fallback::None }
    }

    pub(super) fn is_literal(&self, expression: &Expression<'_>, steps: usize) -> bool {
        let (Some(steps), Some(())) = (steps.checked_sub(1), self.look()) else { return false };
        match expression.get_inner_expression() {
            Expression::StringLiteral(text) => !text.value.is_empty(),
            Expression::NumericLiteral(_) | Expression::BigIntLiteral(_) => true,
            Expression::TemplateLiteral(template) => template.quasis.iter().any(|part| !part.value.raw.is_empty()),
            Expression::UnaryExpression(unary) => {
                unary.operator == UnaryOperator::UnaryNegation && self.is_literal(&unary.argument, steps)
            }
            Expression::BinaryExpression(binary) if binary.operator == BinaryOperator::Addition => {
                self.is_literal(&binary.left, steps) || self.is_literal(&binary.right, steps)
            }
            Expression::LogicalExpression(logical) => {
                self.is_literal(&logical.left, steps) || self.is_literal(&logical.right, steps)
            }
            Expression::ConditionalExpression(conditional) => {
                self.is_literal(&conditional.consequent, steps) || self.is_literal(&conditional.alternate, steps)
            }
            Expression::Identifier(_) => self.symbol_of(expression).is_some_and(|symbol| {
                // `(name, fallback = "dev") => process.env[name] || fallback`
                let value = match self.kind(self.scoping.symbol_declaration(symbol)) {
                    AstKind::FormalParameter(parameter) => parameter.initializer.as_deref(),
                    _ => self.initial_value(symbol),
                };
                value.is_some_and(|value| self.is_literal(value, steps))
            }),
            _ => false,
        }
    }

    /// A reader's fallback as an argument behind the name: `get("X", "dev")`, `get("X", { default: "dev" })`.
    pub(super) fn or_argument(&self, fallback: Fallback, call: &CallExpression<'_>, name: usize) -> Fallback {
        if fallback == Fallback::Literal {
            return fallback;
        }
        let Some(argument) = call.arguments.get(name + 1).and_then(|argument| argument.as_expression()) else {
            return Fallback::None;
        };
        match argument.get_inner_expression() {
            Expression::ObjectExpression(object) => object
                .properties
                .iter()
                .find_map(|property| match property {
                    ObjectPropertyKind::ObjectProperty(property) if property.key.is_specific_static_name("default") => {
                        Some(self.literal(&property.value))
                    }
                    _ => None,
                })
                .unwrap_or(Fallback::None),
            _ => self.literal(argument),
        }
    }
}

fn is_conversion(call: &CallExpression<'_>) -> bool {
    matches!(&call.callee, Expression::Identifier(callee)
        if matches!(callee.name.as_str(), "Number" | "String" | "Boolean" | "parseInt" | "parseFloat" | "BigInt"))
}
